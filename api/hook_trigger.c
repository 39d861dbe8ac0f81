/* hook_trigger.c - an issue that gets a repository's trigger label, or is commented with its mention, becomes a task.
 *
 * Only for people who may write there: GitHub is asked, since who may label may be one who only sorts issues, and an organisation's
 * member may have no more than read access. The comment that links the task is owed before the task is made (and due when it was),
 * so that no crash between the two loses it; a debt of a task that was never made comes to nothing. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "api/api.h"
#include "api/execute.h"
#include "api/hook_github.h"
#include "api/reply.h"
#include "api/repo_remote.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/store/idem.h"
#include "lib/store/outbox.h"
#include "lib/store/tasks.h"
#include "lib/store/users.h"

/* Longer ago than answers are kept: a delivery that somebody kept back, or kept. */
#define STALE_MS (24LL * 3600 * 1000)
/* Should whoever makes the task die, the comment is tried then, and comes to nothing. */
#define DEBT_MS 60000

/* Nobody needs to ask GitHub about a stranger. */
static bool may_be_writer(const json_t *comment)
{
    static const char *const strangers[] = {"FIRST_TIMER", "FIRST_TIME_CONTRIBUTOR", "MANNEQUIN",
                                            "NONE", NULL};

    return pj_word_index(strangers, pj_json_str(comment, "author_association", "")) < 0;
}

/* Our own comments name a task, and might hold a repository's mention by chance. */
static bool is_ours(const char *body)
{
    return strncmp(body, PJ_COMMENT_MARK, strlen(PJ_COMMENT_MARK)) == 0;
}

/* The mention as a word of its own. */
static bool mentions(const char *text, const char *mention)
{
    size_t n = strlen(mention);
    static const char inside[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";

    for (const char *p = text; (p = strstr(p, mention)) != NULL; p++)
        if ((p == text || strchr(inside, p[-1]) == NULL) &&
            (p[n] == '\0' || strchr(inside, p[n]) == NULL))
            return true;
    return false;
}

static bool triggers(const struct github_hook *h, const struct pj_repo *repo)
{
    const json_t *comment = json_object_get(h->doc, "comment");
    const char *action = pj_json_str(h->doc, "action", "");

    if (comment != NULL)
        return repo->trigger_mention != NULL && strcmp(action, "created") == 0 &&
               may_be_writer(comment) && !is_ours(pj_json_str(comment, "body", "")) &&
               mentions(pj_json_str(comment, "body", ""), repo->trigger_mention);
    return repo->trigger_label != NULL && strcmp(action, "labeled") == 0 &&
           strcmp(pj_json_str(json_object_get(h->doc, "label"), "name", ""), repo->trigger_label) ==
               0;
}

/* One line of at most PJ_TITLE_MAX bytes, cut at a character. */
static char *title_of(const json_t *issue)
{
    char *title = pj_strdup(pj_json_str(issue, "title", ""));
    size_t n = strlen(title);

    if (n > PJ_TITLE_MAX)
        n = PJ_TITLE_MAX;
    while (n > 0 && n < strlen(title) && ((unsigned char)title[n] & 0xc0) == 0x80)
        n--;
    title[n] = '\0';
    bool blank = true;
    for (char *p = title; *p != '\0'; p++) {
        if ((unsigned char)*p < ' ' || *p == 0x7f)
            *p = ' ';
        blank = blank && *p == ' ';
    }
    if (blank) {
        free(title);
        title = pj_asprintf("Issue %lld", (long long)pj_json_i64(issue, "number", 0));
    }
    return title;
}

static char *description_of(const struct github_hook *h, const json_t *issue)
{
    const json_t *comment = json_object_get(h->doc, "comment");
    struct pj_str text;

    pj_str_init(&text, PJ_DESCRIPTION_MAX - 8);
    const char *body = pj_json_str(issue, "body", "");
    pj_str_puts(&text, body[0] != '\0' ? body : pj_json_str(issue, "title", ""));
    if (comment != NULL)
        pj_str_putf(&text, "\n\nComment of %s:\n\n%s",
                    pj_json_str(json_object_get(comment, "user"), "login", ""),
                    pj_json_str(comment, "body", ""));
    struct pj_str clean;
    pj_str_init(&clean, PJ_DESCRIPTION_MAX);
    pj_utf8_append_clean(
        &clean, pj_view_n(pj_str_cstr(&text), text.len)); /* it may have been cut in a character */
    pj_str_release(&text);
    char *out = pj_str_take(&clean);
    pj_str_release(&clean);
    return out;
}

static void next(struct request *req);

static void owe_comment(struct request *req, const char *task_id, const char *owner,
                        int64_t delay_ms, request_then *then)
{
    const struct github_hook *h = req->ctx;
    const struct pj_outbox_debt debt = {
        .task_id = task_id,
        .owner = owner,
        .name = "issue",
        .kind = "comment",
        .template_name = "triggered",
        .to = pj_json_str(json_object_get(h->doc, "issue"), "html_url", ""),
        .delay_ms = delay_ms,
    };
    struct pj_cmd cmd = {0};

    pj_outbox_owe_cmd(&cmd, pj_partition_of_task(task_id), &debt);
    request_redis(req, &cmd, then);
}

static void on_due(struct request *req, const struct redisReply *reply)
{
    struct github_hook *h = req->ctx;
    struct pj_err err;

    if (pj_outbox_reply(reply, &err) < 0) {
        reply_err(req, &err);
        return;
    }
    h->at++;
    next(req);
}

static void on_created(struct request *req, const struct redisReply *reply)
{
    const struct github_hook *h = req->ctx;
    struct pj_task *task = req->task;
    struct pj_err err;
    bool existing = false;

    if (pj_task_create_reply(reply, task, &existing, &err) < 0) {
        reply_err(req, &err);
        return;
    }
    pj_log(PJ_LOG_INFO, "task_triggered", "taskId", task->id, "repositoryId", task->repository_id,
           "delivery", h->digest, "repeated", existing ? "true" : "false", NULL);
    json_array_append_new(h->made, json_string(task->id));
    owe_comment(req, task->id, task->owner, 0, on_due);
}

static json_t *source_of(const struct github_hook *h)
{
    const json_t *issue = json_object_get(h->doc, "issue"),
                 *comment = json_object_get(h->doc, "comment");

    return json_pack("{s:s, s:I, s:s, s:s?, s:s}", "kind", "github_issue", "number",
                     (json_int_t)pj_json_i64(issue, "number", 0), "url",
                     pj_json_str(issue, "html_url", ""), "comment",
                     comment != NULL ? pj_json_str(comment, "html_url", NULL) : NULL, "by",
                     pj_json_str(json_object_get(h->doc, "sender"), "login", ""));
}

/* The comment is owed: make the task. */
static void on_owed(struct request *req, const struct redisReply *reply)
{
    const struct github_hook *h = req->ctx;
    const struct pj_repo *repo = h->repos.items[h->at];
    const json_t *issue = json_object_get(h->doc, "issue");
    const unsigned partition = pj_partition_of_task(req->task->id);
    char scope[80], key[PJ_KEY_SIZE];
    struct pj_task *task = req->task;
    struct pj_cmd cmd = {0};
    struct pj_err err;

    if (pj_outbox_reply(reply, &err) < 0) {
        reply_err(req, &err);
        return;
    }
    pj_str_set(&task->repository_id, repo->id);
    task->title = title_of(issue);
    task->description = description_of(h, issue);
    task->priority = PJ_PRIORITY_NORMAL;
    task->executor = execute_choose(req, repo, -1);
    task->source = source_of(h);
    snprintf(scope, sizeof scope, "h:%s", repo->id);
    bool execute = execute_would_be_allowed(req, repo, task->executor);
    pj_task_create_cmd(&cmd, task, execute, pj_idem_key(key, partition, scope, h->digest));
    request_redis(req, &cmd, on_created);
}

static void create(struct request *req, const char *owner)
{
    char id[PJ_ID_SIZE];

    pj_id_new(pj_partition_of_user(owner, req->api->partitions), id);
    pj_task_free(req->task);
    req->task = pj_alloc(1, sizeof *req->task);
    pj_task_init(req->task);
    pj_str_set(&req->task->id, id);
    pj_str_set(&req->task->owner, owner);
    owe_comment(req, id, owner, DEBT_MS, on_owed);
}

/* The task is his who asked, when he is a user of ours who may use the repository; else the repository's owner's. */
static void on_user(struct request *req, const struct redisReply *reply)
{
    const struct github_hook *h = req->ctx;
    const struct pj_repo *repo = h->repos.items[h->at];
    struct pj_user user = {0};
    struct pj_err err;

    if (pj_user_reply(reply, &user, &err) < 0) {
        if (err.cls == PJ_E_NOT_FOUND)
            create(req, repo->owner);
        else
            reply_err(req, &err);
        return;
    }
    bool his = user.role == PJ_ROLE_ADMIN || repo->visibility == PJ_REPO_SHARED ||
               strcmp(user.id, repo->owner) == 0;
    create(req, his ? user.id : repo->owner);
    pj_user_release(&user);
}

static const char *sender(const struct github_hook *h)
{
    return pj_json_str(json_object_get(h->doc, "sender"), "login", "");
}

static void on_permission(struct request *req, const struct repo_remote_answer *answer)
{
    struct github_hook *h = req->ctx;
    struct pj_cmd cmd = {0};

    if (answer->err.cls == PJ_E_UNAVAILABLE || answer->err.cls == PJ_E_TIMEOUT ||
        answer->err.cls == PJ_E_RATE) {
        reply_err_status(req, 503,
                         &answer->err); /* GitHub shows it as failed: it can be sent again */
        return;
    }
    if (strcmp(answer->permission, "admin") == 0 || strcmp(answer->permission, "write") == 0) {
        pj_user_by_login_cmd(&cmd, sender(h));
        request_redis(req, &cmd, on_user);
        return;
    }
    pj_log(PJ_LOG_WARN, "trigger_refused", "repositoryId", h->repos.items[h->at]->id, "login",
           sender(h), "permission", answer->permission, "detail", answer->err.message, NULL);
    h->at++;
    next(req);
}

static void next(struct request *req)
{
    struct github_hook *h = req->ctx;

    while (h->at < h->repos.count && !triggers(h, h->repos.items[h->at]))
        h->at++;
    if (h->at < h->repos.count)
        repo_remote_permission(req, h->repos.items[h->at], sender(h), on_permission);
    else if (json_array_size(h->made) == 0)
        hook_github_nothing(req, "issue");
    else
        reply_json(
            req, 200,
            json_pack("{s:s, s:b, s:O}", "event", "issue", "handled", 1, "taskIds", h->made));
}

/* When did this happen? The signature says nothing of time, so what is old is not done (again). */
static bool is_stale(const struct github_hook *h)
{
    const json_t *comment = json_object_get(h->doc, "comment"),
                 *issue = json_object_get(h->doc, "issue");
    const char *at = comment != NULL ? pj_json_str(comment, "created_at", "")
                                     : pj_json_str(issue, "updated_at", "");
    int64_t ms;

    return at[0] != '\0' && (pj_rfc3339_parse(at, &ms) < 0 || pj_now_ms() - ms > STALE_MS);
}

void hook_trigger(struct request *req)
{
    struct github_hook *h = req->ctx;
    const json_t *issue = json_object_get(h->doc, "issue");
    const char *type = pj_json_str(json_object_get(h->doc, "sender"), "type", "");

    if (!json_is_object(issue) || pj_json_i64(issue, "number", 0) <= 0 || is_stale(h) ||
        sender(h)[0] == '\0' || strcmp(type, "Bot") == 0) {
        hook_github_nothing(req, "issue");
        return;
    }
    h->made = json_array();
    hook_github_repositories(req, next);
}
