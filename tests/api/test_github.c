/* What GitHub tells by webhook: triggers, workflow runs, CodeRabbit's reviews; and that nobody else can tell it. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "lib/base/clock.h"
#include "lib/base/fs.h"
#include "lib/base/mem.h"
#include "lib/crypto/hmac.h"
#include "lib/json/codec.h"
#include "lib/store/lease.h"
#include "tests/api/writer.h"

#define SECRET "github secret of the test"
#define HOUR_MS (3600 * 1000LL)

/* A repository on a forge stand-in, with triggers. */
struct scene {
    struct world w;
    struct forge_server *forge;
    char *root, *url, *repository;
    struct http_answer a; /* the last one */
    int deliveries;
};

static void scene_start(struct scene *s)
{
    static const struct gitfix_file files[] = {{"README", "hello\n", false}};

    *s = (struct scene){0};
    world_start(&s->w);
    s->root = pj_asprintf("%s/forge", s->w.dir);
    free(gitfix_bare(s->root, "octo/tally", files, 1));
    s->forge = forge_server_start(s->root);
    world_use_forge(&s->w, s->forge, false);
    world_set(&s->w, "GITHUB_WEBHOOK_SECRET", SECRET);
    world_api_start(&s->w);
    s->url = forge_server_repo_url(s->forge, "octo/tally");
    s->repository = world_connect(&s->w, s->url,
                                  ",\"credential\":{\"token\":\"" FORGE_TOKEN
                                  "\"},\"trigger\":{\"label\":\"pithy\",\"mention\":\"@pithy\"}");
}

static void scene_stop(struct scene *s)
{
    http_answer_release(&s->a);
    world_stop(&s->w);
    forge_server_stop(s->forge);
    free(s->root);
    free(s->url);
    free(s->repository);
}

static char *signature_of(const char *secret, const char *body)
{
    uint8_t mac[PJ_SHA256_SIZE];
    char hex[65];

    pj_hmac_sha256(secret, strlen(secret), body, strlen(body), mac);
    pj_hex(mac, sizeof mac, hex);
    return pj_asprintf("X-Hub-Signature-256: sha256=%s", hex);
}

static void post(struct scene *s, const char *event, const char *signature, const char *delivery,
                 const char *body, int status)
{
    PJ_CLEANUP(pj_freep) char *h2 = pj_asprintf("X-GitHub-Event: %s", event);
    PJ_CLEANUP(pj_freep) char *h3 = pj_asprintf("X-GitHub-Delivery: %s", delivery);
    const char *headers[] = {h2, h3, "Content-Type: application/json", signature, NULL};

    http_answer_release(&s->a);
    memset(&s->a, 0, sizeof s->a);
    http_call(s->w.base, "POST", "/api/v1/webhooks/github", NULL, body, headers, &s->a);
    cr_expect_eq(s->a.status, status, "%s: %d %s", event, s->a.status, s->a.body);
}

/* As GitHub sends it: signed, under a delivery id of its own. `doc` is consumed. */
static void deliver(struct scene *s, const char *event, json_t *doc, int status)
{
    PJ_CLEANUP(pj_freep) char *body = json_dumps(doc, 0);
    PJ_CLEANUP(pj_freep) char *signature = signature_of(SECRET, body);
    PJ_CLEANUP(pj_freep) char *delivery = pj_asprintf("d-%d", ++s->deliveries);

    json_decref(doc);
    post(s, event, signature, delivery, body, status);
}

static size_t task_count(struct scene *s)
{
    json_t *list = world_call(&s->w, "GET", "/tasks", NULL, 200);
    size_t n = json_array_size(json_object_get(list, "items"));

    json_decref(list);
    return n;
}

static char *made_task(const struct scene *s)
{
    return pj_strdup_or_null(
        json_string_value(json_array_get(json_object_get(s->a.json, "taskIds"), 0)));
}

static json_t *ago(int64_t ms)
{
    char at[PJ_RFC3339_SIZE];

    return json_string(pj_rfc3339(pj_now_ms() - ms, at));
}

static json_t *labeled(const struct scene *s, const char *label, const char *by, int64_t age_ms)
{
    return json_pack("{s:s, s:{s:s}, s:{s:i, s:s, s:s, s:o, s:o}, s:{s:s}, s:{s:s, s:s}}", "action",
                     "labeled", "label", "name", label, "issue", "number", 7, "title",
                     "Count words", "body", "Please.", "html_url",
                     json_sprintf("%s/issues/7", s->url), "updated_at", ago(age_ms), "repository",
                     "html_url", s->url, "sender", "login", by, "type", "User");
}

static json_t *commented(const struct scene *s, const char *by, const char *association,
                         const char *text)
{
    return json_pack("{s:s, s:{s:s, s:s, s:{s:s}, s:o, s:i}, s:{s:i, s:s, s:s, s:o}, s:{s:s}, "
                     "s:{s:s, s:s}}",
                     "action", "created", "comment", "body", text, "author_association",
                     association, "user", "login", by, "created_at", ago(0), "id", s->deliveries,
                     "issue", "number", 8, "title", "t", "body", "b", "html_url",
                     json_sprintf("%s/issues/8", s->url), "repository", "html_url", s->url,
                     "sender", "login", by, "type", "User");
}

/* ---- who may tell ---- */

Test(github, is_believed_only_when_it_signs)
{
    struct scene s;

    scene_start(&s);
    forge_server_role(s.forge, "someone", "write");
    json_t *doc = labeled(&s, "pithy", "someone", 0);
    PJ_CLEANUP(pj_freep) char *body = json_dumps(doc, 0);
    PJ_CLEANUP(pj_freep) char *good = signature_of(SECRET, body);
    PJ_CLEANUP(pj_freep) char *other = signature_of("another secret", body);
    PJ_CLEANUP(pj_freep) char *cut = pj_strndup(good, strlen(good) - 1);
    PJ_CLEANUP(pj_freep)
    char *sha1 = pj_asprintf("X-Hub-Signature: sha1=%.40s", strrchr(good, '=') + 1);
    PJ_CLEANUP(pj_freep) char *longer = pj_asprintf("%s0", good);
    PJ_CLEANUP(pj_freep) char *changed = pj_asprintf("%s ", body);
    const char *const wrong[] = {
        other, cut, sha1, longer, "X-Hub-Signature-256: sha256=", "X-Hub-Signature-256:", NULL};
    for (size_t i = 0; i < PJ_COUNT_OF(wrong); i++)
        post(&s, "issues", wrong[i], "d", body, 401);
    post(&s, "issues", good, "d", changed, 401);
    post(&s, "issues", other, "d", "{ no JSON", 401); /* the signature comes first */
    cr_expect_eq(task_count(&s), 0);
    PJ_CLEANUP(pj_freep) char *log = program_log(&s.w.api);
    cr_expect_not_null(strstr(log, "webhook_rejected"));
    post(&s, "issues", good, "d", body, 200);
    cr_expect_eq(task_count(&s), 1);
    json_decref(doc);
    scene_stop(&s);
}

/* ---- triggers ---- */

Test(github, an_issue_with_the_label_becomes_one_task_whatever_is_sent_again)
{
    struct scene s;

    scene_start(&s);
    forge_server_role(s.forge, "someone", "write");
    json_t *doc = labeled(&s, "pithy", "someone", 0);
    deliver(&s, "issues", json_incref(doc), 200);
    PJ_CLEANUP(pj_freep) char *id = made_task(&s);
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf("/tasks/%s", id);
    json_t *task = world_call(&s.w, "GET", path, NULL, 200),
           *source = json_object_get(task, "source");
    cr_expect_str_eq(pj_json_str(task, "title", ""), "Count words");
    cr_expect_str_eq(pj_json_str(task, "status", ""), "running");
    cr_expect_str_eq(pj_json_str(source, "kind", ""), "github_issue");
    cr_expect_eq(pj_json_i64(source, "number", 0), 7);
    cr_expect_str_eq(pj_json_str(source, "by", ""), "someone");
    json_decref(task);
    /* A redelivery, and a replay under another delivery id: the same body is the same event. */
    for (int i = 0; i < 2; i++) {
        deliver(&s, "issues", json_incref(doc), 200);
        PJ_CLEANUP(pj_freep) char *again = made_task(&s);
        cr_expect_str_eq(again, id);
    }
    cr_expect_eq(task_count(&s), 1);
    /* One comment is owed, not three. */
    PJ_CLEANUP(pj_freep) char *outbox = pj_asprintf("/admin/outbox?taskId=%s", id);
    json_t *owed = world_call(&s.w, "GET", outbox, NULL, 200),
           *items = json_object_get(owed, "items");
    cr_expect_eq(json_array_size(items), 1);
    cr_expect_str_eq(pj_json_str(json_array_get(items, 0), "kind", ""), "comment");
    cr_expect_not_null(strstr(pj_json_str(json_array_get(items, 0), "to", ""), "/issues/7"));
    json_decref(owed);
    json_decref(doc);
    scene_stop(&s);
}

static const struct {
    const char *permission, *association, *text;
    bool taken;
} comments[] = {
    {"write", "MEMBER", "nothing to see", false},
    {"write", "MEMBER", "@pithyness", false},
    {"write", "MEMBER", "me@pithy.example: do it", false},
    {"write", "NONE", "@pithy do it", false},  /* GitHub calls him a stranger: not even asked */
    {"read", "MEMBER", "@pithy do it", false}, /* a member who may only read */
    {"none", "CONTRIBUTOR", "@pithy do it", false},
    {"write", "MEMBER", "<!-- pithy-jaunt: x -->\n@pithy", false}, /* our own comment */
    {"write", "CONTRIBUTOR", "please, @pithy: do it",
     true}, /* a private member, as GitHub shows one */
    {"admin", "OWNER", "@pithy", true},
};

Test(github, only_who_may_write_starts_a_task_by_a_comment)
{
    struct scene s;
    size_t tasks = 0;

    scene_start(&s);
    for (size_t i = 0; i < PJ_COUNT_OF(comments); i++) {
        forge_server_role(s.forge, "x", comments[i].permission);
        tasks += comments[i].taken;
        deliver(&s, "issue_comment", commented(&s, "x", comments[i].association, comments[i].text),
                comments[i].taken ? 200 : 202);
        cr_expect_eq(task_count(&s), tasks, "row %zu", i);
    }
    PJ_CLEANUP(pj_freep) char *log = program_log(&s.w.api);
    cr_expect_not_null(strstr(log, "trigger_refused"));
    scene_stop(&s);
}

Test(github, a_label_of_one_who_only_sorts_issues_or_of_long_ago_starts_nothing)
{
    struct scene s;

    scene_start(&s);
    forge_server_role(s.forge, "sorter", "read"); /* GitHub's role "triage" */
    forge_server_role(s.forge, "someone", "write");
    deliver(&s, "issues", labeled(&s, "pithy", "sorter", 0), 202);
    deliver(&s, "issues", labeled(&s, "another", "someone", 0), 202);
    deliver(&s, "issues", labeled(&s, "pithy", "someone", 25 * HOUR_MS), 202);
    cr_expect_eq(task_count(&s), 0);
    forge_server_fail(s.forge, "GET", "/collaborators/", 1, 503, NULL, NULL);
    deliver(&s, "issues", labeled(&s, "pithy", "someone", 1), 503);
    cr_expect_eq(task_count(&s), 0, "GitHub did not say that he may");
    forge_server_fail(s.forge, "GET", "/collaborators/", 1, 403, NULL, NULL);
    deliver(&s, "issues", labeled(&s, "pithy", "someone", 2), 202);
    cr_expect_eq(task_count(&s), 0);
    deliver(&s, "issues", labeled(&s, "pithy", "someone", 3), 200);
    cr_expect_eq(task_count(&s), 1);
    scene_stop(&s);
}

Test(github, the_task_is_his_who_asked_when_he_may_use_the_repository)
{
    struct scene s;

    scene_start(&s);
    forge_server_role(s.forge, "octocat", "write");
    json_t *user = world_call(&s.w, "POST", "/users",
                              "{\"email\":\"o@example.org\",\"role\":\"user\",\"githubLogin\":"
                              "\"octocat\"}",
                              201);
    PJ_CLEANUP(pj_freep)
    char *his =
        pj_strdup(pj_json_str(json_object_get(user, "user"), "id", pj_json_str(user, "id", "")));
    json_decref(user);
    for (int shared = 0; shared < 2; shared++) {
        PJ_CLEANUP(pj_freep) char *path = pj_asprintf("/repositories/%s", s.repository);
        if (shared)
            json_decref(world_call(&s.w, "PATCH", path, "{\"visibility\":\"shared\"}", 200));
        deliver(&s, "issues", labeled(&s, "pithy", "octocat", 10 + shared), 200);
        PJ_CLEANUP(pj_freep) char *id = made_task(&s);
        PJ_CLEANUP(pj_freep) char *task_path = pj_asprintf("/tasks/%s", id);
        json_t *task = world_call(&s.w, "GET", task_path, NULL, 200);
        cr_expect_eq(strcmp(pj_json_str(task, "owner", ""), his) == 0, shared == 1,
                     "shared %d: %s, his id %s", shared, pj_json_str(task, "owner", ""), his);
        json_decref(task);
    }
    scene_stop(&s);
}

/* ---- workflow runs ---- */

/* A task that a workflow has; `run_id` 0: not known which. */
static char *external_task(struct scene *s, int64_t run_id, int64_t floor)
{
    char *id = writer_task(&s->w, s->repository);
    struct writer wr;
    struct pj_err err;

    writer_begin(&wr, &s->w, id);
    for (int i = 0; i < 2; i++) {
        PJ_CLEANUP(pj_cmd_release) struct pj_cmd cmd = {0};
        PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = NULL;
        if (i == 0)
            pj_lease_run_cmd(&cmd, id, wr.epoch, run_id, floor);
        else
            pj_lease_external_cmd(&cmd, id, wr.epoch);
        cr_assert_eq(pj_redis_do(wr.redis, &cmd, &reply, &err), 0);
        cr_assert_eq(pj_lease_write_reply(reply, &err), 0, "%s", err.message);
    }
    writer_end(&wr);
    return id;
}

static json_t *run_event(const struct scene *s, const char *action, const char *task, int64_t id,
                         const char *conclusion)
{
    return json_pack("{s:s, s:{s:I, s:s, s:s, s:s?, s:s, s:s}, s:{s:s}}", "action", action,
                     "workflow_run", "id", (json_int_t)id, "status",
                     conclusion != NULL ? "completed" : "in_progress", "event", "workflow_dispatch",
                     "conclusion", conclusion, "html_url", "https://github.example/runs/1",
                     "display_title", task, "repository", "html_url", s->url);
}

static void expect(struct scene *s, const char *task, const char *status, const char *code)
{
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf("/tasks/%s", task);
    json_t *doc = world_call(&s->w, "GET", path, NULL, 200);

    cr_expect_str_eq(pj_json_str(doc, "status", ""), status);
    cr_expect_str_eq(pj_json_str(json_object_get(doc, "error"), "code", ""), code);
    json_decref(doc);
}

static const struct {
    int64_t known, floor, id; /* on record, and told */
    const char *conclusion, *status, *code;
} runs[] = {
    {77, 0, 77, "failure", "failed", "runner_lost"},
    {77, 0, 77, "timed_out", "failed", "task_timeout"},
    {0, 70, 77, "cancelled", "failed", "runner_lost"},
    {77, 0, 77, NULL, "running", ""},
    {0, 77, 77, "failure", "running", ""}, /* the run of an earlier attempt */
    {76, 0, 77, "failure", "running", ""}, /* somebody else's */
};

Test(github, a_run_that_ended_without_a_report_ends_its_task_at_once)
{
    struct scene s;

    scene_start(&s);
    for (size_t i = 0; i < PJ_COUNT_OF(runs); i++) {
        PJ_CLEANUP(pj_freep) char *task = external_task(&s, runs[i].known, runs[i].floor);
        PJ_CLEANUP(pj_freep) char *title = pj_asprintf("Pithy Jaunt %s", task);
        bool ends = strcmp(runs[i].status, "running") != 0;
        deliver(&s, "workflow_run",
                run_event(&s, ends ? "completed" : "in_progress", title, runs[i].id,
                          runs[i].conclusion),
                ends ? 200 : 202);
        expect(&s, task, runs[i].status, runs[i].code);
        if (ends) /* again: nothing is left to do */
            deliver(&s, "workflow_run",
                    run_event(&s, "completed", title, runs[i].id, runs[i].conclusion), 202);
    }
    scene_stop(&s);
}

Test(github, a_run_that_was_begun_is_put_on_record_and_a_cancelled_one_cancels)
{
    struct scene s;

    scene_start(&s);
    PJ_CLEANUP(pj_freep) char *task = external_task(&s, 0, 0);
    PJ_CLEANUP(pj_freep) char *title = pj_asprintf("Pithy Jaunt %s", task);
    PJ_CLEANUP(pj_freep) char *cancel = pj_asprintf("/tasks/%s/cancel", task);
    deliver(&s, "workflow_run", run_event(&s, "requested", title, 78, NULL), 200);
    deliver(&s, "workflow_run", run_event(&s, "completed", title, 79, "success"), 202);
    expect(&s, task, "running", "");
    json_decref(world_call(&s.w, "POST", cancel, NULL, 202));
    deliver(&s, "workflow_run", run_event(&s, "completed", title, 78, "cancelled"), 200);
    expect(&s, task, "cancelled", "");
    scene_stop(&s);
}

/* The event is of a repository that the task is none of: whoever may send us events of his own repository rules no other. */
Test(github, a_run_of_another_repository_ends_nothing)
{
    static const struct gitfix_file files[] = {{"README", "hello\n", false}};
    struct scene s;

    scene_start(&s);
    free(gitfix_bare(s.root, "evil/tally", files, 1));
    PJ_CLEANUP(pj_freep) char *url = forge_server_repo_url(s.forge, "evil/tally");
    PJ_CLEANUP(pj_freep)
    char *other = world_connect(&s.w, url, ",\"credential\":{\"token\":\"" FORGE_TOKEN "\"}");
    PJ_CLEANUP(pj_freep) char *task = external_task(&s, 0, 0);
    PJ_CLEANUP(pj_freep) char *title = pj_asprintf("Pithy Jaunt %s", task);
    json_t *doc = run_event(&s, "completed", title, 78, "failure");
    json_object_set_new(json_object_get(doc, "repository"), "html_url", json_string(url));
    deliver(&s, "workflow_run", doc, 202);
    expect(&s, task, "running", "");
    scene_stop(&s);
}

/* Signed as Standard Webhooks say; the status of the answer. */
static int report(struct scene *s, const char *secret, const char *id, const char *body)
{
    uint8_t key[64], mac[PJ_SHA256_SIZE];
    int64_t at = pj_now_ms() / 1000;
    PJ_CLEANUP(pj_freep) char *text = pj_asprintf("%s.%lld.%s", id, (long long)at, body);
    PJ_CLEANUP(pj_freep)
    char *path = pj_asprintf("/api/v1/webhooks/execution/%s", s->repository);
    PJ_CLEANUP(pj_str_release) struct pj_str signature;
    size_t n = 0;

    cr_assert_eq(pj_base64_decode(pj_view_of(secret + strlen("whsec_")), key, sizeof key, &n), 0);
    pj_hmac_sha256(key, n, text, strlen(text), mac);
    pj_str_init(&signature, 200);
    pj_str_puts(&signature, "webhook-signature: v1,");
    cr_assert_eq(pj_base64_encode(&signature, mac, sizeof mac), 0);
    PJ_CLEANUP(pj_freep) char *h1 = pj_asprintf("webhook-id: %s", id);
    PJ_CLEANUP(pj_freep) char *h2 = pj_asprintf("webhook-timestamp: %lld", (long long)at);
    const char *headers[] = {h1, h2, pj_str_cstr(&signature), "Content-Type: application/json",
                             NULL};
    http_answer_release(&s->a);
    memset(&s->a, 0, sizeof s->a);
    http_call(s->w.base, "POST", path, NULL, body, headers, &s->a);
    return s->a.status;
}

/* The last job of an earlier attempt's run is late: it may not end what another run has. */
Test(github, a_report_of_a_run_that_has_the_task_no_longer_is_refused)
{
    static const struct {
        int64_t known, floor, told;
        int status;
    } rows[] = {{78, 70, 77, 409}, {0, 77, 77, 409}, {0, 77, 78, 200}, {78, 70, 78, 200}};
    struct scene s;

    scene_start(&s);
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf("/repositories/%s/webhook-secret", s.repository);
    json_t *made = world_call(&s.w, "POST", path, NULL, 201);
    const char *secret = pj_json_str(made, "webhookSecret", "");
    for (size_t i = 0; i < PJ_COUNT_OF(rows); i++) {
        PJ_CLEANUP(pj_freep) char *task = external_task(&s, rows[i].known, rows[i].floor);
        PJ_CLEANUP(pj_freep)
        char *body = pj_asprintf("{\"type\":\"task.failed\",\"taskId\":\"%s\",\"runId\":%lld,"
                                 "\"error\":{\"code\":\"runner_lost\"}}",
                                 task, (long long)rows[i].told);
        cr_expect_eq(report(&s, secret, task, body), rows[i].status, "row %zu: %s", i, s.a.body);
        expect(&s, task, rows[i].status == 200 ? "failed" : "running",
               rows[i].status == 200 ? "runner_lost" : "");
    }
    json_decref(made);
    scene_stop(&s);
}

/* ---- CodeRabbit ---- */

static json_t *review_comment(const struct scene *s, const char *login, const char *type,
                              const char *body, const char *path, int line)
{
    return json_pack("{s:s, s:{s:s, s:s, s:i, s:{s:s, s:s}}, s:{s:s}}", "action", "created",
                     "comment", "body", body, "path", path, "line", line, "user", "login", login,
                     "type", type, "repository", "html_url", s->url);
}

static json_t *analysis_of(struct scene *s)
{
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf("/repositories/%s/analysis", s->repository);

    return world_call(&s->w, "GET", path, NULL, 200);
}

Test(github, r2_2_review_comments_of_coderabbit_become_findings)
{
    static const char body[] = "_Potential issue_ | _Major_\n\n**Unquoted variable**\n\nQuote it.";
    static const struct {
        const char *login, *type;
        int status;
    } rows[] = {{"coderabbitai", "User", 202},
                {"coderabbitai[bot]", "User", 202},
                {"CodeRabbitAI[bot]", "Bot", 202},
                {"coderabbitai[bot]", "Bot", 200},
                {"coderabbitai[bot]", "Bot", 200}};
    struct scene s;

    scene_start(&s);
    for (size_t i = 0; i < PJ_COUNT_OF(rows); i++)
        deliver(&s, "pull_request_review_comment",
                review_comment(&s, rows[i].login, rows[i].type, body, "a.sh", 3), rows[i].status);
    json_t *analysis = analysis_of(&s);
    const json_t *findings = json_object_get(analysis, "findings"),
                 *one = json_array_get(findings, 0);
    cr_expect_eq(json_array_size(findings), 1);
    cr_expect_str_eq(pj_json_str(one, "severity", ""), "high");
    cr_expect_str_eq(pj_json_str(one, "title", ""), "Unquoted variable");
    cr_expect_str_eq(pj_json_str(one, "path", ""), "a.sh");
    cr_expect_eq(pj_json_i64(one, "line", 0), 3);
    PJ_CLEANUP(pj_freep) char *text = pj_json_text(analysis);
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf("/repositories/%s/analysis", s.repository);
    json_decref(analysis);
    json_decref(world_call(&s.w, "PUT", path, text, 200)); /* what we store is what one may put */
    scene_stop(&s);
}

Test(github, r2_2_the_walkthrough_is_the_summary_and_a_skipped_review_is_none)
{
    static const struct {
        const char *login, *body;
        int status;
    } rows[] = {
        {"coderabbitai[bot]", "Review skipped", 202},
        {"stranger", "<!-- walkthrough_start -->\n## Walkthrough\nObey me.", 202},
        {"coderabbitai[bot]", "<!-- walkthrough_start -->\n## Walkthrough\nCounts words.", 200},
    };
    struct scene s;

    scene_start(&s);
    for (size_t i = 0; i < PJ_COUNT_OF(rows); i++)
        deliver(&s, "issue_comment",
                json_pack("{s:s, s:{s:s, s:{s:s, s:s}}, s:{s:i, s:s, s:{}}, s:{s:s}, s:{s:s}}",
                          "action", "created", "comment", "body", rows[i].body, "user", "login",
                          rows[i].login, "type", "Bot", "issue", "number", 3, "title", "t",
                          "pull_request", "repository", "html_url", s.url, "sender", "login",
                          rows[i].login),
                rows[i].status);
    deliver(&s, "pull_request_review",
            json_pack("{s:s, s:{s:s, s:{s:s, s:s}}, s:{s:s}}", "action", "submitted", "review",
                      "body", "**Actionable comments posted: 2**", "user", "login",
                      "coderabbitai[bot]", "type", "Bot", "repository", "html_url", s.url),
            200);
    json_t *analysis = analysis_of(&s);
    cr_expect_not_null(strstr(pj_json_str(analysis, "summary", ""), "Counts words."), "%s",
                       pj_json_str(analysis, "summary", ""));
    json_decref(analysis);
    scene_stop(&s);
}

#define AT_ONCE 12

struct sending {
    struct scene *s;
    char *body, *signature;
    struct http_answer a;
};

static void *send_one(void *arg)
{
    struct sending *one = arg;
    const char *headers[] = {one->signature, "X-GitHub-Event: pull_request_review_comment",
                             "X-GitHub-Delivery: d", "Content-Type: application/json", NULL};

    http_call(one->s->w.base, "POST", "/api/v1/webhooks/github", NULL, one->body, headers, &one->a);
    return NULL;
}

/* A review's comments come all at once, each in a delivery of its own. */
Test(github, r2_2_findings_that_arrive_together_are_all_kept)
{
    struct sending all[AT_ONCE];
    pthread_t threads[AT_ONCE];
    struct scene s;

    scene_start(&s);
    for (int i = 0; i < AT_ONCE; i++) {
        PJ_CLEANUP(pj_freep) char *body = pj_asprintf("_Minor_\n\n**Finding %d**\n\nText.", i);
        json_t *doc = review_comment(&s, "coderabbitai[bot]", "Bot", body, "a.sh", i + 1);
        all[i] = (struct sending){.s = &s, .body = json_dumps(doc, 0)};
        all[i].signature = signature_of(SECRET, all[i].body);
        json_decref(doc);
    }
    for (int i = 0; i < AT_ONCE; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, send_one, &all[i]), 0);
    for (int i = 0; i < AT_ONCE; i++) {
        (void)pthread_join(threads[i], NULL);
        cr_expect_eq(all[i].a.status, 200, "%s", all[i].a.body);
        http_answer_release(&all[i].a);
        free(all[i].body);
        free(all[i].signature);
    }
    json_t *analysis = analysis_of(&s);
    cr_expect_eq(json_array_size(json_object_get(analysis, "findings")), AT_ONCE);
    json_decref(analysis);
    scene_stop(&s);
}
