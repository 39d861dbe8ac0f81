/* http_parse.h - strict HTTP/1.1 request heads and chunked bodies, without I/O.
 *
 * Refuses by default (RFC 9112, sections 2 to 7): CRLF only, token table for names, exactly one Host, at most one all-digit
 * Content-Length and never beside a Transfer-Encoding, `chunked` as the only coding, no obs-fold, no NUL. Two parsers that
 * disagree about where a request ends are how requests are smuggled; so whatever could be read in two ways is an error.
 * Every refusal closes the connection. Views point into the caller's bytes. */
#ifndef API_HTTP_PARSE_H
#define API_HTTP_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "lib/base/err.h"
#include "lib/base/view.h"

#define HTTP_HEAD_MAX 8192
#define HTTP_TARGET_MAX 4096
#define HTTP_METHOD_MAX 16
#define HTTP_HEADERS_MAX 64

struct http_header {
    struct pj_view name, value; /* value without surrounding blanks */
};

struct http_head {
    struct pj_view method;
    struct pj_view path;  /* as sent, still percent-encoded, starts with '/'; or "*" */
    struct pj_view query; /* after the first '?', empty when there is none */
    struct pj_view host;
    int minor;              /* HTTP/1.minor: 0 or 1 */
    int64_t content_length; /* -1: no such header */
    bool chunked;
    bool keep_alive;
    bool expect_continue;
    size_t size; /* bytes of the head, its empty line included */
    size_t header_count;
    struct http_header header[HTTP_HEADERS_MAX];
};

struct http_refusal {
    int status;         /* 400 414 417 431 501 505 */
    const char *detail; /* constant text */
};

/* Look for a whole head at `p`. Returns 0 with *head filled, PJ_NONE when bytes are missing, -1 with *why. `*scanned`, 0 for
 * a new head, remembers what was looked at, so that a head that drips in is read once. No proper prefix of an accepted
 * head is accepted or refused. */
int http_parse(const char *p, size_t n, size_t *scanned, struct http_head *head,
               struct http_refusal *why) PJ_MUST_CHECK;

/* The same head over a copy of its bytes: what points into `from` points to the same place in `to`. */
void http_head_move(struct http_head *out, const struct http_head *head, const char *from,
                    const char *to);

/* The value of a header, by its lower-case name; p is NULL when it is absent. The first one when it came twice. */
struct pj_view http_header(const struct http_head *head, const char *name);

/* A chunked body that comes in pieces. Extensions and trailers are refused: no client of ours has a use for them. */
struct http_chunks {
    int state;
    int digits;
    uint64_t left; /* bytes of the present chunk still to come */
};

/* Consume bytes at `p`, append the content to `out` (its max is the body limit). Returns 0 when the body is complete, PJ_NONE
 * when more must come, -1 with *why (400, or 413 when `out` is full). *used tells how many bytes were taken. */
int http_chunks_feed(struct http_chunks *c, const char *p, size_t n, size_t *used,
                     struct pj_str *out, struct http_refusal *why) PJ_MUST_CHECK;

/* Percent-decode `in` into `out` (cap bytes, NUL-terminated). -1 when an escape is broken, the result has a control character
 * or is not UTF-8, or does not fit. `plus` reads '+' as a space (query strings). */
int http_unescape(struct pj_view in, bool plus, char *out, size_t cap) PJ_MUST_CHECK;

/* The raw value of a query parameter, by name; p is NULL when absent. */
struct pj_view http_query(struct pj_view query, const char *name);

#endif
