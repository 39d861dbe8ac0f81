/* client.h - one HTTP call (libcurl), blocking for the caller and serving a pump meanwhile.
 *
 * A struct pj_http keeps connections alive between calls of one process. It verifies TLS, follows no redirect (a 3xx is an
 * answer like any other: credentials never travel to a second host), speaks https and, only when a request allows it, plain
 * http. Proxies come from the environment (HTTPS_PROXY, NO_PROXY) by libcurl. Any status is success here: the caller judges it. */
#ifndef PJ_HTTP_CLIENT_H
#define PJ_HTTP_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "lib/base/err.h"
#include "lib/base/pump.h"
#include "lib/base/str.h"

struct pj_http;

/* `ca_file`: PEM bundle (PJ_CA_FILE), NULL for the system's; copied. Never fails but for want of memory. */
struct pj_http *pj_http_new(const char *ca_file);
void pj_http_free(struct pj_http *http);
void pj_http_freep(struct pj_http **http);

struct pj_http_header {
    const char *name;
    const char *value; /* NULL: the header is not sent */
};

struct sockaddr;

struct pj_http_request {
    const char *method; /* "GET", "POST", …; NULL: GET without body, POST with one */
    const char *url;
    const struct pj_http_header *headers; /* User-Agent is added when absent */
    size_t header_count;
    const void *body; /* NULL: none */
    size_t body_len;
    /* Must not be done twice: a connection of its own, since libcurl repeats by itself, silently and POST too, what it had sent on
     * one that was used before and broke without an answer (lib/transfer.c, Curl_retry_request). */
    bool once;
    bool allow_plain; /* http:// too; say so only when the operator's base URL does */
    /* Asked of each address before it is dialled, after its name was looked up: what a name stood for when it was judged it may no longer stand
     * for. NULL: any will do. Not asked where a proxy dials. */
    bool (*may_dial)(const struct sockaddr *address);
    size_t
        max_body; /* bytes of the answer's body, passed to on_data or kept; 0: 1 MiB. More fails with LIMIT */
    int64_t timeout_ms;         /* the whole call; 0: 60 s */
    int64_t connect_timeout_ms; /* 0: 10 s */
    int64_t stall_ms;           /* this long without a byte received; 0: not watched */
    const struct pj_pump *pump; /* served while waiting, may end the call; may be NULL */
    /* Takes the body in pieces instead of res->body, but only of answers with status 200 to 299. 0, or -1 with err to end
     * the call with that error. */
    int (*on_data)(void *ctx, const char *bytes, size_t n, struct pj_err *err);
    void *on_data_ctx;
};

struct pj_http_response {
    int status;         /* 0: no status line was received */
    struct pj_str head; /* header lines "Name: value\n" of the final answer */
    struct pj_str body;
    int64_t first_byte_ms; /* from the start of the call to the first byte; -1: none came */
    int64_t total_ms;
};

/* Do one call. Returns 0 when a complete answer came. Fails with err->code:
 *   http_url      INVALID      the URL is malformed or its scheme not allowed
 *   http_resolve  UNAVAILABLE  no such host        http_connect UNAVAILABLE  nobody listens, or no answer in connect_timeout_ms
 *   http_tls      UNAVAILABLE  certificate or handshake; the remedy names PJ_CA_FILE
 *   http_cut      UNAVAILABLE  the connection broke before the answer was complete
 *   http_timeout  TIMEOUT      timeout_ms passed   http_stall   TIMEOUT      stall_ms passed without a byte
 *   http_large    LIMIT        the body has more than max_body bytes
 * or with the error of the pump or of on_data. *res is initialised here in every case and holds what came so far; the caller
 * releases it. Calling from inside the pump's callbacks is not allowed. */
int pj_http_do(struct pj_http *http, const struct pj_http_request *req,
               struct pj_http_response *res, struct pj_err *err) PJ_MUST_CHECK;
void pj_http_response_release(struct pj_http_response *res);

/* The last header of that name, trimmed, copied to `buf`; false when absent or too long for it. Names ignore case. */
bool pj_http_header_get(const struct pj_http_response *res, const char *name, char *buf,
                        size_t size);

/* Wait `ms` (say, for a retry) while serving the pump. 0, or the pump's error. */
int pj_http_pause(int64_t ms, const struct pj_pump *pump, struct pj_err *err) PJ_MUST_CHECK;

#endif
