#include "api/reply.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "api/api.h"
#include "api/conn.h"
#include "api/gzip.h"
#include "api/idempotency.h"
#include "api/metrics.h"
#include "api/routes.h"
#include "api/server.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/crypto/hmac.h"

#define HEAD_OUT_MAX 8192
#define PACK_MIN 1400
#define PACK_MAX (1024 * 1024)
#define PROBLEM_MAX 65536 /* what goes in is bounded: a path, a detail, 16 faults */

static const struct reason {
    int status;
    const char *text;
    const char *code; /* of a refusal that names none */
} reasons[] = {
    {200, "OK", ""},
    {201, "Created", ""},
    {202, "Accepted", ""},
    {204, "No Content", ""},
    {304, "Not Modified", ""},
    {400, "Bad Request", "bad_request"},
    {401, "Unauthorized", "unauthorized"},
    {403, "Forbidden", "forbidden"},
    {404, "Not Found", "not_found"},
    {405, "Method Not Allowed", "method_not_allowed"},
    {408, "Request Timeout", "request_timeout"},
    {409, "Conflict", "conflict"},
    {410, "Gone", "gone"},
    {413, "Content Too Large", "body_too_large"},
    {414, "URI Too Long", "target_too_long"},
    {415, "Unsupported Media Type", "unsupported_media_type"},
    {417, "Expectation Failed", "expectation_failed"},
    {422, "Unprocessable Content", "unprocessable"},
    {429, "Too Many Requests", "rate_limited"},
    {431, "Request Header Fields Too Large", "head_too_large"},
    {500, "Internal Server Error", "internal"},
    {501, "Not Implemented", "transfer_coding_unknown"},
    {502, "Bad Gateway", "protocol"},
    {503, "Service Unavailable", "unavailable"},
    {504, "Gateway Timeout", "timeout"},
    {505, "HTTP Version Not Supported", "http_version"},
};

static const struct reason *reason_of(int status)
{
    for (size_t i = 0; i < PJ_COUNT_OF(reasons); i++)
        if (reasons[i].status == status)
            return &reasons[i];
    return &reasons[PJ_COUNT_OF(reasons) - 6]; /* 500 */
}

const char *http_reason(int status)
{
    return reason_of(status)->text;
}

void reply_header(struct request *req, const char *name, const char *fmt, ...)
{
    va_list ap;

    pj_str_putf(&req->headers, "%s: ", name);
    va_start(ap, fmt);
    pj_str_vputf(&req->headers, fmt, ap);
    va_end(ap);
    pj_str_puts(&req->headers, "\r\n");
}

/* Changes once a second, is asked for a hundred thousand times. */
static const char *http_date(void)
{
    static char text[40];
    static time_t made;
    time_t now = (time_t)(pj_now_ms() / 1000);
    struct tm tm;

    if (now != made || text[0] == '\0') {
        made = now;
        gmtime_r(&now, &tm);
        strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &tm);
    }
    return text;
}

static void log_access(const struct request *req, int status, size_t bytes)
{
    char path[256], ms[24];

    if (!pj_log_enabled(PJ_LOG_INFO))
        return;
    snprintf(path, sizeof path, "%.*s", (int)(req->head.path.n < 250 ? req->head.path.n : 250),
             req->head.path.n > 0 ? req->head.path.p : "");
    int64_t us = pj_mono_us() - req->started_us;
    snprintf(ms, sizeof ms, "%lld.%03lld", (long long)(us / 1000), (long long)(us % 1000));
    char method[HTTP_METHOD_MAX + 1];
    snprintf(method, sizeof method, "%.*s",
             (int)(req->head.method.n < sizeof method ? req->head.method.n : 0),
             req->head.method.n > 0 ? req->head.method.p : "");
    pj_log(PJ_LOG_INFO, "http_request", "method", method, "path", path, "status", PJ_I64(status),
           "bytes", PJ_I64((int64_t)bytes), "ms", ms, "client", req->client, "userId",
           req->who.user_id[0] != '\0' ? req->who.user_id : NULL, "requestId", req->id,
           "traceparent", req->traceparent[0] != '\0' ? req->traceparent : NULL, NULL);
}

/* Digits of n, without a NUL: a head is written a hundred thousand times a second, and printf would be a tenth of its cost. */
static size_t put_decimal(char out[24], size_t n)
{
    char reversed[24];
    size_t count = 0;

    do {
        reversed[count++] = (char)('0' + n % 10);
        n /= 10;
    } while (n > 0);
    for (size_t i = 0; i < count; i++)
        out[i] = reversed[count - 1 - i];
    return count;
}

/* The head of an answer; `n` < 0: no length (a stream). */
static void build_head(struct request *req, struct pj_str *head, int status, const char *type,
                       ssize_t n, bool close)
{
    char number[24];

    pj_str_puts(head, "HTTP/1.1 ");
    pj_str_append(head, number, put_decimal(number, (size_t)status));
    pj_str_putc(head, ' ');
    pj_str_puts(head, http_reason(status));
    pj_str_puts(head, "\r\nDate: ");
    pj_str_puts(head, http_date());
    pj_str_puts(head, "\r\nX-Request-Id: ");
    pj_str_puts(head, req->id);
    if (type != NULL) {
        pj_str_puts(head, "\r\nContent-Type: ");
        pj_str_puts(head, type);
        pj_str_puts(head, "\r\nX-Content-Type-Options: nosniff");
    }
    if (n >= 0 && status != 204 && status != 304) {
        pj_str_puts(head, "\r\nContent-Length: ");
        pj_str_append(head, number, put_decimal(number, (size_t)n));
    }
    pj_str_puts(head, "\r\n");
    if (memmem(req->headers.data != NULL ? req->headers.data : "", req->headers.len,
               "Cache-Control:", 14) == NULL)
        pj_str_puts(head, "Cache-Control: no-store\r\n");
    if (close)
        pj_str_puts(head, "Connection: close\r\n");
    else if (req->head.minor == 0)
        pj_str_puts(head, "Connection: keep-alive\r\n");
    if (req->headers.len > 0)
        pj_str_append(head, req->headers.data, req->headers.len);
    pj_str_puts(head, "\r\n");
}

/* Larger JSON, for clients that take gzip. Below a packet it saves nothing, above a megabyte it would hold the loop up. */
static void pack(struct request *req, const char *type, char **bytes, size_t *n)
{
    char *packed;
    size_t packed_n;

    if (type == NULL || strcmp(type, "application/json") != 0 || *n < PACK_MIN || *n > PACK_MAX)
        return;
    reply_header(req, "Vary", "Accept-Encoding");
    if (!gzip_accepted(http_header(&req->head, "accept-encoding")) ||
        !gzip_pack(*bytes, *n, 1, &packed, &packed_n))
        return;
    reply_header(req, "Content-Encoding", "gzip");
    free(*bytes);
    *bytes = packed;
    *n = packed_n;
}

static void deliver(struct request *req, int status, const char *type, char *bytes, size_t n)
{
    log_access(req, status, n);
    metrics_request(&req->api->metrics, status, pj_mono_us() - req->started_us);
    struct conn *conn = req->conn;
    if (conn == NULL) {
        free(bytes);
        request_free(req);
        return;
    }
    struct pj_str head;
    pj_str_init(&head, HEAD_OUT_MAX);
    if (server_draining(conn->server))
        conn->close_after = true;
    pack(req, type, &bytes, &n);
    bool unknown = req->head_only && bytes == NULL; /* HEAD of what GET gives without a length */
    build_head(req, &head, status, type, unknown ? -1 : (ssize_t)n, conn->close_after);
    if (req->head_only || status == 304 || status == 204) {
        free(bytes);
        bytes = NULL;
        n = 0;
    }
    req->conn = NULL;
    request_free(req);
    conn_answer(conn, &head, bytes, n);
    pj_str_release(&head);
}

/* An answer that waits until it is kept for its Idempotency-Key. */
struct held {
    struct request *req;
    int status;
    const char *type; /* constant */
    char *bytes;
    size_t n;
};

static void on_kept(void *arg)
{
    const struct held h = *(struct held *)arg;

    free(arg);
    deliver(h.req, h.status, h.type, h.bytes, h.n);
}

static void send_reply(struct request *req, int status, const char *type, char *bytes, size_t n)
{
    struct held *h;

    if (req->idempotency == NULL) {
        deliver(req, status, type, bytes, n);
        return;
    }
    h = pj_alloc(1, sizeof *h);
    *h = (struct held){req, status, type, bytes, n};
    idempotency_finish(req, status, type, bytes, n, on_kept, h);
}

void reply_bytes(struct request *req, int status, const char *type, char *bytes, size_t n)
{
    send_reply(req, status, type, bytes, n);
}

void reply_empty(struct request *req, int status)
{
    send_reply(req, status, NULL, NULL, 0);
}

void reply_json(struct request *req, int status, json_t *doc)
{
    char *text = pj_json_text(doc);

    json_decref(doc);
    send_reply(req, status, "application/json", text, strlen(text));
}

/* True when If-None-Match names this tag (RFC 9110, 13.1.2: weak comparison). */
static bool client_has(const struct request *req, const char *etag)
{
    struct pj_view rest = http_header(&req->head, "if-none-match"), item;

    while (rest.p != NULL && pj_view_cut(&rest, ',', &item)) {
        item = pj_view_trim(item);
        if (pj_view_starts(item, "W/"))
            item = pj_view_n(item.p + 2, item.n - 2);
        if (pj_view_is(item, etag) || pj_view_is(item, "*"))
            return true;
    }
    return false;
}

void reply_json_etag(struct request *req, json_t *doc)
{
    char hex[65], etag[40];
    char *text = pj_json_text(doc);
    size_t n = strlen(text);

    json_decref(doc);
    pj_sha256_hex(text, n, hex);
    snprintf(etag, sizeof etag, "\"%.32s\"", hex);
    reply_header(req, "ETag", "W/%s", etag);
    reply_header(req, "Cache-Control", "private, no-cache");
    if (client_has(req, etag)) {
        free(text);
        send_reply(req, 304, NULL, NULL, 0);
        return;
    }
    send_reply(req, 200, "application/json", text, n);
}

void reply_static(struct request *req, const char *type, const char *etag, const void *bytes,
                  size_t n)
{
    if (etag != NULL) {
        reply_header(req, "ETag", "W/%s", etag);
        reply_header(req, "Cache-Control", "no-cache");
        if (client_has(req, etag)) {
            send_reply(req, 304, NULL, NULL, 0);
            return;
        }
    }
    char *copy = pj_alloc(n + 1, 1);
    memcpy(copy, bytes, n);
    send_reply(req, 200, type, copy, n);
}

static void put_member(struct pj_str *out, const char *name, struct pj_view value)
{
    pj_str_putc(out, ',');
    pj_str_putc(out, '"');
    pj_str_puts(out, name);
    pj_str_puts(out, "\":");
    pj_json_quote(out, value);
}

/* The document without its closing brace, so that members can follow. Written by hand: it is the answer to every stray request. */
static void problem_open(struct pj_str *out, const struct request *req, int status,
                         const char *code, const char *remedy, const char *detail)
{
    const struct reason *reason = reason_of(status);
    char digits[24];

    if (code == NULL || code[0] == '\0')
        code = reason->code;
    pj_str_init(out, PROBLEM_MAX);
    pj_str_puts(out, "{\"type\":\"urn:pithy-jaunt:problem:");
    pj_str_puts(out, code); /* a word of ours */
    pj_str_puts(out, "\",\"title\":\"");
    pj_str_puts(out, reason->text);
    pj_str_puts(out, "\",\"status\":");
    pj_str_append(out, digits, put_decimal(digits, (size_t)status));
    put_member(out, "detail", pj_view_of(detail));
    put_member(out, "instance", req->head.path.n > 0 ? req->head.path : pj_view_of(""));
    put_member(out, "code", pj_view_of(code));
    if (remedy != NULL && remedy[0] != '\0')
        put_member(out, "remedy", pj_view_of(remedy));
    put_member(out, "requestId", pj_view_of(req->id));
}

static void problem_close(struct request *req, int status, struct pj_str *doc)
{
    pj_str_putc(doc, '}');
    size_t n = doc->len;
    char *text = pj_str_take(doc);

    if (status >= 500)
        pj_log(PJ_LOG_WARN, "http_error", "requestId", req->id, "problem", text, NULL);
    if (status == 401)
        reply_header(req, "WWW-Authenticate", "Bearer realm=\"pithy-jaunt\"");
    if (status == 503)
        reply_header(req, "Retry-After", "1");
    send_reply(req, status, "application/problem+json", text, n);
}

void reply_problem(struct request *req, int status, const char *code, const char *remedy,
                   const char *fmt, ...)
{
    struct pj_str doc;
    char detail[1200];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(detail, sizeof detail, fmt, ap);
    va_end(ap);
    problem_open(&doc, req, status, code, remedy, detail);
    problem_close(req, status, &doc);
}

void reply_problem_members(struct request *req, int status, const char *code, json_t *members,
                           const char *fmt, ...)
{
    PJ_CLEANUP(pj_freep) char *more = pj_json_text(members);
    struct pj_str doc;
    char detail[1200];
    va_list ap;

    json_decref(members);
    va_start(ap, fmt);
    vsnprintf(detail, sizeof detail, fmt, ap);
    va_end(ap);
    problem_open(&doc, req, status, code, NULL, detail);
    more[0] = ','; /* "{…}" */
    pj_str_append(&doc, more, strlen(more) - 1);
    problem_close(req, status, &doc);
}

void reply_err_status(struct request *req, int status, const struct pj_err *err)
{
    reply_problem(req, status, pj_err_code_of(err), err->remedy, "%s", err->message);
}

void reply_err(struct request *req, const struct pj_err *err)
{
    reply_err_status(req, pj_err_http_status(err->cls), err);
}

void reply_faults(struct request *req, const struct pj_field_errors *faults)
{
    char detail[320];
    const struct pj_field_error *first = &faults->item[0];

    snprintf(detail, sizeof detail, "%s: %s", first->field, first->detail);
    struct pj_str doc;
    problem_open(&doc, req, 400, "invalid_fields", "correct the fields listed under errors",
                 detail);
    pj_str_puts(&doc, ",\"errors\":[");
    for (size_t i = 0; i < faults->count; i++) {
        pj_str_puts(&doc, i == 0 ? "{\"field\":" : ",{\"field\":");
        pj_json_quote(&doc, pj_view_of(faults->item[i].field));
        put_member(&doc, "detail", pj_view_of(faults->item[i].detail));
        pj_str_putc(&doc, '}');
    }
    pj_str_putc(&doc, ']');
    problem_close(req, 400, &doc);
}

void reply_fault(struct request *req, const char *field, const char *fmt, ...)
{
    struct pj_field_errors faults = {.count = 1};
    va_list ap;

    snprintf(faults.item[0].field, sizeof faults.item[0].field, "%s", field);
    va_start(ap, fmt);
    vsnprintf(faults.item[0].detail, sizeof faults.item[0].detail, fmt, ap);
    va_end(ap);
    reply_faults(req, &faults);
}

void reply_not_found(struct request *req, const char *what)
{
    reply_problem(req, 404, "not_found", NULL, "there is no such %s", what);
}

struct conn *reply_stream(struct request *req, const char *type, bool chunked, bool beats,
                          const struct stream_ops *ops, void *arg)
{
    struct conn *conn = req->conn;
    struct pj_str head;

    log_access(req, 200, 0);
    metrics_request(&req->api->metrics, 200, pj_mono_us() - req->started_us);
    if (conn == NULL) {
        request_free(req);
        return NULL;
    }
    chunked = chunked && req->head.minor == 1;
    if (chunked)
        reply_header(req, "Transfer-Encoding", "chunked");
    if (beats)
        reply_header(req, "X-Accel-Buffering", "no");
    pj_str_init(&head, HEAD_OUT_MAX);
    build_head(req, &head, 200, type, -1, true);
    req->conn = NULL;
    request_free(req);
    conn_stream_begin(conn, &head, chunked, beats, ops, arg);
    pj_str_release(&head);
    if (beats && server_draining(conn->server)) /* those that were open have been told */
        conn_stream_end(conn);
    return conn;
}
