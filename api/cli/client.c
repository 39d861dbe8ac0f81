#include "api/cli/client.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include "lib/base/mem.h"
#include "lib/http/client.h"
#include "lib/json/codec.h"

#define BODY_MAX (64u * 1024 * 1024)
#define STREAM_MAX ((size_t)1 << 40)
#define CALL_MS 120000
#define STREAM_MS (INT64_C(7) * 24 * 3600 * 1000)
#define STALL_MS 60000 /* four heartbeats of the stream */

struct client {
    struct pj_http *http;
    char *url;           /* without a slash at its end */
    char *authorization; /* NULL without a token */
    const struct pj_pump *pump;
};

struct client *client_new(const char *url, const char *token, const char *ca_file)
{
    struct client *c = pj_alloc(1, sizeof *c);
    size_t n = strlen(url);

    while (n > 0 && url[n - 1] == '/')
        n--;
    c->url = pj_strndup(url, n);
    c->authorization = token ? pj_asprintf("Bearer %s", token) : NULL;
    c->http = pj_http_new(ca_file);
    return c;
}

void client_free(struct client *c)
{
    if (!c)
        return;
    pj_http_free(c->http);
    if (c->authorization)
        pj_wipe(c->authorization, strlen(c->authorization));
    free(c->authorization);
    free(c->url);
    free(c);
}

int client_of(struct cli *cli, struct client **out, struct pj_err *err)
{
    if (!cli->settings.token) {
        (void)pj_fail(err, PJ_E_AUTH, "no token for %s", cli->settings.url);
        return pj_err_remedy(err, "run `pj login`, or set PJ_TOKEN");
    }
    if (!cli->client)
        cli->client = client_new(cli->settings.url, cli->settings.token, cli->settings.ca_file);
    *out = cli->client;
    return 0;
}

void client_set_pump(struct client *c, const struct pj_pump *pump)
{
    c->pump = pump;
}

const struct pj_pump *client_pump(const struct client *c)
{
    return c->pump;
}

const char *client_url(const struct client *c)
{
    return c->url;
}

static enum pj_err_class class_of_status(int status)
{
    static const struct {
        int status;
        enum pj_err_class cls;
    } table[] = {
        {400, PJ_E_INVALID}, {401, PJ_E_AUTH},     {403, PJ_E_AUTH},        {404, PJ_E_NOT_FOUND},
        {408, PJ_E_TIMEOUT}, {409, PJ_E_CONFLICT}, {410, PJ_E_NOT_FOUND},   {413, PJ_E_LIMIT},
        {422, PJ_E_LIMIT},   {429, PJ_E_RATE},     {502, PJ_E_UNAVAILABLE}, {503, PJ_E_UNAVAILABLE},
        {504, PJ_E_TIMEOUT},
    };

    for (size_t i = 0; i < PJ_COUNT_OF(table); i++)
        if (table[i].status == status)
            return table[i].cls;
    return status >= 500 ? PJ_E_INTERNAL : PJ_E_INVALID;
}

/* A problem document (RFC 9457), or whatever came instead. */
static int fail_of_answer(const struct pj_http_response *res, struct pj_err *err)
{
    PJ_CLEANUP(pj_json_decrefp) json_t *doc = NULL;
    struct pj_err ignored = {0};
    enum pj_err_class cls = class_of_status(res->status);
    const json_t *faults;
    size_t i;
    json_t *fault;

    if (pj_json_parse(pj_view_n(pj_str_cstr(&res->body), res->body.len), &doc, &ignored) < 0 ||
        !json_is_object(doc))
        return pj_fail(err, cls, "the API answered %d without a problem document", res->status);
    const char *detail = pj_json_str(doc, "detail", pj_json_str(doc, "title", "refused"));
    (void)pj_fail(err, cls, "%s", detail);
    faults = json_object_get(doc, "errors");
    json_array_foreach(faults, i, fault)
    {
        size_t n = strlen(err->message);

        if (strstr(detail, pj_json_str(fault, "detail", "?")))
            continue;
        (void)snprintf(err->message + n, sizeof err->message - n, "; %s: %s",
                       pj_json_str(fault, "field", "?"), pj_json_str(fault, "detail", "?"));
    }
    (void)pj_err_code(err, pj_json_str(doc, "code", ""));
    /* Some remedies are for those who write requests by hand. */
    const char *remedy = pj_json_str(doc, "remedy", NULL);
    if (res->status == 401)
        (void)pj_err_remedy(err, "run `pj login`, or set PJ_TOKEN");
    else if (remedy && json_array_size(faults) == 0)
        (void)pj_err_remedy(err, "%s", remedy);
    return -1;
}

static int unreachable(const struct client *c, struct pj_err *err)
{
    if (strcmp(err->code, "http_connect") == 0 || strcmp(err->code, "http_resolve") == 0)
        (void)pj_err_remedy(err, "is pj-api running at %s? set PJ_URL or run `pj login --url …`",
                            c->url);
    return -1;
}

struct exchange {
    const char *method, *path, *accept, *last_event_id;
    const char *body;
    size_t body_len;
    int64_t timeout_ms, stall_ms;
    size_t max_body;
    int (*on_data)(void *, const char *, size_t, struct pj_err *);
    void *ctx;
};

static int send_request(struct client *c, const struct exchange *x, struct pj_http_response *res,
                        struct pj_err *err)
{
    PJ_CLEANUP(pj_freep) char *url = pj_asprintf("%s%s", c->url, x->path);
    const struct pj_http_header headers[] = {
        {"Accept", x->accept},
        {"Authorization", c->authorization},
        {"Content-Type", x->body ? "application/json" : NULL},
        {"Last-Event-ID", x->last_event_id},
        {"User-Agent", "pj/" PJ_VERSION},
    };
    const struct pj_http_request req = {
        .method = x->method,
        .url = url,
        .headers = headers,
        .header_count = PJ_COUNT_OF(headers),
        .body = x->body,
        .body_len = x->body_len,
        .allow_plain = true,
        .max_body = x->max_body,
        .timeout_ms = x->timeout_ms,
        .stall_ms = x->stall_ms,
        .pump = c->pump,
        .on_data = x->on_data,
        .on_data_ctx = x->ctx,
    };

    if (pj_http_do(c->http, &req, res, err) < 0)
        return unreachable(c, err);
    return 0;
}

int client_call(struct client *c, const char *method, const char *path, const json_t *body,
                json_t **out, struct pj_err *err)
{
    PJ_CLEANUP(pj_freep) char *text = body ? pj_json_text(body) : NULL;
    PJ_CLEANUP(pj_freep) char *full = pj_asprintf("/api/v1%s", path);
    PJ_CLEANUP(pj_http_response_release) struct pj_http_response res = {0};
    const struct exchange x = {.method = method,
                               .path = full,
                               .accept = "application/json",
                               .body = text,
                               .body_len = text ? strlen(text) : 0,
                               .timeout_ms = CALL_MS,
                               .max_body = BODY_MAX};

    if (send_request(c, &x, &res, err) < 0)
        return -1;
    if (res.status < 200 || res.status > 299)
        return fail_of_answer(&res, err);
    if (!out)
        return 0;
    if (res.body.len == 0) {
        *out = json_null();
        return 0;
    }
    if (pj_json_parse(pj_view_n(res.body.data, res.body.len), out, err) < 0)
        return pj_err_wrap(err, "answer of %s %s", method, path);
    return 0;
}

int client_text(struct client *c, const char *path, const char *accept, struct pj_str *out,
                struct pj_err *err)
{
    PJ_CLEANUP(pj_freep) char *full = pj_asprintf("/api/v1%s", path);
    PJ_CLEANUP(pj_http_response_release) struct pj_http_response res = {0};
    const struct exchange x = {.method = "GET",
                               .path = full,
                               .accept = accept,
                               .timeout_ms = CALL_MS,
                               .max_body = BODY_MAX};

    if (send_request(c, &x, &res, err) < 0)
        return -1;
    if (res.status < 200 || res.status > 299)
        return fail_of_answer(&res, err);
    if (pj_str_append(out, pj_str_cstr(&res.body), res.body.len) < 0)
        return pj_fail(err, PJ_E_LIMIT, "the answer is larger than %zu bytes", out->max);
    return 0;
}

int client_list(struct client *c, const char *path, size_t max, json_t **items, struct pj_err *err)
{
    PJ_CLEANUP(pj_json_decrefp) json_t *all = json_array();
    PJ_CLEANUP(pj_freep) char *cursor = NULL;
    char mark = strchr(path, '?') ? '&' : '?';

    for (;;) {
        PJ_CLEANUP(pj_freep) char *quoted = cursor ? client_quote(cursor) : NULL;
        PJ_CLEANUP(pj_freep)
        char *full = quoted ? pj_asprintf("%s%ccursor=%s", path, mark, quoted) : pj_strdup(path);
        PJ_CLEANUP(pj_json_decrefp) json_t *page = NULL;

        if (client_call(c, "GET", full, NULL, &page, err) < 0)
            return -1;
        json_array_extend(all, json_object_get(page, "items"));
        const char *next = pj_json_str(page, "nextCursor", NULL);
        if (!next || json_array_size(all) >= max)
            break;
        pj_str_set(&cursor, next);
    }
    while (json_array_size(all) > max)
        json_array_remove(all, json_array_size(all) - 1);
    *items = all;
    all = NULL;
    return 0;
}

int client_stream(struct client *c, const char *path, const char *last_event_id,
                  int (*on_data)(void *, const char *, size_t, struct pj_err *), void *ctx,
                  int *status, struct pj_err *err)
{
    PJ_CLEANUP(pj_freep) char *full = pj_asprintf("/api/v1%s", path);
    PJ_CLEANUP(pj_http_response_release) struct pj_http_response res = {0};
    const struct exchange x = {.method = "GET",
                               .path = full,
                               .accept = "text/event-stream",
                               .last_event_id = last_event_id,
                               .timeout_ms = STREAM_MS,
                               .stall_ms = STALL_MS,
                               .max_body = STREAM_MAX,
                               .on_data = on_data,
                               .ctx = ctx};

    int rc = send_request(c, &x, &res, err);
    *status = res.status;
    if (rc < 0)
        return -1;
    return res.status >= 200 && res.status <= 299 ? 0 : fail_of_answer(&res, err);
}

int client_alive(struct client *c, struct pj_err *err)
{
    PJ_CLEANUP(pj_http_response_release) struct pj_http_response res = {0};
    const struct exchange x = {
        .method = "GET", .path = "/livez", .timeout_ms = 10000, .max_body = BODY_MAX};

    return send_request(c, &x, &res, err);
}

int client_pause(struct client *c, int64_t ms, struct pj_err *err)
{
    return pj_http_pause(ms, c->pump, err);
}

char *client_quote(const char *text)
{
    struct pj_str out;

    pj_str_init(&out, strlen(text) * 3 + 1);
    for (; *text; text++) {
        unsigned char ch = (unsigned char)*text;

        if (isalnum(ch) || strchr("-._~", ch))
            pj_str_putc(&out, (char)ch);
        else
            pj_str_putf(&out, "%%%02X", ch);
    }
    return pj_str_take(&out);
}
