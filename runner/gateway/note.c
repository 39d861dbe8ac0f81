/* note.c - the gateway's entries in the task's log and the operator's. */
#include "runner/gateway/inner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/json/codec.h"

#define MESSAGE_MAX ((size_t)64 << 10)
#define TRAJECTORY_LINE_MAX ((size_t)4 << 20)
#define DATA_MAX ((size_t)256 << 10)

char *gateway_masked(const struct gateway *gw, const char *text, size_t max)
{
    struct pj_str out, clean;

    pj_str_init(&out, strlen(text) * 4 + 64);
    pj_str_init(&clean, max);
    (void)pj_redact_append(gw->config.redact, &out, pj_view_of(text));
    (void)pj_utf8_append_clean(&clean, pj_view_n(pj_str_cstr(&out), out.len));
    pj_str_release(&out);
    return pj_str_take(&clean);
}

void gateway_event(struct gateway *gw, const char *stream, const char *type, const char *message,
                   const json_t *data)
{
    PJ_CLEANUP(pj_freep) char *text = gateway_masked(gw, message, MESSAGE_MAX);
    PJ_CLEANUP(pj_json_decrefp) json_t *masked = NULL;

    if (!gw->config.hooks.event)
        return;
    if (data && gw->config.redact) {
        PJ_CLEANUP(pj_freep) char *dumped = pj_json_text(data);
        PJ_CLEANUP(pj_freep) char *clean = gateway_masked(gw, dumped, DATA_MAX);
        struct pj_err ignored;
        if (pj_json_parse(pj_view_of(clean), &masked, &ignored) < 0)
            masked = NULL;
        data = masked;
    }
    gw->config.hooks.event(gw->config.hooks.ctx, stream, type, text, data);
}

void gateway_trajectory(struct gateway *gw, json_t *line)
{
    if (gw->config.hooks.trajectory && line) {
        PJ_CLEANUP(pj_freep) char *text = pj_json_text(line);
        PJ_CLEANUP(pj_freep) char *masked = gateway_masked(gw, text, TRAJECTORY_LINE_MAX);
        gw->config.hooks.trajectory(gw->config.hooks.ctx, masked);
    }
    json_decref(line);
}

static void alert(struct gateway *gw)
{
    int64_t limit = gw->config.token_alert;
    char text[160];

    if (gw->alerted || limit <= 0 || gw->budget.tokens <= limit)
        return;
    gw->alerted = true;
    pj_log(PJ_LOG_WARN, "token_alert", "taskId", gw->config.task.id, "tokens",
           PJ_I64(gw->budget.tokens), "threshold", PJ_I64(limit), "title", gw->config.task.title,
           "description", gw->config.task.description, NULL);
    (void)snprintf(text, sizeof text,
                   "the task has used %lld tokens, more than the alert level of %lld",
                   (long long)gw->budget.tokens, (long long)limit);
    json_t *data = json_pack("{s:s, s:I, s:I, s:s?}", "event", "token_alert", "tokens",
                             (json_int_t)gw->budget.tokens, "threshold", (json_int_t)limit,
                             "description", gw->config.task.description);
    gateway_event(gw, "system", "warn", text, data);
    json_decref(data);
}

static void entry(struct gateway *gw, const struct gateway_call *call)
{
    const struct pj_usage *u = &call->usage;
    char text[400], money[32];
    json_t *data = json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b}", "provider",
                             call->provider, "model", call->model, "api", call->api, "turn",
                             (json_int_t)call->turn, "promptTokens", (json_int_t)pj_usage_prompt(u),
                             "completionTokens", (json_int_t)u->output, "cachedTokens",
                             (json_int_t)u->cached, "cacheWriteTokens", (json_int_t)u->cache_write,
                             "reasoningTokens", (json_int_t)u->reasoning, "durationMs",
                             (json_int_t)call->duration_ms, "estimated", (int)u->estimated);

    json_object_set_new(data, "costUsd",
                        call->cost_microusd < 0 ? json_null()
                                                : json_real((double)call->cost_microusd / 1e6));
    if (call->error_code)
        json_object_set_new(data, "error", json_string(call->error_code));
    (void)snprintf(text, sizeof text,
                   "%s %.100s: %lld tokens in (%lld cached), %lld out, %lld.%lld s%s%s%s%s",
                   call->provider, call->model, (long long)pj_usage_prompt(u), (long long)u->cached,
                   (long long)u->output, (long long)call->duration_ms / 1000,
                   (long long)call->duration_ms % 1000 / 100, call->cost_microusd >= 0 ? ", $" : "",
                   call->cost_microusd >= 0 ? pj_money_text(call->cost_microusd, money) : "",
                   call->error_code ? ", failed: " : "", call->error_code ? call->error_code : "");
    gateway_event(gw, "system", "llm_request", text, data);
    json_decref(data);
    pj_log(PJ_LOG_INFO, "llm_usage", "taskId", gw->config.task.id, "provider", call->provider,
           "model", call->model, "promptTokens", PJ_I64(pj_usage_prompt(u)), "completionTokens",
           PJ_I64(u->output), "cachedTokens", PJ_I64(u->cached), "durationMs",
           PJ_I64(call->duration_ms), "error", call->error_code, NULL);
}

int gateway_note_call(struct gateway *gw, const struct pj_model_turn *turn, int64_t started_ms,
                      int64_t duration_ms, const struct pj_err *failed, struct pj_err *err)
{
    const struct gateway_source *source = gw->source;
    struct gateway_call call = {
        .provider = source->provider,
        .model = source->model,
        .api = source->replay ? "replay" : pj_model_api_word(source->target.api),
        .usage = turn->usage,
        .price = pj_prices_find(gw->config.prices, source->provider, source->model, started_ms,
                                pj_usage_prompt(&turn->usage)),
        .started_ms = started_ms,
        .duration_ms = duration_ms,
        .turn = gw->budget.turns,
        .request_id = turn->request_id,
        .error_code = failed ? pj_err_code_of(failed) : NULL,
    };

    call.cost_microusd = pj_price_cost(call.price, &call.usage);
    entry(gw, &call);
    if (failed && strcmp(failed->code, "llm_timeout") == 0)
        pj_log(PJ_LOG_WARN, "llm_timeout", "taskId", gw->config.task.id, "provider", call.provider,
               "model", call.model, "durationMs", PJ_I64(duration_ms), NULL);
    alert(gw);
    if (gw->config.hooks.usage && (!failed || pj_usage_total(&call.usage) > 0))
        return gw->config.hooks.usage(gw->config.hooks.ctx, &call, err);
    return 0;
}

void gateway_note_fallback(struct gateway *gw, const struct gateway_source *to,
                           const struct pj_err *why)
{
    char text[400];
    json_t *data = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "event", "llm_fallback", "from",
                             gw->source->provider, "fromModel", gw->source->model, "to",
                             to->provider, "toModel", to->model, "reason", pj_err_code_of(why));

    (void)snprintf(text, sizeof text, "%s %.80s failed (%s); going on with %s %.80s",
                   gw->source->provider, gw->source->model, pj_err_code_of(why), to->provider,
                   to->model);
    pj_log(PJ_LOG_WARN, "llm_fallback", "taskId", gw->config.task.id, "from", gw->source->provider,
           "to", to->provider, "model", to->model, "reason", pj_err_code_of(why), "detail",
           why->message, NULL);
    gateway_event(gw, "system", "warn", text, data);
    json_decref(data);
}

void gateway_note_wait(struct gateway *gw, int64_t ms, int retry, const struct pj_err *why)
{
    char text[400];

    (void)snprintf(text, sizeof text,
                   "the model call failed (%s); trying again in %lld.%lld s, retry %d: %.200s",
                   pj_err_code_of(why), (long long)ms / 1000, (long long)ms % 1000 / 100, retry,
                   why->message);
    gateway_event(gw, "system", "warn", text, NULL);
}
