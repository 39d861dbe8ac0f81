/* Model calls against a real HTTP server that behaves like each row of the table. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include "lib/json/codec.h"
#include "lib/model/adapter.h"
#include "tests/lib/model/behaviour.h"
#include "tests/support/stand_in.h"

static void never(struct stand_in_exchange *x, void *arg)
{
    (void)arg;
    stand_in_cut(x);
}

static void behave(void *ctx, const struct stand_in_request *r, struct stand_in_exchange *x)
{
    const struct behaviour *b = *(const struct behaviour *const *)ctx;
    char name[40] = "";
    const char *colon = b->header ? strchr(b->header, ':') : NULL;

    (void)r;
    if (colon) {
        memcpy(name, b->header, (size_t)(colon - b->header));
        stand_in_add_header(x, name, colon + 2);
    }
    stand_in_add_header(x, "X-Request-Id", "req-7");
    if (b->trouble == SILENCE) {
        stand_in_hold(x, never, NULL);
    } else if (b->trouble == FINE) {
        stand_in_reply_text(x, b->status ? b->status : 200,
                            *b->body == '{' ? "application/json" : "text/event-stream", b->body);
    } else {
        stand_in_stream_begin(x, 200, "text/event-stream");
        stand_in_stream_piece(x, b->body);
        if (b->trouble == CUT)
            stand_in_cut(x);
        else
            stand_in_hold(x, never, NULL);
    }
}

struct asked {
    struct pj_model_target target;
    struct pj_model_request request;
    struct pj_model_line line;
    struct pj_model_turn turn;
    struct pj_model_failure failure;
    struct pj_err err;
    json_t *messages, *tools;
};

static void asked_init(struct asked *a, const char *base, enum pj_model_api api)
{
    memset(a, 0, sizeof *a);
    a->messages = json_pack("[{s:s, s:s}]", "role", "user", "text", "Hello?");
    a->tools = json_pack("[{s:s, s:s, s:{s:s}}]", "name", "run", "description", "runs",
                         "parameters", "type", "object");
    a->target = (struct pj_model_target){.api = api,
                                         .provider = "openai",
                                         .model = "m",
                                         .base_url = base,
                                         .api_key = "secret-key",
                                         .key_name = "OPENAI_API_KEY"};
    a->request = (struct pj_model_request){.system = "Be good.",
                                           .messages = a->messages,
                                           .tools = a->tools,
                                           .turn = "t1",
                                           .max_output = 1000};
    a->line = (struct pj_model_line){.http = pj_http_new(NULL),
                                     .quirks = pj_quirks_new(),
                                     .timeout_ms = 10000,
                                     .stall_ms = 5000};
}

static int ask(struct asked *a)
{
    pj_model_turn_release(&a->turn);
    pj_model_failure_release(&a->failure);
    return pj_model_call(&a->line, &a->target, &a->request, &a->turn, &a->failure, &a->err);
}

static void asked_release(struct asked *a)
{
    pj_model_turn_release(&a->turn);
    pj_model_failure_release(&a->failure);
    pj_http_free(a->line.http);
    pj_quirks_free(a->line.quirks);
    json_decref(a->messages);
    json_decref(a->tools);
}

static void expect_usage(const struct behaviour *b, const struct pj_usage *u)
{
    cr_expect_eq(u->estimated, b->prompt < 0 || b->output < 0, "%s: estimated", b->name);
    if (b->prompt >= 0)
        cr_expect_eq(pj_usage_prompt(u), b->prompt, "%s: prompt %lld", b->name,
                     (long long)pj_usage_prompt(u));
    else
        cr_expect_gt(pj_usage_prompt(u), 0, "%s: prompt", b->name);
    if (b->output >= 0)
        cr_expect_eq(u->output, b->output, "%s: output %lld", b->name, (long long)u->output);
}

static void expect_turn(const struct behaviour *b, struct asked *a, int rc)
{
    char *calls;

    cr_expect_eq(rc, 0, "%s: %s", b->name, a->err.message);
    if (rc < 0)
        return;
    calls = pj_json_text(a->turn.calls);
    cr_expect_str_eq(a->turn.text, b->text, "%s: text %s", b->name, a->turn.text);
    cr_expect_str_eq(calls, b->calls, "%s: calls %s", b->name, calls);
    cr_expect_eq(a->turn.stop, b->stop, "%s: stop %d", b->name, (int)a->turn.stop);
    free(calls);
}

static void expect_failure(const struct behaviour *b, struct asked *a, int rc)
{
    cr_expect_lt(rc, 0, "%s: no failure", b->name);
    cr_expect_eq(a->failure.fault, b->fault, "%s: fault %d: %s", b->name, (int)a->failure.fault,
                 a->err.message);
    cr_expect_str_eq(a->err.code, b->code, "%s: %s", b->name, a->err.code);
    cr_expect(a->err.remedy[0], "%s has a remedy", b->name);
    cr_expect(!b->text || strstr(a->err.message, b->text), "%s: %s", b->name, a->err.message);
    cr_expect_null(strstr(a->err.message, "secret-key"));
    cr_expect_eq(a->failure.retry_after_ms,
                 b->header && strcasestr(b->header, "retry-after") ? 7000 : -1, "%s", b->name);
}

Test(call, makes_the_right_thing_of_each_behaviour)
{
    const struct behaviour *now = NULL;
    struct stand_in *server = stand_in_start(0, behave, &now);

    cr_assert_geq(behaviour_count, 40);
    for (size_t i = 0; i < behaviour_count; i++) {
        struct asked a;
        int rc;

        now = &behaviours[i];
        asked_init(&a, stand_in_url(server), now->api);
        if (now->trouble >= STALL)
            a.line.stall_ms = 60;
        rc = ask(&a);
        if (now->fault == PJ_FAULT_NONE)
            expect_turn(now, &a, rc);
        else
            expect_failure(now, &a, rc);
        expect_usage(now, &a.turn.usage);
        asked_release(&a);
    }
    stand_in_stop(server);
}

Test(call, ends_at_its_own_time_limit)
{
    static const struct behaviour silent = {"silent", PJ_API_CHAT, .trouble = SILENCE};
    const struct behaviour *now = &silent;
    struct stand_in *server = stand_in_start(0, behave, &now);
    struct asked a;

    asked_init(&a, stand_in_url(server), PJ_API_CHAT);
    a.line.timeout_ms = 80;
    cr_assert_lt(ask(&a), 0);
    cr_assert_str_eq(a.err.code, "llm_timeout");
    cr_assert_eq(a.failure.fault, PJ_FAULT_TIMEOUT);
    asked_release(&a);
    stand_in_stop(server);
}

/* A server that refuses one parameter after the other, as OpenAI's reasoning models do. */
static void picky(void *ctx, const struct stand_in_request *r, struct stand_in_exchange *x)
{
    (void)ctx;
    if (strstr(r->body, "\"temperature\""))
        stand_in_reply_text(
            x, 400, "application/json",
            "{\"error\":{\"message\":\"Unsupported value: 'temperature' does not support "
            "0.0\",\"param\":\"temperature\",\"code\":\"unsupported_value\"}}");
    else if (strstr(r->body, "\"max_tokens\""))
        stand_in_reply_text(
            x, 400, "application/json",
            "{\"error\":{\"message\":\"Unsupported parameter: 'max_tokens'. Use "
            "'max_completion_tokens' "
            "instead.\",\"param\":\"max_tokens\",\"code\":\"unsupported_parameter\"}}");
    else if (strstr(r->body, "\"max_completion_tokens\":1000"))
        stand_in_reply_text(x, 400, "application/json",
                            "{\"error\":{\"message\":\"max_completion_tokens is too large: 1000. "
                            "This model supports at most 512 completion "
                            "tokens\",\"param\":\"max_completion_tokens\",\"code\":null}}");
    else
        stand_in_reply_text(x, 200, "application/json",
                            "{\"choices\":[{\"message\":{\"content\":\"fine\"},\"finish_reason\":"
                            "\"stop\"}],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1}}");
}

Test(call, learns_what_a_model_refuses_and_remembers_it)
{
    struct stand_in *server = stand_in_start(0, picky, NULL);
    struct asked a;

    asked_init(&a, stand_in_url(server), PJ_API_CHAT);
    cr_assert_eq(ask(&a), 0, "%s", a.err.message);
    cr_assert_str_eq(a.turn.text, "fine");
    cr_assert_eq(stand_in_count(server), 4);
    cr_assert_eq(ask(&a), 0);
    cr_assert_eq(stand_in_count(server), 5, "the second call is made right at once");
    cr_assert_not_null(
        strstr(stand_in_request_at(server, 4)->body, "\"max_completion_tokens\":512"));
    asked_release(&a);
    stand_in_stop(server);
}

Test(call, puts_the_path_before_a_query_and_drops_double_slashes)
{
    static const struct behaviour fine = {
        "fine", PJ_API_CHAT, .body = "{\"choices\":[{\"message\":{\"content\":\"x\"}}]}"};
    const struct behaviour *now = &fine;
    struct stand_in *server = stand_in_start(0, behave, &now);
    struct asked a;
    char base[200];

    (void)snprintf(base, sizeof base, "%s/deployments/x//?api-version=1", stand_in_url(server));
    asked_init(&a, base, PJ_API_CHAT);
    cr_assert_eq(ask(&a), 0, "%s", a.err.message);
    cr_assert_str_eq(stand_in_request_at(server, 0)->path, "/deployments/x/chat/completions");
    cr_assert_str_eq(stand_in_request_at(server, 0)->query, "api-version=1");
    cr_assert_str_eq(stand_in_header(stand_in_request_at(server, 0), "authorization"),
                     "Bearer secret-key");
    cr_assert_str_eq(a.turn.request_id, "req-7");
    asked_release(&a);
    stand_in_stop(server);
}

/* Streams that no honest model makes: `ctx` tells which. */
static void excessive(void *ctx, const struct stand_in_request *r, struct stand_in_exchange *x)
{
    const char *kind = ctx;
    char *piece = malloc(70000);

    (void)r;
    stand_in_stream_begin(x, 200, "text/event-stream");
    for (int i = 0; i < 100; i++) {
        if (strcmp(kind, "calls") == 0) {
            (void)snprintf(piece, 70000,
                           "data: "
                           "{\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":%d,\"id\":\"c%d\","
                           "\"function\":{\"name\":\"run\"}}]}}]}\n\n",
                           i, i);
        } else {
            (void)snprintf(piece, 70000,
                           "data: {\"choices\":[{\"delta\":{\"content\":\"%065000d\"}}]}\n\n", i);
        }
        stand_in_stream_piece(x, piece);
    }
    stand_in_stream_piece(
        x, "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n");
    stand_in_stream_end(x);
    free(piece);
}

Test(call, bounds_what_a_model_may_say)
{
    char calls[] = "calls", text[] = "text";
    struct stand_in *server = stand_in_start(0, excessive, calls);
    struct asked a;

    asked_init(&a, stand_in_url(server), PJ_API_CHAT);
    cr_assert_lt(ask(&a), 0);
    cr_assert_eq(a.failure.fault, PJ_FAULT_PROTOCOL);
    cr_assert_str_eq(a.err.code, "model_protocol");
    asked_release(&a);
    stand_in_stop(server);
    server = stand_in_start(0, excessive, text);
    asked_init(&a, stand_in_url(server), PJ_API_CHAT);
    cr_assert_eq(ask(&a), 0, "%s", a.err.message);
    cr_assert_eq(strlen(a.turn.text), PJ_BUILDER_TEXT_MAX);
    cr_assert_eq(a.turn.stop, PJ_STOP_LENGTH);
    asked_release(&a);
    stand_in_stop(server);
}
