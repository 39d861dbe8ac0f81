/* http_in.h - requests of other agents in the box: a strict, small HTTP/1.1 reader without I/O. The box is hostile: everything is
 * capped, and what is not needed is refused (chunked bodies, bare LF, folded lines). */
#ifndef GATEWAY_HTTP_IN_H
#define GATEWAY_HTTP_IN_H

#include "lib/base/str.h"
#include "lib/base/view.h"

#define HTTP_IN_HEAD_MAX ((size_t)32 << 10)
#define HTTP_IN_BODY_MAX ((size_t)16 << 20)

/* All views point into the bytes given. */
struct http_in {
    struct pj_view method, path; /* the path without its query */
    struct pj_view body;
    bool wants_continue; /* Expect: 100-continue, and the body is not there yet */
    size_t head_len;
};

/* 0: a whole request; PJ_NONE: more bytes are needed; an HTTP status of 400 and up: refuse with it. */
int http_in_parse(struct pj_view bytes, struct http_in *out);
/* Value of a header of the head in `bytes`; empty when absent. */
struct pj_view http_in_header(struct pj_view bytes, const struct http_in *in, const char *name);

#endif
