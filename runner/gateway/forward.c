/* forward.c - a foreign agent's request, made ours: our key, our model, our caps; the answer goes back as it comes. Where the
 * provider speaks another format than the agent, convert.c does it. */
#include "runner/gateway/foreign.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/http/backoff.h"
#include "lib/json/codec.h"

#define OUTPUT_TOKENS 32000
#define LLM_TIMEOUT_MS ((int64_t)180 * 1000)
#define STALL_MS ((int64_t)60 * 1000)
#define BODY_MAX ((size_t)32 << 20)
#define ANTHROPIC_VERSION "2023-06-01"
#define SHORT_WAIT_MS ((int64_t)30 * 1000) /* a Retry-After that the client may wait for itself */
#define RATES_MAX 3                        /* rate limits in a row: then the fallback is asked */

/* The answer on its way. */
struct passing {
    struct foreign_call *call;
    struct pj_model_tap *tap;
    struct pj_http_response res;
};

/* Only these of the box's headers go on; and only if they are plain. */
static char *header_of(const struct foreign_call *call, const char *name)
{
    struct pj_view v = http_in_header(call->request, call->in, name);

    for (size_t i = 0; i < v.n; i++)
        if ((unsigned char)v.p[i] < 0x20 || (unsigned char)v.p[i] > 0x7e)
            return NULL;
    return v.n > 0 && v.n < 500 ? pj_strndup(v.p, v.n) : NULL;
}

static int put_head(struct passing *p, struct pj_err *err)
{
    static const char *const kept[] = {"Content-Type", "Retry-After", "X-Request-Id", "Request-Id"};
    struct pj_str head;
    char value[300];
    int rc;

    pj_str_init(&head, 4096);
    (void)pj_str_putf(&head, "HTTP/1.1 %d %s\r\nConnection: close\r\n", p->res.status,
                      p->res.status < 300 ? "OK" : "Upstream");
    for (size_t i = 0; i < PJ_COUNT_OF(kept); i++)
        if (pj_http_header_get(&p->res, kept[i], value, sizeof value))
            (void)pj_str_putf(&head, "%s: %s\r\n", kept[i], value);
    (void)pj_str_puts(&head, "\r\n");
    p->call->answered = true;
    rc = p->call->put(p->call->ctx, pj_str_cstr(&head), head.len, err);
    pj_str_release(&head);
    return rc;
}

static int on_data(void *ctx, const char *bytes, size_t n, struct pj_err *err)
{
    struct passing *p = ctx;

    pj_model_tap_feed(p->tap, bytes, n);
    if (!p->call->answered && put_head(p, err) < 0)
        return -1;
    return p->call->put(p->call->ctx, bytes, n, err);
}

static void cap(json_t *body, enum pj_model_api api, int64_t most)
{
    static const char *const names[] = {"max_tokens", "max_completion_tokens", "max_output_tokens"};
    bool found = false;

    for (size_t i = 0; i < PJ_COUNT_OF(names); i++) {
        const json_t *value = json_object_get(body, names[i]);
        if (!json_is_integer(value))
            continue;
        found = true;
        if (json_integer_value(value) > most)
            json_object_set_new(body, names[i], json_integer(most));
    }
    if (!found && (api == PJ_API_MESSAGES || most < OUTPUT_TOKENS))
        json_object_set_new(body, api == PJ_API_RESPONSES ? "max_output_tokens" : "max_tokens",
                            json_integer(most));
}

static int64_t asked_output(const json_t *body)
{
    int64_t n = pj_json_i64(
        body, "max_tokens",
        pj_json_i64(body, "max_completion_tokens", pj_json_i64(body, "max_output_tokens", 0)));

    return n > 0 && n < OUTPUT_TOKENS ? n : OUTPUT_TOKENS;
}

/* What is ours put into the box's document. */
static int rewrite(struct gateway *gw, const struct foreign_call *call, json_t *body,
                   struct pj_err *err)
{
    const struct pj_price *price = gateway_price(gw, budget_prompt(&gw->budget, call->in->body.n));
    int64_t most = asked_output(body);

    if (budget_reserve(&gw->budget, price, call->in->body.n, &most, err) < 0)
        return -1;
    json_object_set_new(body, "model", json_string(gw->source->model));
    cap(body, call->api, most);
    if (call->api == PJ_API_CHAT && json_is_true(json_object_get(body, "stream")))
        json_object_set_new(body, "stream_options", json_pack("{s:b}", "include_usage", 1));
    return 0;
}

static size_t headers_of(const struct gateway *gw, enum pj_model_api api, char *const given[3],
                         char **bearer, struct pj_http_header *out)
{
    const char *key = gw->source->target.api_key;
    size_t n = 0;

    out[n++] = (struct pj_http_header){"Content-Type", "application/json"};
    out[n++] = (struct pj_http_header){"Accept", given[0] ? given[0] : "*/*"};
    if (api == PJ_API_MESSAGES) {
        out[n++] = (struct pj_http_header){"x-api-key", key};
        out[n++] =
            (struct pj_http_header){"anthropic-version", given[1] ? given[1] : ANTHROPIC_VERSION};
        out[n++] = (struct pj_http_header){"anthropic-beta", given[2]};
    } else if (key) {
        *bearer = pj_asprintf("Bearer %s", key);
        out[n++] = (struct pj_http_header){"Authorization", *bearer};
    }
    return n;
}

/* The transport's failure: the time of a call ends the run (R7.2), the rest only this request. */
static int judge(struct gateway *gw, int64_t own, int64_t left, enum pj_model_fault *fault,
                 struct pj_err *err)
{
    struct pj_err why = *err;

    if (strncmp(why.code, "http_", 5) != 0)
        return -1;
    if (strcmp(why.code, "http_timeout") == 0) {
        pj_model_fail(err, PJ_FAULT_TIMEOUT, &gw->source->target, 0, why.message);
        if (left <= own)
            pj_err_code(err, "task_timeout");
        return -1;
    }
    *fault = PJ_FAULT_SERVICE;
    pj_model_fail(err, PJ_FAULT_SERVICE, &gw->source->target, 0, why.message);
    return PJ_NONE;
}

/* A refusal: which fault it is. */
static enum pj_model_fault judge_status(struct gateway *gw, const struct pj_http_response *res,
                                        struct pj_err *err)
{
    PJ_CLEANUP(pj_json_decrefp) json_t *doc = NULL;
    struct pj_model_error_doc words = {0};
    struct pj_err ignored;
    enum pj_model_fault fault;

    if (pj_json_parse(pj_view_n(pj_str_cstr(&res->body), res->body.len), &doc, &ignored) == 0)
        (void)pj_model_error_read(doc, &words);
    fault = pj_model_fault_of(res->status, &words);
    pj_model_fail(err, fault, &gw->source->target, res->status, words.message);
    return fault;
}

/* What did not stream: refusals. Some providers say the key back in them. */
static int finish_answer(struct gateway *gw, struct passing *p, struct pj_err *err)
{
    PJ_CLEANUP(pj_freep) char *masked = NULL;

    if (!p->call->answered && put_head(p, err) < 0)
        return -1;
    if (p->res.body.len == 0)
        return 0;
    masked = gateway_masked(gw, pj_str_cstr(&p->res.body), BODY_MAX);
    return p->call->put(p->call->ctx, masked, strlen(masked), err);
}

/* Count and write down what the call cost, whatever became of it. */
static int settle(struct gateway *gw, struct passing *p, size_t sent, int64_t started_ms,
                  const struct pj_err *failed, struct pj_err *err)
{
    struct pj_model_turn turn = {.usage = pj_model_tap_usage(p->tap, sent)};
    char id[200];

    if (pj_http_header_get(&p->res, "x-request-id", id, sizeof id) ||
        pj_http_header_get(&p->res, "request-id", id, sizeof id))
        turn.request_id = id;
    gateway_settle(gw, p->call->in->body.n, &turn.usage); /* measured as it is reserved for */
    return gateway_note_call(gw, &turn, started_ms, p->res.total_ms, failed, err);
}

/* The answer of `p`, given back; or the fallback's turn. `rc` is the transport's, judged. */
static int end_of(struct gateway *gw, struct passing *p, int rc, enum pj_model_fault fault,
                  const struct pj_err *why, struct pj_err *err)
{
    if (rc < 0)
        return -1;
    if (fault == PJ_FAULT_NONE)
        gw->rates = 0;
    else if (foreign_falls_back(gw, p->call, fault, pj_retry_after_ms(&p->res), why))
        return FOREIGN_AGAIN;
    if (rc == PJ_NONE) /* too late for another answer when one has begun: the box sees the cut */
        return p->call->answered ? 0 : PJ_NONE;
    return finish_answer(gw, p, err);
}

static int send_on(struct gateway *gw, struct foreign_call *call, const char *text,
                   const struct pj_pump *pump, int *status, struct pj_err *err)
{
    char *given[3] = {header_of(call, "accept"), header_of(call, "anthropic-version"),
                      header_of(call, "anthropic-beta")};
    PJ_CLEANUP(pj_freep) char *url = pj_model_url(gw->source->target.base_url, call->upstream);
    PJ_CLEANUP(pj_freep) char *bearer = NULL;
    struct pj_http_header headers[5];
    int64_t own = gw->config.llm_timeout_ms > 0 ? gw->config.llm_timeout_ms : LLM_TIMEOUT_MS;
    int64_t left = budget_left_ms(&gw->budget), started_ms = pj_now_ms();
    struct passing p = {.call = call, .tap = pj_model_tap_new(call->api)};
    struct pj_http_request req = {.method = "POST",
                                  .url = url,
                                  .headers = headers,
                                  .body = text,
                                  .body_len = strlen(text),
                                  .allow_plain = strncmp(url, "http://", 7) == 0,
                                  .max_body = BODY_MAX,
                                  .timeout_ms = own < left ? own : left,
                                  .stall_ms =
                                      gw->config.stall_ms > 0 ? gw->config.stall_ms : STALL_MS,
                                  .pump = pump,
                                  .on_data = on_data,
                                  .on_data_ctx = &p};
    enum pj_model_fault fault = PJ_FAULT_NONE;
    struct pj_err noted, why;
    int rc;

    req.header_count = headers_of(gw, call->api, given, &bearer, headers);
    rc = pj_http_do(gw->http, &req, &p.res, err);
    if (rc < 0)
        rc = judge(gw, own, left, &fault, err);
    else if (p.res.status >= 300)
        fault = judge_status(gw, &p.res, err);
    why = *err;
    *status = 502;
    if (settle(gw, &p, req.body_len, started_ms, rc != 0 || fault != PJ_FAULT_NONE ? &why : NULL,
               rc < 0 ? &noted : err) < 0)
        rc = -1;
    rc = end_of(gw, &p, rc, fault, &why, err);
    if (rc == PJ_NONE)
        *err = why;
    if (bearer)
        pj_wipe(bearer, strlen(bearer));
    for (size_t i = 0; i < PJ_COUNT_OF(given); i++)
        free(given[i]);
    pj_model_tap_free(p.tap);
    pj_http_response_release(&p.res);
    return rc;
}

bool foreign_falls_back(struct gateway *gw, const struct foreign_call *call,
                        enum pj_model_fault fault, int64_t retry_after_ms, const struct pj_err *why)
{
    gw->rates = fault == PJ_FAULT_RATE ? gw->rates + 1 : 0;
    if (call->answered || !gateway_has_fallback(gw) || !pj_model_fault_fallback(fault) ||
        (fault == PJ_FAULT_RATE && retry_after_ms <= SHORT_WAIT_MS && gw->rates < RATES_MAX))
        return false;
    gateway_fall_back(gw, why);
    return true;
}

/* Does the provider in use speak the client's format? OpenAI's own host has both of its formats; of others only the one that
 * OPENAI_API names is sure. */
static bool speaks(const struct gateway_source *source, enum pj_model_api api)
{
    enum pj_model_api on_own_host = PJ_API_CHAT;
    struct pj_err ignored;

    if (source->replay)
        return false;
    if (source->target.api == api)
        return true;
    return source->target.api != PJ_API_MESSAGES && api != PJ_API_MESSAGES &&
           pj_model_openai_api("auto", source->target.base_url, &on_own_host, &ignored) == 0 &&
           on_own_host == PJ_API_RESPONSES;
}

static int pass(struct gateway *gw, struct foreign_call *call, json_t *body,
                const struct pj_pump *pump, int *status, struct pj_err *err)
{
    PJ_CLEANUP(pj_freep) char *text = NULL;
    size_t dropped = 0;

    foreign_sift(call->api, body, &dropped);
    foreign_say_dropped(gw, dropped);
    if (rewrite(gw, call, body, err) < 0)
        return -1;
    text = pj_json_text(body);
    return send_on(gw, call, text, pump, status, err);
}

int foreign_forward(struct gateway *gw, struct foreign_call *call, const struct pj_pump *pump,
                    int *status, struct pj_err *err)
{
    PJ_CLEANUP(pj_json_decrefp) json_t *body = NULL;
    int rc;

    *status = 400;
    if (pj_json_parse(call->in->body, &body, err) < 0)
        return PJ_NONE;
    if (!json_is_object(body)) {
        (void)pj_fail(err, PJ_E_INVALID, "the body is no JSON object");
        return PJ_NONE;
    }
    if (foreign_refuse_refs(call->api, body, err) < 0)
        return PJ_NONE;
    if (budget_turn(&gw->budget, err) < 0)
        return -1;
    do
        rc = speaks(gw->source, call->api) ? pass(gw, call, body, pump, status, err)
                                           : foreign_convert(gw, call, body, pump, status, err);
    while (rc == FOREIGN_AGAIN);
    return rc < 0 && strcmp(err->code, FOREIGN_GONE) == 0 ? 0 : rc;
}
