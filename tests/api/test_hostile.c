/* What a caller who means harm, or a Redis that is not itself, may try: names of headers sent twice, a session that outlives its
 * token, text that becomes a line of a protocol, numbers beyond what a store can count. */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "lib/base/mem.h"
#include "lib/json/codec.h"
#include "tests/api/raw.h"
#include "tests/api/writer.h"

#define SOON 30000

static const char *const as_json[] = {"Content-Type: application/json", NULL};

/* Names of the fields that an answer complains of, "a,b". */
static char *faults_of(const json_t *problem)
{
    struct pj_str out;
    size_t i;
    json_t *one;

    pj_str_init(&out, 4096);
    json_array_foreach(json_object_get(problem, "errors"), i, one)
        pj_str_putf(&out, "%s%s", i > 0 ? "," : "", pj_json_str(one, "field", ""));
    return pj_str_take(&out);
}

/* A token's text, made by `as`. */
static char *new_token(struct world *w, const char *as, char **id)
{
    json_t *made = world_call_as(w, as, "POST", "/tokens", "{\"name\":\"page\"}", 201);
    char *text = pj_strdup(pj_json_str(made, "token", ""));

    if (id != NULL)
        *id = pj_strdup(pj_json_str(made, "id", ""));
    json_decref(made);
    return text;
}

/* A session's own text, without the cookie's name. */
static char *log_in(struct world *w, const char *token, int status)
{
    struct http_answer a = {0};
    PJ_CLEANUP(pj_freep) char *body = pj_asprintf("{\"token\":\"%s\"}", token);

    http_call(w->base, "POST", "/api/v1/session", NULL, body, as_json, &a);
    cr_assert_eq(a.status, status, "%d %s", a.status, a.body);
    PJ_CLEANUP(pj_freep) char *set = http_answer_header(&a, "Set-Cookie");
    const char *value = set != NULL ? strchr(set, '=') : NULL;
    http_answer_release(&a);
    return value != NULL ? pj_strndup(value + 1, strcspn(value + 1, ";")) : NULL;
}

/* Else a session made from a session would outlive the token that both came from. */
Test(hostile, a_session_opens_no_other_session)
{
    struct world w;
    char *id = NULL;

    world_start(&w);
    world_api_start(&w);
    PJ_CLEANUP(pj_freep) char *token = new_token(&w, WORLD_TOKEN, &id);
    PJ_CLEANUP(pj_freep) char *session = log_in(&w, token, 201);
    free(log_in(&w, session, 401));
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf("/tokens/%s", id);
    json_decref(world_call(&w, "DELETE", path, NULL, 204));
    json_decref(world_call_as(&w, session, "GET", "/me", NULL, 401));
    free(id);
    world_stop(&w);
}

static const struct refused {
    const char *method, *path, *body, *fields;
} refused[] = {
    {"POST", "/tokens", "{\"name\":\"x\",\"scopes\":[\"\"]}", "scopes"},
    {"POST", "/tokens", "{\"name\":\"x\",\"scopes\":[\", \"]}", "scopes"},
    {"POST", "/tokens", "{\"name\":\"x\",\"scopes\":[\"tasks:read tasks:write\"]}", "scopes"},
    {"POST", "/tokens", "{\"name\":\"\\u001b[2J\"}", "name"},
    {"POST", "/users", "{\"email\":\"a@b.c\",\"githubLogin\":\"a\\nb\"}", "githubLogin"},
    {"POST", "/users", "{\"email\":\"a@b.c\",\"githubLogin\":\"../x\"}", "githubLogin"},
    {"POST", "/repositories", "{\"url\":\"/x\",\"credential\":{\"token\":\"a\\r\\nHost: b\"}}",
     "credential.token"},
    {"POST", "/repositories",
     "{\"url\":\"/x\",\"credential\":{\"token\":\"a\",\"username\":\"b\\n\"}}",
     "credential.username"},
    {"POST", "/repositories",
     "{\"url\":\"/x\",\"credential\":{\"token\":\"a\",\"username\":\"b:c\"}}",
     "credential.username"},
    {"POST", "/repositories", "{\"url\":\"/x\",\"notifyUrl\":\"https://a/\\r\\nb\"}", "notifyUrl"},
    {"POST", "/repositories", "{\"url\":\"/x\",\"agent\":[\"\",\"x\"]}", "agent"},
    {"POST", "/repositories", "{\"url\":\"/x\",\"trigger\":{\"mention\":\" \"}}", "trigger"},
    {"POST", "/repositories", "{\"url\":\"/x\",\"trigger\":{\"label\":\"a\\nb\"}}", "trigger"},
    {"POST", "/repositories", "{\"url\":\"/x\",\"publish\":{\"labels\":[\"a\\nb\"]}}",
     "publish.labels"},
    {"POST", "/repositories", "{\"url\":\"/x\",\"publish\":{\"reviewers\":[\"a/b\\nc\"]}}",
     "publish.reviewers"},
    {"POST", "/tasks", "{\"repositoryId\":\"x\",\"title\":\" \\u0020\",\"description\":\"d\"}",
     "title"},
    {"POST", "/tasks", "{\"repositoryId\":\"x\",\"title\":\"t\",\"description\":\" \\n\\t\"}",
     "description"},
    {"POST", "/tasks",
     "{\"repositoryId\":\"x\",\"title\":\"t\",\"description\":\"d\",\"model\":{\"provider\":"
     "\"openai\",\"name\":\"a\\r\\nb\"}}",
     "model.name"},
    {"GET", "/tasks?limit=1&limit=2", NULL, "limit"},
    {"GET", "/tasks?status=queued&owner=me&status=failed", NULL, "status"},
    {"GET", "/admin/audit?limit=5&cursor=1-1&cursor=2-2", NULL, "cursor"},
};

Test(hostile, text_that_would_be_more_than_text_is_refused_by_name)
{
    struct world w;

    world_start(&w);
    world_api_start(&w);
    for (size_t i = 0; i < PJ_COUNT_OF(refused); i++) {
        const struct refused *r = &refused[i];
        json_t *problem = world_call(&w, r->method, r->path, r->body, 400);
        PJ_CLEANUP(pj_freep) char *fields = faults_of(problem);
        cr_expect_str_eq(fields, r->fields, "%s %s", r->path, r->body != NULL ? r->body : "");
        json_decref(problem);
    }
    world_stop(&w);
}

static void expect_client(struct world *w, const char *head, const char *client)
{
    PJ_CLEANUP(pj_freep)
    char *request = pj_asprintf("GET /livez HTTP/1.1\r\nHost: a\r\nX-Request-Id: %s\r\n%s"
                                "Connection: close\r\n\r\n",
                                client, head);
    PJ_CLEANUP(pj_freep)
    char *line = pj_asprintf("\"client\":\"%s\",\"requestId\":\"%s\"", client, client);

    free(raw_exchange(w->base, request, strlen(request)));
    cr_expect(program_wait_log(&w->api, line, SOON), "no %s for %s", line, head);
}

/* Some proxies (HAProxy) add a line of their own behind what the client wrote. */
Test(hostile, what_a_client_says_of_its_address_does_not_count_in_a_line_of_its_own_either)
{
    struct world w;

    world_start(&w);
    world_set(&w, "PJ_TRUSTED_PROXIES", "127.0.0.0/8, 10.0.0.0/8");
    world_set(&w, "PJ_LOG_FORMAT", "json");
    world_api_start(&w);
    expect_client(&w, "X-Forwarded-For: 7.7.7.7\r\n", "7.7.7.7");
    expect_client(&w, "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 8.8.8.8\r\n", "8.8.8.8");
    expect_client(&w,
                  "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 9.9.9.9\r\n"
                  "X-Forwarded-For: 10.0.0.3\r\n",
                  "9.9.9.9");
    world_stop(&w);
}

static const char *const reads[] = {"/tasks", "/admin/analytics", "/admin/autoscale", "/me",
                                    "/repositories"};

/* A right that Redis takes from us is our trouble: a client that is told 401 throws its token away. */
Test(hostile, a_redis_that_refuses_us_is_no_client_that_is_refused)
{
    struct world w;

    world_start(&w);
    world_api_start(&w);
    struct pj_redis *redis = test_redis_connect(&w.redis);
    json_decref(world_call(&w, "GET", "/me", NULL, 200)); /* the caller is known for a moment */
    struct redisReply *reply =
        test_redis_words(redis, "ACL", "SETUSER", "default", "-evalsha", "-eval", NULL);
    pj_reply_freep(&reply);
    for (size_t i = 0; i < PJ_COUNT_OF(reads); i++) {
        json_t *problem = world_call(&w, "GET", reads[i], NULL, 503);
        cr_expect_str_eq(pj_json_str(problem, "code", ""), "store_auth", "%s", reads[i]);
        json_decref(problem);
    }
    reply = test_redis_words(redis, "ACL", "SETUSER", "default", "+@all", NULL);
    pj_reply_freep(&reply);
    pj_redis_free(redis);
    world_stop(&w);
}

Test(hostile, numbers_that_no_entry_has_are_no_ids)
{
    static const char *const ids[] = {"1-9223372036854775806", "1-1000000000000000",
                                      "2147483646-9223372036854775807"};
    struct world w;

    world_start(&w);
    world_api_start(&w);
    PJ_CLEANUP(pj_freep) char *repository = writer_repository(&w, "one");
    PJ_CLEANUP(pj_freep) char *task = writer_task(&w, repository);
    for (size_t i = 0; i < PJ_COUNT_OF(ids); i++) {
        static const char *const ways[] = {"logs", "logs/stream"};
        for (size_t k = 0; k < PJ_COUNT_OF(ways); k++) {
            PJ_CLEANUP(pj_freep)
            char *path = pj_asprintf("/tasks/%s/%s?after=%s", task, ways[k], ids[i]);
            json_t *problem = world_call(&w, "GET", path, NULL, 400);
            PJ_CLEANUP(pj_freep) char *fields = faults_of(problem);
            cr_expect_str_eq(fields, "after", "%s", path);
            json_decref(problem);
        }
    }
    world_stop(&w);
}

/* The next page is one of the same list. */
Test(hostile, the_link_of_a_log_keeps_the_attempt)
{
    struct world w;
    struct http_answer a = {0};
    struct writer wr;

    world_start(&w);
    world_api_start(&w);
    PJ_CLEANUP(pj_freep) char *repository = writer_repository(&w, "one");
    PJ_CLEANUP(pj_freep) char *task = writer_task(&w, repository);
    PJ_CLEANUP(pj_freep) char *retry = pj_asprintf("/tasks/%s/retry", task);
    writer_begin(&wr, &w, task);
    writer_append(&wr, 5, 20);
    writer_finish(&wr, "checks_failed", NULL);
    writer_end(&wr);
    json_decref(world_call(&w, "POST", retry, "{\"execute\":true}", 202));
    writer_begin(&wr, &w, task);
    writer_append(&wr, 5, 20);
    PJ_CLEANUP(pj_freep)
    char *path = pj_asprintf("/api/v1/tasks/%s/logs?limit=3&attempt=1", task);
    size_t pages = 0;
    while (path != NULL) {
        size_t i;
        json_t *entry;
        http_call(w.base, "GET", path, WORLD_TOKEN, NULL, NULL, &a);
        cr_assert_eq(a.status, 200, "%s", path);
        json_array_foreach(json_object_get(a.json, "items"), i, entry)
            cr_expect_eq(pj_json_i64(entry, "attempt", 0), 1, "%s", path);
        cr_assert_leq(json_array_size(json_object_get(a.json, "items")), 3, "%s", path);
        PJ_CLEANUP(pj_freep) char *link = http_answer_header(&a, "Link");
        free(path);
        path = link != NULL ? pj_strndup(link + 1, strcspn(link + 1, ">")) : NULL;
        pages++;
        http_answer_release(&a);
    }
    cr_expect_geq(pages, 2);
    writer_finish(&wr, NULL, NULL);
    writer_end(&wr);
    world_stop(&w);
}

/* RFC 9110, 9.3.2: the headers of GET, and no content. */
Test(hostile, head_of_what_has_no_length_says_what_it_is)
{
    struct world w;

    world_start(&w);
    world_api_start(&w);
    PJ_CLEANUP(pj_freep) char *repository = writer_repository(&w, "one");
    PJ_CLEANUP(pj_freep) char *task = writer_task(&w, repository);
    const struct {
        char *path;
        const char *type;
    } rows[] = {
        {pj_strdup("events"), "\r\nContent-Type: text/event-stream\r\n"},
        {pj_asprintf("tasks/%s/logs/stream", task), "\r\nContent-Type: text/event-stream\r\n"},
        {pj_asprintf("tasks/%s/logs?download=1", task),
         "\r\nContent-Type: text/plain; charset=utf-8\r\n"},
    };
    for (size_t i = 0; i < PJ_COUNT_OF(rows); i++) {
        PJ_CLEANUP(pj_freep)
        char *request =
            pj_asprintf("HEAD /api/v1/%s HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " WORLD_TOKEN
                        "\r\nConnection: close\r\n\r\n",
                        rows[i].path);
        PJ_CLEANUP(pj_freep) char *answer = raw_exchange(w.base, request, strlen(request));
        cr_expect_eq(raw_status(answer), 200, "%s", answer);
        cr_expect_not_null(strstr(answer, rows[i].type), "%s", answer);
        cr_expect_null(strstr(answer, "Content-Length"), "%s", answer);
        const char *end = strstr(answer, "\r\n\r\n");
        cr_expect(end != NULL && end[4] == '\0', "%s", answer);
        free(rows[i].path);
    }
    world_stop(&w);
}

/* A stream whose first page comes late begins when streams have been told to end: it must not hold the process up. */
Test(hostile, a_stream_that_opens_while_the_server_stops_ends_at_once)
{
    static const char *const paths[] = {"events", "stream"};
    struct world w;
    int fd[2], closed = 0;

    world_start(&w);
    world_api_start(&w);
    PJ_CLEANUP(pj_freep) char *repository = writer_repository(&w, "one");
    PJ_CLEANUP(pj_freep) char *task = writer_task(&w, repository);
    PJ_CLEANUP(pj_freep) char *token = NULL;
    json_t *user = world_call(&w, "POST", "/users", "{\"email\":\"a@b.c\"}", 201);
    token = pj_strdup(pj_json_str(user, "token", ""));
    json_decref(user);
    json_decref(world_call_as(&w, token, "GET", "/me", NULL, 200));
    json_decref(world_call(&w, "GET", "/me", NULL, 200)); /* both are known for a moment */
    cr_assert_eq(kill(w.redis.pid, SIGSTOP), 0);
    for (size_t i = 0; i < 2; i++) {
        PJ_CLEANUP(pj_freep)
        char *path = i == 0 ? pj_strdup("events") : pj_asprintf("tasks/%s/logs/stream", task);
        fd[i] = raw_get(w.base, i == 0 ? token : WORLD_TOKEN, path);
    }
    struct http_answer a = {0};
    http_call(w.base, "GET", "/livez", NULL, NULL, NULL, &a); /* the two were read before this */
    http_answer_release(&a);
    cr_assert_eq(kill(w.api.pid, SIGTERM), 0);
    cr_assert(program_wait_log(&w.api, "draining", SOON));
    cr_assert_eq(kill(w.redis.pid, SIGCONT), 0);
    for (size_t i = 0; i < 2; i++) {
        PJ_CLEANUP(pj_freep) char *answer = raw_read(fd[i], 15000, &closed);
        cr_expect(closed, "%s is held open: %s", paths[i], answer);
        close(fd[i]);
    }
    cr_expect_eq(program_wait(&w.api, 15000), 0);
    world_stop(&w);
}

/* A stream may last for days, and shows what its token may see: it ends with the token, and with the rights. */
Test(hostile, a_stream_ends_with_the_token_that_opened_it)
{
    enum { REVOKED, REVOKED_LOG, DEMOTED, GOOD, STREAMS };
    struct world w;
    int fd[STREAMS], closed = 0;
    char *id = NULL;

    world_start(&w);
    world_api_start(&w);
    PJ_CLEANUP(pj_freep) char *repository = writer_repository(&w, "one");
    PJ_CLEANUP(pj_freep) char *task = writer_task(&w, repository);
    PJ_CLEANUP(pj_freep) char *log = pj_asprintf("tasks/%s/logs/stream", task);
    PJ_CLEANUP(pj_freep) char *token = new_token(&w, WORLD_TOKEN, &id);
    json_t *admin =
        world_call(&w, "POST", "/users", "{\"email\":\"a@b.c\",\"role\":\"admin\"}", 201);
    fd[REVOKED] = raw_get(w.base, token, "events");
    fd[REVOKED_LOG] = raw_get(w.base, token, log);
    fd[DEMOTED] = raw_get(w.base, pj_json_str(admin, "token", ""), "events");
    fd[GOOD] = raw_get(w.base, WORLD_TOKEN, "events");
    for (int viewers = 0; viewers < STREAMS;) { /* all are open */
        struct http_answer a = {0};
        http_call(w.base, "GET", "/metrics", WORLD_TOKEN, NULL, NULL, &a);
        const char *at = strstr(a.body, "\npj_sse_viewers ");
        cr_assert_not_null(at);
        viewers = (int)strtol(at + strlen("\npj_sse_viewers "), NULL, 10);
        http_answer_release(&a);
    }
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf("/tokens/%s", id);
    json_decref(world_call(&w, "DELETE", path, NULL, 204));
    PJ_CLEANUP(pj_freep) char *user = pj_asprintf("/users/%s", pj_json_str(admin, "id", ""));
    json_decref(world_call(&w, "PATCH", user, "{\"role\":\"user\"}", 200));
    for (int i = 0; i < GOOD; i++) {
        PJ_CLEANUP(pj_freep) char *text = raw_read(fd[i], SOON, &closed);
        cr_expect_eq(raw_status(text), 200, "stream %d: %s", i, text);
        cr_expect(closed, "stream %d goes on: %s", i, text);
    }
    PJ_CLEANUP(pj_freep) char *text = raw_read(fd[GOOD], 100, &closed);
    cr_expect_not(closed, "who still may is left alone");
    for (int i = 0; i < STREAMS; i++)
        close(fd[i]);
    json_decref(admin);
    free(id);
    world_stop(&w);
}

static size_t audited(struct world *w, const char *action)
{
    json_t *list = world_call(w, "GET", "/admin/audit?limit=200", NULL, 200), *item;
    size_t i, n = 0;

    json_array_foreach(json_object_get(list, "items"), i, item) n +=
        strcmp(pj_json_str(item, "action", ""), action) == 0;
    json_decref(list);
    return n;
}

/* What was refused was not done. */
Test(hostile, what_did_not_happen_is_not_audited)
{
    struct world w;

    world_start(&w);
    world_api_start(&w);
    PJ_CLEANUP(pj_freep) char *repository = writer_repository(&w, "one");
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf("/repositories/%s", repository);
    struct pj_redis *redis = test_redis_connect(&w.redis);
    struct redisReply *reply = test_redis_words(redis, "CONFIG", "SET", "maxmemory", "1", NULL);
    pj_reply_freep(&reply);
    json_decref(world_call(&w, "PATCH", path, "{\"checkCommand\":\"true\"}", 503));
    reply = test_redis_words(redis, "CONFIG", "SET", "maxmemory", "0", NULL);
    pj_reply_freep(&reply);
    pj_redis_free(redis);
    json_decref(world_call(&w, "PATCH", path, "{\"checkCommand\":\"true\"}", 200));
    for (int tries = 0; tries < 1000 && audited(&w, "repository.edit") == 0; tries++)
        ; /* written beside the answer */
    cr_expect_eq(audited(&w, "repository.edit"), 1);
    world_stop(&w);
}
