/* The real server on a real socket: shapes, limits, deadlines, pipelining. */
#include <criterion/criterion.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "tests/api/raw.h"
#include "tests/support/world.h"

#define H "Host: a\r\n"

static void start(struct world *w)
{
    world_start(w);
    world_api_start(w);
}

static const struct {
    const char *name, *text;
    int status;
    const char *code;
} refused[] = {
    {"two lengths",
     "POST /api/v1/tasks HTTP/1.1\r\n" H "Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 400,
     "bad_request"},
    {"length and coding",
     "POST /api/v1/tasks HTTP/1.1\r\n" H "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
     400, "bad_request"},
    {"unknown coding", "POST /api/v1/tasks HTTP/1.1\r\n" H "Transfer-Encoding: gzip\r\n\r\n", 501,
     "transfer_coding_unknown"},
    {"bad chunk", "POST /api/v1/session HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\nxyz\r\n",
     400, "bad_request"},
    {"bare LF", "GET /livez HTTP/1.1\nHost: a\n\n", 400, "bad_request"},
    {"folded", "GET /livez HTTP/1.1\r\n" H "a: b\r\n c\r\n\r\n", 400, "bad_request"},
    {"no host", "GET /livez HTTP/1.1\r\n\r\n", 400, "bad_request"},
    {"version", "GET /livez HTTP/2.0\r\n" H "\r\n", 505, "http_version"},
    {"TLS", "\026\003\001\002", 400, "bad_request"},
    {"body for a route without", "GET /livez HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\nhello", 400,
     "bad_request"},
    {"8 MB announced", "POST /api/v1/tasks HTTP/1.1\r\n" H "Content-Length: 8000000\r\n\r\n", 413,
     "body_too_large"},
    {"expectation", "GET /livez HTTP/1.1\r\n" H "Expect: x\r\n\r\n", 417, "expectation_failed"},
};

Test(wire, refusals_are_problems_and_close)
{
    struct world w;

    start(&w);
    for (size_t i = 0; i < PJ_COUNT_OF(refused); i++) {
        int fd = raw_connect(w.base), closed;
        raw_send(fd, refused[i].text, strlen(refused[i].text));
        PJ_CLEANUP(pj_freep) char *text = raw_read(fd, 5000, &closed);
        char code[64];
        snprintf(code, sizeof code, "\"code\":\"%s\"", refused[i].code);
        cr_expect_eq(raw_status(text), refused[i].status, "%s: %.40s", refused[i].name, text);
        cr_expect_not_null(strstr(text, code), "%s: %s", refused[i].name, text);
        cr_expect_not_null(strstr(text, "application/problem+json"), "%s", refused[i].name);
        cr_expect(closed, "%s stays open", refused[i].name);
        close(fd);
    }
    world_stop(&w);
}

Test(wire, a_refused_body_does_not_eat_the_answer)
{
    struct world w;
    PJ_CLEANUP(pj_str_release) struct pj_str text;

    start(&w);
    pj_str_init(&text, 1 << 20);
    pj_str_puts(&text, "POST /api/v1/session HTTP/1.1\r\n" H "Content-Length: 60000\r\n\r\n");
    for (int i = 0; i < 60000; i++)
        pj_str_putc(&text, 'x');
    PJ_CLEANUP(pj_freep) char *answer = raw_exchange(w.base, text.data, text.len);
    cr_expect_eq(raw_status(answer), 413);
    pj_str_clear(&text);
    pj_str_puts(&text, "GET /livez HTTP/1.1\r\n" H "a: ");
    for (int i = 0; i < 65536; i++)
        pj_str_putc(&text, 'x');
    PJ_CLEANUP(pj_freep) char *head = raw_exchange(w.base, text.data, text.len);
    cr_expect_eq(raw_status(head), 431);
    world_stop(&w);
}

Test(wire, pipelined_requests_are_answered_in_order)
{
    static const char two[] =
        "GET /livez HTTP/1.1\r\n" H "X-Request-Id: first\r\n\r\nGET /nothing HTTP/1.1\r\n" H
        "X-Request-Id: second\r\n\r\nHEAD /livez HTTP/1.1\r\n" H
        "X-Request-Id: third\r\nConnection: close\r\n\r\n";
    struct world w;

    start(&w);
    PJ_CLEANUP(pj_freep) char *text = raw_exchange(w.base, two, sizeof two - 1);
    const char *first = strstr(text, "X-Request-Id: first"),
               *second = strstr(text, "X-Request-Id: second"),
               *third = strstr(text, "X-Request-Id: third");
    cr_assert(first != NULL && second != NULL && third != NULL, "%s", text);
    cr_expect(first < second && second < third);
    cr_expect_not_null(strstr(second - 200, "404"));
    cr_expect_not_null(strstr(third, "\r\n\r\n"));
    cr_expect_eq(strlen(strstr(third, "\r\n\r\n")), 4, "HEAD has no body");
    world_stop(&w);
}

Test(wire, legal_shapes_are_served)
{
    static const struct {
        const char *text;
        int status;
    } rows[] = {
        {"GET http://a/livez HTTP/1.1\r\n" H "Connection: close\r\n\r\n", 200},
        {"GET /../../etc/passwd HTTP/1.1\r\n" H "Connection: close\r\n\r\n", 404},
        {"GET /livez HTTP/1.0\r\n\r\n", 200},
        {"OPTIONS /api/v1/tasks HTTP/1.1\r\n" H "Connection: close\r\n\r\n", 204},
        {"OPTIONS * HTTP/1.1\r\n" H "Connection: close\r\n\r\n", 204},
        {"PUT /api/v1/tasks HTTP/1.1\r\n" H "Connection: close\r\n\r\n", 405},
        {"POST /api/v1/session HTTP/1.1\r\n" H
         "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\nConnection: "
         "close\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
         400},
        {"POST /api/v1/session HTTP/1.1\r\n" H
         "Content-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}",
         400},
        {"POST /api/v1/session HTTP/1.1\r\n" H "Content-Length: 2\r\nConnection: close\r\n\r\n{}",
         415},
    };
    struct world w;

    start(&w);
    for (size_t i = 0; i < PJ_COUNT_OF(rows); i++) {
        PJ_CLEANUP(pj_freep) char *text = raw_exchange(w.base, rows[i].text, strlen(rows[i].text));
        cr_expect_eq(raw_status(text), rows[i].status, "%s -> %.200s", rows[i].text, text);
        if (rows[i].status == 405 || rows[i].status == 204)
            cr_expect_not_null(strstr(text, "Allow: "));
    }
    world_stop(&w);
}

Test(wire, an_expected_body_is_asked_for)
{
    struct world w;
    int closed;

    start(&w);
    int fd = raw_connect(w.base);
    static const char head[] = "POST /api/v1/session HTTP/1.1\r\n" H
                               "Content-Type: application/json\r\nContent-Length: 2\r\nExpect: "
                               "100-continue\r\nConnection: close\r\n\r\n";
    raw_send(fd, head, sizeof head - 1);
    char line[25];
    cr_assert_eq(read(fd, line, sizeof line), (ssize_t)sizeof line);
    cr_expect_eq(memcmp(line, "HTTP/1.1 100 Continue\r\n\r\n", sizeof line), 0);
    raw_send(fd, "{}", 2);
    PJ_CLEANUP(pj_freep) char *text = raw_read(fd, 5000, &closed);
    cr_expect_eq(raw_status(text), 400);
    close(fd);
    world_stop(&w);
}

/* One byte of a head every 400 ms, for ever; NULL-terminated text of what the server said, and when it was gone. */
static char *drip(int fd, int64_t began, int64_t *gone_ms)
{
    static const char head[] =
        "GET /livez HTTP/1.1\r\nHost: a\r\nX-Slow: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    struct pj_str said;
    size_t sent = 0;
    bool open = true;

    pj_str_init(&said, 65536);
    while (open && pj_mono_ms() - began < 15000) {
        struct pollfd p = {fd, POLLIN, 0};
        char bytes[4096];
        raw_send(fd, &head[sent++ % (sizeof head - 1)], 1);
        if (poll(&p, 1, 400) != 1)
            continue;
        ssize_t n = read(fd, bytes, sizeof bytes);
        if (n > 0)
            pj_str_append(&said, bytes, (size_t)n);
        open = n > 0;
    }
    *gone_ms = pj_mono_ms() - began;
    return pj_str_take(&said);
}

Test(wire, heads_that_drip_and_silent_peers_are_gone_within_6_s)
{
    struct world w;
    int closed;
    int64_t gone_ms;

    start(&w);
    int64_t began = pj_mono_ms();
    int dripping = raw_connect(w.base), silent = raw_connect(w.base);
    PJ_CLEANUP(pj_freep) char *late = drip(dripping, began, &gone_ms);
    cr_expect_eq(raw_status(late), 408, "%s", late);
    cr_expect_leq(gone_ms, 6000, "the dripping one was gone after %lld ms", (long long)gone_ms);
    PJ_CLEANUP(pj_freep) char *nothing = raw_read(silent, 1000, &closed);
    cr_expect(closed, "the silent one is still there");
    cr_expect_eq(strlen(nothing), 0);
    close(silent);
    close(dripping);
    world_stop(&w);
}

Test(wire, a_unix_socket_is_served_and_removed)
{
    struct world w;
    struct http_answer a = {0};

    world_start(&w);
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf("%s/api.sock", w.dir);
    PJ_CLEANUP(pj_freep) char *listen = pj_asprintf("unix:%s", path);
    world_set(&w, "PJ_LISTEN", listen);
    world_api_start(&w);
    http_call(w.base, "GET", "/livez", NULL, NULL, NULL, &a);
    cr_expect_eq(a.status, 200);
    http_answer_release(&a);
    cr_expect_eq(program_stop(&w.api, 15, 10000), 0);
    cr_expect_eq(access(path, F_OK), -1);
    world_stop(&w);
}
