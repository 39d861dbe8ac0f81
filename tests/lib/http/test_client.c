/* The HTTP client against a real server on loopback. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include "lib/base/clock.h"
#include "lib/http/client.h"
#include "tests/support/stand_in.h"

static void never(struct stand_in_exchange *x, void *arg)
{
    (void)arg;
    stand_in_cut(x);
}

static void answer(void *ctx, const struct stand_in_request *r, struct stand_in_exchange *x)
{
    static char large[70000];

    (void)ctx;
    memset(large, 'x', sizeof large);
    if (strcmp(r->path, "/echo") == 0) {
        stand_in_add_header(x, "X-Agent", stand_in_header(r, "user-agent"));
        stand_in_add_header(x, "X-Mine",
                            stand_in_header(r, "x-mine") ? stand_in_header(r, "x-mine") : "none");
        stand_in_add_header(x, "X-Method", r->method);
        stand_in_reply(x, 201, "text/plain", r->body, r->body_len);
    } else if (strcmp(r->path, "/moved") == 0) {
        stand_in_add_header(x, "Location", "/echo");
        stand_in_reply_text(x, 302, "text/plain", "elsewhere");
    } else if (strcmp(r->path, "/large") == 0) {
        stand_in_reply(x, 200, "text/plain", large, sizeof large);
    } else if (strcmp(r->path, "/cut") == 0) {
        stand_in_stream_begin(x, 200, "text/plain");
        stand_in_stream_piece(x, "half");
        stand_in_cut(x);
    } else if (strcmp(r->path, "/stall") == 0) {
        stand_in_stream_begin(x, 200, "text/plain");
        stand_in_stream_piece(x, "first");
        stand_in_hold(x, never, NULL);
    } else {
        stand_in_hold(x, never, NULL);
    }
}

struct fixture {
    struct stand_in *server;
    struct pj_http *http;
    char url[200];
    struct pj_http_response res;
    struct pj_err err;
};

static struct fixture setup(const char *path)
{
    struct fixture f = {.server = stand_in_start(0, answer, NULL), .http = pj_http_new(NULL)};

    (void)snprintf(f.url, sizeof f.url, "%s%s", stand_in_url(f.server), path);
    return f;
}

static void teardown(struct fixture *f)
{
    pj_http_response_release(&f->res);
    pj_http_free(f->http);
    stand_in_stop(f->server);
}

Test(client, posts_a_body_with_headers_and_reads_the_answer)
{
    struct fixture f = setup("/echo");
    struct pj_http_header headers[] = {
        {"X-Mine", "yes"},
        {"X-Absent", NULL},
    };
    struct pj_http_request req = {.url = f.url,
                                  .allow_plain = true,
                                  .headers = headers,
                                  .header_count = 2,
                                  .body = "hello",
                                  .body_len = 5};
    char text[100];

    cr_assert_eq(pj_http_do(f.http, &req, &f.res, &f.err), 0, "%s", f.err.message);
    cr_assert_eq(f.res.status, 201);
    cr_assert_str_eq(pj_str_cstr(&f.res.body), "hello");
    cr_assert(pj_http_header_get(&f.res, "x-mine", text, sizeof text));
    cr_assert_str_eq(text, "yes");
    cr_assert(pj_http_header_get(&f.res, "X-METHOD", text, sizeof text));
    cr_assert_str_eq(text, "POST");
    cr_assert(pj_http_header_get(&f.res, "x-agent", text, sizeof text));
    cr_assert_str_eq(text, "pithy-jaunt/" PJ_VERSION);
    cr_assert_not(pj_http_header_get(&f.res, "x-none", text, sizeof text));
    cr_assert_geq(f.res.first_byte_ms, 0);
    teardown(&f);
}

Test(client, follows_no_redirect)
{
    struct fixture f = setup("/moved");
    struct pj_http_request req = {.url = f.url, .allow_plain = true};

    cr_assert_eq(pj_http_do(f.http, &req, &f.res, &f.err), 0);
    cr_assert_eq(f.res.status, 302);
    cr_assert_eq(stand_in_count(f.server), 1);
    teardown(&f);
}

Test(client, refuses_plain_http_unless_allowed)
{
    struct fixture f = setup("/echo");
    struct pj_http_request req = {.url = f.url};

    cr_assert_lt(pj_http_do(f.http, &req, &f.res, &f.err), 0);
    cr_assert_str_eq(f.err.code, "http_url");
    cr_assert_eq(stand_in_count(f.server), 0);
    teardown(&f);
}

/* A credential with a line end in it would add headers, or a request, of its owner's choice. */
Test(client, sends_no_header_that_is_more_than_one)
{
    static const char *const values[] = {"token a\r\nX-Mine: b", "a\nb", "a\r"};

    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        struct fixture f = setup("/echo");
        const struct pj_http_header header = {"Authorization", values[i]};
        struct pj_http_request req = {
            .url = f.url, .allow_plain = true, .headers = &header, .header_count = 1};
        cr_expect_lt(pj_http_do(f.http, &req, &f.res, &f.err), 0);
        cr_expect_str_eq(f.err.code, "http_header");
        cr_expect_not_null(strstr(f.err.message, "Authorization"), "%s", f.err.message);
        cr_expect_null(strstr(f.err.message, "token"), "%s", f.err.message);
        cr_expect_eq(stand_in_count(f.server), 0);
        teardown(&f);
    }
}

static void fails(const char *path, struct pj_http_request req, enum pj_err_class cls,
                  const char *code)
{
    struct fixture f = setup(path);
    int64_t start = pj_mono_ms();

    req.url = req.url ? req.url : f.url;
    req.allow_plain = true;
    cr_assert_lt(pj_http_do(f.http, &req, &f.res, &f.err), 0);
    cr_expect_str_eq(f.err.code, code, "%s: %s %s", path, f.err.code, f.err.message);
    cr_expect_eq(f.err.cls, cls);
    cr_expect_lt(pj_mono_ms() - start, 5000);
    teardown(&f);
}

Test(client, tells_failures_apart)
{
    fails("/large", (struct pj_http_request){.max_body = 60000}, PJ_E_LIMIT, "http_large");
    fails("/cut", (struct pj_http_request){0}, PJ_E_UNAVAILABLE, "http_cut");
    fails("/stall", (struct pj_http_request){.stall_ms = 100}, PJ_E_TIMEOUT, "http_stall");
    fails("/silence", (struct pj_http_request){.stall_ms = 100}, PJ_E_TIMEOUT, "http_stall");
    fails("/silence", (struct pj_http_request){.timeout_ms = 100}, PJ_E_TIMEOUT, "http_timeout");
    fails("", (struct pj_http_request){.url = "http://127.0.0.1:1/"}, PJ_E_UNAVAILABLE,
          "http_connect");
    fails("", (struct pj_http_request){.url = "http://nowhere.invalid/"}, PJ_E_UNAVAILABLE,
          "http_resolve");
    fails("", (struct pj_http_request){.url = "ftp://127.0.0.1/"}, PJ_E_INVALID, "http_url");
}

static int take(void *ctx, const char *bytes, size_t n, struct pj_err *err)
{
    (void)err;
    return pj_str_append(ctx, bytes, n);
}

Test(client, hands_the_body_over_in_pieces)
{
    struct fixture f = setup("/large");
    struct pj_str got;
    struct pj_http_request req = {
        .url = f.url, .allow_plain = true, .on_data = take, .on_data_ctx = &got};

    pj_str_init(&got, 100000);
    cr_assert_eq(pj_http_do(f.http, &req, &f.res, &f.err), 0);
    cr_assert_eq(got.len, 70000);
    cr_assert_eq(f.res.body.len, 0);
    pj_str_release(&got);
    teardown(&f);
}

/* A pump that owns a pipe: it counts what it reads and ends the wait at the end of file. */
struct pipe_pump {
    int fd;
    size_t bytes;
};

static size_t want(void *ctx, struct pollfd *fds, size_t cap, int *timeout_ms)
{
    struct pipe_pump *p = ctx;

    (void)cap;
    (void)timeout_ms;
    fds[0] = (struct pollfd){.fd = p->fd, .events = POLLIN};
    return 1;
}

static int ready(void *ctx, const struct pollfd *fds, size_t n, struct pj_err *err)
{
    struct pipe_pump *p = ctx;
    char bytes[100];
    ssize_t got = n > 0 && fds[0].revents ? read(p->fd, bytes, sizeof bytes) : -1;

    if (got > 0)
        p->bytes += (size_t)got;
    if (got == 0)
        return pj_fail(err, PJ_E_CANCELLED, "the pipe ended");
    return 0;
}

Test(client, serves_a_pump_while_it_waits_and_is_ended_by_it)
{
    struct fixture f = setup("/silence");
    int ends[2];
    struct pipe_pump p;
    struct pj_pump pump = {&p, want, ready};
    struct pj_http_request req = {.url = f.url, .allow_plain = true, .pump = &pump};

    cr_assert_eq(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    p = (struct pipe_pump){.fd = ends[0]};
    cr_assert_eq(write(ends[1], "hello", 5), 5);
    close(ends[1]); /* end of file is POLLHUP without POLLIN once the bytes are read */
    cr_assert_lt(pj_http_do(f.http, &req, &f.res, &f.err), 0);
    cr_assert_eq(f.err.cls, PJ_E_CANCELLED);
    cr_assert_eq(p.bytes, 5);
    close(ends[0]);
    teardown(&f);
}
