/* Anthropic Messages from the client's side. Source: Anthropic API reference, "Messages", "Streaming messages". */
#include "lib/model/face_inner.h"

#include <string.h>
#include "lib/base/mem.h"
#include "lib/json/codec.h"

static void read_block(struct pj_gather *g, const json_t *block, bool assistant)
{
    const char *type = pj_json_str(block, "type", ""), *text = pj_json_str(block, "text", NULL);

    if (strcmp(type, "tool_use") == 0) {
        pj_gather_call(g, pj_json_str(block, "id", ""), pj_json_str(block, "name", ""),
                       json_incref(json_object_get(block, "input")));
    } else if (strcmp(type, "tool_result") == 0) {
        PJ_CLEANUP(pj_freep) char *result = pj_gather_text(g, json_object_get(block, "content"));
        pj_gather_result(g, pj_json_str(block, "tool_use_id", ""), result);
    } else if (text && assistant) {
        pj_gather_assistant(g, text);
    } else if (text) {
        pj_gather_user(g, text);
    } else if (strcmp(type, "thinking") != 0 && strcmp(type, "redacted_thinking") != 0) {
        g->asked->dropped++;
        if (!assistant)
            pj_gather_user(g, "[left out: this part is no text]");
    }
}

static void read_message(struct pj_gather *g, const json_t *message)
{
    const char *role = pj_json_str(message, "role", "");
    const json_t *content = json_object_get(message, "content");
    bool assistant = strcmp(role, "assistant") == 0;

    if (strcmp(role, "system") == 0) {
        PJ_CLEANUP(pj_freep) char *text = pj_gather_text(g, content);
        pj_gather_system(g, text);
    } else if (json_is_string(content)) {
        if (assistant)
            pj_gather_assistant(g, json_string_value(content));
        else
            pj_gather_user(g, json_string_value(content));
    } else {
        for (size_t i = 0; i < json_array_size(content); i++)
            read_block(g, json_array_get(content, i), assistant);
    }
}

static void read_tools(struct pj_gather *g, const json_t *tools)
{
    for (size_t i = 0; i < json_array_size(tools); i++) {
        const json_t *tool = json_array_get(tools, i);
        json_t *schema = json_object_get(tool, "input_schema");

        if (schema) /* without one only Anthropic itself knows what it takes */
            pj_gather_tool(g, pj_json_str(tool, "name", ""), pj_json_str(tool, "description", ""),
                           schema, false);
        else
            g->asked->dropped++;
    }
}

static void read_choice(struct pj_asked *asked, const json_t *choice)
{
    const char *type = pj_json_str(choice, "type", "");

    if (strcmp(type, "none") == 0) {
        asked->choice = PJ_CHOICE_NONE;
    } else if (strcmp(type, "any") == 0) {
        asked->choice = PJ_CHOICE_ANY;
    } else if (strcmp(type, "tool") == 0) {
        asked->choice = PJ_CHOICE_ONE;
        pj_str_set(&asked->choice_name, pj_json_str(choice, "name", ""));
    }
}

static int read_body(struct pj_gather *g, const json_t *body, struct pj_err *err)
{
    const json_t *messages = json_object_get(body, "messages"),
                 *system = json_object_get(body, "system");

    if (!json_is_array(messages))
        return pj_fail(err, PJ_E_INVALID, "messages is no list");
    if (system) {
        PJ_CLEANUP(pj_freep) char *text = pj_gather_text(g, system);
        pj_gather_system(g, text);
    }
    for (size_t i = 0; i < json_array_size(messages); i++)
        read_message(g, json_array_get(messages, i));
    read_tools(g, json_object_get(body, "tools"));
    read_choice(g->asked, json_object_get(body, "tool_choice"));
    return 0;
}

static json_t *usage_of(const struct pj_usage *u)
{
    return json_pack("{s:I, s:I, s:I, s:I}", "input_tokens", (json_int_t)u->uncached,
                     "cache_creation_input_tokens", (json_int_t)u->cache_write,
                     "cache_read_input_tokens", (json_int_t)u->cached, "output_tokens",
                     (json_int_t)u->output);
}

static const char *reason_of(const struct pj_model_turn *turn)
{
    return turn->stop == PJ_STOP_LENGTH       ? "max_tokens"
           : json_array_size(turn->calls) > 0 ? "tool_use"
                                              : "end_turn";
}

static json_t *input_of(const json_t *call)
{
    json_t *arguments = json_object_get(call, "arguments");

    return arguments ? json_incref(arguments)
                     : json_pack("{s:s}", "invalid_arguments", pj_json_str(call, "raw", ""));
}

static void begin(struct pj_answer *a)
{
    struct pj_usage none = {0};

    pj_answer_event(a, "message_start",
                    json_pack("{s:s, s:{s:s+, s:s, s:s, s:s, s:[], s:n, s:n, s:o}}", "type",
                              "message_start", "message", "id", "msg_", a->id, "type", "message",
                              "role", "assistant", "model", a->model, "content", "stop_reason",
                              "stop_sequence", "usage", usage_of(&none)));
}

static void text(struct pj_answer *a, const char *more)
{
    if (!a->text_open) {
        a->text_open = true;
        pj_answer_event(a, "content_block_start",
                        json_pack("{s:s, s:i, s:{s:s, s:s}}", "type", "content_block_start",
                                  "index", 0, "content_block", "type", "text", "text", ""));
    }
    pj_answer_event(a, "content_block_delta",
                    json_pack("{s:s, s:i, s:{s:s, s:s}}", "type", "content_block_delta", "index", 0,
                              "delta", "type", "text_delta", "text", more));
}

static void ping(struct pj_answer *a)
{
    pj_answer_event(a, "ping", json_pack("{s:s}", "type", "ping"));
}

static void stop_block(struct pj_answer *a, json_int_t index)
{
    pj_answer_event(a, "content_block_stop",
                    json_pack("{s:s, s:I}", "type", "content_block_stop", "index", index));
}

static void put_call(struct pj_answer *a, const json_t *call, json_int_t index)
{
    json_t *input = input_of(call);
    PJ_CLEANUP(pj_freep) char *dumped = pj_json_text(input);

    json_decref(input);
    pj_answer_event(a, "content_block_start",
                    json_pack("{s:s, s:I, s:{s:s, s:s, s:s, s:{}}}", "type", "content_block_start",
                              "index", index, "content_block", "type", "tool_use", "id",
                              pj_json_str(call, "id", ""), "name", pj_json_str(call, "name", ""),
                              "input"));
    pj_answer_event(a, "content_block_delta",
                    json_pack("{s:s, s:I, s:{s:s, s:s}}", "type", "content_block_delta", "index",
                              index, "delta", "type", "input_json_delta", "partial_json", dumped));
    stop_block(a, index);
}

static void end(struct pj_answer *a, const struct pj_model_turn *turn)
{
    json_int_t index = a->text_open ? 1 : 0;

    if (a->text_open)
        stop_block(a, 0);
    for (size_t i = 0; i < json_array_size(turn->calls); i++)
        put_call(a, json_array_get(turn->calls, i), index++);
    pj_answer_event(a, "message_delta",
                    json_pack("{s:s, s:{s:s, s:n}, s:o}", "type", "message_delta", "delta",
                              "stop_reason", reason_of(turn), "stop_sequence", "usage",
                              usage_of(&turn->usage)));
    pj_answer_event(a, "message_stop", json_pack("{s:s}", "type", "message_stop"));
}

static json_t *whole(const struct pj_answer *a, const struct pj_model_turn *turn)
{
    json_t *content = json_array();

    if (*turn->text)
        json_array_append_new(content, json_pack("{s:s, s:s}", "type", "text", "text", turn->text));
    for (size_t i = 0; i < json_array_size(turn->calls); i++) {
        const json_t *call = json_array_get(turn->calls, i);
        json_array_append_new(content,
                              json_pack("{s:s, s:s, s:s, s:o}", "type", "tool_use", "id",
                                        pj_json_str(call, "id", ""), "name",
                                        pj_json_str(call, "name", ""), "input", input_of(call)));
    }
    return json_pack("{s:s+, s:s, s:s, s:s, s:o, s:s, s:n, s:o}", "id", "msg_", a->id, "type",
                     "message", "role", "assistant", "model", a->model, "content", content,
                     "stop_reason", reason_of(turn), "stop_sequence", "usage",
                     usage_of(&turn->usage));
}

const struct pj_face pj_face_messages = {read_body, begin, text, ping, end, whole};
