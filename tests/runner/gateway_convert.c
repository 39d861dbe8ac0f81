/* An agent of one format, a provider of another: every pair, streamed and whole, through the gateway's socket. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include "lib/base/mem.h"
#include "lib/json/codec.h"
#include "lib/model/intake.h"
#include "tests/runner/gateway_play.h"
#include "tests/support/model_server.h"

/* What the agent sends, in its own format: the same talk three times. */
/* clang-format off */
static const struct face {
    enum pj_model_api api;
    const char *path, *body, *stream_body;
} faces[] = {
#define CHAT_BODY(stream) \
    "{\"model\":\"any\",\"stream\":" stream ",\"stream_options\":{\"include_usage\":true},\"max_tokens\":5000,\"messages\":[" \
    "{\"role\":\"system\",\"content\":\"Be brief.\"},{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"Read it.\"}]}," \
    "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"call_a\",\"type\":\"function\",\"function\":{\"name\":\"read\",\"arguments\":\"{\\\"path\\\":\\\"x\\\"}\"}}," \
    "{\"id\":\"call_b\",\"type\":\"function\",\"function\":{\"name\":\"read\",\"arguments\":\"{}\"}}]}," \
    "{\"role\":\"tool\",\"tool_call_id\":\"call_b\",\"content\":\"content of b\"},{\"role\":\"tool\",\"tool_call_id\":\"call_a\",\"content\":\"content of a\"}]," \
    "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"read\",\"description\":\"Reads.\",\"parameters\":{\"type\":\"object\",\"properties\":{\"path\":{\"type\":\"string\"}}}}}]," \
    "\"tool_choice\":\"required\"}"
    {PJ_API_CHAT, "/v1/chat/completions", CHAT_BODY("false"), CHAT_BODY("true")},
#define RESPONSES_BODY(stream) \
    "{\"model\":\"any\",\"stream\":" stream ",\"store\":false,\"max_output_tokens\":5000,\"instructions\":\"Be brief.\",\"input\":[" \
    "{\"type\":\"message\",\"role\":\"user\",\"content\":[{\"type\":\"input_text\",\"text\":\"Read it.\"}]}," \
    "{\"type\":\"reasoning\",\"id\":\"rs_1\",\"summary\":[],\"encrypted_content\":\"elsewhere\"}," \
    "{\"type\":\"function_call\",\"call_id\":\"call_a\",\"name\":\"read\",\"arguments\":\"{\\\"path\\\":\\\"x\\\"}\"}," \
    "{\"type\":\"function_call\",\"call_id\":\"call_b\",\"name\":\"read\",\"arguments\":\"{}\"}," \
    "{\"type\":\"function_call_output\",\"call_id\":\"call_b\",\"output\":\"content of b\"},{\"type\":\"function_call_output\",\"call_id\":\"call_a\",\"output\":\"content of a\"}]," \
    "\"tools\":[{\"type\":\"function\",\"name\":\"read\",\"description\":\"Reads.\",\"strict\":false,\"parameters\":{\"type\":\"object\",\"properties\":{\"path\":{\"type\":\"string\"}}}}," \
    "{\"type\":\"web_search\"}],\"tool_choice\":\"required\"}"
    {PJ_API_RESPONSES, "/v1/responses", RESPONSES_BODY("false"), RESPONSES_BODY("true")},
#define MESSAGES_BODY(stream) \
    "{\"model\":\"any\",\"stream\":" stream ",\"max_tokens\":5000,\"system\":[{\"type\":\"text\",\"text\":\"Be brief.\",\"cache_control\":{\"type\":\"ephemeral\"}}],\"messages\":[" \
    "{\"role\":\"user\",\"content\":\"Read it.\"},{\"role\":\"assistant\",\"content\":[" \
    "{\"type\":\"thinking\",\"thinking\":\"hm\",\"signature\":\"s\"},{\"type\":\"tool_use\",\"id\":\"call_a\",\"name\":\"read\",\"input\":{\"path\":\"x\"}}," \
    "{\"type\":\"tool_use\",\"id\":\"call_b\",\"name\":\"read\",\"input\":{}}]},{\"role\":\"user\",\"content\":[" \
    "{\"type\":\"tool_result\",\"tool_use_id\":\"call_b\",\"content\":[{\"type\":\"text\",\"text\":\"content of b\"}]}," \
    "{\"type\":\"tool_result\",\"tool_use_id\":\"call_a\",\"content\":\"content of a\"}]}]," \
    "\"tools\":[{\"name\":\"read\",\"description\":\"Reads.\",\"input_schema\":{\"type\":\"object\",\"properties\":{\"path\":{\"type\":\"string\"}}}}]," \
    "\"tool_choice\":{\"type\":\"any\"}}"
    {PJ_API_MESSAGES, "/v1/messages", MESSAGES_BODY("false"), MESSAGES_BODY("true")},
};

static const struct provider {
    enum pj_model_api api;
    const char *name, *openai_api;
} providers[] = {
    {PJ_API_CHAT, "openai", "chat"},
    {PJ_API_RESPONSES, "openai", "responses"},
    {PJ_API_MESSAGES, "anthropic", NULL},
};
/* clang-format on */

static void begin(struct rig *rig, const struct provider *p, const struct model_server *m)
{
    rig_init(rig, p->name,
             p->api == PJ_API_MESSAGES ? model_server_anthropic_url(m)
                                       : model_server_openai_url(m));
    rig->config.primary.api = p->openai_api;
}

/* The answer as a client of its format reads it. */
static void read_answer(enum pj_model_api api, const struct http_answer *a,
                        struct pj_model_turn *turn, struct pj_usage *usage)
{
    struct pj_intake in;
    struct pj_err err;

    pj_intake_init(&in, pj_adapter_of(api));
    cr_assert_eq(pj_intake_feed(&in, a->body, a->body_len, &err), 0, "%s", err.message);
    cr_assert_eq(pj_intake_close(&in, &err), 0, "%s: %s", err.message, a->body);
    cr_assert(in.builder.done, "no end: %s", a->body);
    cr_assert_null(in.builder.error, "%s", a->body);
    *usage = pj_intake_usage(&in, 0);
    *turn = (struct pj_model_turn){0};
    pj_builder_finish(&in.builder, "t", NULL, turn);
    pj_intake_release(&in);
}

static void check_answer(const struct face *f, const struct http_answer *a)
{
    struct pj_model_turn turn;
    struct pj_usage usage;
    const json_t *call;

    cr_assert_eq(a->status, 200, "%s", a->body);
    read_answer(f->api, a, &turn, &usage);
    cr_expect_str_eq(turn.text, "I write it.", "%s", a->body);
    cr_expect_eq(turn.stop, PJ_STOP_CALLS);
    cr_assert_eq(json_array_size(turn.calls), 2, "%s", a->body);
    call = json_array_get(turn.calls, 1);
    cr_expect_str_eq(pj_json_str(call, "name", ""), "write");
    cr_expect_str_eq(pj_json_str(json_object_get(call, "arguments"), "path", ""), "y");
    cr_expect(strlen(pj_json_str(call, "id", "")) > 3);
    cr_expect_not(usage.estimated, "%s", a->body);
    cr_expect_eq(pj_usage_prompt(&usage), 1000);
    cr_expect_eq(usage.output, 100);
    pj_model_turn_release(&turn);
}

/* The provider got the whole talk in its format: model_server checks the form, here is the content. */
static void check_request(const struct face *f, const struct provider *p, struct model_server *m)
{
    PJ_CLEANUP(pj_freep) char *text = pj_json_text(model_server_body(m, 0));
    const char *a = strstr(text, "content of a"), *b = strstr(text, "content of b");

    cr_expect_str_empty(model_server_faults(m), "%s", model_server_faults(m));
    cr_expect_not_null(strstr(text, "Be brief."));
    cr_expect_not_null(strstr(text, "Read it."));
    cr_assert(a && b, "%s", text);
    cr_expect(a < b || f->api == p->api, "results in the order of the calls");
    cr_expect_not_null(strstr(text, "\"Reads.\""));
    cr_expect_not_null(strstr(text, p->api == PJ_API_MESSAGES ? "\"tool_choice\":{\"type\":\"any\"}"
                                                              : "\"tool_choice\":\"required\""));
    cr_expect_not_null(strstr(text, ":5000"), "the client's own cap counts: %s", text);
    cr_expect(f->api == p->api || !strstr(text, "elsewhere"), "foreign reasoning is dropped");
    cr_expect_str_eq(pj_json_str(model_server_body(m, 0), "model", ""), "test-model");
}

Test(gateway_convert, every_client_is_served_by_every_provider)
{
    static const struct model_answer answers[] = {
        {.text = "I write it.",
         .calls = {{"read", "{\"path\":\"x\"}"}, {"write", "{\"path\":\"y\"}"}}}};

    for (size_t i = 0; i < PJ_COUNT_OF(faces) * PJ_COUNT_OF(providers) * 2; i++) {
        const struct face *f = &faces[i / 2 % 3];
        const struct provider *p = &providers[i / 6];
        struct model_server *m = model_server_start(0, answers, 1);
        struct play play = {.path = f->path, .body = i % 2 ? f->stream_body : f->body, .times = 1};
        struct rig rig;

        begin(&rig, p, m);
        cr_assert_eq(play_serve(&rig, &play), 0, "%s", rig.err.message);
        check_answer(f, &play.a[0]);
        check_request(f, p, m);
        cr_expect_eq(rig.calls, 1);
        cr_expect_eq(rig.result.tokens, 1100);
        cr_expect_eq(rig_saw(&rig, "left out"), f->api == PJ_API_RESPONSES, "its web search");
        play_release(&rig, &play);
        model_server_stop(m);
    }
}

/* The events of the two formats that name them, in their documented order. */
Test(gateway_convert, events_come_in_the_documented_order)
{
    /* clang-format off */
    static const struct {
        size_t face, provider;
        const char *events;
    } rows[] = {
        {1, 2, "response.created response.in_progress response.output_item.added response.content_part.added "
               "response.output_text.delta response.output_text.done response.content_part.done response.output_item.done "
               "response.output_item.added response.function_call_arguments.delta response.function_call_arguments.done "
               "response.output_item.done response.completed "},
        {2, 0, "message_start content_block_start content_block_delta content_block_stop content_block_start "
               "content_block_delta content_block_stop message_delta message_stop "},
    };
    /* clang-format on */
    static const struct model_answer answers[] = {{.text = "One.", .calls = {{"read", "{}"}}}};

    for (size_t i = 0; i < PJ_COUNT_OF(rows); i++) {
        struct model_server *m = model_server_start(0, answers, 1);
        struct play play = {
            .path = faces[rows[i].face].path, .body = faces[rows[i].face].stream_body, .times = 1};
        struct rig rig;
        struct pj_view rest, line;
        struct pj_str seen;

        begin(&rig, &providers[rows[i].provider], m);
        /* with another provider to go to, the whole turn is waited for: one delta */
        rig.config.fallback = (struct gateway_provider){
            .provider = "openai", .model = "second", .base_url = "http://127.0.0.1:1/v1"};
        cr_assert_eq(play_serve(&rig, &play), 0, "%s", rig.err.message);
        pj_str_init(&seen, 4096);
        rest = pj_view_n(play.a[0].body, play.a[0].body_len);
        while (pj_view_cut(&rest, '\n', &line))
            if (pj_view_starts(line, "event: "))
                (void)pj_str_putf(&seen, "%.*s ", (int)line.n - 7, line.p + 7);
        cr_expect_str_eq(pj_str_cstr(&seen), rows[i].events, "%s", play.a[0].body);
        pj_str_release(&seen);
        play_release(&rig, &play);
        model_server_stop(m);
    }
}

Test(gateway_convert, a_service_error_goes_to_a_provider_of_another_format)
{
    static const struct model_answer failing[] = {{.repeat = true, .status = 503}};
    static const struct model_answer cut[] = {
        {.repeat = true, .text = "half", .trouble = MODEL_CUT}};
    static const struct model_answer good[] = {{.repeat = true, .text = "from the second"}};

    for (size_t i = 0; i < 4; i++) {
        struct model_server *first = model_server_start(0, i < 2 ? failing : cut, 1),
                            *second = model_server_start(0, good, 1);
        bool chat = i % 2 == 0;
        struct play play = {
            .path = faces[chat ? 0 : 2].path, .body = faces[chat ? 0 : 2].stream_body, .times = 2};
        struct rig rig;

        begin(&rig, &providers[chat ? 0 : 2], first);
        rig.config.fallback =
            (struct gateway_provider){.provider = chat ? "anthropic" : "openai",
                                      .model = "second-model",
                                      .api_key = MODEL_SERVER_KEY,
                                      .base_url = chat ? model_server_anthropic_url(second)
                                                       : model_server_openai_url(second)};
        cr_assert_eq(play_serve(&rig, &play), 0, "%s", rig.err.message);
        for (int k = 0; k < 2; k++) {
            cr_expect_eq(play.a[k].status, 200, "%s", play.a[k].body);
            cr_expect_not_null(strstr(play.a[k].body, "from the second"), "%s", play.a[k].body);
        }
        cr_expect_eq(model_server_count(first), 1, "the fallback stays for the rest of the task");
        cr_expect_eq(model_server_count(second), 2);
        cr_expect_str_empty(model_server_faults(second));
        cr_expect(rig_saw(&rig, "llm_fallback"));
        cr_expect_str_eq(rig.result.model, "second-model");
        play_release(&rig, &play);
        model_server_stop(first);
        model_server_stop(second);
    }
}

Test(gateway_convert, an_authentication_error_does_not)
{
    static const struct model_answer failing[] = {{.repeat = true, .status = 401}};

    for (size_t i = 0; i < 2; i++) { /* passed on, and converted */
        struct model_server *m = model_server_start(0, failing, 1);
        struct play play = {.path = faces[i * 2].path, .body = faces[i * 2].body, .times = 1};
        struct rig rig;

        begin(&rig, &providers[0], m);
        rig.config.fallback = (struct gateway_provider){.provider = "anthropic",
                                                        .model = "second-model",
                                                        .api_key = MODEL_SERVER_KEY,
                                                        .base_url = "http://127.0.0.1:1"};
        cr_assert_eq(play_serve(&rig, &play), 0, "%s", rig.err.message);
        cr_expect_eq(play.a[0].status, 401, "%s", play.a[0].body);
        cr_expect_eq(model_server_count(m), 1);
        cr_expect_not(rig_saw(&rig, "llm_fallback"));
        play_release(&rig, &play);
        model_server_stop(m);
    }
}

/* What the clients' own error handling goes by. */
Test(gateway_convert, errors_reach_the_client_in_its_own_words)
{
    /* clang-format off */
    static const struct {
        struct model_answer answer;
        size_t face, provider;
        int status;
        const char *says;
    } rows[] = {
        {{.status = 429, .headers = {"Retry-After: 7"}}, 2, 0, 429, "rate_limit_error"},
        {{.status = 400, .body = "{\"error\":{\"message\":\"maximum context length is 1\",\"type\":\"invalid_request_error\",\"code\":\"context_length_exceeded\"}}"},
         2, 0, 400, "prompt is too long"},
        {{.status = 400, .body = "{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":\"prompt is too long: 9 > 1\"}}"},
         1, 2, 400, "context_length_exceeded"},
        {{.status = 529}, 0, 2, 503, "server_error"},
        {{.status = 500}, 2, 1, 529, "overloaded_error"},
        {{.status = 404, .body = "{\"type\":\"error\",\"error\":{\"type\":\"not_found_error\",\"message\":\"model: test-model\"}}"}, 0, 2, 404, "llm_model_not_found"},
    };
    /* clang-format on */

    for (size_t i = 0; i < PJ_COUNT_OF(rows); i++) {
        struct model_server *m = model_server_start(0, &rows[i].answer, 1);
        const struct face *f = &faces[rows[i].face];
        struct play play = {.path = f->path, .body = f->stream_body, .times = 1};
        struct rig rig;

        begin(&rig, &providers[rows[i].provider], m);
        cr_assert_eq(play_serve(&rig, &play), 0, "%s", rig.err.message);
        cr_expect_eq(play.a[0].status, rows[i].status, "%zu: %s", i, play.a[0].body);
        cr_expect_not_null(strstr(play.a[0].body, rows[i].says), "%zu: %s", i, play.a[0].body);
        if (rows[i].answer.headers[0]) {
            PJ_CLEANUP(pj_freep) char *after = http_answer_header(&play.a[0], "Retry-After");
            cr_expect_str_eq(after, "7");
        }
        play_release(&rig, &play);
        model_server_stop(m);
    }
}

Test(gateway_convert, text_flows_and_a_break_is_told_in_the_stream)
{
    static const struct model_answer answers[] = {
        {.text = "a long story that is cut", .trouble = MODEL_CUT_STREAM}};

    for (size_t i = 0; i < 3; i++) {
        struct model_server *m = model_server_start(0, answers, 1);
        struct play play = {.path = faces[i].path, .body = faces[i].stream_body, .times = 1};
        struct rig rig;

        begin(&rig, &providers[(i + 1) % 3], m);
        cr_assert_eq(play_serve(&rig, &play), 0, "%s", rig.err.message);
        cr_expect_eq(play.a[0].status, 200, "%s", play.a[0].body);
        cr_expect_not_null(strstr(play.a[0].body, "\"a lo"), "what came was told: %s",
                           play.a[0].body);
        cr_expect_not_null(strstr(play.a[0].body, "llm_service"), "%s", play.a[0].body);
        cr_expect(rig_saw(&rig, "\"estimated\":true"), "a cut stream is guessed at");
        play_release(&rig, &play);
        model_server_stop(m);
    }
}

Test(gateway_convert, a_limit_ends_the_run_and_is_told)
{
    static const struct model_answer answers[] = {{.text = "x", .prompt_tokens = 9000}};
    struct model_server *m = model_server_start(0, answers, 1);
    struct play play = {.path = faces[2].path, .body = faces[2].body, .times = 2};
    struct rig rig;

    begin(&rig, &providers[0], m);
    rig.config.limits.tokens = 9200;
    cr_assert_lt(play_serve(&rig, &play), 0);
    cr_expect_str_eq(rig.err.code, "token_limit");
    cr_expect_eq(play.a[1].status, 429);
    cr_expect_not_null(strstr(play.a[1].body, "token_limit"));
    cr_expect_eq(model_server_count(m), 1);
    play_release(&rig, &play);
    model_server_stop(m);
}

/* Codex's patch tool takes plain text: a function with one argument for everybody else. */
Test(gateway_convert, a_tool_of_plain_text_goes_there_and_back)
{
    static const char body[] =
        "{\"model\":\"m\",\"stream\":false,\"input\":[{\"role\":\"user\",\"content\":\"go\"},"
        "{\"type\":\"custom_tool_call\",\"call_id\":\"c1\",\"name\":\"apply_patch\",\"input\":"
        "\"*** Begin\"},{\"type\":\"custom_tool_call_output\",\"call_id\":\"c1\",\"output\":"
        "\"applied\"}],\"tools\":[{\"type\":\"custom\",\"name\":\"apply_patch\",\"description\":"
        "\"Patch.\",\"format\":{\"type\":\"grammar\",\"syntax\":\"lark\",\"definition\":\"x\"}}]}";
    static const struct model_answer answers[] = {
        {.calls = {{"apply_patch", "{\"input\":\"*** End\"}"}}}};
    struct model_server *m = model_server_start(0, answers, 1);
    struct play play = {.path = "/v1/responses", .body = body, .times = 1};
    struct rig rig;
    PJ_CLEANUP(pj_json_decrefp) json_t *doc = NULL;
    struct pj_err err;

    begin(&rig, &providers[2], m);
    cr_assert_eq(play_serve(&rig, &play), 0, "%s", rig.err.message);
    cr_assert_eq(play.a[0].status, 200, "%s", play.a[0].body);
    cr_assert_eq(pj_json_parse(pj_view_of(play.a[0].body), &doc, &err), 0);
    const json_t *item = json_array_get(json_object_get(doc, "output"), 0);
    cr_expect_str_eq(pj_json_str(item, "type", ""), "custom_tool_call");
    cr_expect_str_eq(pj_json_str(item, "input", ""), "*** End");
    PJ_CLEANUP(pj_freep) char *sent = pj_json_text(model_server_body(m, 0));
    cr_expect_not_null(strstr(sent, "\"input\":{\"input\":\"*** Begin\"}"), "%s", sent);
    cr_expect_str_empty(model_server_faults(m));
    play_release(&rig, &play);
    model_server_stop(m);
}

/* A chat server that counts from 0 in each answer: the client gets ids of its own, and what is kept beside a turn stays with it. */
Test(gateway_convert, a_server_that_uses_ids_again_confuses_nobody)
{
    static const struct model_answer answers[] = {
        {.thought = "first", .calls = {{"read", "{}"}}, .counts_anew = true},
        {.thought = "second", .calls = {{"read", "{}"}}, .counts_anew = true},
        {.text = "done"}};
    static const char asked[] = "{\"max_tokens\":99,\"messages\":[{\"role\":\"user\",\"content\":"
                                "\"go\"},{\"role\":\"assistant\","
                                "\"content\":[{\"type\":\"tool_use\",\"id\":\"call_0_0\",\"name\":"
                                "\"read\",\"input\":{}}]},{\"role\":"
                                "\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":"
                                "\"call_0_0\",\"content\":\"one\"}]}";
    static const char more[] = ",{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\","
                               "\"id\":\"f2_1\",\"name\":\"read\","
                               "\"input\":{}}]},{\"role\":\"user\",\"content\":[{\"type\":\"tool_"
                               "result\",\"tool_use_id\":\"f2_1\","
                               "\"content\":\"two\"}]}";
    static const char tools[] =
        "],\"tools\":[{\"name\":\"read\",\"input_schema\":{\"type\":\"object\"}}]}";
    struct model_server *m = model_server_start(0, answers, PJ_COUNT_OF(answers));
    PJ_CLEANUP(pj_freep) char *second = pj_asprintf("%s%s", asked, tools);
    PJ_CLEANUP(pj_freep) char *third = pj_asprintf("%s%s%s", asked, more, tools);
    struct play play = {
        .path = "/v1/messages",
        .bodies = {"{\"max_tokens\":99,\"messages\":[{\"role\":\"user\",\"content\":\"go\"}]}",
                   second, third},
        .times = 3};
    struct rig rig;

    begin(&rig, &providers[0], m);
    cr_assert_eq(play_serve(&rig, &play), 0, "%s", rig.err.message);
    cr_expect_not_null(strstr(play.a[0].body, "\"id\":\"call_0_0\""), "%s", play.a[0].body);
    cr_expect_not_null(strstr(play.a[1].body, "\"id\":\"f2_1\""), "%s", play.a[1].body);
    cr_expect_eq(play.a[2].status, 200, "%s", play.a[2].body);
    const json_t *messages = json_object_get(model_server_body(m, 2), "messages");
    cr_expect_str_eq(pj_json_str(json_array_get(messages, 2), "reasoning_content", ""), "first");
    cr_expect_str_eq(pj_json_str(json_array_get(messages, 4), "reasoning_content", ""), "second");
    cr_expect_str_empty(model_server_faults(m), "%s", model_server_faults(m));
    play_release(&rig, &play);
    model_server_stop(m);
}

Test(gateway_convert, recorded_answers_serve_any_client)
{
    static const char file_text[] =
        "{\"answers\":[{\"text\":\"recorded\",\"usage\":{\"promptTokens\":10,\"completionTokens\":"
        "2}},{\"text\":\"recorded\"},{\"text\":\"recorded\"}]}";

    for (size_t i = 0; i < PJ_COUNT_OF(faces); i++) {
        struct play play = {.path = faces[i].path, .body = faces[i].body, .times = 1};
        struct rig rig;

        rig_init(&rig, "replay", NULL);
        PJ_CLEANUP(pj_freep) char *file = pj_asprintf("%s/answers.json", rig.dir);
        rig_file(&rig, "../answers.json", file_text);
        rig.config.primary.replay_file = file;
        cr_assert_eq(play_serve(&rig, &play), 0, "%s", rig.err.message);
        cr_expect_eq(play.a[0].status, 200, "%s", play.a[0].body);
        cr_expect_not_null(strstr(play.a[0].body, "recorded"));
        play_release(&rig, &play);
    }
}
