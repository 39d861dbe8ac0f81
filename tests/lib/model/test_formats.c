/* What is sent in each wire format, and that streams read alike wherever they are cut. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include "lib/http/sse_read.h"
#include "lib/json/codec.h"
#include "lib/model/adapter.h"
#include "tests/lib/model/behaviour.h"

static const struct pj_adapter *const adapters[] = {&pj_adapter_chat, &pj_adapter_responses,
                                                    &pj_adapter_messages};

struct feed {
    const struct pj_adapter *adapter;
    struct pj_builder b;
};

static int on_event(void *ctx, const char *event, struct pj_view data, struct pj_err *err)
{
    struct feed *f = ctx;
    json_t *doc = NULL;
    int rc = 0;

    if (pj_json_parse(data, &doc, err) == 0)
        rc = f->adapter->event(&f->b, event, doc, err);
    json_decref(doc);
    return rc;
}

static char *read_cut(const struct behaviour *row, size_t cut)
{
    struct feed f = {.adapter = adapters[row->api]};
    struct pj_sse_reader r;
    struct pj_model_turn turn = {0};
    struct pj_err err;
    size_t n = strlen(row->body);
    json_t *none = json_object();
    char *calls, *text;

    pj_builder_init(&f.b);
    pj_sse_reader_init(&r, 65536, on_event, &f);
    cr_assert_eq(pj_sse_reader_feed(&r, row->body, cut, &err), 0);
    cr_assert_eq(pj_sse_reader_feed(&r, row->body + cut, n - cut, &err), 0);
    pj_builder_finish(&f.b, "t1", f.b.raw == NULL ? none : NULL, &turn);
    json_decref(none);
    calls = pj_json_text(turn.calls);
    cr_assert(asprintf(&text, "%s %s %d", turn.text, calls, (int)turn.stop) > 0);
    free(calls);
    pj_model_turn_release(&turn);
    pj_builder_release(&f.b);
    pj_sse_reader_release(&r);
    return text;
}

Test(formats, streams_read_the_same_at_every_split_point)
{
    for (size_t i = 0; i < behaviour_count; i++) {
        const struct behaviour *row = &behaviours[i];
        if (row->fault != PJ_FAULT_NONE || *row->body == '{')
            continue;
        char *whole = read_cut(row, 0);
        for (size_t cut = 1; cut <= strlen(row->body); cut++) {
            char *now = read_cut(row, cut);
            cr_assert_str_eq(now, whole, "%s cut at %zu", row->name, cut);
            free(now);
        }
        free(whole);
    }
}

static json_t *history(void)
{
    json_t *m = json_array();

    json_array_append_new(m, json_pack("{s:s, s:s}", "role", "user", "text", "Do it."));
    json_array_append_new(m, json_pack("{s:s, s:s, s:s, s:[{s:s, s:s, s:{s:s}}, {s:s, s:s, s:s}]}",
                                       "role", "assistant", "turn", "t1", "text", "", "calls", "id",
                                       "c1", "name", "run", "arguments", "command", "ls", "id",
                                       "c2", "name", "run", "raw", "{half"));
    json_array_append_new(m,
                          json_pack("{s:s, s:[{s:s, s:s}, {s:s, s:s}]}", "role", "tool", "results",
                                    "id", "c1", "text", "a.c", "id", "c2", "text", "error"));
    json_array_append_new(m, json_pack("{s:s, s:s}", "role", "user", "text", "Go on."));
    return m;
}

static json_t *built(enum pj_model_api api, const struct pj_history *kept, const char *model)
{
    json_t *messages = history(),
           *tools = json_pack("[{s:s, s:s, s:{s:s}}]", "name", "run", "description", "runs",
                              "parameters", "type", "object");
    struct pj_model_target target = {
        .api = api, .provider = "p", .model = model, .base_url = "https://h/v1"};
    struct pj_model_request request = {.system = "Be good.",
                                       .messages = messages,
                                       .tools = tools,
                                       .turn = "t2",
                                       .max_output = 1000,
                                       .kept = kept};
    struct pj_quirk quirk = {0};
    struct pj_err err;
    json_t *body;

    cr_assert_eq(pj_messages_check(messages, &err), 0, "%s", err.message);
    body = adapters[api]->build(&target, &request, &quirk);
    json_decref(messages);
    json_decref(tools);
    return body;
}

static void expect_body(enum pj_model_api api, const char *expected)
{
    json_t *body = built(api, NULL, "m");
    char *text = pj_json_text(body);

    cr_expect_str_eq(text, expected, "%s", text);
    free(text);
    json_decref(body);
}

Test(formats, chat_completions_request)
{
    expect_body(
        PJ_API_CHAT,
        "{\"model\":\"m\",\"stream\":true,\"messages\":[{\"role\":\"system\",\"content\":\"Be "
        "good.\"},{\"role\":\"user\",\"content\":\"Do it.\"},"
        "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"c1\",\"type\":"
        "\"function\",\"function\":{\"name\":\"run\",\"arguments\":\"{\\\"command\\\":\\\"ls\\\"}"
        "\"}},"
        "{\"id\":\"c2\",\"type\":\"function\",\"function\":{\"name\":\"run\",\"arguments\":\"{"
        "\\\"invalid_arguments\\\":\\\"{half\\\"}\"}}]},"
        "{\"role\":\"tool\",\"tool_call_id\":\"c1\",\"content\":\"a.c\"},{\"role\":\"tool\",\"tool_"
        "call_id\":\"c2\",\"content\":\"error\"},"
        "{\"role\":\"user\",\"content\":\"Go on.\"}],"
        "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"run\",\"description\":\"runs\","
        "\"parameters\":{\"type\":\"object\"}}}],"
        "\"max_tokens\":1000,\"temperature\":0.0,\"stream_options\":{\"include_usage\":true}}");
}

Test(formats, messages_request)
{
    expect_body(
        PJ_API_MESSAGES,
        "{\"model\":\"m\",\"max_tokens\":1000,\"stream\":true,\"system\":[{\"type\":\"text\","
        "\"text\":\"Be good.\",\"cache_control\":{\"type\":\"ephemeral\"}}],"
        "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"Do it.\"}]},"
        "{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":\"c1\",\"name\":"
        "\"run\",\"input\":{\"command\":\"ls\"}},"
        "{\"type\":\"tool_use\",\"id\":\"c2\",\"name\":\"run\",\"input\":{\"invalid_arguments\":\"{"
        "half\"}}]},"
        "{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"c1\","
        "\"content\":\"a.c\"},{\"type\":\"tool_result\",\"tool_use_id\":\"c2\",\"content\":"
        "\"error\"},"
        "{\"type\":\"text\",\"text\":\"Go on.\",\"cache_control\":{\"type\":\"ephemeral\"}}]}],"
        "\"tools\":[{\"name\":\"run\",\"description\":\"runs\",\"input_schema\":{\"type\":"
        "\"object\"}}]}");
}

Test(formats, responses_request)
{
    expect_body(PJ_API_RESPONSES,
                "{\"model\":\"m\",\"instructions\":\"Be "
                "good.\",\"input\":[{\"role\":\"user\",\"content\":\"Do it.\"},"
                "{\"type\":\"function_call\",\"call_id\":\"c1\",\"name\":\"run\",\"arguments\":\"{"
                "\\\"command\\\":\\\"ls\\\"}\"},"
                "{\"type\":\"function_call\",\"call_id\":\"c2\",\"name\":\"run\",\"arguments\":\"{"
                "\\\"invalid_arguments\\\":\\\"{half\\\"}\"},"
                "{\"type\":\"function_call_output\",\"call_id\":\"c1\",\"output\":\"a.c\"},{"
                "\"type\":\"function_call_output\",\"call_id\":\"c2\",\"output\":\"error\"},"
                "{\"role\":\"user\",\"content\":\"Go "
                "on.\"}],\"max_output_tokens\":1000,\"store\":false,\"stream\":true,"
                "\"tools\":[{\"type\":\"function\",\"name\":\"run\",\"description\":\"runs\","
                "\"parameters\":{\"type\":\"object\"},\"strict\":false}],"
                "\"include\":[\"reasoning.encrypted_content\"],\"temperature\":0.0}");
}

Test(formats, a_kept_turn_goes_back_as_it_came_to_its_own_model_only)
{
    struct pj_model_target target = {
        .api = PJ_API_MESSAGES, .provider = "p", .model = "m", .base_url = "https://h/v1"};
    struct pj_history *kept = pj_history_new();
    json_t *raw =
        json_pack("[{s:s, s:s, s:s}, {s:s, s:s, s:s, s:{}}]", "type", "thinking", "thinking", "hm",
                  "signature", "c2ln", "type", "tool_use", "id", "c1", "name", "run", "input");
    json_t *body;

    pj_history_keep(kept, "t1", &target, raw);
    body = built(PJ_API_MESSAGES, kept, "m");
    cr_assert(json_equal(
        json_object_get(json_array_get(json_object_get(body, "messages"), 1), "content"), raw));
    json_decref(body);
    body = built(PJ_API_MESSAGES, kept, "another");
    cr_assert_not(json_equal(
        json_object_get(json_array_get(json_object_get(body, "messages"), 1), "content"), raw));
    json_decref(body);
    json_decref(raw);
    pj_history_free(kept);
}

Test(formats, thinking_is_kept_with_its_signature)
{
    static const char *const events[] = {
        "{\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"thinking\","
        "\"thinking\":\"\",\"signature\":\"\"}}",
        "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"thinking_delta\","
        "\"thinking\":\"let me \"}}",
        "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"thinking_delta\","
        "\"thinking\":\"see\"}}",
        "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"signature_delta\","
        "\"signature\":\"c2lnbmVk\"}}",
        "{\"type\":\"content_block_stop\",\"index\":0}",
        "{\"type\":\"content_block_start\",\"index\":1,\"content_block\":{\"type\":\"redacted_"
        "thinking\",\"data\":\"opaque\"}}",
        "{\"type\":\"content_block_stop\",\"index\":1}",
        "{\"type\":\"content_block_start\",\"index\":2,\"content_block\":{\"type\":\"text\","
        "\"text\":\"\"}}",
        "{\"type\":\"content_block_stop\",\"index\":2}",
        "{\"type\":\"content_block_start\",\"index\":3,\"content_block\":{\"type\":\"tool_use\","
        "\"id\":\"x\",\"name\":\"run\",\"input\":{}}}",
        "{\"type\":\"content_block_delta\",\"index\":3,\"delta\":{\"type\":\"input_json_delta\","
        "\"partial_json\":\"{\\\"a\\\":1}\"}}",
        "{\"type\":\"content_block_stop\",\"index\":3}",
    };
    struct feed f = {.adapter = &pj_adapter_messages};
    struct pj_model_turn turn = {0};
    struct pj_err err;
    char *raw;

    pj_builder_init(&f.b);
    for (size_t i = 0; i < PJ_COUNT_OF(events); i++)
        cr_assert_eq(on_event(&f, "message", pj_view_of(events[i]), &err), 0);
    pj_builder_finish(&f.b, "t1", NULL, &turn);
    raw = pj_json_text(turn.raw);
    cr_assert_str_eq(
        raw,
        "[{\"type\":\"thinking\",\"thinking\":\"let me "
        "see\",\"signature\":\"c2lnbmVk\"},{\"type\":\"redacted_thinking\",\"data\":\"opaque\"},"
        "{\"type\":\"tool_use\",\"id\":\"x\",\"name\":\"run\",\"input\":{\"a\":1}}]");
    free(raw);
    pj_model_turn_release(&turn);
    pj_builder_release(&f.b);
}

Test(formats, auto_means_responses_on_openais_own_host_only)
{
    /* clang-format off */
    static const struct {
        const char *word, *base;
        enum pj_model_api api;
    } rows[] = {
        {"auto", "https://api.openai.com/v1", PJ_API_RESPONSES}, {NULL, "https://api.openai.com/v1", PJ_API_RESPONSES},
        {"auto", "https://openrouter.ai/api/v1", PJ_API_CHAT},   {"auto", "http://127.0.0.1:11434/v1", PJ_API_CHAT},
        {"auto", "https://api.openai.com.evil/v1", PJ_API_CHAT}, {"chat", "https://api.openai.com/v1", PJ_API_CHAT},
        {"responses", "http://h/v1", PJ_API_RESPONSES},
    };
    /* clang-format on */
    enum pj_model_api api;
    struct pj_err err;

    for (size_t i = 0; i < PJ_COUNT_OF(rows); i++) {
        cr_expect_eq(pj_model_openai_api(rows[i].word, rows[i].base, &api, &err), 0);
        cr_expect_eq(api, rows[i].api, "%s", rows[i].base);
    }
    cr_expect_lt(pj_model_openai_api("soap", "https://h", &api, &err), 0);
}

Test(formats, refuses_histories_that_no_provider_takes)
{
    static const char *const bad[] = {
        "[]",
        "{}",
        "[{\"role\":\"assistant\",\"turn\":\"t\",\"text\":\"\"}]",
        "[{\"role\":\"user\"}]",
        "[{\"role\":\"root\",\"text\":\"\"}]",
        "[{\"role\":\"user\",\"text\":\"\"},{\"role\":\"assistant\",\"turn\":\"t\",\"text\":\"\","
        "\"calls\":[{\"id\":\"a\",\"name\":\"n\",\"arguments\":{}}]}]",
        "[{\"role\":\"user\",\"text\":\"\"},{\"role\":\"tool\",\"results\":[]}]",
        "[{\"role\":\"user\",\"text\":\"\"},{\"role\":\"assistant\",\"turn\":\"t\",\"text\":\"\","
        "\"calls\":[{\"id\":\"a\",\"name\":\"n\",\"arguments\":{}}]},{\"role\":\"tool\","
        "\"results\":[{\"id\":\"b\",\"text\":\"\"}]}]",
        "[{\"role\":\"user\",\"text\":\"\"},{\"role\":\"assistant\",\"turn\":\"t\",\"text\":\"\","
        "\"calls\":[{\"id\":\"a\",\"name\":\"n\"}]},{\"role\":\"tool\",\"results\":[{\"id\":\"a\","
        "\"text\":\"\"}]}]",
    };
    struct pj_err err;

    for (size_t i = 0; i < PJ_COUNT_OF(bad); i++) {
        json_t *doc = NULL;
        cr_assert_eq(pj_json_parse(pj_view_of(bad[i]), &doc, &err), 0);
        cr_expect_lt(pj_messages_check(doc, &err), 0, "%s", bad[i]);
        json_decref(doc);
    }
}

Test(formats, chat_gives_back_what_stood_beside_the_calls)
{
    static const char *const chunks[] = {
        "{\"choices\":[{\"delta\":{\"reasoning_content\":\"let me \"}}]}",
        "{\"choices\":[{\"delta\":{\"reasoning_content\":\"see\"}}]}",
        "{\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"c1\",\"function\":{"
        "\"name\":\"run\","
        "\"arguments\":\"{}\"},\"extra_content\":{\"google\":{\"thought_signature\":\"c2ln\"}}},"
        "{\"index\":1,\"id\":\"c2\",\"function\":{\"name\":\"run\",\"arguments\":\"{}\"}}]},"
        "\"finish_reason\":\"tool_calls\"}]}",
    };
    struct pj_model_target target = {
        .api = PJ_API_CHAT, .provider = "p", .model = "m", .base_url = "https://h/v1"};
    struct pj_history *kept = pj_history_new();
    struct feed f = {.adapter = &pj_adapter_chat};
    struct pj_model_turn turn = {0};
    struct pj_err err;

    pj_builder_init(&f.b);
    for (size_t i = 0; i < PJ_COUNT_OF(chunks); i++)
        cr_assert_eq(on_event(&f, "message", pj_view_of(chunks[i]), &err), 0);
    pj_builder_finish(&f.b, "t1", NULL, &turn);
    pj_history_keep(kept, "t1", &target, turn.raw);
    json_t *body = built(PJ_API_CHAT, kept, "m");
    const json_t *said = json_array_get(json_object_get(body, "messages"), 2);
    const json_t *calls = json_object_get(said, "tool_calls");
    cr_assert_str_eq(pj_json_str(said, "reasoning_content", ""), "let me see");
    cr_assert_str_eq(
        pj_json_str(
            json_object_get(json_object_get(json_array_get(calls, 0), "extra_content"), "google"),
            "thought_signature", ""),
        "c2ln");
    cr_assert_null(json_object_get(json_array_get(calls, 1), "extra_content"));
    json_decref(body);
    body = built(PJ_API_CHAT, kept, "another");
    cr_assert_null(
        json_object_get(json_array_get(json_object_get(body, "messages"), 2), "reasoning_content"));
    json_decref(body);
    pj_model_turn_release(&turn);
    pj_builder_release(&f.b);
    pj_history_free(kept);
}

/* Servers that count their calls from 0 in each answer, or say one id and one index for all: nothing is mixed up or merged. */
Test(formats, chat_calls_get_ids_of_their_own_where_the_servers_are_doubled_or_taken)
{
    static const char *const chunks[] = {
        "{\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"call_0\",\"function\":{"
        "\"name\":\"f\",\"arguments\":\"{\\\"a\\\":\"}}]}}]}",
        "{\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"call_0\",\"function\":{"
        "\"name\":\"f\",\"arguments\":\"1}\"}}]}}]}",
        "{\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"call_0\",\"function\":{"
        "\"name\":\"f\",\"arguments\":\"\"}}]}}]}",
        "{\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"call_0\",\"function\":{"
        "\"name\":\"g\",\"arguments\":\"{\\\"b\\\":2}\"}}]}}]}",
        "{\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":1,\"id\":\"call_1\",\"function\":{"
        "\"name\":\"h\",\"arguments\":\"{}\"}}]},\"finish_reason\":\"tool_calls\"}]}",
    };
    struct feed f = {.adapter = &pj_adapter_chat};
    struct pj_model_turn turn = {0};
    struct pj_err err;
    json_t *taken = json_pack("{s:b}", "call_1", 1);
    char *text;

    pj_builder_init(&f.b);
    for (size_t i = 0; i < PJ_COUNT_OF(chunks); i++)
        cr_assert_eq(on_event(&f, "message", pj_view_of(chunks[i]), &err), 0);
    pj_builder_finish(&f.b, "t7", taken, &turn);
    text = pj_json_text(turn.calls);
    cr_expect_str_eq(text, "[{\"id\":\"call_0\",\"name\":\"f\",\"arguments\":{\"a\":1}},"
                           "{\"id\":\"t7_2\",\"name\":\"g\",\"arguments\":{\"b\":2}},"
                           "{\"id\":\"t7_3\",\"name\":\"h\",\"arguments\":{}}]");
    free(text);
    json_decref(taken);
    pj_model_turn_release(&turn);
    pj_builder_release(&f.b);
}

Test(formats, a_prompt_counted_as_a_whole_is_split)
{
    struct pj_usage u = {0};

    pj_usage_split(&u, 100, 40, 25);
    cr_assert(u.uncached == 35 && u.cached == 40 && u.cache_write == 25);
    pj_usage_split(&u, 100, 400, 25);
    cr_assert(u.uncached == 0 && u.cached == 100 && u.cache_write == 0);
    pj_usage_split(&u, 100, 90, 25);
    cr_assert(u.uncached == 0 && u.cached == 90 && u.cache_write == 10);
}
