/* request.h - one request on its way from the parser to its answer.
 *
 * Life: made when the head is complete, fed with the body, dispatched (route, caller, scope, rate, idempotency), handled. A
 * handler answers exactly once through reply.h, now or from a later callback; the answer frees the request. When the client
 * has gone, conn is NULL and the answer goes nowhere, but it must still be given. */
#ifndef API_REQUEST_H
#define API_REQUEST_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "api/auth.h"
#include "api/http_parse.h"
#include "lib/base/err.h"
#include "lib/base/str.h"
#include "lib/json/codec.h"

struct api;
struct conn;
struct pj_cmd;
struct pj_repo;
struct pj_task;
struct redisReply;
struct route;

#define REQUEST_PARAMS_MAX 2
#define REQUEST_PARAM_SIZE 80

struct request {
    struct api *api;
    struct conn *conn;         /* NULL: the client has gone */
    const struct route *route; /* NULL: none fits the path */
    unsigned allowed;          /* methods the path has, bits of enum method */
    char *raw;                 /* the head's bytes; `head` points into them */
    struct http_head head;
    struct pj_str body;
    struct http_chunks chunks;
    char param[REQUEST_PARAMS_MAX]
              [REQUEST_PARAM_SIZE]; /* decoded values of the path's ":name" parts */
    struct caller who;
    char id[28];          /* the client's X-Request-Id when it is a plain word, else ours */
    char traceparent[56]; /* W3C Trace Context, "" when the client sent none */
    char client[64];      /* address, through trusted proxies */
    int64_t started_us;
    bool secure;           /* the client speaks TLS (to a trusted proxy) */
    bool head_only;        /* HEAD */
    struct pj_str headers; /* further lines of the answer */
    char *idempotency;     /* key under which the answer is kept, or NULL */
    int64_t idempotency_since;
    struct pj_task *task; /* what access.h found; freed with the request */
    struct pj_repo *repo;
    void *ctx; /* the handler's own, freed with the request */
    void (*ctx_free)(void *ctx);
};

/* For conn.c. */
/* `head` was found at `raw`; both are copied. NULL: nothing could be read. */
struct request *request_new(struct conn *conn, const char *raw, const struct http_head *head);
/* Route it and judge what can be judged before the body: -1 with *why when the body is not to be read. */
int request_judge(struct request *req, struct http_refusal *why) PJ_MUST_CHECK;
/* Bytes of the body: as http_chunks_feed(). */
int request_feed(struct request *req, const char *p, size_t n, size_t *used,
                 struct http_refusal *why) PJ_MUST_CHECK;
void request_dispatch(struct request *req);
void request_refuse(struct request *req, const struct http_refusal *why);
/* Count a request of `who` (a token, or an address without a valid one; `what` is the word for it). False when he has made too many: it
 * was answered with 429. */
bool request_turn(struct request *req, const char *who, const char *what) PJ_MUST_CHECK;
/* The same for who is known by his address alone. */
bool request_turn_of_address(struct request *req) PJ_MUST_CHECK;
/* The client has gone; whoever works on it goes on and answers into the void. */
void request_abandon(struct request *req);
void request_free(struct request *req);

/* Keep `ctx` with the request; `ctx_free` is called when it ends. One per request. */
void *request_ctx(struct request *req, size_t size, void (*ctx_free)(void *ctx));

/* Run a command; `then` is called with its reply. When Redis cannot be reached the request is answered with 503 and `then` is
 * never called. The command's content is taken. */
typedef void request_then(struct request *req, const struct redisReply *reply);
void request_redis(struct request *req, struct pj_cmd *cmd, request_then *then);
/* Answer a request whose command came back with `err` instead of a reply. What is wrong between Redis and us is never the caller's
 * fault: 503, or 500. */
void request_store_failed(struct request *req, const struct pj_err *err);

/* Store a task, together with those of other requests in the same round; `then` as above, with a reply for pj_task_create_reply(). */
void request_create(struct request *req, const struct pj_task *task, bool execute,
                    request_then *then);

/* Decode a JSON body by a table. 0, or -1 when the request was answered with 400. An absent body counts as {}. */
int request_json(struct request *req, const struct pj_field *table, size_t count,
                 void *out) PJ_MUST_CHECK;
/* A query parameter, decoded. 0; PJ_NONE when absent; -1 when the request was answered with 400. */
int request_query(struct request *req, const char *name, char *out, size_t cap) PJ_MUST_CHECK;
/* The same for a whole number in min..max, with a default. 0 or -1 (answered). */
int request_query_int(struct request *req, const char *name, int64_t min, int64_t max, int64_t def,
                      int64_t *out) PJ_MUST_CHECK;
/* Refuse query parameters that are not among `names` (at most 32, NULL-terminated), or come twice: 0, or -1 when answered with 400. */
int request_query_known(struct request *req, const char *const *names) PJ_MUST_CHECK;

#endif
