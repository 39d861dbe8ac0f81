/* convert.c - a foreign agent's request in one format, put to a provider of another: read into the neutral form, asked like a
 * turn of our own agent, and written back as the agent expects it (lib/model/face.h).
 *
 * While a fallback is still to be had, nothing is written before the whole turn is there, so that a stream that breaks can be
 * asked again elsewhere; without one the text flows as it comes. Long silences are bridged by pings. */
#include "runner/gateway/foreign.h"

#include <stdio.h>
#include <string.h>
#include "lib/base/clock.h"
#include "lib/base/id.h"
#include "lib/base/mem.h"
#include "lib/json/codec.h"
#include "lib/model/face.h"

#define SILENCE_MS ((int64_t)10 * 1000) /* until a streaming client is shown that we live */
#define OUT_MAX ((size_t)64 << 20)

struct conversion {
    struct foreign_call *call;
    const struct pj_pump *outer;
    struct pj_asked asked;
    struct pj_answer answer;
    struct pj_str out;
    int64_t quiet_since_ms;
};

static int flush(struct conversion *c, struct pj_err *err)
{
    static const char head[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                               "Cache-Control: no-cache\r\nConnection: close\r\n\r\n";
    int rc = 0;

    if (c->out.len == 0)
        return 0;
    if (c->out.full)
        return pj_fail(err, PJ_E_LIMIT, "the answer has more than %zu bytes", OUT_MAX);
    if (!c->call->answered) {
        c->call->answered = true;
        rc = c->call->put(c->call->ctx, head, sizeof head - 1, err);
    }
    if (rc == 0)
        rc = c->call->put(c->call->ctx, c->out.data, c->out.len, err);
    pj_str_clear(&c->out);
    c->quiet_since_ms = pj_mono_ms();
    return rc;
}

static int on_text(void *ctx, const char *text_so_far, struct pj_err *err)
{
    struct conversion *c = ctx;

    pj_answer_text(&c->answer, text_so_far);
    return flush(c, err);
}

/* ---- the pump of the job, with our pings in between ---- */

static size_t want(void *ctx, struct pollfd *fds, size_t cap, int *timeout_ms)
{
    struct conversion *c = ctx;
    size_t n = c->outer ? c->outer->want(c->outer->ctx, fds, cap, timeout_ms) : 0;
    int64_t left = c->quiet_since_ms + SILENCE_MS - pj_mono_ms();

    if (c->asked.stream && (*timeout_ms < 0 || left < *timeout_ms))
        *timeout_ms = left > 0 ? (int)left : 0;
    return n;
}

static int ready(void *ctx, const struct pollfd *fds, size_t n, struct pj_err *err)
{
    struct conversion *c = ctx;

    if (c->outer && c->outer->ready(c->outer->ctx, fds, n, err) < 0)
        return -1;
    if (!c->asked.stream || pj_mono_ms() - c->quiet_since_ms < SILENCE_MS)
        return 0;
    pj_answer_ping(&c->answer);
    return flush(c, err);
}

/* ---- ends ---- */

static int put_document(struct conversion *c, int status, int64_t retry_after_ms, json_t *doc_taken,
                        struct pj_err *err)
{
    PJ_CLEANUP(pj_freep) char *text = pj_json_text(doc_taken);
    PJ_CLEANUP(pj_freep)
    char *wait = retry_after_ms < 0 ? pj_strdup("")
                                    : pj_asprintf("Retry-After: %lld\r\n",
                                                  (long long)(retry_after_ms + 999) / 1000);
    PJ_CLEANUP(pj_freep)
    char *all = pj_asprintf("HTTP/1.1 %d %s\r\nContent-Type: application/json\r\n%sContent-Length: "
                            "%zu\r\nConnection: close\r\n\r\n%s",
                            status, status < 300 ? "OK" : "Refused", wait, strlen(text), text);

    json_decref(doc_taken);
    c->call->answered = true;
    return c->call->put(c->call->ctx, all, strlen(all), err);
}

static int put_turn(struct conversion *c, struct gateway *gw, const struct pj_model_turn *turn,
                    struct pj_err *err)
{
    const json_t *first = json_array_get(turn->calls, 0);

    /* Found again by the id of the turn's first call, which is all that comes back to us. */
    if (turn->raw && first && !gw->source->replay)
        pj_history_keep(gw->kept, pj_json_str(first, "id", ""), &gw->source->target, turn->raw);
    if (!c->asked.stream)
        return put_document(c, 200, -1, pj_answer_whole(&c->answer, turn), err);
    pj_answer_end(&c->answer, turn);
    return flush(c, err);
}

/* The status and code by which the clients' own handling of errors works: waiting, compacting, giving up. */
static int status_of(const struct pj_model_failure *failure, enum pj_model_api api,
                     const char **code)
{
    switch (failure->fault) {
    case PJ_FAULT_RATE:
        return 429;
    case PJ_FAULT_QUOTA:
        *code = "insufficient_quota";
        return 403;
    case PJ_FAULT_AUTH:
        return 401;
    case PJ_FAULT_MODEL:
        return 404;
    case PJ_FAULT_CONTEXT:
        *code = "context_length_exceeded";
        return 400;
    case PJ_FAULT_REFUSED:
        *code = "content_filter";
        return 400;
    case PJ_FAULT_SERVICE:
        return api == PJ_API_MESSAGES ? 529 : 503;
    case PJ_FAULT_TOOLS:
    case PJ_FAULT_REQUEST:
        return 400;
    case PJ_FAULT_NONE:
    case PJ_FAULT_TIMEOUT:
    case PJ_FAULT_PROTOCOL:
        return 502;
    }
    return 502;
}

static int put_failure(struct conversion *c, struct gateway *gw,
                       const struct pj_model_failure *failure, const struct pj_err *why,
                       struct pj_err *err)
{
    const char *code = pj_err_code_of(why);
    int status = status_of(failure, c->answer.api, &code);
    /* Anthropic's clients know a full context by these words. */
    PJ_CLEANUP(pj_freep)
    char *told = pj_asprintf(
        "%s%s", failure->fault == PJ_FAULT_CONTEXT ? "prompt is too long: " : "", why->message);
    PJ_CLEANUP(pj_freep) char *message = gateway_masked(gw, told, 2000);

    if (!c->call->answered)
        return put_document(c, status, failure->retry_after_ms,
                            pj_answer_error(c->answer.api, status, code, message), err);
    pj_answer_fail(&c->answer, status, code, message);
    return flush(c, err);
}

/* ---- the call ---- */

void foreign_say_dropped(struct gateway *gw, size_t dropped)
{
    char text[200];

    if (dropped == 0 || gw->told_dropped)
        return;
    gw->told_dropped = true;
    (void)snprintf(text, sizeof text,
                   "%zu parts of the agent's request are left out: tools that the provider would "
                   "run itself, parameters that are not served here, or what has no form in the "
                   "provider's format",
                   dropped);
    gateway_event(gw, "system", "warn", text, NULL);
}

static int ask(struct conversion *c, struct gateway *gw, struct pj_err *err)
{
    const struct pj_pump pump = {.ctx = c, .want = want, .ready = ready};
    char turn_id[32];
    const struct pj_model_request request = {.system = c->asked.system,
                                             .messages = c->asked.messages,
                                             .tools = c->asked.tools,
                                             .turn = turn_id,
                                             .choice = c->asked.choice,
                                             .choice_name = c->asked.choice_name,
                                             .max_output = c->asked.max_output,
                                             .kept = gw->kept};
    struct gateway_question question = {.request = &request, .on_text_ctx = c};
    struct pj_model_turn turn = {0};
    struct pj_model_failure failure = {.retry_after_ms = -1};
    struct pj_err why;
    int rc;

    (void)snprintf(turn_id, sizeof turn_id, "f%lld", (long long)gw->budget.turns);
    if (c->asked.stream && !gateway_has_fallback(gw))
        question.on_text = on_text;
    c->answer.model = gw->source->model;
    rc = gateway_ask(gw, &question, &pump, &turn, &failure, err);
    why = *err;
    if (rc == 0) {
        rc = put_turn(c, gw, &turn, err);
    } else if (failure.fault != PJ_FAULT_NONE && failure.fault != PJ_FAULT_TIMEOUT) {
        gateway_keep_upstream(gw, &turn, &failure);
        rc = foreign_falls_back(gw, c->call, failure.fault, failure.retry_after_ms, &why)
                 ? FOREIGN_AGAIN
                 : put_failure(c, gw, &failure, &why, err);
    }
    pj_model_turn_release(&turn);
    pj_model_failure_release(&failure);
    return rc;
}

int foreign_convert(struct gateway *gw, struct foreign_call *call, const json_t *body,
                    const struct pj_pump *pump, int *status, struct pj_err *err)
{
    struct conversion c = {.call = call, .outer = pump, .quiet_since_ms = pj_mono_ms()};
    char id[PJ_ID_SIZE];
    int rc;

    pj_str_init(&c.out, OUT_MAX);
    pj_id_new(0, id);
    if (pj_asked_read(call->api, body, &c.asked, err) < 0) {
        *status = 400;
        rc = PJ_NONE;
    } else {
        c.answer = (struct pj_answer){.api = call->api,
                                      .id = id,
                                      .created_s = pj_now_ms() / 1000,
                                      .asked = &c.asked,
                                      .out = &c.out};
        foreign_say_dropped(gw, c.asked.dropped);
        rc = ask(&c, gw, err);
    }
    pj_asked_release(&c.asked);
    pj_str_release(&c.out);
    return rc;
}
