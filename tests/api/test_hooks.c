/* R5 and R6.4: how a workflow reports. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "lib/base/clock.h"
#include "lib/base/fs.h"
#include "lib/base/mem.h"
#include "lib/crypto/hmac.h"
#include "lib/json/codec.h"
#include "tests/api/writer.h"

struct scene {
    struct world w;
    char *repository, *secret, *task, *path;
};

static void scene_start(struct scene *s)
{
    static const struct gitfix_file files[] = {{"README", "hello\n", false}};

    world_start(&s->w);
    world_set(&s->w, "GITHUB_WEBHOOK_SECRET", "github secret of the test");
    world_api_start(&s->w);
    PJ_CLEANUP(pj_freep) char *bare = gitfix_bare(s->w.remotes, "one", files, 1);
    PJ_CLEANUP(pj_freep) char *body = pj_asprintf("{\"url\":\"%s\"}", bare);
    json_t *made = world_call(&s->w, "POST", "/repositories", body, 201);
    s->repository = pj_strdup(pj_json_str(made, "id", ""));
    s->secret = pj_strdup(pj_json_str(made, "webhookSecret", ""));
    json_decref(made);
    s->task = writer_task(&s->w, s->repository);
    s->path = pj_asprintf("/api/v1/webhooks/execution/%s", s->repository);
}

static void scene_stop(struct scene *s)
{
    free(s->repository);
    free(s->secret);
    free(s->task);
    free(s->path);
    world_stop(&s->w);
}

/* "v1,<base64>" of id.timestamp.body. */
static char *sign(const char *secret, const char *id, int64_t at, const char *body)
{
    uint8_t key[64], mac[PJ_SHA256_SIZE];
    size_t n = 0;
    PJ_CLEANUP(pj_freep) char *text = pj_asprintf("%s.%lld.%s", id, (long long)at, body);
    struct pj_str out;

    cr_assert_eq(pj_base64_decode(pj_view_of(secret + strlen("whsec_")), key, sizeof key, &n), 0);
    pj_hmac_sha256(key, n, text, strlen(text), mac);
    pj_str_init(&out, 128);
    pj_str_puts(&out, "v1,");
    pj_base64_encode(&out, mac, sizeof mac);
    return pj_str_take(&out);
}

static void post(struct scene *s, const char *path, const char *id, int64_t at,
                 const char *signature, const char *body, struct http_answer *a)
{
    PJ_CLEANUP(pj_freep) char *h1 = pj_asprintf("webhook-id: %s", id);
    PJ_CLEANUP(pj_freep) char *h2 = pj_asprintf("webhook-timestamp: %lld", (long long)at);
    PJ_CLEANUP(pj_freep) char *h3 = pj_asprintf("webhook-signature: %s", signature);
    const char *headers[] = {h1, h2, h3, "Content-Type: application/json", NULL};

    http_answer_release(a);
    memset(a, 0, sizeof *a);
    http_call(s->w.base, "POST", path, NULL, body, headers, a);
}

static void send_hook(struct scene *s, const char *id, const char *body, struct http_answer *a)
{
    int64_t at = pj_now_ms() / 1000;
    PJ_CLEANUP(pj_freep) char *signature = sign(s->secret, id, at, body);

    post(s, s->path, id, at, signature, body, a);
}

static json_t *task_now(struct scene *s)
{
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf("/tasks/%s", s->task);

    return world_call(&s->w, "GET", path, NULL, 200);
}

static void expect_status(struct scene *s, const char *status)
{
    json_t *task = task_now(s);

    cr_expect_str_eq(pj_json_str(task, "status", ""), status);
    json_decref(task);
}

static size_t outbox_count(struct scene *s)
{
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf("/admin/outbox?taskId=%s", s->task);
    json_t *list = world_call(&s->w, "GET", path, NULL, 200);
    size_t n = json_array_size(json_object_get(list, "items"));

    json_decref(list);
    return n;
}

Test(hooks, r5_1_a_valid_completion_is_applied_once)
{
    struct scene s;
    struct http_answer a = {0};

    scene_start(&s);
    PJ_CLEANUP(pj_freep)
    char *body =
        pj_asprintf("{\"type\":\"task.completed\",\"taskId\":\"%s\",\"branchName\":\"pj/"
                    "%s\",\"prUrl\":\"https://github.com/o/r/pull/17\","
                    "\"logs\":\"first\\nsecond\\n\",\"usage\":{\"model\":{\"provider\":\"openai\","
                    "\"name\":\"some\"},\"promptTokens\":10,\"completionTokens\":5}}",
                    s.task, s.task);
    send_hook(&s, "msg-1", body, &a);
    cr_expect_eq(a.status, 200, "%s", a.body);
    cr_expect_str_eq(pj_json_str(a.json, "status", ""), "completed");
    json_t *task = task_now(&s);
    cr_expect_str_eq(pj_json_str(task, "prUrl", ""), "https://github.com/o/r/pull/17");
    cr_expect_eq(pj_json_i64(json_object_get(task, "pr"), "number", 0), 17);
    cr_expect_eq(pj_json_i64(json_object_get(task, "usage"), "totalTokens", 0), 15);
    cr_expect(!json_is_null(json_object_get(task, "finishedAt")));
    json_decref(task);
    cr_expect(world_log_has(&s.w, s.task, "first") && world_log_has(&s.w, s.task, "second"));
    cr_expect_eq(outbox_count(&s), 1);
    PJ_CLEANUP(pj_freep) char *first = pj_strdup(a.body);
    send_hook(&s, "msg-1", body, &a);
    cr_expect_eq(a.status, 200);
    cr_expect_str_eq(a.body, first, "a repeated delivery gets the first answer");
    send_hook(&s, "msg-2", body, &a);
    cr_expect_eq(a.status, 409);
    cr_expect_str_eq(pj_json_str(a.json, "code", ""), "not_running");
    cr_expect_eq(outbox_count(&s), 1);
    http_answer_release(&a);
    scene_stop(&s);
}

/* The alert is an entry of its own in the same log: it has the number that the line was to have. */
Test(hooks, r6_1_the_only_line_beside_an_alert_is_stored)
{
    struct scene s;
    struct http_answer a = {0};

    scene_start(&s);
    PJ_CLEANUP(pj_freep)
    char *body = pj_asprintf("{\"type\":\"task.progress\",\"taskId\":\"%s\",\"logs\":\"the only "
                             "line\",\"usage\":{\"model\":{\"provider\":\"p\",\"name\":\"m\"},"
                             "\"promptTokens\":60000,\"completionTokens\":5}}",
                             s.task);
    send_hook(&s, "msg-1", body, &a);
    cr_expect_eq(a.status, 200, "%s", a.body);
    cr_expect(world_log_has(&s.w, s.task, "more than 50000"));
    cr_expect(world_log_has(&s.w, s.task, "the only line"));
    http_answer_release(&a);
    scene_stop(&s);
}

/* The workflow has said too much already: the rest is not kept, which the log says once, and what else it reports counts. */
Test(hooks, r6_4_a_log_without_end_is_cut_and_the_task_goes_on)
{
    struct scene s;
    struct http_answer a = {0};

    scene_start(&s);
    PJ_CLEANUP(pj_redis_freep) struct pj_redis *redis = test_redis_connect(&s.w.redis);
    PJ_CLEANUP(pj_freep) char *key = pj_asprintf("pj:{p0}:t:%s", s.task);
    PJ_CLEANUP(pj_reply_freep)
    struct redisReply *full = test_redis_words(redis, "HSET", key, "sent:1", "134217728", NULL);
    PJ_CLEANUP(pj_freep)
    char *body = pj_asprintf("{\"type\":\"task.progress\",\"taskId\":\"%s\",\"logs\":\"too much\","
                             "\"stage\":\"generating\"}",
                             s.task);
    for (int i = 0; i < 2; i++) {
        send_hook(&s, i == 0 ? "msg-1" : "msg-2", body, &a);
        cr_expect_eq(a.status, 200, "%s", a.body);
    }
    json_t *task = task_now(&s), *log = world_log(&s.w, s.task);
    cr_expect_str_eq(pj_json_str(task, "stage", ""), "generating");
    cr_expect_eq(json_array_size(log), 1, "told once");
    cr_expect(world_log_has(&s.w, s.task, "the rest is not kept"));
    json_decref(task);
    json_decref(log);
    http_answer_release(&a);
    scene_stop(&s);
}

Test(hooks, r5_2_a_failure_ends_as_its_code_says)
{
    static const struct {
        const char *code, *status;
    } rows[] = {{"llm_service", "failed"},
                {"patch_conflict", "needs_review"},
                {"never_heard_of", "failed"},
                {"needs_clarification", "needs_clarification"}};
    struct scene s;
    struct http_answer a = {0};

    scene_start(&s);
    for (size_t i = 0; i < PJ_COUNT_OF(rows); i++) {
        PJ_CLEANUP(pj_freep)
        char *body = pj_asprintf("{\"type\":\"task.failed\",\"taskId\":\"%s\",\"question\":\"Which?"
                                 "\",\"error\":{\"code\":\"%s\",\"message\":\"it broke\"}}",
                                 s.task, rows[i].code);
        PJ_CLEANUP(pj_freep) char *id = pj_asprintf("fail-%zu", i);
        send_hook(&s, id, body, &a);
        cr_expect_eq(a.status, 200, "%s", a.body);
        json_t *task = task_now(&s);
        cr_expect_str_eq(pj_json_str(task, "status", ""), rows[i].status);
        cr_expect_str_eq(pj_json_str(json_object_get(task, "error"), "code", ""), rows[i].code);
        cr_expect_str_eq(pj_json_str(json_object_get(task, "error"), "detail", ""), "it broke");
        json_decref(task);
        free(s.task);
        s.task = writer_task(&s.w, s.repository);
    }
    http_answer_release(&a);
    scene_stop(&s);
}

Test(hooks, r5_3_what_is_not_signed_right_is_refused_and_changes_nothing)
{
    struct scene s;
    struct http_answer a = {0};
    int64_t now = pj_now_ms() / 1000;

    scene_start(&s);
    PJ_CLEANUP(pj_freep)
    char *body = pj_asprintf("{\"type\":\"task.completed\",\"taskId\":\"%s\"}", s.task);
    PJ_CLEANUP(pj_freep) char *good = sign(s.secret, "m", now, body);
    PJ_CLEANUP(pj_freep) char *stale = sign(s.secret, "m", now - 600, body);
    PJ_CLEANUP(pj_freep) char *future = sign(s.secret, "m", now + 600, body);
    PJ_CLEANUP(pj_freep)
    char *other = sign("whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3", "m", now, body);
    const struct {
        const char *id, *signature;
        int64_t at;
        const char *what;
    } rows[] = {
        {"m", other, now, "another secret"},   {"n", good, now, "another id"},
        {"m", good, now - 1, "another time"},  {"m", stale, now - 600, "stale"},
        {"m", future, now + 600, "future"},    {"m", "v1,", now, "empty"},
        {"m", "v2,abcd", now, "other scheme"}, {"m", "v1,!!!", now, "no base64"},
    };
    for (size_t i = 0; i < PJ_COUNT_OF(rows); i++) {
        post(&s, s.path, rows[i].id, rows[i].at, rows[i].signature, body, &a);
        cr_expect_eq(a.status, 401, "%s: %d", rows[i].what, a.status);
    }
    post(&s, "/api/v1/webhooks/execution/0000000000000000000000", "m", now, good, body, &a);
    cr_expect_eq(a.status, 401, "an unknown repository cannot be verified");
    http_answer_release(&a);
    memset(&a, 0, sizeof a);
    http_call(s.w.base, "POST", s.path, NULL, body, NULL, &a);
    cr_expect_eq(a.status, 401, "no headers");
    expect_status(&s, "running");
    PJ_CLEANUP(pj_freep) char *log = program_log(&s.w.api);
    cr_expect_not_null(strstr(log, "webhook_rejected"));
    PJ_CLEANUP(pj_freep) char *both = pj_asprintf("%s %s", other, good);
    post(&s, s.path, "m", now, both, body, &a);
    cr_expect_eq(a.status, 200, "one of several signatures is enough: %s", a.body);
    http_answer_release(&a);
    scene_stop(&s);
}

/* What a workflow says of a commit goes into commands and pages. */
Test(hooks, names_and_addresses_of_a_workflow_are_judged)
{
    static const struct {
        const char *member, *field;
    } rows[] = {
        {"\"prUrl\":\"https://a/b c\"", "prUrl"},
        {"\"prUrl\":\"https://a/\\u0001\"", "prUrl"},
        {"\"branchName\":\"-x\"", "branchName"},
        {"\"branchName\":\"a..b\"", "branchName"},
        {"\"baseSha\":\"zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz\"", "baseSha"},
        {"\"baseSha\":\"0123456789012345678901234567890123456789012\"", "baseSha"},
        {"\"commitSha\":\"--upload-pack=x                         \"", "commitSha"},
    };
    struct scene s;
    struct http_answer a = {0};

    scene_start(&s);
    for (size_t i = 0; i < PJ_COUNT_OF(rows); i++) {
        PJ_CLEANUP(pj_freep) char *id = pj_asprintf("n%zu", i);
        PJ_CLEANUP(pj_freep)
        char *body = pj_asprintf("{\"type\":\"task.completed\",\"taskId\":\"%s\",%s}", s.task,
                                 rows[i].member);
        send_hook(&s, id, body, &a);
        cr_expect_eq(a.status, 400, "row %zu: %s", i, a.body);
        const json_t *first = json_array_get(json_object_get(a.json, "errors"), 0);
        cr_expect_str_eq(pj_json_str(first, "field", ""), rows[i].field, "row %zu", i);
    }
    expect_status(&s, "running");
    http_answer_release(&a);
    scene_stop(&s);
}

Test(hooks, r5_4_unknown_tasks_and_wrong_bodies)
{
    struct scene s;
    struct http_answer a = {0};

    scene_start(&s);
    send_hook(&s, "u1", "{\"type\":\"task.completed\",\"taskId\":\"0000000000000000000000\"}", &a);
    cr_expect_eq(a.status, 404);
    PJ_CLEANUP(pj_freep) char *log = program_log(&s.w.api);
    cr_expect_not_null(strstr(log, "webhook_unknown_task"));
    PJ_CLEANUP(pj_freep) char *repository = writer_repository(&s.w, "two");
    PJ_CLEANUP(pj_freep) char *elsewhere = writer_task(&s.w, repository);
    PJ_CLEANUP(pj_freep)
    char *body = pj_asprintf("{\"type\":\"task.completed\",\"taskId\":\"%s\"}", elsewhere);
    send_hook(&s, "u2", body, &a);
    cr_expect_eq(a.status, 404, "a task of another repository");
    send_hook(&s, "u3", "{\"type\":\"task.exploded\",\"taskId\":\"x\"}", &a);
    cr_expect_eq(a.status, 400);
    send_hook(&s, "u4", "nonsense", &a);
    cr_expect_eq(a.status, 400);
    PJ_CLEANUP(pj_freep)
    char *attempt =
        pj_asprintf("{\"type\":\"task.progress\",\"taskId\":\"%s\",\"attempt\":9}", s.task);
    send_hook(&s, "u5", attempt, &a);
    cr_expect_eq(a.status, 409);
    cr_expect_str_eq(pj_json_str(a.json, "code", ""), "stale_attempt");
    expect_status(&s, "running");
    http_answer_release(&a);
    scene_stop(&s);
}

Test(hooks, r6_4_logs_up_to_100_kb_are_stored_and_more_are_dropped_aloud)
{
    struct scene s;
    struct http_answer a = {0};
    PJ_CLEANUP(pj_str_release) struct pj_str body;

    scene_start(&s);
    pj_str_init(&body, 1 << 20);
    pj_str_putf(&body,
                "{\"type\":\"task.progress\",\"taskId\":\"%s\",\"stage\":\"generating\",\"logs\":[",
                s.task);
    for (int i = 0; i < 1000; i++)
        pj_str_putf(&body,
                    "%s{\"message\":\"entry %04d %080d\",\"stream\":\"agent\",\"type\":\"info\"}",
                    i > 0 ? "," : "", i, 0);
    pj_str_puts(&body, "]}");
    send_hook(&s, "l1", pj_str_cstr(&body), &a);
    cr_expect_eq(a.status, 200, "%s", a.body);
    json_t *log = world_log(&s.w, s.task);
    cr_expect_eq(json_array_size(log), 1000);
    json_decref(log);
    json_t *task = task_now(&s);
    cr_expect_str_eq(pj_json_str(task, "stage", ""), "generating");
    json_decref(task);
    pj_str_clear(&body);
    pj_str_putf(&body, "{\"type\":\"task.completed\",\"taskId\":\"%s\",\"logs\":\"", s.task);
    for (int i = 0; i < 110 * 1024; i++)
        pj_str_putc(&body, 'x');
    pj_str_puts(&body, "\"}");
    send_hook(&s, "l2", pj_str_cstr(&body), &a);
    cr_expect_eq(a.status, 413);
    cr_expect_str_eq(pj_json_str(a.json, "code", ""), "logs_too_large");
    cr_expect_str_eq(pj_json_str(a.json, "taskStatus", ""), "completed");
    expect_status(&s, "completed");
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf("/api/v1/tasks/%s/logs?download=1", s.task);
    http_answer_release(&a);
    memset(&a, 0, sizeof a);
    http_call(s.w.base, "GET", path, WORLD_TOKEN, NULL, NULL, &a);
    cr_expect_eq(a.status, 200);
    cr_expect_not_null(strstr(a.body, "entry 0999"));
    cr_expect_not_null(strstr(a.body, "100 KB"), "the log says what was dropped");
    http_answer_release(&a);
    scene_stop(&s);
}

Test(hooks, a_body_over_1_mib_is_not_read)
{
    struct scene s;
    struct http_answer a = {0};
    PJ_CLEANUP(pj_str_release) struct pj_str body;

    scene_start(&s);
    pj_str_init(&body, 4 << 20);
    for (int i = 0; i < (1 << 20) + 1; i++)
        pj_str_putc(&body, ' ');
    post(&s, s.path, "m", pj_now_ms() / 1000, "v1,x", pj_str_cstr(&body), &a);
    cr_expect_eq(a.status, 413);
    http_answer_release(&a);
    scene_stop(&s);
}

Test(hooks, a_claim_tells_the_workflow_what_to_do)
{
    struct scene s;
    struct http_answer a = {0};

    scene_start(&s);
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf("/repositories/%s/analysis", s.repository);
    json_decref(world_call(&s.w, "PUT", path,
                           "{\"source\":\"coderabbit\",\"findings\":[{\"severity\":\"high\","
                           "\"title\":\"t\",\"detail\":\"d\"}]}",
                           200));
    PJ_CLEANUP(pj_freep)
    char *body = pj_asprintf("{\"type\":\"task.claim\",\"taskId\":\"%s\",\"attempt\":1}", s.task);
    send_hook(&s, "c1", body, &a);
    cr_expect_eq(a.status, 200, "%s", a.body);
    cr_expect_str_eq(pj_json_str(json_object_get(a.json, "task"), "title", ""), "A title");
    cr_expect_str_eq(pj_json_str(json_object_get(a.json, "analysis"), "source", ""), "coderabbit");
    cr_expect_str_eq(pj_json_str(json_object_get(a.json, "repository"), "id", ""), s.repository);
    http_answer_release(&a);
    scene_stop(&s);
}

static const struct {
    int64_t offset;
    const char *base64;
    int status;
    const char *code;
} parts[] = {
    {5, "d29ybGQK", 409, "hole"},       /* before the first one */
    {0, "ZGlmZi0=", 200, ""},           /* "diff-" */
    {5, "d29ybGQK", 200, ""},           /* "world\n" */
    {5, "d29ybGQK", 200, ""},           /* again */
    {12, "d29ybGQK", 409, "hole"},      /* one is missing */
    {8388608, "d29ybGQK", 409, "hole"}, /* beyond the limit */
    {8388609, "d29ybGQK", 400, NULL},
    {-1, "d29ybGQK", 400, NULL},
    {0, "no base64", 400, NULL},
    {0, "AAAA", 400, NULL}, /* NUL bytes: no text */
    {0, "", 400, NULL},
};

Test(hooks, a_patch_comes_in_parts_and_is_given_to_who_publishes)
{
    struct scene s;
    struct http_answer a = {0};

    scene_start(&s);
    for (size_t i = 0; i < PJ_COUNT_OF(parts); i++) {
        PJ_CLEANUP(pj_freep) char *id = pj_asprintf("p%zu", i);
        PJ_CLEANUP(pj_freep)
        char *body = pj_asprintf("{\"type\":\"task.progress\",\"taskId\":\"%s\",\"patchPart\":{"
                                 "\"offset\":%lld,\"base64\":\"%s\"}}",
                                 s.task, (long long)parts[i].offset, parts[i].base64);
        send_hook(&s, id, body, &a);
        cr_expect_eq(a.status, parts[i].status, "row %zu: %s", i, a.body);
        if (parts[i].code != NULL)
            cr_expect_str_eq(pj_json_str(a.json, "code", ""), parts[i].code, "row %zu", i);
    }
    for (int whole = 0; whole < 2; whole++) {
        PJ_CLEANUP(pj_freep)
        char *body = pj_asprintf("{\"type\":\"task.claim\",\"taskId\":\"%s\"%s}", s.task,
                                 whole ? "" : ",\"stage\":\"applying\"");
        send_hook(&s, whole ? "c1" : "c2", body, &a);
        cr_expect_eq(a.status, 200, "%s", a.body);
        cr_expect_str_eq(pj_json_str(a.json, "patchBase64", ""), whole ? "" : "ZGlmZi13b3JsZAo=");
    }
    http_answer_release(&a);
    scene_stop(&s);
}

Test(hooks, the_old_secret_stays_valid_for_a_day)
{
    struct scene s;
    struct http_answer a = {0};

    scene_start(&s);
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf("/repositories/%s/webhook-secret", s.repository);
    PJ_CLEANUP(pj_freep)
    char *body = pj_asprintf("{\"type\":\"task.progress\",\"taskId\":\"%s\"}", s.task);
    json_t *made = world_call(&s.w, "POST", path, NULL, 201);
    send_hook(&s, "o1", body, &a);
    cr_expect_eq(a.status, 200, "the old one");
    free(s.secret);
    s.secret = pj_strdup(pj_json_str(made, "webhookSecret", ""));
    json_decref(made);
    send_hook(&s, "o2", body, &a);
    cr_expect_eq(a.status, 200, "the new one");
    http_answer_release(&a);
    scene_stop(&s);
}

/* A repository on a forge stand-in, with triggers. */
struct forge_scene {
    struct world w;
    struct forge_server *forge;
    char *root, *url, *repository;
};

static void forge_scene_start(struct forge_scene *s)
{
    static const struct gitfix_file files[] = {{"README", "hello\n", false}};

    world_start(&s->w);
    s->root = pj_asprintf("%s/forge", s->w.dir);
    struct pj_err err;
    PJ_CLEANUP(pj_freep) char *owner = pj_asprintf("%s/octo", s->root);
    cr_assert_eq(pj_fs_mkdirs(owner, 0755, &err), 0);
    free(gitfix_bare(owner, "tally", files, 1));
    s->forge = forge_server_start(s->root);
    world_use_forge(&s->w, s->forge, false);
    world_set(&s->w, "GITHUB_WEBHOOK_SECRET", "github secret of the test");
    world_api_start(&s->w);
    s->url = forge_server_repo_url(s->forge, "octo/tally");
    PJ_CLEANUP(pj_freep) char *bare = pj_asprintf("{\"url\":\"%s\"}", s->url);
    json_t *problem = world_call(&s->w, "POST", "/repositories", bare, 422);
    cr_expect_str_eq(pj_json_str(problem, "code", ""), "repository_unreachable", "no credential");
    json_decref(problem);
    s->repository = world_connect(&s->w, s->url,
                                  ",\"credential\":{\"token\":\"" FORGE_TOKEN
                                  "\"},\"trigger\":{\"label\":\"pithy\",\"mention\":\"@pithy\"}");
}

static void forge_scene_stop(struct forge_scene *s)
{
    forge_server_stop(s->forge);
    free(s->root);
    free(s->url);
    free(s->repository);
    world_stop(&s->w);
}

Test(hooks, a_github_actions_task_needs_a_forge_and_an_address_that_reach_each_other)
{
    static const struct gitfix_file files[] = {{"README", "hello\n", false}};
    struct forge_scene s;

    forge_scene_start(&s);
    PJ_CLEANUP(pj_freep) char *bare = gitfix_bare(s.w.remotes, "plain", files, 1);
    PJ_CLEANUP(pj_freep) char *plain = world_connect(&s.w, bare, "");
    PJ_CLEANUP(pj_freep)
    char *on_plain = pj_asprintf("{\"repositoryId\":\"%s\",\"title\":\"t\",\"description\":\"d\","
                                 "\"executor\":\"github_actions\",\"execute\":true}",
                                 plain);
    PJ_CLEANUP(pj_freep)
    char *on_forge = pj_asprintf("{\"repositoryId\":\"%s\",\"title\":\"t\",\"description\":\"d\","
                                 "\"executor\":\"github_actions\",\"execute\":true}",
                                 s.repository);
    json_t *problem = world_call(&s.w, "POST", "/tasks", on_plain, 422);
    cr_expect_str_eq(pj_json_str(problem, "code", ""), "executor_unavailable");
    json_decref(problem);
    json_decref(world_call(&s.w, "POST", "/tasks", on_forge, 201));
    program_stop(&s.w.api, 15, 30000);
    program_release(&s.w.api);
    world_set(&s.w, "PJ_PUBLIC_URL", "http://127.0.0.1:8080");
    world_api_start(&s.w);
    problem = world_call(&s.w, "POST", "/tasks", on_forge, 422);
    cr_expect_str_eq(pj_json_str(problem, "code", ""), "public_url_unreachable");
    json_decref(problem);
    program_stop(&s.w.api, 15, 30000);
    program_release(&s.w.api);
    world_set(&s.w, "PJ_ALLOW_LOOPBACK_CALLBACK", "1");
    world_api_start(&s.w);
    json_decref(world_call(&s.w, "POST", "/tasks", on_forge, 201));
    forge_scene_stop(&s);
}

Test(hooks, nothing_secret_is_shown_or_stored_in_the_open)
{
    struct forge_scene s;

    forge_scene_start(&s);
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf("/repositories/%s", s.repository);
    json_t *repository = world_call(&s.w, "GET", path, NULL, 200);
    PJ_CLEANUP(pj_freep) char *shown = pj_json_text(repository);
    cr_expect_null(strstr(shown, FORGE_TOKEN));
    cr_expect(json_is_true(json_object_get(json_object_get(repository, "credential"), "set")), "%s",
              shown);
    cr_expect_null(json_object_get(repository, "webhookSecret"));
    json_decref(repository);
    struct pj_redis *redis = test_redis_connect(&s.w.redis);
    PJ_CLEANUP(pj_reply_freep)
    struct redisReply *reply =
        test_redis_words(redis, "EVAL",
                         "for _, k in ipairs(redis.call('KEYS', '*')) do local t = "
                         "redis.call('TYPE', k).ok local v = t == 'hash' and "
                         "table.concat(redis.call('HGETALL', k), ' ') or t == 'string' and "
                         "redis.call('GET', k) or '' "
                         "if string.find(v, ARGV[1], 1, true) or string.find(v, ARGV[2], 1, true) "
                         "then return k end end return false",
                         "0", FORGE_TOKEN, WORLD_TOKEN, NULL);
    PJ_CLEANUP(pj_freep) char *found = pj_reply_dup(reply);
    cr_expect_null(found, "in %s", found);
    pj_redis_free(redis);
    forge_scene_stop(&s);
}
