/* The hostile shapes of the HTTP facts, each with the status it must get, and the legal ones beside them. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "api/http_parse.h"

#define H "Host: a\r\n"
#define GET "GET / HTTP/1.1\r\n"
#define POST "POST / HTTP/1.1\r\n"

static const struct shape {
    const char *name, *text;
    size_t n;   /* 0: strlen */
    int status; /* 0: accepted */
} shapes[] = {
    {"plain", GET H "\r\n", 0, 0},
    {"length and coding", POST H "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", 0, 400},
    {"coding and length", POST H "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n", 0, 400},
    {"two different lengths", POST H "Content-Length: 3\r\nContent-Length: 4\r\n\r\n", 0, 400},
    {"two equal lengths", POST H "Content-Length: 3\r\nContent-Length: 3\r\n\r\n", 0, 400},
    {"list of lengths", POST H "Content-Length: 3, 3\r\n\r\n", 0, 400},
    {"signed length", POST H "Content-Length: +5\r\n\r\n", 0, 400},
    {"negative length", POST H "Content-Length: -1\r\n\r\n", 0, 400},
    {"hex length", POST H "Content-Length: 0x5\r\n\r\n", 0, 400},
    {"empty length", POST H "Content-Length: \r\n\r\n", 0, 400},
    {"endless length", POST H "Content-Length: 99999999999999999999\r\n\r\n", 0, 400},
    {"unknown coding", POST H "Transfer-Encoding: gzip\r\n\r\n", 0, 501},
    {"coding twice", POST H "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 0,
     501},
    {"list of codings", POST H "Transfer-Encoding: gzip, chunked\r\n\r\n", 0, 501},
    {"coding with a tail", POST H "Transfer-Encoding: xchunked\r\n\r\n", 0, 501},
    {"blank before the colon", POST H "Transfer-Encoding : chunked\r\n\r\n", 0, 400},
    {"coding in HTTP/1.0", "POST / HTTP/1.0\r\n" H "Transfer-Encoding: chunked\r\n\r\n", 0, 400},
    {"empty header name", GET H ": x\r\n\r\n", 0, 400},
    {"control in a header name", GET H "a\001b: x\r\n\r\n", 0, 400},
    {"control in a value", GET H "a: x\001\r\n\r\n", 0, 400},
    {"delete in a value", GET H "a: x\177\r\n\r\n", 0, 400},
    {"header without a colon", GET H "abc\r\n\r\n", 0, 400},
    {"NUL in a value", GET H "a: x\0y\r\n\r\n", sizeof(GET H "a: x\0y\r\n\r\n") - 1, 400},
    {"bare CR", GET H "a: x\ry\r\n\r\n", 0, 400},
    {"bare LF between headers", GET "Host: a\na: b\r\n\r\n", 0, 400},
    {"bare LF at the end", GET H "\n", 0, 400},
    {"folded header", GET H "a: b\r\n c\r\n\r\n", 0, 400},
    {"folded header with a tab", GET H "a: b\r\n\tc\r\n\r\n", 0, 400},
    {"no Host", GET "a: b\r\n\r\n", 0, 400},
    {"two Hosts", GET H H "\r\n", 0, 400},
    {"Host with a path", GET "Host: a/b\r\n\r\n", 0, 400},
    {"HTTP/1.9", "GET / HTTP/1.9\r\n" H "\r\n", 0, 505},
    {"HTTP/2.0", "GET / HTTP/2.0\r\n" H "\r\n", 0, 505},
    {"HTTP/0.9", "GET /\r\n\r\n", 0, 400},
    {"lower-case protocol", "GET / http/1.1\r\n" H "\r\n", 0, 400},
    {"two blanks", "GET  / HTTP/1.1\r\n" H "\r\n", 0, 400},
    {"blank at the end", "GET / HTTP/1.1 \r\n" H "\r\n", 0, 400},
    {"blank in the target", "GET /a b HTTP/1.1\r\n" H "\r\n", 0, 400},
    {"fragment in the target", "GET /a#b HTTP/1.1\r\n" H "\r\n", 0, 400},
    {"control in the target", "GET /\001 HTTP/1.1\r\n" H "\r\n", 0, 400},
    {"raw UTF-8 in the target", "GET /\303\244 HTTP/1.1\r\n" H "\r\n", 0, 400},
    {"relative target", "GET a HTTP/1.1\r\n" H "\r\n", 0, 400},
    {"star for GET", "GET * HTTP/1.1\r\n" H "\r\n", 0, 400},
    {"authority form", "CONNECT a:443 HTTP/1.1\r\n" H "\r\n", 0, 400},
    {"method of 17", "AAAAAAAAAAAAAAAAA / HTTP/1.1\r\n" H "\r\n", 0, 400},
    {"method with a separator", "GE(T / HTTP/1.1\r\n" H "\r\n", 0, 400},
    {"empty line first", "\r\n" GET H "\r\n", 0, 400},
    {"TLS hello", "\026\003\001\002\000\001\000\001\374\003\003", 11, 400},
    {"unknown expectation", POST H "Expect: 200-ok\r\nContent-Length: 1\r\n\r\n", 0, 417},
    {"absolute form of another host", "GET http://b/ HTTP/1.1\r\n" H "\r\n", 0, 400},
    {"absolute form without a path", "GET http://a HTTP/1.1\r\n" H "\r\n", 0, 400},
    {"absolute form", "GET http://a/x?y=1 HTTP/1.1\r\n" H "\r\n", 0, 0},
    {"absolute form, other case", "GET https://A/x HTTP/1.1\r\n" H "\r\n", 0, 0},
    {"dots in the path", "GET /../../etc/passwd HTTP/1.1\r\n" H "\r\n", 0, 0},
    {"star for OPTIONS", "OPTIONS * HTTP/1.1\r\n" H "\r\n", 0, 0},
    {"HTTP/1.0 without Host", "GET / HTTP/1.0\r\n\r\n", 0, 0},
    {"chunked", POST H "Transfer-Encoding: Chunked\r\n\r\n", 0, 0},
    {"obs-text in a value", GET H "a: \344\r\n\r\n", 0, 0},
    {"expectation", POST H "Expect: 100-Continue\r\nContent-Length: 1\r\n\r\n", 0, 0},
};

static int parse(const char *text, size_t n, struct http_head *head, struct http_refusal *why)
{
    size_t scanned = 0;

    return http_parse(text, n, &scanned, head, why);
}

Test(http_parse, every_shape_gets_its_status)
{
    static struct http_head head;

    for (size_t i = 0; i < PJ_COUNT_OF(shapes); i++) {
        const struct shape *s = &shapes[i];
        struct http_refusal why = {0};
        int rc = parse(s->text, s->n > 0 ? s->n : strlen(s->text), &head, &why);
        cr_expect_eq(rc, s->status == 0 ? 0 : -1, "%s: result %d", s->name, rc);
        cr_expect_eq(why.status, s->status, "%s: status %d, expected %d", s->name, why.status,
                     s->status);
    }
}

Test(http_parse, no_prefix_of_an_accepted_head_is_decided)
{
    static struct http_head head;

    for (size_t i = 0; i < PJ_COUNT_OF(shapes); i++) {
        size_t n = strlen(shapes[i].text), scanned = 0;
        if (shapes[i].status != 0)
            continue;
        for (size_t k = 0; k <= n; k++) {
            struct http_refusal why = {0};
            int rc = http_parse(shapes[i].text, k, &scanned, &head, &why);
            cr_expect_eq(rc, k < n ? PJ_NONE : 0, "%s: %zu of %zu bytes gave %d (%d)",
                         shapes[i].name, k, n, rc, why.status);
        }
    }
}

static char *repeat(const char *before, const char *unit, size_t times, const char *after)
{
    struct pj_str s;

    pj_str_init(&s, 1 << 20);
    pj_str_puts(&s, before);
    for (size_t i = 0; i < times; i++)
        pj_str_puts(&s, unit);
    pj_str_puts(&s, after);
    return pj_str_take(&s);
}

Test(http_parse, sizes_have_limits)
{
    static struct http_head head;
    static const struct {
        const char *name, *before, *unit, *after;
        size_t times;
        int status;
    } rows[] = {
        {"header of 64 KiB", GET H "a: ", "x", "\r\n\r\n", 65536, 431},
        {"2000 headers", GET H, "a: b\r\n", "\r\n", 2000, 431},
        {"5000 headers", GET H, "a: b\r\n", "\r\n", 5000, 431},
        {"65 headers", GET, "a: b\r\n", H "\r\n", 64, 431},
        {"64 headers", GET, "a: b\r\n", H "\r\n", 63, 0},
        {"target of 5000", "GET /", "x", " HTTP/1.1\r\n" H "\r\n", 5000, 414},
        {"target of 60000", "GET /", "x", " HTTP/1.1\r\n" H "\r\n", 60000, 414},
        {"target of 4096", "GET /", "x", " HTTP/1.1\r\n" H "\r\n", 4095, 0},
        {"target of 4097", "GET /", "x", " HTTP/1.1\r\n" H "\r\n", 4096, 414},
    };

    for (size_t i = 0; i < PJ_COUNT_OF(rows); i++) {
        char *text = repeat(rows[i].before, rows[i].unit, rows[i].times, rows[i].after);
        struct http_refusal why = {0};
        int rc = parse(text, strlen(text), &head, &why);
        cr_expect_eq(rc, rows[i].status == 0 ? 0 : -1, "%s: result %d", rows[i].name, rc);
        cr_expect_eq(why.status, rows[i].status, "%s: status %d", rows[i].name, why.status);
        free(text);
    }
}

Test(http_parse, gives_the_parts_of_a_head)
{
    static struct http_head head;
    struct http_refusal why;
    static const char text[] =
        "POST /a/b?x=1&y=2 HTTP/1.1\r\nHost: example:80\r\nContent-Length:  12 \r\n"
        "Connection: close, x\r\nX-A:\tv \t\r\n\r\nbody";

    cr_assert_eq(parse(text, sizeof text - 1, &head, &why), 0);
    cr_expect(pj_view_is(head.method, "POST"));
    cr_expect(pj_view_is(head.path, "/a/b"));
    cr_expect(pj_view_is(head.query, "x=1&y=2"));
    cr_expect(pj_view_is(head.host, "example:80"));
    cr_expect_eq(head.content_length, 12);
    cr_expect_eq(head.size, sizeof text - 1 - 4);
    cr_expect_not(head.keep_alive);
    cr_expect(pj_view_is(http_header(&head, "x-a"), "v"));
    cr_expect_null(http_header(&head, "x-b").p);
    cr_expect(pj_view_is(http_query(head.query, "y"), "2"));
    cr_expect_null(http_query(head.query, "z").p);
}

static const struct {
    const char *name, *text;
    int result;
    const char *content;
} bodies[] = {
    {"two chunks", "3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n", 0, "abcd"},
    {"empty", "0\r\n\r\n", 0, ""},
    {"upper-case hex", "A\r\n0123456789\r\n0\r\n\r\n", 0, "0123456789"},
    {"unfinished", "3\r\nab", PJ_NONE, "ab"},
    {"signed size", "+3\r\nabc\r\n0\r\n\r\n", -1, ""},
    {"size with 0x", "0x3\r\nabc\r\n0\r\n\r\n", -1, ""},
    {"no size", "\r\nabc\r\n0\r\n\r\n", -1, ""},
    {"blank after the size", "3 \r\nabc\r\n0\r\n\r\n", -1, ""},
    {"extension", "3;a=b\r\nabc\r\n0\r\n\r\n", -1, ""},
    {"endless size", "fffffffff\r\n", -1, ""},
    {"bare LF after the size", "3\nabc\r\n0\r\n\r\n", -1, ""},
    {"chunk longer than its size", "3\r\nabcd\r\n0\r\n\r\n", -1, "abc"},
    {"trailer", "0\r\nA: b\r\n\r\n", -1, ""},
};

Test(http_parse, chunks_follow_the_grammar_however_they_arrive)
{
    for (size_t i = 0; i < PJ_COUNT_OF(bodies); i++)
        for (size_t step = 1; step < 40; step += 6) {
            struct http_chunks c = {0};
            struct http_refusal why = {0};
            struct pj_str out;
            size_t n = strlen(bodies[i].text), at = 0;
            int rc = PJ_NONE;
            pj_str_init(&out, 64);
            while (at < n && rc == PJ_NONE) {
                size_t used = 0, part = n - at < step ? n - at : step;
                rc = http_chunks_feed(&c, bodies[i].text + at, part, &used, &out, &why);
                at += rc < 0 ? part : used;
            }
            cr_expect_eq(rc, bodies[i].result, "%s by %zu: %d", bodies[i].name, step, rc);
            cr_expect_eq(why.status, rc < 0 ? 400 : 0, "%s: status %d", bodies[i].name, why.status);
            cr_expect_str_eq(pj_str_cstr(&out), bodies[i].content);
            pj_str_release(&out);
        }
}

Test(http_parse, a_chunked_body_over_the_limit_is_413)
{
    struct http_chunks c = {0};
    struct http_refusal why = {0};
    struct pj_str out;
    size_t used;

    pj_str_init(&out, 4);
    cr_expect_eq(http_chunks_feed(&c, "5\r\nabcde\r\n", 10, &used, &out, &why), -1);
    cr_expect_eq(why.status, 413);
    pj_str_release(&out);
}

Test(http_parse, escapes_are_decoded_strictly)
{
    static const struct {
        const char *in, *out;
        bool plus;
    } rows[] = {
        {"a%20b", "a b", false},       {"a+b", "a+b", false}, {"a+b", "a b", true},
        {"%c3%a4", "\303\244", false}, {"%", NULL, false},    {"%4", NULL, false},
        {"%zz", NULL, false},          {"%00", NULL, false},  {"%0a", NULL, false},
        {"%ff", NULL, false},          {"", "", false},       {"0123456789abcdef", NULL, false},
    };

    for (size_t i = 0; i < PJ_COUNT_OF(rows); i++) {
        char out[16];
        int rc = http_unescape(pj_view_of(rows[i].in), rows[i].plus, out, sizeof out);
        cr_expect_eq(rc, rows[i].out != NULL ? 0 : -1, "%s", rows[i].in);
        if (rc == 0)
            cr_expect_str_eq(out, rows[i].out);
    }
}
