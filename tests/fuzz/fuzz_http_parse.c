/* Properties of the request parser: what is accepted has no CR, LF or NUL in any part; no proper prefix of an accepted head is
 * accepted or refused; a head fed byte by byte ends like one fed whole; a body's result does not depend on how it is cut. */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "api/http_parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok)
{
    if (!ok)
        abort();
}

static void clean(struct pj_view v)
{
    for (size_t i = 0; i < v.n; i++)
        require(v.p[i] != '\r' && v.p[i] != '\n' && v.p[i] != '\0');
}

static bool same(struct pj_view a, struct pj_view b)
{
    return a.n == b.n && memcmp(a.p, b.p, a.n) == 0;
}

/* A head that was moved says the same over the copy, and points into nothing else. */
static void check_move(const struct http_head *head, const char *p)
{
    static struct http_head moved;
    char *copy = malloc(head->size);

    require(copy != NULL);
    memcpy(copy, p, head->size);
    http_head_move(&moved, head, p, copy);
    require(same(moved.method, head->method) && same(moved.path, head->path) &&
            same(moved.query, head->query) && same(moved.host, head->host));
    require(moved.header_count == head->header_count && moved.size == head->size);
    for (size_t i = 0; i < head->header_count; i++)
        require(same(moved.header[i].name, head->header[i].name) &&
                same(moved.header[i].value, head->header[i].value));
    require(moved.path.p >= copy && moved.path.p + moved.path.n <= copy + head->size);
    free(copy);
}

static void check_head(const char *p, size_t n)
{
    static struct http_head head, part;
    struct http_refusal why;
    size_t scanned = 0, step = 0;

    if (http_parse(p, n, &scanned, &head, &why) != 0)
        return;
    require(head.size <= n && head.size <= HTTP_HEAD_MAX && head.header_count <= HTTP_HEADERS_MAX);
    require(!(head.chunked && head.content_length >= 0));
    clean(head.method);
    clean(head.path);
    clean(head.query);
    for (size_t i = 0; i < head.header_count; i++) {
        clean(head.header[i].name);
        clean(head.header[i].value);
    }
    check_move(&head, p);
    for (size_t k = 1; k < head.size; k++)
        require(http_parse(p, k, &step, &part, &why) == PJ_NONE);
    require(http_parse(p, head.size, &step, &part, &why) == 0 && part.size == head.size);
    char text[256];
    if (http_unescape(head.path, false, text, sizeof text) == 0)
        require(pj_utf8_valid(pj_view_of(text)));
    clean(http_query(head.query, "after"));
}

static int feed(const char *p, size_t n, size_t step, struct pj_str *out)
{
    struct http_chunks c = {0};
    struct http_refusal why;
    int rc = PJ_NONE;

    for (size_t at = 0; at < n && rc == PJ_NONE;) {
        size_t used = 0, part = n - at < step ? n - at : step;
        rc = http_chunks_feed(&c, p + at, part, &used, out, &why);
        at += used;
    }
    return rc;
}

static void check_body(const char *p, size_t n)
{
    struct pj_str whole, cut;

    pj_str_init(&whole, 4096);
    pj_str_init(&cut, 4096);
    int rc = feed(p, n, n + 1, &whole);
    require(rc == feed(p, n, 1, &cut));
    if (rc == 0)
        require(whole.len == cut.len &&
                memcmp(pj_str_cstr(&whole), pj_str_cstr(&cut), whole.len) == 0);
    pj_str_release(&whole);
    pj_str_release(&cut);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_head((const char *)data, size);
    check_body((const char *)data, size);
    return 0;
}
