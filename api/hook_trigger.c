/* hook_trigger.c - an issue that gets a repository's trigger label, or is commented with its mention, becomes a task. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "api/api.h"
#include "api/execute.h"
#include "api/hook_github.h"
#include "api/reply.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/store/idem.h"
#include "lib/store/tasks.h"
#include "lib/store/users.h"

/* Only people who may write there: GitHub lets nobody else label, and says of a comment's author what he is. */
static bool may_write(const json_t *comment)
{
    static const char *const roles[] = {"COLLABORATOR", "MEMBER", "OWNER", NULL};

    return pj_word_index(roles, pj_json_str(comment, "author_association", "")) >= 0;
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
               may_write(comment) &&
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
    for (char *p = title; *p != '\0'; p++)
        if ((unsigned char)*p < ' ' || *p == 0x7f)
            *p = ' ';
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

static void on_created(struct request *req, const struct redisReply *reply)
{
    struct github_hook *h = req->ctx;
    struct pj_task task;
    struct pj_err err;
    bool existing = false;

    pj_task_init(&task);
    if (pj_task_create_reply(reply, &task, &existing, &err) < 0) {
        reply_err(req, &err);
        pj_task_release(&task);
        return;
    }
    pj_log(PJ_LOG_INFO, "task_triggered", "taskId", task.id, "repositoryId", task.repository_id,
           "delivery", h->delivery, "repeated", existing ? "true" : "false", NULL);
    json_array_append_new(h->made, json_string(task.id));
    pj_task_release(&task);
    h->at++;
    next(req);
}

static void create(struct request *req, const char *owner)
{
    const struct github_hook *h = req->ctx;
    const struct pj_repo *repo = h->repos.items[h->at];
    const json_t *issue = json_object_get(h->doc, "issue"),
                 *comment = json_object_get(h->doc, "comment");
    const unsigned partition = pj_partition_of_user(owner, req->api->partitions);
    char id[PJ_ID_SIZE], scope[80], key[PJ_KEY_SIZE];
    struct pj_task task;
    struct pj_cmd cmd = {0};

    pj_task_init(&task);
    pj_id_new(partition, id);
    pj_str_set(&task.id, id);
    pj_str_set(&task.owner, owner);
    pj_str_set(&task.repository_id, repo->id);
    task.title = title_of(issue);
    task.description = description_of(h, issue);
    task.priority = PJ_PRIORITY_NORMAL;
    task.executor = execute_choose(req, repo, -1);
    task.source = json_pack("{s:s, s:I, s:s, s:s?, s:s}", "kind", "github_issue", "number",
                            (json_int_t)pj_json_i64(issue, "number", 0), "url",
                            pj_json_str(issue, "html_url", ""), "comment",
                            comment != NULL ? pj_json_str(comment, "html_url", NULL) : NULL, "by",
                            pj_json_str(json_object_get(h->doc, "sender"), "login", ""));
    snprintf(scope, sizeof scope, "h:%s", repo->id);
    bool execute = execute_would_be_allowed(req, repo, task.executor);
    pj_task_create_cmd(&cmd, &task, execute,
                       h->delivery[0] != '\0' ? pj_idem_key(key, partition, scope, h->delivery)
                                              : NULL);
    pj_task_release(&task);
    request_redis(req, &cmd, on_created);
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

static void next(struct request *req)
{
    struct github_hook *h = req->ctx;
    const char *login = pj_json_str(json_object_get(h->doc, "sender"), "login", "");
    struct pj_cmd cmd = {0};

    while (h->at < h->repos.count && !triggers(h, h->repos.items[h->at]))
        h->at++;
    if (h->at < h->repos.count) {
        pj_user_by_login_cmd(&cmd, login);
        request_redis(req, &cmd, on_user);
    } else if (json_array_size(h->made) == 0) {
        hook_github_nothing(req, "issue");
    } else {
        reply_json(
            req, 200,
            json_pack("{s:s, s:b, s:O}", "event", "issue", "handled", 1, "taskIds", h->made));
    }
}

void hook_trigger(struct request *req)
{
    struct github_hook *h = req->ctx;
    const json_t *issue = json_object_get(h->doc, "issue");

    if (!json_is_object(issue) || json_object_get(issue, "pull_request") != NULL ||
        pj_json_str(issue, "title", "")[0] == '\0') {
        hook_github_nothing(req, "issue");
        return;
    }
    h->made = json_array();
    hook_github_repositories(req, next);
}
