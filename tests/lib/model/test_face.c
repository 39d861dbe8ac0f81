/* A client's history as it may come, made into one that every provider takes. */
#include <criterion/criterion.h>
#include <string.h>
#include <time.h>
#include "lib/base/mem.h"
#include "lib/json/codec.h"
#include "lib/model/face.h"

/* clang-format off */
static const struct {
    const char *name;
    enum pj_model_api api;
    const char *body, *system, *messages; /* messages NULL: refused */
    size_t dropped;
} rows[] = {
    {"results out of order, one missing, one of nobody", PJ_API_CHAT,
     "{\"messages\":[{\"role\":\"user\",\"content\":\"u\"},{\"role\":\"assistant\",\"content\":\"a\",\"tool_calls\":["
     "{\"id\":\"1\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"x\\\":1}\"}},{\"id\":\"2\",\"function\":{\"name\":\"f\",\"arguments\":\"{broken\"}},"
     "{\"id\":\"3\",\"function\":{\"name\":\"f\",\"arguments\":\"\"}}]},{\"role\":\"tool\",\"tool_call_id\":\"3\",\"content\":\"r3\"},"
     "{\"role\":\"tool\",\"tool_call_id\":\"1\",\"content\":\"r1\"},{\"role\":\"tool\",\"tool_call_id\":\"9\",\"content\":\"r9\"}]}",
     "",
     "[{\"role\":\"user\",\"text\":\"u\"},{\"role\":\"assistant\",\"turn\":\"1\",\"text\":\"a\",\"calls\":[{\"id\":\"1\",\"name\":\"f\",\"arguments\":{\"x\":1}},"
     "{\"id\":\"2\",\"name\":\"f\",\"raw\":\"{broken\"},{\"id\":\"3\",\"name\":\"f\",\"arguments\":{}}]},{\"role\":\"tool\",\"results\":["
     "{\"id\":\"1\",\"text\":\"r1\"},{\"id\":\"2\",\"text\":\"(no result)\"},{\"id\":\"3\",\"text\":\"r3\"}]}]", 1},
    {"instructions at the start and in the middle", PJ_API_CHAT,
     "{\"messages\":[{\"role\":\"system\",\"content\":\"s1\"},{\"role\":\"developer\",\"content\":\"s2\"},{\"role\":\"user\",\"content\":\"u\"},"
     "{\"role\":\"system\",\"content\":\"late\"}]}",
     "s1\n\ns2", "[{\"role\":\"user\",\"text\":\"u\"},{\"role\":\"user\",\"text\":\"late\"}]", 0},
    {"a picture", PJ_API_CHAT,
     "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"see\"},{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:\"}}]}]}",
     "", "[{\"role\":\"user\",\"text\":\"see\\n[left out: this part is no text]\"}]", 1},
    {"the assistant first", PJ_API_MESSAGES,
     "{\"messages\":[{\"role\":\"assistant\",\"content\":\"a\"},{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"u\"}]}]}",
     "", "[{\"role\":\"user\",\"text\":\"(the conversation begins here)\"},{\"role\":\"assistant\",\"turn\":\"\",\"text\":\"a\",\"calls\":[]},{\"role\":\"user\",\"text\":\"u\"}]", 0},
    {"the same id in two turns", PJ_API_MESSAGES,
     "{\"messages\":[{\"role\":\"user\",\"content\":\"u\"},{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":\"0\",\"name\":\"f\",\"input\":{}}]},"
     "{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"0\",\"content\":\"one\"}]},"
     "{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":\"0\",\"name\":\"f\",\"input\":{}}]},"
     "{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"0\",\"content\":\"two\"},{\"type\":\"text\",\"text\":\"and\"}]}]}",
     "", "[{\"role\":\"user\",\"text\":\"u\"},{\"role\":\"assistant\",\"turn\":\"0\",\"text\":\"\",\"calls\":[{\"id\":\"0\",\"name\":\"f\",\"arguments\":{}}]},"
     "{\"role\":\"tool\",\"results\":[{\"id\":\"0\",\"text\":\"one\"}]},{\"role\":\"assistant\",\"turn\":\"again_1\",\"text\":\"\",\"calls\":[{\"id\":\"again_1\",\"name\":\"f\",\"arguments\":{}}]},"
     "{\"role\":\"tool\",\"results\":[{\"id\":\"again_1\",\"text\":\"two\"}]},{\"role\":\"user\",\"text\":\"and\"}]", 0},
    {"one id for two calls, and a name of ours taken", PJ_API_CHAT,
     "{\"messages\":[{\"role\":\"user\",\"content\":\"u\"},{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"again_1\",\"function\":{\"name\":\"f\"}},"
     "{\"id\":\"0\",\"function\":{\"name\":\"g\"}},{\"id\":\"0\",\"function\":{\"name\":\"h\"}}]},"
     "{\"role\":\"tool\",\"tool_call_id\":\"0\",\"content\":\"of g\"},{\"role\":\"tool\",\"tool_call_id\":\"0\",\"content\":\"of h\"},"
     "{\"role\":\"tool\",\"tool_call_id\":\"0\",\"content\":\"of nobody\"},{\"role\":\"tool\",\"tool_call_id\":\"again_2\",\"content\":\"of nobody\"}]}",
     "", "[{\"role\":\"user\",\"text\":\"u\"},{\"role\":\"assistant\",\"turn\":\"again_1\",\"text\":\"\",\"calls\":[{\"id\":\"again_1\",\"name\":\"f\",\"arguments\":{}},"
     "{\"id\":\"0\",\"name\":\"g\",\"arguments\":{}},{\"id\":\"again_2\",\"name\":\"h\",\"arguments\":{}}]},"
     "{\"role\":\"tool\",\"results\":[{\"id\":\"again_1\",\"text\":\"(no result)\"},{\"id\":\"0\",\"text\":\"of g\"},{\"id\":\"again_2\",\"text\":\"of h\"}]}]", 2},
    {"calls and words in items of their own", PJ_API_RESPONSES,
     "{\"instructions\":\"s\",\"input\":[{\"role\":\"developer\",\"content\":\"d\"},{\"role\":\"user\",\"content\":\"u\"},"
     "{\"type\":\"message\",\"role\":\"assistant\",\"content\":[{\"type\":\"output_text\",\"text\":\"a\"}]},"
     "{\"type\":\"function_call\",\"call_id\":\"1\",\"name\":\"f\",\"arguments\":\"{}\"},{\"type\":\"function_call_output\",\"call_id\":\"1\",\"output\":\"r\"},"
     "{\"type\":\"function_call\",\"call_id\":\"2\",\"name\":\"f\",\"arguments\":\"{}\"},{\"type\":\"item_reference\",\"id\":\"x\"}]}",
     "s\n\nd", "[{\"role\":\"user\",\"text\":\"u\"},{\"role\":\"assistant\",\"turn\":\"1\",\"text\":\"a\",\"calls\":[{\"id\":\"1\",\"name\":\"f\",\"arguments\":{}}]},"
     "{\"role\":\"tool\",\"results\":[{\"id\":\"1\",\"text\":\"r\"}]},{\"role\":\"assistant\",\"turn\":\"2\",\"text\":\"\",\"calls\":[{\"id\":\"2\",\"name\":\"f\",\"arguments\":{}}]},"
     "{\"role\":\"tool\",\"results\":[{\"id\":\"2\",\"text\":\"(no result)\"}]}]", 1},
    {"a text as input", PJ_API_RESPONSES, "{\"input\":\"hello\"}", "", "[{\"role\":\"user\",\"text\":\"hello\"}]", 0},
    {"no messages", PJ_API_CHAT, "{\"messages\":[]}", NULL, NULL, 0},
    {"messages of another kind", PJ_API_MESSAGES, "{\"messages\":\"hi\"}", NULL, NULL, 0},
    {"a stored response", PJ_API_RESPONSES, "{\"input\":\"x\",\"previous_response_id\":\"resp_1\"}", NULL, NULL, 0},
    {"no input", PJ_API_RESPONSES, "{}", NULL, NULL, 0},
};
/* clang-format on */

Test(face, reads_what_clients_send)
{
    for (size_t i = 0; i < PJ_COUNT_OF(rows); i++) {
        PJ_CLEANUP(pj_json_decrefp) json_t *body = NULL;
        PJ_CLEANUP(pj_freep) char *got = NULL;
        PJ_CLEANUP(pj_asked_release) struct pj_asked asked;
        struct pj_err err;
        int rc;

        cr_assert_eq(pj_json_parse(pj_view_of(rows[i].body), &body, &err), 0, "%s: %s",
                     rows[i].name, err.message);
        rc = pj_asked_read(rows[i].api, body, &asked, &err);
        cr_expect_eq(rc, rows[i].messages ? 0 : -1, "%s", rows[i].name);
        if (!rows[i].messages)
            continue;
        got = pj_json_text(asked.messages);
        cr_expect_str_eq(got, rows[i].messages, "%s:\n%s", rows[i].name, got);
        cr_expect_str_eq(asked.system, rows[i].system, "%s", rows[i].name);
        cr_expect_eq(asked.dropped, rows[i].dropped, "%s: %zu", rows[i].name, asked.dropped);
    }
}

static const char *const choices[][2] = {
    {"{\"messages\":[{\"role\":\"user\",\"content\":\"u\"}],\"tool_choice\":{\"type\":\"function\","
     "\"function\":{\"name\":\"f\"}}}",
     "chat"},
    {"{\"input\":\"u\",\"tool_choice\":{\"type\":\"function\",\"name\":\"f\"}}", "responses"},
    {"{\"messages\":[{\"role\":\"user\",\"content\":\"u\"}],\"tool_choice\":{\"type\":\"tool\","
     "\"name\":\"f\"}}",
     "messages"},
};

Test(face, reads_the_choice_of_one_tool)
{
    for (size_t i = 0; i < PJ_COUNT_OF(choices); i++) {
        PJ_CLEANUP(pj_json_decrefp) json_t *body = NULL;
        PJ_CLEANUP(pj_asked_release) struct pj_asked asked;
        struct pj_err err;

        cr_assert_eq(pj_json_parse(pj_view_of(choices[i][0]), &body, &err), 0);
        cr_assert_eq(pj_asked_read((enum pj_model_api)i, body, &asked, &err), 0, "%s", err.message);
        cr_expect_eq(asked.choice, PJ_CHOICE_ONE, "%s", choices[i][1]);
        cr_expect_str_eq(asked.choice_name, "f", "%s", choices[i][1]);
    }
}

/* Codex names its tools in an item of the talk and by namespaces; the other formats have neither. */
Test(face, tools_of_namespaces_go_there_and_back)
{
    static const char body_text[] =
        "{\"input\":[{\"type\":\"additional_tools\",\"tools\":[{\"type\":\"namespace\",\"name\":"
        "\"functions\",\"tools\":["
        "{\"type\":\"custom\",\"name\":\"exec\",\"description\":\"E.\"},{\"type\":\"web_search\"}]}"
        ","
        "{\"type\":\"namespace\",\"name\":\"a_namespace_with_a_name_as_long_as_nobody_would_ever_"
        "give_"
        "to_it\",\"tools\":[{\"type\":\"function\",\"name\":\"f_of_it\"}]},"
        "{\"type\":\"function\",\"name\":\"plain\"}]},{\"role\":\"user\",\"content\":\"u\"},"
        "{\"type\":\"custom_tool_call\",\"call_id\":\"1\",\"name\":\"exec\",\"namespace\":"
        "\"functions\",\"input\":\"x\"},"
        "{\"type\":\"custom_tool_call_output\",\"call_id\":\"1\",\"output\":\"r\"},"
        "{\"type\":\"additional_tools\",\"tools\":[{\"type\":\"function\",\"name\":\"plain\"}]}]}";
    PJ_CLEANUP(pj_json_decrefp) json_t *body = NULL;
    PJ_CLEANUP(pj_asked_release) struct pj_asked asked;
    struct pj_model_turn turn = {.text = pj_strdup("")};
    struct pj_answer answer = {
        .api = PJ_API_RESPONSES, .id = "0", .model = "m", .asked = &asked, .created_s = 1};
    struct pj_err err;

    cr_assert_eq(pj_json_parse(pj_view_of(body_text), &body, &err), 0, "%s", err.message);
    cr_assert_eq(pj_asked_read(PJ_API_RESPONSES, body, &asked, &err), 0, "%s", err.message);
    cr_assert_eq(json_array_size(asked.tools), 3, "none of them twice");
    cr_expect_str_eq(pj_json_str(json_array_get(asked.tools, 0), "name", ""), "functions__exec");
    cr_expect_str_eq(pj_json_str(json_array_get(asked.tools, 1), "name", ""), "f_of_it");
    cr_expect_str_eq(pj_json_str(json_array_get(asked.tools, 2), "name", ""), "plain");
    cr_expect_eq(asked.dropped, 1, "the web search");
    const json_t *call =
        json_array_get(json_object_get(json_array_get(asked.messages, 1), "calls"), 0);
    cr_expect_str_eq(pj_json_str(call, "name", ""), "functions__exec");

    turn.calls =
        json_pack("[{s:s, s:s, s:{s:s}}, {s:s, s:s, s:{}}]", "id", "2", "name", "functions__exec",
                  "arguments", "input", "y", "id", "3", "name", "f_of_it", "arguments");
    PJ_CLEANUP(pj_json_decrefp) json_t *whole = pj_answer_whole(&answer, &turn);
    const json_t *first = json_array_get(json_object_get(whole, "output"), 0),
                 *second = json_array_get(json_object_get(whole, "output"), 1);
    cr_expect_str_eq(pj_json_str(first, "type", ""), "custom_tool_call");
    cr_expect_str_eq(pj_json_str(first, "name", ""), "exec");
    cr_expect_str_eq(pj_json_str(first, "namespace", ""), "functions");
    cr_expect_str_eq(pj_json_str(first, "input", ""), "y");
    cr_expect_str_eq(pj_json_str(second, "name", ""), "f_of_it");
    cr_expect_eq(strlen(pj_json_str(second, "namespace", "")), 63);
    pj_model_turn_release(&turn);
}

#define MANY 40000
#define CPU_SECONDS_MAX                                                                            \
    20 /* with sanitizers; searching through the history for each piece takes minutes */

/* A box may send whatever fits into a request: reading it takes time in proportion. */
Test(face, a_very_long_history_is_read_in_time)
{
    PJ_CLEANUP(pj_json_decrefp) json_t *body = json_pack("{s:[]}", "messages");
    PJ_CLEANUP(pj_asked_release) struct pj_asked asked;
    json_t *messages = json_object_get(body, "messages");
    struct pj_err err;
    clock_t started;

    for (size_t i = 0; i < MANY; i++)
        json_array_append_new(messages, json_pack("{s:s, s:s}", "role", "user", "content", "u"));
    for (size_t i = 0; i < MANY; i++)
        json_array_append_new(messages, json_pack("{s:s, s:s, s:s}", "role", "tool", "tool_call_id",
                                                  "nobody's", "content", "r"));
    for (size_t i = 0; i < MANY; i++)
        json_array_append_new(messages, json_pack("{s:s, s:s}", "role", "assistant", "content",
                                                  "a word or two of the assistant's"));
    started = clock();
    cr_assert_eq(pj_asked_read(PJ_API_CHAT, body, &asked, &err), 0, "%s", err.message);
    cr_expect_lt((clock() - started) / CLOCKS_PER_SEC, CPU_SECONDS_MAX);
    cr_expect_eq(asked.dropped, MANY);
    cr_expect_eq(json_array_size(asked.messages), MANY + 1, "the assistant's words are one turn");
}
