/* turn.c - one turn of the agent, put to a model: reserve, ask, wait, fall back, settle.
 *
 * Policy (facts of the three providers): a short Retry-After is waited for; a long one, or a service error, goes
 * to the fallback when there is one, at this turn's boundary and for the rest of the task; without one the call is repeated
 * up to three times. The 180 s of a call (R7.2), authentication, quota and bad requests end the run at once. */
#include "runner/gateway/inner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/embed/embed.h"
#include "lib/http/backoff.h"
#include "lib/json/codec.h"

#define RETRIES_MAX 3
#define SHORT_WAIT_MS ((int64_t)30 * 1000) /* waited for even when a fallback is there */
#define LONG_WAIT_MS ((int64_t)120 * 1000) /* waited for when there is none */
#define OUTPUT_TOKENS 32000                /* thinking included */
#define LLM_TIMEOUT_MS ((int64_t)180 * 1000)
#define STALL_MS ((int64_t)60 * 1000)

extern const struct pj_embedded gateway_files[];

/* Names and sizes of tools come from the box: only what the formats need may pass. */
static int check_tools(const json_t *tools, struct pj_err *err)
{
    const json_t *tool;
    size_t i;

    if (!json_is_array(tools) || json_array_size(tools) > 128)
        return pj_fail(err, PJ_E_PROTOCOL, "tools is no list of at most 128");
    json_array_foreach(tools, i, tool)
    {
        if (!json_is_string(json_object_get(tool, "name")) ||
            !json_is_string(json_object_get(tool, "description")) ||
            !json_is_object(json_object_get(tool, "parameters")))
            return pj_fail(err, PJ_E_PROTOCOL, "tool %zu lacks name, description or parameters", i);
    }
    return 0;
}

static size_t size_of(const struct pj_model_request *request)
{
    return strlen(request->system) + json_dumpb(request->messages, NULL, 0, JSON_COMPACT) +
           json_dumpb(request->tools, NULL, 0, JSON_COMPACT);
}

/* What this source is asked for in words: Anthropic models get the step-by-step prompt (R9.3). */
static char *system_for(const struct gateway_source *source, const char *system)
{
    if (source->replay || source->target.api != PJ_API_MESSAGES)
        return pj_strdup(system);
    return pj_asprintf("%s\n\n%s", system, (const char *)gateway_files[0].data);
}

const struct pj_price *gateway_price(const struct gateway *gw, int64_t prompt_tokens)
{
    return pj_prices_find(gw->config.prices, gw->source->provider, gw->source->model, pj_now_ms(),
                          prompt_tokens);
}

void gateway_settle(struct gateway *gw, size_t bytes, const struct pj_usage *usage)
{
    budget_settle(&gw->budget, bytes, usage,
                  pj_price_cost(gateway_price(gw, pj_usage_prompt(usage)), usage));
}

int gateway_ask(struct gateway *gw, const struct gateway_question *question,
                const struct pj_pump *pump, struct pj_model_turn *turn,
                struct pj_model_failure *failure, struct pj_err *err)
{
    const struct gateway_source *source = gw->source;
    struct pj_model_request request = *question->request;
    PJ_CLEANUP(pj_freep)
    char *system = question->own ? system_for(source, request.system) : pj_strdup(request.system);
    int64_t started_ms = pj_now_ms(), mono = pj_mono_ms(), left = budget_left_ms(&gw->budget);
    int64_t own = gw->config.llm_timeout_ms > 0 ? gw->config.llm_timeout_ms : LLM_TIMEOUT_MS;
    struct pj_model_line line = {.http = gw->http,
                                 .quirks = gw->quirks,
                                 .pump = pump,
                                 .timeout_ms = own < left ? own : left,
                                 .stall_ms =
                                     gw->config.stall_ms > 0 ? gw->config.stall_ms : STALL_MS,
                                 .on_text = question->on_text,
                                 .on_text_ctx = question->on_text_ctx};
    size_t bytes;
    struct pj_err noted;
    int rc;

    request.system = system;
    if (request.max_output <= 0 || request.max_output > OUTPUT_TOKENS)
        request.max_output = OUTPUT_TOKENS;
    bytes = size_of(&request);
    if (budget_reserve(&gw->budget, gateway_price(gw, budget_prompt(&gw->budget, bytes)), bytes,
                       &request.max_output, err) < 0)
        return -1;
    if (source->replay)
        rc = pj_replay_next(source->replay, &request, turn, err);
    else
        rc = pj_model_call(&line, &source->target, &request, turn, failure, err);
    if (rc < 0 && failure->fault == PJ_FAULT_TIMEOUT && left <= own) {
        pj_fail(err, PJ_E_TIMEOUT, "the task's time was over while the model was answering");
        pj_err_code(err, "task_timeout");
    }
    gateway_settle(gw, bytes, &turn->usage);
    if (gateway_note_call(gw, turn, started_ms, pj_mono_ms() - mono, rc < 0 ? err : NULL,
                          rc < 0 ? &noted : err) < 0)
        return -1;
    return rc;
}

void gateway_keep_upstream(struct gateway *gw, const struct pj_model_turn *turn,
                           const struct pj_model_failure *failure)
{
    struct gateway_result *result = gw->result;

    free(result->upstream_message);
    free(result->upstream_request_id);
    result->upstream_status = failure->status;
    result->upstream_message = failure->message ? gateway_masked(gw, failure->message, 2000) : NULL;
    result->upstream_request_id =
        turn->request_id ? gateway_masked(gw, turn->request_id, 200) : NULL;
}

bool gateway_has_fallback(const struct gateway *gw)
{
    return gw->fallback.set && gw->source == &gw->primary;
}

void gateway_fall_back(struct gateway *gw, const struct pj_err *why)
{
    gateway_note_fallback(gw, &gw->fallback, why);
    gw->source = &gw->fallback;
    gw->budget.known_tokens = gw->budget.known_bytes = 0; /* another tokenizer */
}

/* After failure number `tries`: 0 to ask again (having waited or fallen back), -1 to give up with err as it stands. */
static int after_failure(struct gateway *gw, const struct pj_model_failure *failure, int *tries,
                         const struct pj_pump *pump, struct pj_err *err)
{
    int64_t asked = failure->retry_after_ms;
    bool rate = failure->fault == PJ_FAULT_RATE,
         fall_back = gateway_has_fallback(gw) && pj_model_fault_fallback(failure->fault);
    int64_t base = gw->config.retry_base_ms > 0 ? gw->config.retry_base_ms : 1000;
    int64_t wait, most = fall_back ? SHORT_WAIT_MS : LONG_WAIT_MS;

    if (!pj_model_fault_retry(failure->fault))
        return -1;
    if (fall_back && (!rate || asked > SHORT_WAIT_MS || *tries >= RETRIES_MAX)) {
        gateway_fall_back(gw, err);
        *tries = 0;
        return 0;
    }
    if (*tries >= RETRIES_MAX)
        return -1;
    wait = asked >= 0 ? asked : pj_backoff_ms(base, *tries + 1);
    if (wait > most || wait >= budget_left_ms(&gw->budget))
        return -1;
    (*tries)++;
    gateway_note_wait(gw, wait, *tries, err);
    return pj_http_pause(wait, pump, err);
}

static int answer(struct gateway *gw, const char *turn_id, struct pj_model_turn *turn,
                  const struct pj_pump *pump, struct pj_err *err)
{
    static const char *const stops[] = {
        [PJ_STOP_END] = "end", [PJ_STOP_CALLS] = "calls", [PJ_STOP_LENGTH] = "length"};
    int64_t used = 0, limit = 0;
    const char *nearest = budget_nearest(&gw->budget, &used, &limit);
    PJ_CLEANUP(pj_json_decrefp)
    json_t *frame = json_pack("{s:s, s:s, s:s, s:O, s:s, s:b}", "type", "turn", "turn", turn_id,
                              "text", turn->text, "calls", turn->calls, "stop", stops[turn->stop],
                              "callCut", (int)turn->call_cut);

    if (!frame)
        return pj_fail(err, PJ_E_INTERNAL, "the model's turn cannot be written as JSON");
    json_object_set_new(frame, "budget",
                        nearest ? json_pack("{s:s, s:I, s:I}", "name", nearest, "used",
                                            (json_int_t)used, "limit", (json_int_t)limit)
                                : json_null());
    return gateway_send(gw, frame, pump, err);
}

/* What the last calls gave is new in this request; the rest was told before. */
static void tell_results(struct gateway *gw, const json_t *messages)
{
    json_t *last = json_array_get(messages, json_array_size(messages) - 1),
           *results = json_object_get(last, "results");

    if (results)
        gateway_trajectory(gw, json_pack("{s:s, s:O}", "type", "results", "results", results));
}

static void tell_turn(struct gateway *gw, const char *turn_id, const struct pj_model_turn *turn)
{
    gateway_trajectory(gw, json_pack("{s:s, s:s, s:s, s:s, s:s, s:O, s:I, s:I}", "type", "turn",
                                     "turn", turn_id, "provider", gw->source->provider, "model",
                                     gw->source->model, "text", turn->text, "calls", turn->calls,
                                     "promptTokens", (json_int_t)pj_usage_prompt(&turn->usage),
                                     "completionTokens", (json_int_t)turn->usage.output));
}

static int send_word(struct gateway *gw, const char *type, const struct pj_pump *pump,
                     struct pj_err *err)
{
    PJ_CLEANUP(pj_json_decrefp) json_t *frame = json_pack("{s:s}", "type", type);

    return gateway_send(gw, frame, pump, err);
}

static int overflow(struct gateway *gw, const struct pj_pump *pump, struct pj_err *err)
{
    gw->overflowed = true;
    gateway_event(gw, "system", "warn",
                  "the conversation is too long for the model; older results are left out", NULL);
    return send_word(gw, "overflow", pump, err);
}

int gateway_turn(struct gateway *gw, const json_t *frame, const struct pj_pump *pump,
                 struct pj_err *err)
{
    char turn_id[32];
    struct pj_model_request request = {.system = pj_json_str(frame, "system", ""),
                                       .messages = json_object_get(frame, "messages"),
                                       .tools = json_object_get(frame, "tools"),
                                       .turn = turn_id,
                                       .kept = gw->kept};
    const struct gateway_question question = {.request = &request, .own = true};
    int tries = 0, rc;

    if (pj_messages_check(request.messages, err) < 0 || check_tools(request.tools, err) < 0) {
        err->cls = PJ_E_PROTOCOL;
        pj_err_code(err, "model_protocol");
        return pj_err_wrap(err, "the agent's history");
    }
    if (budget_turn(&gw->budget, err) < 0)
        return -1;
    tell_results(gw, request.messages);
    (void)snprintf(turn_id, sizeof turn_id, "t%lld", (long long)gw->budget.turns);
    do {
        struct pj_model_turn turn = {0};
        struct pj_model_failure failure = {.retry_after_ms = -1};

        rc = gateway_ask(gw, &question, pump, &turn, &failure, err);
        if (rc == 0) {
            gw->overflowed = false;
            if (turn.raw)
                pj_history_keep(gw->kept, turn_id, &gw->source->target, turn.raw);
            tell_turn(gw, turn_id, &turn);
            rc = answer(gw, turn_id, &turn, pump, err);
            pj_model_turn_release(&turn);
            pj_model_failure_release(&failure);
            return rc;
        }
        gateway_keep_upstream(gw, &turn, &failure);
        if (failure.fault == PJ_FAULT_TOOLS && gw->config.hooks.diff &&
            json_array_size(request.tools) > 0)
            rc = send_word(gw, "no_tools", pump, err) < 0 ? -1 : PJ_NONE;
        else if (failure.fault == PJ_FAULT_CONTEXT && !gw->overflowed)
            rc = overflow(gw, pump, err) < 0 ? -1 : PJ_NONE;
        else
            rc = after_failure(gw, &failure, &tries, pump, err);
        pj_model_turn_release(&turn);
        pj_model_failure_release(&failure);
    } while (rc == 0);
    return rc == PJ_NONE ? 0 : -1;
}
