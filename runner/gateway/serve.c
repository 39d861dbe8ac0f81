/* serve.c - the conversation with the agent: frames in, frames out (lib/wire/README.md). */
#include "runner/gateway/inner.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/json/codec.h"

#define SEND_TIMEOUT_MS ((int64_t)60 * 1000)
#define CONNECT_TIMEOUT_MS ((int64_t)60 * 1000)
#define BUSY_MS 50 /* as often as the log sends */
#define TEXT_MAX 16384
#define QUESTION_MAX 8192
#define OPTIONS_MAX 10

/* A frame handler: 0 to go on, PJ_NONE when the service is over, -1. */
typedef int handler_fn(struct gateway *gw, const json_t *frame, const struct pj_pump *pump,
                       struct pj_err *err);

/* Nothing goes into the box unmasked, not even what a provider says: some echo the key in their errors. */
int gateway_send(struct gateway *gw, const json_t *frame, const struct pj_pump *pump,
                 struct pj_err *err)
{
    PJ_CLEANUP(pj_freep) char *text = pj_json_text(frame);
    PJ_CLEANUP(pj_freep) char *masked = gateway_masked(gw, text, PJ_FRAME_MAX);

    if (pj_link_send(&gw->agent, pj_view_of(masked), SEND_TIMEOUT_MS, pump, err) < 0) {
        if (err->cls == PJ_E_UNAVAILABLE)
            pj_err_code(err, "agent_lost");
        return -1;
    }
    return 0;
}

static int send_type(struct gateway *gw, const char *type, const char *text,
                     const struct pj_pump *pump, struct pj_err *err)
{
    PJ_CLEANUP(pj_json_decrefp)
    json_t *frame = json_pack("{s:s, s:s*}", "type", type, "text", text);

    return gateway_send(gw, frame, pump, err);
}

static void set(json_t *frame, const char *name, const char *text)
{
    struct pj_str clean;

    if (!text) {
        json_object_set_new(frame, name, json_null());
        return;
    }
    pj_str_init(&clean, strlen(text) * 3 + 1);
    (void)pj_utf8_append_clean(&clean, pj_view_of(text));
    json_object_set_new(frame, name, json_stringn(pj_str_cstr(&clean), clean.len));
    pj_str_release(&clean);
}

static int on_hello(struct gateway *gw, const json_t *frame, const struct pj_pump *pump,
                    struct pj_err *err)
{
    const struct gateway_task *task = &gw->config.task;
    PJ_CLEANUP(pj_json_decrefp) json_t *reply = json_pack("{s:s}", "type", "task");

    (void)frame;
    if (gw->greeted) {
        pj_fail(err, PJ_E_PROTOCOL, "the agent asked for its task twice");
        return pj_err_code(err, "agent_lost");
    }
    gw->greeted = true;
    gateway_trajectory(gw, json_pack("{s:s, s:s*, s:s*, s:s*}", "type", "task", "id", task->id,
                                     "title", task->title, "description", task->description));
    set(reply, "title", task->title);
    set(reply, "description", task->description);
    set(reply, "question", task->question);
    set(reply, "answer", task->answer);
    set(reply, "feedback", task->feedback);
    set(reply, "checkCommand", task->check_command);
    set(reply, "analysisSummary", task->analysis_summary);
    json_object_set_new(reply, "findings",
                        task->findings ? json_deep_copy(task->findings) : json_null());
    if (gw->source->replay)
        gateway_event(gw, "system", "info",
                      "no model is asked: this run replays recorded answers "
                      "(MODEL_PROVIDER=replay, PJ_REPLAY_FILE)",
                      NULL);
    return gateway_send(gw, reply, pump, err);
}

static int on_log(struct gateway *gw, const json_t *frame, const struct pj_pump *pump,
                  struct pj_err *err)
{
    static const char *const entries[] = {"info", "warn", "error", "tool"};
    const char *entry = pj_json_str(frame, "entry", "info");
    const json_t *data = json_object_get(frame, "data");

    (void)pump;
    (void)err;
    for (size_t i = 0; i < PJ_COUNT_OF(entries); i++)
        if (strcmp(entries[i], entry) == 0)
            gateway_event(gw, "agent", entries[i], pj_json_str(frame, "message", ""),
                          json_is_object(data) ? data : NULL);
    return 0;
}

/* Who floods the log waits for it, as output of the box does at its pipe. */
static int wait_for_log(struct gateway *gw, const struct pj_pump *pump, struct pj_err *err)
{
    while (gw->config.hooks.busy && gw->config.hooks.busy(gw->config.hooks.ctx))
        if (pj_wire_wait(-1, 0, BUSY_MS, pump, err) < 0)
            return -1;
    return 0;
}

static int on_lines(struct gateway *gw, const json_t *frame, const struct pj_pump *pump,
                    struct pj_err *err)
{
    const char *stream =
        strcmp(pj_json_str(frame, "stream", ""), "stderr") == 0 ? "stderr" : "stdout";
    const json_t *lines = json_object_get(frame, "lines"), *line;
    size_t i;

    json_array_foreach(lines, i, line)
    {
        if (json_is_string(line))
            gateway_event(gw, stream, "info", json_string_value(line), NULL);
        if (wait_for_log(gw, pump, err) < 0)
            return -1;
    }
    return 0;
}

static int on_finish(struct gateway *gw, const json_t *frame, const struct pj_pump *pump,
                     struct pj_err *err)
{
    PJ_CLEANUP(pj_freep)
    char *summary = gateway_masked(gw, pj_json_str(frame, "summary", ""), TEXT_MAX);
    const char *given = pj_json_str(frame, "noChangesReason", NULL);
    PJ_CLEANUP(pj_freep)
    char *reason = given && *given ? gateway_masked(gw, given, TEXT_MAX) : NULL;
    PJ_CLEANUP(pj_freep) char *feedback = NULL;

    gateway_trajectory(gw, json_pack("{s:s, s:s, s:s*}", "type", "finish", "summary", summary,
                                     "noChangesReason", reason));
    if (gw->config.hooks.finish) {
        int rc = gw->config.hooks.finish(gw->config.hooks.ctx, summary, reason, &feedback, err);
        if (rc < 0)
            return -1;
        if (rc == PJ_NONE)
            return send_type(gw, "feedback", feedback ? feedback : "the checks failed", pump, err);
    }
    gw->result->end = reason ? GATEWAY_NO_CHANGES : GATEWAY_FINISHED;
    gw->result->summary = summary;
    gw->result->no_changes_reason = reason;
    summary = NULL;
    reason = NULL;
    return send_type(gw, "end", NULL, pump, err) < 0 ? -1 : PJ_NONE;
}

static int on_diff(struct gateway *gw, const json_t *frame, const struct pj_pump *pump,
                   struct pj_err *err)
{
    PJ_CLEANUP(pj_freep)
    char *summary = gateway_masked(gw, pj_json_str(frame, "summary", ""), TEXT_MAX);
    PJ_CLEANUP(pj_freep) char *feedback = NULL;
    int rc;

    if (!gw->config.hooks.diff) {
        pj_fail(err, PJ_E_PROTOCOL, "the model answered with a diff instead of using the tools");
        pj_err_remedy(err, "choose a model that can use tools");
        return pj_err_code(err, "model_protocol");
    }
    gateway_trajectory(
        gw, json_pack("{s:s, s:s}", "type", "diff", "diff", pj_json_str(frame, "diff", "")));
    rc = gw->config.hooks.diff(gw->config.hooks.ctx, pj_json_str(frame, "diff", ""), summary,
                               &feedback, err);
    if (rc < 0)
        return -1;
    if (rc == PJ_NONE)
        return send_type(gw, "feedback", feedback ? feedback : "it does not apply", pump, err);
    gw->result->end = GATEWAY_FINISHED;
    gw->result->summary = summary;
    summary = NULL;
    return send_type(gw, "end", NULL, pump, err) < 0 ? -1 : PJ_NONE;
}

static int on_ask(struct gateway *gw, const json_t *frame, const struct pj_pump *pump,
                  struct pj_err *err)
{
    const json_t *options = json_object_get(frame, "options");
    PJ_CLEANUP(pj_str_release) struct pj_str text;

    pj_str_init(&text, QUESTION_MAX);
    (void)pj_str_puts(&text, pj_json_str(frame, "question", ""));
    for (size_t i = 0; i < json_array_size(options) && i < OPTIONS_MAX; i++)
        if (json_is_string(json_array_get(options, i)))
            (void)pj_str_putf(&text, "\n- %s", json_string_value(json_array_get(options, i)));
    if (text.len == 0) {
        pj_fail(err, PJ_E_PROTOCOL, "the agent asks an empty question");
        return pj_err_code(err, "model_protocol");
    }
    gateway_trajectory(gw, json_pack("{s:s, s:s}", "type", "ask", "question", pj_str_cstr(&text)));
    gw->result->end = GATEWAY_ASKED;
    gw->result->question = gateway_masked(gw, pj_str_cstr(&text), QUESTION_MAX);
    return send_type(gw, "end", NULL, pump, err) < 0 ? -1 : PJ_NONE;
}

/* Why an agent may give up, and what the user can do then. */
/* clang-format off */
static const struct {
    const char *code;
    enum pj_err_class cls;
    const char *remedy;
} give_ups[] = {
    {"model_protocol", PJ_E_PROTOCOL, "choose a model that can use tools, or describe the task more precisely"},
    {"llm_context", PJ_E_LIMIT, "split the task into smaller ones or choose a model with a larger context window"},
    {"repository_analysis", PJ_E_INVALID,
     "check the repository's address, its branch, the permissions of its files, and that its setup command leaves them readable"},
};
/* clang-format on */

static int on_fail(struct gateway *gw, const json_t *frame, const struct pj_pump *pump,
                   struct pj_err *err)
{
    PJ_CLEANUP(pj_freep)
    char *message = gateway_masked(gw, pj_json_str(frame, "message", "the agent gave up"), 800);
    const char *code = pj_json_str(frame, "code", "");
    struct pj_err ignored;
    size_t i = PJ_COUNT_OF(give_ups) - 1;

    while (i > 0 && strcmp(give_ups[i].code, code) != 0)
        i--;
    (void)!send_type(gw, "end", NULL, pump, &ignored);
    pj_fail(err, give_ups[i].cls, "%s", message);
    pj_err_remedy(err, "%s", give_ups[i].remedy);
    return pj_err_code(err, give_ups[i].code);
}

/* clang-format off */
static const struct {
    const char *type;
    handler_fn *handle;
} handlers[] = {
    {"ask", on_ask}, {"diff", on_diff}, {"fail", on_fail}, {"finish", on_finish}, {"hello", on_hello},
    {"lines", on_lines}, {"log", on_log}, {"turn", gateway_turn},
};
/* clang-format on */

static int dispatch(struct gateway *gw, struct pj_view payload, const struct pj_pump *pump,
                    struct pj_err *err)
{
    PJ_CLEANUP(pj_json_decrefp) json_t *frame = NULL;
    const char *type;

    if (pj_json_parse(payload, &frame, err) < 0) {
        err->cls = PJ_E_PROTOCOL;
        pj_err_code(err, "agent_lost");
        return pj_err_wrap(err, "a message of the agent");
    }
    type = pj_json_str(frame, "type", "");
    for (size_t i = 0; i < PJ_COUNT_OF(handlers); i++)
        if (strcmp(handlers[i].type, type) == 0)
            return handlers[i].handle(gw, frame, pump, err);
    pj_fail(err, PJ_E_PROTOCOL, "the agent sent a message of unknown type \"%.40s\"", type);
    return pj_err_code(err, "agent_lost");
}

static int lost(struct pj_err *err, const char *text)
{
    pj_fail(err, PJ_E_UNAVAILABLE, "%s", text);
    return pj_err_code(err, "agent_lost");
}

static int accept_agent(struct gateway *gw, const struct pj_pump *pump, struct pj_err *err)
{
    int64_t timeout =
        gw->config.agent_timeout_ms > 0 ? gw->config.agent_timeout_ms : CONNECT_TIMEOUT_MS;
    int64_t until = pj_mono_ms() + timeout;

    for (;;) {
        int64_t left = until - pj_mono_ms();
        int rc = pj_wire_wait(gw->listen_fd, POLLIN, left > 0 ? left : 0, pump, err), fd;
        if (rc < 0)
            return -1;
        if (rc == PJ_NONE)
            return lost(err, "the agent did not connect to the gateway");
        fd = accept4(gw->listen_fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0) {
            pj_link_init(&gw->agent, fd);
            return 0;
        }
    }
}

/* A box that always has one more message for us must not keep the job from orders, and from looking after what the box does. */
static int serve_pump(struct gateway *gw, const struct pj_pump *pump, struct pj_err *err)
{
    int64_t now = pj_mono_ms();

    if (now - gw->served_ms < BUSY_MS)
        return 0;
    gw->served_ms = now;
    return pj_wire_wait(-1, 0, 0, pump, err) < 0 ? -1 : 0;
}

static int converse(struct gateway *gw, const struct pj_pump *pump, struct pj_err *err)
{
    for (;;) {
        struct pj_view payload;
        int rc = pj_link_recv(&gw->agent, &payload, -1, pump, err);

        if (rc == PJ_NONE)
            return lost(err, "the agent's connection ended before its work was done");
        if (rc == 0)
            rc = dispatch(gw, payload, pump, err);
        if (rc == PJ_NONE)
            return 0;
        if (rc < 0 || wait_for_log(gw, pump, err) < 0 || serve_pump(gw, pump, err) < 0)
            return -1;
    }
}

void gateway_sum_up(struct gateway *gw, struct gateway_result *result)
{
    result->turns = gw->budget.turns;
    result->tokens = gw->budget.tokens;
    result->cost_microusd = gw->budget.unpriced ? -1 : gw->budget.cost_microusd;
    result->provider = gw->source->provider;
    result->model = gw->source->model;
    gw->result = NULL;
}

int gateway_serve(struct gateway *gw, const struct pj_pump *pump, struct gateway_result *result,
                  struct pj_err *err)
{
    int rc;

    memset(result, 0, sizeof *result);
    gw->result = result;
    rc = accept_agent(gw, pump, err);
    if (rc == 0)
        rc = converse(gw, pump, err);
    pj_link_release(&gw->agent);
    pj_link_init(&gw->agent, -1);
    gateway_sum_up(gw, result);
    return rc;
}

void gateway_result_release(struct gateway_result *result)
{
    free(result->summary);
    free(result->question);
    free(result->no_changes_reason);
    free(result->upstream_message);
    free(result->upstream_request_id);
    memset(result, 0, sizeof *result);
}
