/* What a client may count on beyond the answers themselves: packing, ids, traces, cookies, revocation, large downloads, metrics. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/base/view.h"
#include "lib/json/codec.h"
#include "tests/api/raw.h"
#include "tests/api/writer.h"

#define SOON 30000

static char *unpack(const struct http_answer *a)
{
    char *out = pj_alloc(1 << 20, 1);
    z_stream z = {.next_in = (Bytef *)(uintptr_t)a->body,
                  .avail_in = (uInt)a->body_len,
                  .next_out = (Bytef *)out,
                  .avail_out = (1 << 20) - 1};

    cr_assert_eq(inflateInit2(&z, 16 + MAX_WBITS), Z_OK);
    cr_assert_eq(inflate(&z, Z_FINISH), Z_STREAM_END);
    inflateEnd(&z);
    return out;
}

Test(surface, lists_are_packed_for_who_takes_gzip)
{
    static const char *const rows[][2] = {{"Accept-Encoding: gzip", "gzip"},
                                          {"Accept-Encoding: br, GZIP;q=0.5", "gzip"},
                                          {"Accept-Encoding: gzip;q=0", NULL},
                                          {"Accept-Encoding: br", NULL}};
    struct world w;
    struct http_answer plain = {0}, a = {0};

    world_start(&w);
    world_api_start(&w);
    PJ_CLEANUP(pj_freep) char *repository = writer_repository(&w, "one");
    for (int i = 0; i < 5; i++)
        free(world_task(&w, repository, "A title", "A description", ""));
    http_call(w.base, "GET", "/api/v1/tasks", WORLD_TOKEN, NULL, NULL, &plain);
    cr_assert_gt(plain.body_len, 1400);
    for (size_t i = 0; i < PJ_COUNT_OF(rows); i++) {
        const char *const headers[] = {rows[i][0], NULL};
        http_call(w.base, "GET", "/api/v1/tasks", WORLD_TOKEN, NULL, headers, &a);
        PJ_CLEANUP(pj_freep) char *encoding = http_answer_header(&a, "Content-Encoding");
        PJ_CLEANUP(pj_freep) char *vary = http_answer_header(&a, "Vary");
        cr_expect(vary != NULL && strcmp(vary, "Accept-Encoding") == 0, "%s", rows[i][0]);
        cr_expect_eq(encoding != NULL, rows[i][1] != NULL, "%s", rows[i][0]);
        if (encoding != NULL) {
            PJ_CLEANUP(pj_freep) char *text = unpack(&a);
            cr_expect_str_eq(text, plain.body);
            cr_expect_lt(a.body_len, plain.body_len / 2);
        } else {
            cr_expect_str_eq(a.body, plain.body);
        }
        http_answer_release(&a);
    }
    http_answer_release(&plain);
    world_stop(&w);
}

/* The log line of the request with this path; owned by the caller. */
static char *log_line(struct world *w, const char *path)
{
    PJ_CLEANUP(pj_freep) char *mark = pj_asprintf("\"path\":\"%s\"", path);

    cr_assert(program_wait_log(&w->api, mark, SOON), "%s", path);
    PJ_CLEANUP(pj_freep) char *log = program_log(&w->api);
    const char *at = strstr(log, mark), *begin = at;
    while (begin > log && begin[-1] != '\n')
        begin--;
    return pj_strndup(begin, strcspn(begin, "\n"));
}

Test(surface, request_ids_and_traces_are_carried_into_the_log)
{
#define TRACE "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    static const struct {
        const char *path, *id, *trace;
        bool id_kept, trace_kept;
    } rows[] = {
        {"/one", "X-Request-Id: my-own.id_1", "traceparent: " TRACE, true, true},
        {"/two", "X-Request-Id: with blank", "traceparent: 00-xyz", false, false},
        {"/three", "X-Request-Id: \"quoted\"", "traceparent: 01" TRACE, false, false},
        {"/four", "X-Request-Id: 0123456789012345678901234567890123456789", "a: b", false, false},
    };
    struct world w;

    world_start(&w);
    world_api_start(&w);
    for (size_t i = 0; i < PJ_COUNT_OF(rows); i++) {
        const char *const headers[] = {rows[i].id, rows[i].trace, NULL};
        const char *given = rows[i].id + strlen("X-Request-Id: ");
        struct http_answer a = {0};
        http_call(w.base, "GET", rows[i].path, WORLD_TOKEN, NULL, headers, &a);
        PJ_CLEANUP(pj_freep) char *id = http_answer_header(&a, "X-Request-Id");
        PJ_CLEANUP(pj_freep) char *line = log_line(&w, rows[i].path);
        cr_assert_not_null(id);
        cr_expect_eq(strcmp(id, given) == 0, rows[i].id_kept, "%s", id);
        cr_expect_str_eq(pj_json_str(a.json, "requestId", ""), id);
        cr_expect_not_null(strstr(line, id), "%s", line);
        cr_expect_eq(strstr(line, TRACE) != NULL, rows[i].trace_kept, "%s", line);
        static const char *const fields[] = {"\"method\":\"GET\"", "\"status\":\"404\"",
                                             "\"ms\":", "\"client\":\"127.0.0.1\"", "\"bytes\":"};
        for (size_t k = 0; k < PJ_COUNT_OF(fields); k++)
            cr_expect_not_null(strstr(line, fields[k]), "%s in %s", fields[k], line);
        http_answer_release(&a);
    }
    world_stop(&w);
}

/* Behind a proxy that speaks TLS: a cookie that belongs to this host alone, and requests of our own pages alone. */
Test(surface, the_session_of_a_tls_client_is_bound_to_host_and_page)
{
    static const struct {
        const char *header;
        int status;
    } rows[] = {
        {"Origin: https://evil.example.org", 403}, {"Origin: null", 403},
        {"Sec-Fetch-Site: same-site", 403},        {"Sec-Fetch-Site: none", 403},
        {"Origin: https://pj.example.org", 204},
    };
    struct world w;
    struct http_answer a = {0};

    world_start(&w);
    world_set(&w, "PJ_TRUSTED_PROXIES", "127.0.0.0/8");
    world_api_start(&w);
    static const char *const tls[] = {"X-Forwarded-Proto: https", "Content-Type: application/json",
                                      NULL};
    http_call(w.base, "POST", "/api/v1/session", NULL, "{\"token\":\"" WORLD_TOKEN "\"}", tls, &a);
    cr_assert_eq(a.status, 201);
    PJ_CLEANUP(pj_freep) char *set = http_answer_header(&a, "Set-Cookie");
    http_answer_release(&a);
    cr_assert_not_null(set);
    cr_expect_eq(strncmp(set, "__Host-pj_session=", 18), 0, "%s", set);
    static const char *const parts[] = {"; Path=/", "; Secure", "; HttpOnly", "; SameSite=Strict"};
    for (size_t i = 0; i < PJ_COUNT_OF(parts); i++)
        cr_expect_not_null(strstr(set, parts[i]), "%s in %s", parts[i], set);
    cr_expect_null(strstr(set, "Domain"), "%s", set);
    cr_expect_null(strstr(set, WORLD_TOKEN), "the cookie is not the token");
    set[strcspn(set, ";")] = '\0';
    PJ_CLEANUP(pj_freep) char *cookie = pj_asprintf("Cookie: %s", set);
    for (size_t i = 0; i < PJ_COUNT_OF(rows); i++) {
        const char *const headers[] = {cookie, "X-Forwarded-Proto: https", "Host: pj.example.org",
                                       rows[i].header, NULL};
        http_call(w.base, "DELETE", "/api/v1/session", NULL, NULL, headers, &a);
        cr_expect_eq(a.status, rows[i].status, "%s: %d", rows[i].header, a.status);
        http_answer_release(&a);
    }
    world_stop(&w);
}

Test(surface, a_token_revoked_at_one_server_is_refused_by_another_within_a_second)
{
    struct world w, other;
    struct http_answer a = {0};

    world_start(&w);
    world_api_start(&w);
    other = w;
    memset(&other.api, 0, sizeof other.api);
    other.base = NULL;
    cr_assert(program_start_ready(&other.api, "pj-api", NULL, w.env, w.dir, "other", WORLD_SOON));
    const char *address = strstr(other.api.ready, "listening on ");
    cr_assert_not_null(address);
    other.base = pj_asprintf("http://%s", address + strlen("listening on "));
    json_t *made = world_call(&w, "POST", "/tokens", "{\"name\":\"short\"}", 201);
    PJ_CLEANUP(pj_freep) char *token = pj_strdup(pj_json_str(made, "token", ""));
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf("/tokens/%s", pj_json_str(made, "id", ""));
    json_decref(made);
    json_decref(world_call_as(&other, token, "GET", "/me", NULL, 200));
    json_decref(world_call(&w, "DELETE", path, NULL, 204));
    int64_t revoked = pj_mono_ms(), last_served = revoked;
    do {
        http_answer_release(&a);
        memset(&a, 0, sizeof a);
        int64_t asked = pj_mono_ms();
        http_call(other.base, "GET", "/api/v1/me", token, NULL, NULL, &a);
        if (a.status == 200)
            last_served = asked;
    } while (a.status == 200 && pj_mono_ms() - revoked < SOON);
    cr_expect_eq(a.status, 401);
    cr_expect_leq(last_served - revoked, 1000, "served after %lld ms",
                  (long long)(last_served - revoked));
    http_answer_release(&a);
    cr_expect_eq(program_stop(&other.api, 15, SOON), 0);
    program_release(&other.api);
    free(other.base);
    world_stop(&w);
}

/* A page's session goes with the token that it came from, and no further than that token's. */
Test(surface, a_session_ends_with_its_token)
{
    static const char *const type[] = {"Content-Type: application/json", NULL};
    struct world w;
    struct http_answer a = {0};
    char *cookie[2] = {NULL, NULL}, *id[2];

    world_start(&w);
    world_api_start(&w);
    for (int i = 0; i < 2; i++) {
        json_t *made = world_call(&w, "POST", "/tokens", "{\"name\":\"page\"}", 201);
        PJ_CLEANUP(pj_freep)
        char *login = pj_asprintf("{\"token\":\"%s\"}", pj_json_str(made, "token", ""));
        id[i] = pj_strdup(pj_json_str(made, "id", ""));
        json_decref(made);
        http_call(w.base, "POST", "/api/v1/session", NULL, login, type, &a);
        cr_assert_eq(a.status, 201);
        PJ_CLEANUP(pj_freep) char *set = http_answer_header(&a, "Set-Cookie");
        cookie[i] = pj_asprintf("Cookie: %.*s", (int)strcspn(set, ";"), set);
        http_answer_release(&a);
    }
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf("/tokens/%s", id[0]);
    json_decref(world_call(&w, "DELETE", path, NULL, 204));
    for (int i = 0; i < 2; i++) {
        const char *const headers[] = {cookie[i], NULL};
        http_call(w.base, "GET", "/api/v1/me", NULL, NULL, headers, &a);
        cr_expect_eq(a.status, i == 0 ? 401 : 200, "session %d: %d", i, a.status);
        http_answer_release(&a);
        free(cookie[i]);
        free(id[i]);
    }
    world_stop(&w);
}

static bool audited(struct world *w, const char *action)
{
    bool found = false;

    for (int tries = 0; tries < 200 && !found; tries++) { /* written beside the answer */
        json_t *list = world_call(w, "GET", "/admin/audit", NULL, 200), *item;
        size_t i;
        json_array_foreach(json_object_get(list, "items"), i, item)
        {
            found |= strcmp(pj_json_str(item, "action", ""), action) == 0 &&
                     pj_json_str(item, "actor", "")[0] != '\0';
        }
        json_decref(list);
    }
    return found;
}

Test(surface, what_matters_is_audited)
{
    static const char *const actions[] = {
        "repository.connect",  "repository.edit", "repository.webhook_secret",
        "repository.analysis", "user.create",     "user.edit",
        "user.delete",         "token.create",    "token.revoke",
        "session.create",      "task.cancel",     "task.delete",
        "repository.delete"};
    static const char *const type[] = {"Content-Type: application/json", NULL};
    struct world w;
    struct http_answer a = {0};

    world_start(&w);
    world_api_start(&w);
    PJ_CLEANUP(pj_freep) char *repository = writer_repository(&w, "one");
    PJ_CLEANUP(pj_freep) char *task = world_task(&w, repository, "t", "d", "");
    PJ_CLEANUP(pj_freep) char *r = pj_asprintf("/repositories/%s", repository);
    PJ_CLEANUP(pj_freep) char *secret = pj_asprintf("%s/webhook-secret", r);
    PJ_CLEANUP(pj_freep) char *analysis = pj_asprintf("%s/analysis", r);
    PJ_CLEANUP(pj_freep) char *t = pj_asprintf("/tasks/%s", task);
    PJ_CLEANUP(pj_freep) char *cancel = pj_asprintf("%s/cancel", t);
    json_decref(world_call(&w, "PATCH", r, "{\"visibility\":\"shared\"}", 200));
    json_decref(world_call(&w, "POST", secret, NULL, 201));
    json_decref(world_call(&w, "PUT", analysis, "{\"source\":\"upload\",\"findings\":[]}", 200));
    json_t *user = world_call(&w, "POST", "/users", "{\"email\":\"u@example.org\"}", 201);
    PJ_CLEANUP(pj_freep) char *u = pj_asprintf("/users/%s", pj_json_str(user, "id", ""));
    json_decref(user);
    json_decref(world_call(&w, "PATCH", u, "{\"role\":\"admin\"}", 200));
    json_decref(world_call(&w, "DELETE", u, NULL, 204));
    json_t *token = world_call(&w, "POST", "/tokens", "{\"name\":\"n\"}", 201);
    PJ_CLEANUP(pj_freep) char *k = pj_asprintf("/tokens/%s", pj_json_str(token, "id", ""));
    json_decref(token);
    json_decref(world_call(&w, "DELETE", k, NULL, 204));
    http_call(w.base, "POST", "/api/v1/session", NULL, "{\"token\":\"" WORLD_TOKEN "\"}", type, &a);
    cr_expect_eq(a.status, 201);
    http_answer_release(&a);
    json_decref(world_call(&w, "POST", cancel, NULL, 200));
    json_decref(world_call(&w, "DELETE", t, NULL, 204));
    json_decref(world_call(&w, "DELETE", r, NULL, 204));
    for (size_t i = 0; i < PJ_COUNT_OF(actions); i++)
        cr_expect(audited(&w, actions[i]), "%s", actions[i]);
    world_stop(&w);
}

static int64_t rss_kb(pid_t pid)
{
    char path[64], line[256];
    int64_t kb = 0;

    snprintf(path, sizeof path, "/proc/%d/status", pid);
    FILE *f = fopen(path, "re");
    cr_assert_not_null(f);
    while (fgets(line, sizeof line, f) != NULL)
        if (strncmp(line, "VmHWM:", 6) == 0) {
            const char *p = line + 6 + strspn(line + 6, "\t ");
            cr_assert_eq(pj_parse_i64(pj_view_n(p, strcspn(p, " ")), &kb), 0);
        }
    fclose(f);
    return kb;
}

/* A file is shown by terminals: nothing in it may drive one, be it written as C0, DEL or C1 (ECMA-48). */
Test(surface, r6_3_a_downloaded_log_has_no_control_characters)
{
    struct world w;
    struct writer wr;
    struct http_answer a = {0};

    world_start(&w);
    world_api_start(&w);
    PJ_CLEANUP(pj_freep) char *repository = writer_repository(&w, "one");
    PJ_CLEANUP(pj_freep) char *task = writer_task(&w, repository);
    writer_begin(&wr, &w, task);
    writer_say(&wr, "a\033[2Jb\177c\xc2\x9b"
                    "2Jd\te\xc2\xa7"
                    "f\xc3\x9f");
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf("/api/v1/tasks/%s/logs?download=1", task);
    http_call(w.base, "GET", path, WORLD_TOKEN, NULL, NULL, &a);
    cr_expect_not_null(strstr(a.body, " a [2Jb c 2Jd\te\xc2\xa7"
                                      "f\xc3\x9f\n"),
                       "%s", a.body);
    http_answer_release(&a);
    writer_end(&wr);
    world_stop(&w);
}

/* 40 MB of log to somebody who takes his time: all of it arrives, and the server holds a page of it: as the reply is read, as it is parsed,
 * and as text on its way out. */
Test(surface, r6_3_a_large_log_is_downloaded_whole_and_never_held)
{
    enum { CHUNKS = 200, LINES = 100 };
    struct world w;
    struct writer wr;
    char bytes[65536];
    size_t lines = 0, total = 0;
    ssize_t n;

    world_start(&w);
    world_api_start(&w);
    PJ_CLEANUP(pj_freep) char *repository = writer_repository(&w, "one");
    PJ_CLEANUP(pj_freep) char *task = writer_task(&w, repository);
    writer_begin(&wr, &w, task);
    for (int i = 0; i < CHUNKS; i++)
        writer_append(&wr, LINES, 2000);
    writer_finish(&wr, NULL, NULL);
    PJ_CLEANUP(pj_freep)
    char *request = pj_asprintf("GET /api/v1/tasks/%s/logs HTTP/1.1\r\nHost: a\r\nAccept: "
                                "text/plain\r\nAuthorization: Bearer %s\r\n\r\n",
                                task, WORLD_TOKEN);
    int64_t before = rss_kb(w.api.pid);
    int fd = raw_connect(w.base);
    raw_send(fd, request, strlen(request));
    while ((n = read(fd, bytes, sizeof bytes)) > 0) {
        total += (size_t)n;
        for (const char *p = bytes; (p = memmem(p, (size_t)(bytes + n - p), "xx\n", 3)) != NULL;
             p++)
            lines++;
        if (memmem(bytes, (size_t)n, "0\r\n\r\n", 5) != NULL && total > 1000000)
            break;
    }
    close(fd);
    cr_expect_gt(total, (size_t)CHUNKS * LINES * 2000);
    cr_expect_geq(lines, (size_t)CHUNKS * LINES - 2 * CHUNKS, "%zu lines",
                  lines); /* some are cut by a read */
#if !defined(__SANITIZE_ADDRESS__)
    cr_expect_lt(rss_kb(w.api.pid) - before, 16384, "%lld kB more",
                 (long long)(rss_kb(w.api.pid) - before));
#else
    (void)before; /* the sanitizer keeps what was freed */
#endif
    writer_end(&wr);
    world_stop(&w);
}

/* Both forms of the metrics: the older is read by promtool, where that is to be had. */
Test(surface, r11_3_promtool_accepts_the_metrics)
{
    const char *bin = getenv("PJ_TEST_BIN");
    PJ_CLEANUP(pj_freep) char *tool = pj_asprintf("%s/../helm-tools/promtool", bin);
    struct world w;
    struct writer wr;
    struct http_answer a = {0};

    if (access(tool, X_OK) != 0)
        cr_skip_test("skipped: promtool is not to be had");
    world_start(&w);
    world_api_start(&w);
    PJ_CLEANUP(pj_freep) char *repository = writer_repository(&w, "one");
    PJ_CLEANUP(pj_freep) char *task = writer_task(&w, repository);
    writer_begin(&wr, &w, task);
    writer_finish(&wr, NULL, NULL);
    http_call(w.base, "GET", "/metrics", WORLD_TOKEN, NULL, NULL, &a);
    cr_assert_eq(a.status, 200);
    static const char *const args[] = {"check", "metrics", NULL};
    PJ_CLEANUP(pj_freep) char *out = NULL;
    PJ_CLEANUP(pj_freep) char *err = NULL;
    int status = program_run("../helm-tools/promtool", args, w.env, w.dir, a.body, &out, &err);
    cr_expect_eq(status, 0, "%s%s", out, err);
    http_answer_release(&a);
    writer_end(&wr);
    world_stop(&w);
}
