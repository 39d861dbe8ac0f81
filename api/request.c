#include "api/request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "api/api.h"
#include "api/cidr.h"
#include "api/conn.h"
#include "api/idempotency.h"
#include "api/limits.h"
#include "api/reply.h"
#include "api/routes.h"
#include "api/server.h"
#include "lib/base/clock.h"
#include "lib/base/id.h"
#include "lib/base/mem.h"
#include "lib/crypto/hmac.h"
#include "lib/store/gather.h"
#include "lib/store/async.h"
#include "lib/task/repo.h"
#include "lib/task/task.h"

#define BODY_MAX_UNROUTED 65536
#define BODY_MAX_MEANINGLESS 4096
#define HEADERS_OUT_MAX 6144

/* Unique, not secret: a part of this process and a count. */
static void make_request_id(char out[28])
{
    static char process[PJ_ID_SIZE];
    static uint64_t count;

    if (process[0] == '\0')
        pj_id_new(0, process);
    snprintf(out, 28, "%.11s-%llx", process + PJ_ID_LEN - 11, (unsigned long long)++count);
}

/* A client's X-Request-Id is kept when it is a plain word; else we make one. */
static void take_request_id(struct request *req)
{
    struct pj_view given = http_header(&req->head, "x-request-id");
    bool plain = given.n > 0 && given.n < sizeof req->id;

    for (size_t i = 0; plain && i < given.n; i++)
        plain = strchr("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_.",
                       given.p[i]) != NULL &&
                given.p[i] != '\0';
    if (plain)
        memcpy(req->id, given.p, given.n);
    else
        make_request_id(req->id);
}

/* W3C Trace Context, version 00: 00-<32 hex>-<16 hex>-<2 hex>. */
static void take_traceparent(struct request *req)
{
    static const char shape[] = "00-hhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhh-hhhhhhhhhhhhhhhh-hh";
    struct pj_view given = http_header(&req->head, "traceparent");

    if (given.n != sizeof shape - 1)
        return;
    for (size_t i = 0; i < given.n; i++) {
        bool fits = shape[i] == 'h'
                        ? strchr("0123456789abcdef", given.p[i]) != NULL && given.p[i] != '\0'
                        : given.p[i] == shape[i];
        if (!fits)
            return;
    }
    memcpy(req->traceparent, given.p, given.n);
}

/* The caller's bytes move on: keep a copy of them, and of what was found in them, pointing into the copy. */
static void keep_head(struct request *req, const char *raw, const struct http_head *head)
{
    req->raw = pj_strndup(raw, head->size);
    http_head_move(&req->head, head, raw, req->raw);
}

/* Several lines are one list (RFC 9110, 5.3): a proxy may add a line of its own behind what the client wrote. */
static void take_client(struct request *req)
{
    PJ_CLEANUP(pj_str_release) struct pj_str list;

    pj_str_init(&list, HTTP_HEAD_MAX);
    for (size_t i = 0; i < req->head.header_count; i++) {
        const struct http_header *h = &req->head.header[i];
        if (!pj_view_is_nocase(h->name, "x-forwarded-for"))
            continue;
        if (list.len > 0)
            pj_str_putc(&list, ',');
        pj_str_append(&list, h->value.p, h->value.n);
    }
    cidr_client(server_trusted(req->conn->server), req->conn->peer,
                pj_view_n(pj_str_cstr(&list), list.len), req->client);
}

struct request *request_new(struct conn *conn, const char *raw, const struct http_head *head)
{
    struct request *req = pj_alloc(1, sizeof *req);

    req->conn = conn;
    req->api = server_api(conn->server);
    req->started_us = pj_mono_us();
    req->head.minor = 1;
    pj_str_init(&req->body, BODY_MAX_UNROUTED);
    pj_str_init(&req->headers, HEADERS_OUT_MAX);
    memcpy(req->client, conn->peer, sizeof req->client);
    if (head != NULL) {
        keep_head(req, raw, head);
        req->head_only = pj_view_is(req->head.method, "HEAD");
        take_traceparent(req);
    }
    take_request_id(req);
    if (conn->trusted) {
        take_client(req);
        req->secure = pj_view_is(http_header(&req->head, "x-forwarded-proto"), "https");
    }
    return req;
}

void request_free(struct request *req)
{
    if (req->ctx != NULL && req->ctx_free != NULL)
        req->ctx_free(req->ctx);
    free(req->ctx);
    pj_task_free(req->task);
    pj_repo_free(req->repo);
    free(req->raw);
    free(req->idempotency);
    pj_wipe(req->body.data, req->body.len);
    pj_str_release(&req->body);
    pj_str_release(&req->headers);
    free(req);
}

void request_abandon(struct request *req)
{
    bool handled = req->conn->state == CONN_WAIT;

    req->conn = NULL;
    if (!handled) /* still being read: nobody else holds it */
        request_free(req);
}

int request_judge(struct request *req, struct http_refusal *why)
{
    req->route = route_find(req->head.method, req->head.path, req->param, &req->allowed);
    req->body.max = req->route != NULL ? req->route->body_max : BODY_MAX_UNROUTED;
    bool empty = !req->head.chunked && req->head.content_length <= 0;
    if (req->route != NULL && req->route->method == METHOD_GET && !empty) {
        *why = (struct http_refusal){400, "a GET request has no body"};
        return -1;
    }
    if (req->body.max == 0) /* of DELETE: judged once it is there */
        req->body.max = BODY_MAX_MEANINGLESS;
    if (req->head.content_length > (int64_t)req->body.max) {
        *why = (struct http_refusal){413, "the body is larger than this path takes"};
        return -1;
    }
    return 0;
}

int request_feed(struct request *req, const char *p, size_t n, size_t *used,
                 struct http_refusal *why)
{
    *used = 0;
    if (req->head.chunked)
        return http_chunks_feed(&req->chunks, p, n, used, &req->body, why);
    size_t missing =
        req->head.content_length > 0 ? (size_t)req->head.content_length - req->body.len : 0;
    *used = n < missing ? n : missing;
    if (*used > 0 && pj_str_append(&req->body, p, *used) < 0) {
        *why = (struct http_refusal){413, "the body is larger than this path takes"};
        return -1;
    }
    return *used == missing ? 0 : PJ_NONE;
}

void request_refuse(struct request *req, const struct http_refusal *why)
{
    reply_problem(req, why->status, NULL, NULL, "%s", why->detail);
}

static void allow_header(struct request *req)
{
    char list[80] = "OPTIONS";

    for (unsigned bit = METHOD_GET; bit <= METHOD_DELETE; bit <<= 1)
        if ((req->allowed & bit) != 0)
            snprintf(list + strlen(list), sizeof list - strlen(list), ", %s%s", method_name(bit),
                     bit == METHOD_GET ? ", HEAD" : "");
    reply_header(req, "Allow", "%s", list);
}

static void no_route(struct request *req)
{
    if (req->allowed == 0 && !pj_view_is(req->head.path, "*")) {
        reply_problem(req, 404, "not_found", "see /docs for what there is",
                      "there is nothing at this path");
        return;
    }
    allow_header(req);
    if (pj_view_is(req->head.method, "OPTIONS"))
        reply_empty(req, 204);
    else
        reply_problem(req, 405, NULL, NULL, "this path does not take that method");
}

static bool is_json(struct pj_view type)
{
    struct pj_view essence;

    if (!pj_view_cut(&type, ';', &essence))
        return false;
    return pj_view_is_nocase(pj_view_trim(essence), "application/json");
}

/* Also what keeps a form of another page from posting here (Fetch: a simple request has no such type). */
static bool body_is_json(struct request *req)
{
    if (req->body.len == 0 || (req->route->flags & ROUTE_RAW) != 0 ||
        is_json(http_header(&req->head, "content-type")))
        return true;
    reply_problem(req, 415, NULL, "send Content-Type: application/json", "the body must be JSON");
    return false;
}

void request_dispatch(struct request *req)
{
    bool inside = server_metrics_only(req->conn->server);

    if (inside ? req->route == NULL || (req->route->flags & ROUTE_METRICS) == 0
               : req->route != NULL && req->api->metrics_server != NULL &&
                     req->route->scope == SCOPE_METRICS) {
        req->route = NULL; /* PJ_METRICS_LISTEN moved it */
        req->allowed = 0;
    }
    /* Of whom nothing is known the address counts; machines that watch and the page's files are not counted. */
    bool counted = !inside && (req->route == NULL ||
                               (req->route->scope == SCOPE_PUBLIC &&
                                (req->route->flags & (ROUTE_METRICS | ROUTE_PAGE)) == 0));
    if (counted && !request_turn_of_address(req))
        return;
    if (req->route == NULL)
        no_route(req);
    else if (!inside && req->route->scope != SCOPE_PUBLIC)
        auth_request(req);
    else if (body_is_json(req))
        req->route->handle(req);
}

static void handle(struct request *req)
{
    req->route->handle(req);
}

bool request_turn(struct request *req, const char *who, const char *what)
{
    struct limits_verdict v = limits_take(req->api->limits, who);

    if (v.limit > 0)
        reply_header(req, "RateLimit", "\"minute\";r=%lld;t=%lld", (long long)v.remaining,
                     (long long)v.retry_after);
    if (v.allowed)
        return true;
    req->api->metrics.rate_limited++;
    reply_header(req, "Retry-After", "%lld", (long long)v.retry_after);
    reply_problem(req, 429, "rate_limited", "wait as long as Retry-After says",
                  "this %s has made its %lld requests of the minute", what, (long long)v.limit);
    return false;
}

bool request_turn_of_address(struct request *req)
{
    char party[64];

    cidr_party(req->client, party);
    return request_turn(req, party, "address");
}

/* RFC 9110, 9.3.5: content of a DELETE means nothing. Some clients send "{}" with everything; members would be unknown fields. */
static bool body_means_nothing(struct request *req)
{
    return req->route->body_max > 0 || req->body.len == 0 || request_json(req, NULL, 0, NULL) == 0;
}

void request_authorised(struct request *req)
{
    if (!request_turn(req, req->who.token_id, "token"))
        return;
    if (!body_is_json(req) || !body_means_nothing(req))
        return;
    if ((req->route->flags & ROUTE_IDEMPOTENT) != 0)
        idempotency_begin(req, handle);
    else
        handle(req);
}

void *request_ctx(struct request *req, size_t size, void (*ctx_free)(void *ctx))
{
    req->ctx = pj_alloc(1, size);
    req->ctx_free = ctx_free;
    return req->ctx;
}

struct pending {
    struct request *req;
    request_then *then;
};

static void on_redis(void *arg, const struct redisReply *reply, struct pj_err *err)
{
    struct pending *p = arg;
    struct request *req = p->req;
    request_then *then = p->then;

    free(p);
    if (reply != NULL)
        then(req, reply);
    else
        request_store_failed(req, err);
}

void request_store_failed(struct request *req, const struct pj_err *err)
{
    if (err->cls == PJ_E_UNAVAILABLE || err->cls == PJ_E_TIMEOUT || err->cls == PJ_E_CANCELLED ||
        err->cls == PJ_E_AUTH)
        reply_problem(req, 503, err->code[0] != '\0' ? err->code : "store_unavailable",
                      "try again in a moment; the operator finds the cause in /readyz and the log",
                      "%s", err->message);
    else
        reply_err_status(req, 500, err);
}

void request_redis(struct request *req, struct pj_cmd *cmd, request_then *then)
{
    struct pending *p = pj_alloc(1, sizeof *p);

    p->req = req;
    p->then = then;
    pj_aredis_submit(req->api->redis, cmd, on_redis, p);
}

void request_create(struct request *req, const struct pj_task *task, bool execute,
                    request_then *then)
{
    struct pending *p = pj_alloc(1, sizeof *p);

    p->req = req;
    p->then = then;
    pj_gather_create(req->api->gather, task, execute, req->idempotency, on_redis, p);
}

int request_json(struct request *req, const struct pj_field *table, size_t count, void *out)
{
    PJ_CLEANUP(pj_json_decrefp) json_t *doc = NULL;
    struct pj_field_errors faults = {0};
    struct pj_err err;

    if (req->body.len == 0) {
        doc = json_object();
    } else if (pj_json_parse(pj_view_n(req->body.data, req->body.len), &doc, &err) < 0) {
        reply_problem(req, 400, "malformed_json", "send one JSON object", "%s", err.message);
        return -1;
    }
    if (!json_is_object(doc)) {
        reply_problem(req, 400, "malformed_json", "send one JSON object",
                      "the body is not a JSON object");
        return -1;
    }
    if (pj_json_decode(doc, table, count, out, &faults, &err) < 0) {
        reply_faults(req, &faults);
        return -1;
    }
    return 0;
}

int request_query(struct request *req, const char *name, char *out, size_t cap)
{
    struct pj_view raw = http_query(req->head.query, name);

    out[0] = '\0';
    if (raw.p == NULL)
        return PJ_NONE;
    if (http_unescape(raw, true, out, cap) < 0) {
        reply_fault(req, name, "is not a value of at most %zu bytes", cap - 1);
        return -1;
    }
    return 0;
}

int request_query_int(struct request *req, const char *name, int64_t min, int64_t max, int64_t def,
                      int64_t *out)
{
    char text[32];

    *out = def; /* before the request can be answered: `out` may be part of its context */
    int rc = request_query(req, name, text, sizeof text);
    if (rc != 0)
        return rc < 0 ? -1 : 0;
    if (pj_parse_i64(pj_view_of(text), out) < 0 || *out < min || *out > max) {
        reply_fault(req, name, "must be a whole number from %lld to %lld", (long long)min,
                    (long long)max);
        return -1;
    }
    return 0;
}

int request_query_known(struct request *req, const char *const *names)
{
    struct pj_view rest = req->head.query, item, key;
    unsigned seen = 0; /* bits of names[] */

    while (rest.p != NULL && pj_view_cut(&rest, '&', &item)) {
        char name[64];
        size_t i = 0;
        if (item.n == 0 || !pj_view_cut(&item, '=', &key))
            continue;
        while (names[i] != NULL && !pj_view_is(key, names[i]))
            i++;
        if (names[i] != NULL && (seen & 1u << i) == 0) {
            seen |= 1u << i;
            continue;
        }
        if (names[i] != NULL) {
            reply_fault(req, names[i], "is given twice");
            return -1;
        }
        if (http_unescape(key, true, name, sizeof name) < 0)
            snprintf(name, sizeof name, "query");
        reply_fault(req, name, "there is no such query parameter here");
        return -1;
    }
    return 0;
}
