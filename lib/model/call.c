#include "lib/model/intake.h"

#include <stdlib.h>
#include <string.h>
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/http/backoff.h"
#include "lib/json/codec.h"

#define MAX_BODY ((size_t)32 << 20)
#define ADAPT_MAX 4
#define UPSTREAM_TEXT_MAX 2000
#define ANTHROPIC_VERSION "2023-06-01"

const char *pj_model_api_word(enum pj_model_api api)
{
    static const char *const word[] = {"chat", "responses", "messages"};
    return word[api];
}

int pj_model_openai_api(const char *word, const char *base_url, enum pj_model_api *out,
                        struct pj_err *err)
{
    const char *host = strstr(base_url, "://");

    if (!word || !*word || strcmp(word, "auto") == 0)
        *out = host && strncmp(host, "://api.openai.com", 17) == 0 && strchr("/:?", host[17])
                   ? PJ_API_RESPONSES
                   : PJ_API_CHAT;
    else if (strcmp(word, "chat") == 0)
        *out = PJ_API_CHAT;
    else if (strcmp(word, "responses") == 0)
        *out = PJ_API_RESPONSES;
    else
        return pj_fail(err, PJ_E_INVALID, "OPENAI_API is \"%s\", not auto, chat or responses",
                       word);
    return 0;
}

int64_t pj_model_estimate_tokens(size_t bytes)
{
    return (int64_t)(bytes / 3 + 1);
}

void pj_model_turn_release(struct pj_model_turn *turn)
{
    free(turn->text);
    json_decref(turn->calls);
    json_decref(turn->raw);
    free(turn->request_id);
    memset(turn, 0, sizeof *turn);
}

void pj_model_failure_release(struct pj_model_failure *failure)
{
    free(failure->message);
    memset(failure, 0, sizeof *failure);
}

char *pj_model_url(const char *base, const char *path)
{
    size_t n = strcspn(base, "?"), keep = n;

    while (keep > 0 && base[keep - 1] == '/')
        keep--;
    return pj_asprintf("%.*s%s%s", (int)keep, base, path, base + n);
}

static size_t headers_of(const struct pj_model_target *target, char **bearer,
                         struct pj_http_header *out)
{
    size_t n = 0;

    out[n++] = (struct pj_http_header){"Content-Type", "application/json"};
    out[n++] = (struct pj_http_header){"Accept", "text/event-stream, application/json"};
    if (target->api == PJ_API_MESSAGES) {
        out[n++] = (struct pj_http_header){"x-api-key", target->api_key};
        out[n++] = (struct pj_http_header){"anthropic-version", ANTHROPIC_VERSION};
    } else if (target->api_key) {
        *bearer = pj_asprintf("Bearer %s", target->api_key);
        out[n++] = (struct pj_http_header){"Authorization", *bearer};
    }
    return n;
}

static void keep_message(struct pj_model_failure *failure, const char *text, size_t n)
{
    struct pj_str clean;

    pj_str_init(&clean, UPSTREAM_TEXT_MAX);
    (void)pj_utf8_append_clean(&clean, pj_view_n(text, n));
    free(failure->message);
    failure->message = pj_str_take(&clean);
}

/* A refusal of status 300 and up, or an error document in a good answer. Returns -1, or PJ_NONE to ask again. */
static int judge_error(const struct pj_model_target *target, struct pj_quirk *quirk, int64_t asked,
                       int status, const json_t *doc, struct pj_view text,
                       struct pj_model_failure *failure, struct pj_err *err)
{
    struct pj_model_error_doc words;
    bool known = pj_model_error_read(doc, &words);

    if (known && (status == 400 || status == 422) &&
        pj_quirk_learn(quirk, words.param, words.code, words.message, asked))
        return PJ_NONE;
    failure->fault = pj_model_fault_of(status, &words);
    failure->status =
        words.number >= 300 && words.number < 600 && status == 200 ? words.number : status;
    if (words.message)
        keep_message(failure, words.message, strlen(words.message));
    else
        keep_message(failure, text.p, text.n < 500 ? text.n : 500);
    return pj_model_fail(err, failure->fault, target, failure->status, failure->message);
}

/* A call that brought no complete HTTP answer. */
static int judge_transport(const struct pj_model_target *target, bool broken,
                           struct pj_model_failure *failure, struct pj_err *err)
{
    struct pj_err why = *err;

    if (!broken && strncmp(why.code, "http_", 5) != 0)
        return -1; /* the pump's */
    if (strcmp(why.code, "http_timeout") == 0)
        failure->fault = PJ_FAULT_TIMEOUT;
    else if (strcmp(why.code, "http_url") == 0)
        failure->fault = PJ_FAULT_REQUEST;
    else if (broken || strcmp(why.code, "http_large") == 0)
        failure->fault = PJ_FAULT_PROTOCOL;
    else
        failure->fault = PJ_FAULT_SERVICE;
    keep_message(failure, why.message, strlen(why.message));
    pj_model_fail(err, failure->fault, target, 0, failure->message);
    if (why.remedy[0])
        pj_err_remedy(err, "%s", why.remedy);
    return -1;
}

static int fault(const struct pj_model_target *target, enum pj_model_fault what, const char *text,
                 struct pj_model_failure *failure, struct pj_err *err)
{
    failure->fault = what;
    keep_message(failure, text, strlen(text));
    return pj_model_fail(err, what, target, 0, failure->message);
}

/* The ids of all calls so far. */
static json_t *ids_of(const json_t *messages)
{
    json_t *ids = json_object(), *message, *call;
    size_t i, k;

    json_array_foreach(messages, i, message)
    {
        json_array_foreach(json_object_get(message, "calls"), k, call)
        {
            json_object_set_new(ids, pj_json_str(call, "id", ""), json_true());
        }
    }
    return ids;
}

/* A good status: is the turn complete? */
static int judge_answer(const struct pj_model_target *target, struct pj_quirk *quirk,
                        const struct pj_model_request *request, struct pj_intake *in,
                        struct pj_model_turn *turn, struct pj_model_failure *failure,
                        struct pj_err *err)
{
    struct pj_builder *b = &in->builder;
    struct pj_err why;

    if (pj_intake_close(in, &why) < 0)
        return fault(target, PJ_FAULT_PROTOCOL, why.message, failure, err);
    if (b->error)
        return judge_error(target, quirk, request->max_output, 200, b->error, pj_view_of(""),
                           failure, err);
    if (b->refused)
        return fault(target, PJ_FAULT_REFUSED,
                     b->refusal.len ? b->refusal.data
                                    : "the answer was stopped by a refusal or content filter",
                     failure, err);
    if (b->overflow)
        return fault(target, PJ_FAULT_CONTEXT,
                     "the answer was stopped by the end of the context window", failure, err);
    if (!b->done)
        return in->nonsense || in->received == 0
                   ? fault(target, PJ_FAULT_PROTOCOL,
                           in->received ? "events that are no JSON" : "an empty answer", failure,
                           err)
                   : fault(target, PJ_FAULT_SERVICE,
                           "the stream ended before the answer was complete", failure, err);
    PJ_CLEANUP(pj_json_decrefp)
    json_t *taken = target->api == PJ_API_CHAT ? ids_of(request->messages) : NULL;
    pj_builder_finish(b, request->turn, taken, turn);
    return 0;
}

/* The answer on its way in: read, and told where somebody listens. */
struct incoming {
    struct pj_intake in;
    const struct pj_model_line *line;
    size_t told;
};

static int on_data(void *ctx, const char *bytes, size_t n, struct pj_err *err)
{
    struct incoming *c = ctx;
    const struct pj_str *text = &c->in.builder.text;

    if (pj_intake_feed(&c->in, bytes, n, err) < 0)
        return -1;
    if (!c->line->on_text || text->len <= c->told)
        return 0;
    c->told = text->len;
    return c->line->on_text(c->line->on_text_ctx, pj_str_cstr(text), err);
}

static int call_once(const struct pj_model_line *line, const struct pj_model_target *target,
                     struct pj_quirk *quirk, const struct pj_model_request *request,
                     int64_t left_ms, struct pj_model_turn *turn, struct pj_model_failure *failure,
                     struct pj_err *err)
{
    const struct pj_adapter *adapter = pj_adapter_of(target->api);
    PJ_CLEANUP(pj_freep) char *url = pj_model_url(target->base_url, adapter->path);
    PJ_CLEANUP(pj_freep) char *bearer = NULL;
    PJ_CLEANUP(pj_json_decrefp) json_t *body = adapter->build(target, request, quirk);
    PJ_CLEANUP(pj_freep) char *text = pj_json_text(body);
    struct pj_http_header headers[4];
    struct pj_http_request call = {.method = "POST",
                                   .url = url,
                                   .headers = headers,
                                   .body = text,
                                   .body_len = strlen(text),
                                   .allow_plain = strncmp(target->base_url, "http://", 7) == 0,
                                   .max_body = line->max_body > 0 ? line->max_body : MAX_BODY,
                                   .timeout_ms = left_ms,
                                   .connect_timeout_ms = left_ms < 10000 ? left_ms : 10000,
                                   .stall_ms = line->stall_ms,
                                   .pump = line->pump,
                                   .on_data = on_data};
    struct pj_http_response res;
    struct incoming c = {.line = line};
    char id[200];
    int rc;

    pj_intake_init(&c.in, adapter);
    call.on_data_ctx = &c;
    call.header_count = headers_of(target, &bearer, headers);
    rc = pj_http_do(line->http, &call, &res, err);
    if (rc < 0) {
        rc = judge_transport(target, c.in.broken, failure, err);
    } else if (res.status < 200 || res.status >= 300) {
        struct pj_err ignored;
        json_t *doc = NULL;
        (void)!pj_json_parse(pj_view_n(res.body.data, res.body.len), &doc, &ignored);
        rc = judge_error(target, quirk, request->max_output, res.status, doc,
                         pj_view_n(res.body.data, res.body.len), failure, err);
        json_decref(doc);
    } else {
        failure->status = res.status;
        rc = judge_answer(target, quirk, request, &c.in, turn, failure, err);
    }
    failure->retry_after_ms = pj_retry_after_ms(&res);
    if (pj_http_header_get(&res, "x-request-id", id, sizeof id) ||
        pj_http_header_get(&res, "request-id", id, sizeof id))
        pj_str_set(&turn->request_id, id);
    turn->usage = pj_intake_usage(&c.in, call.body_len);
    if (bearer)
        pj_wipe(bearer, strlen(bearer));
    pj_intake_release(&c.in);
    pj_http_response_release(&res);
    return rc;
}

int pj_model_call(const struct pj_model_line *line, const struct pj_model_target *target,
                  const struct pj_model_request *request, struct pj_model_turn *turn,
                  struct pj_model_failure *failure, struct pj_err *err)
{
    struct pj_quirk *quirk = pj_quirks_of(line->quirks, target);
    int64_t until = pj_mono_ms() + line->timeout_ms;

    memset(turn, 0, sizeof *turn);
    memset(failure, 0, sizeof *failure);
    for (int tries = 0;; tries++) {
        struct pj_model_request now = *request;
        int64_t left = until - pj_mono_ms();
        int rc;

        if (quirk->max_output > 0 && now.max_output > quirk->max_output)
            now.max_output = quirk->max_output;
        pj_model_turn_release(turn);
        pj_model_failure_release(failure);
        failure->retry_after_ms = -1;
        if (left <= 0)
            return fault(target, PJ_FAULT_TIMEOUT, "the time of a call is over", failure, err);
        rc = call_once(line, target, quirk, &now, left, turn, failure, err);
        if (rc <= 0)
            return rc;
        if (tries == ADAPT_MAX)
            return fault(target, PJ_FAULT_REQUEST, "it refuses one parameter after the other",
                         failure, err);
    }
}
