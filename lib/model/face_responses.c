/* OpenAI Responses from the client's side. Source: OpenAI API reference, "Create a model response", "The response object",
 * "Streaming events". */
#include "lib/model/face_inner.h"

#include <string.h>
#include "lib/base/mem.h"
#include "lib/json/codec.h"

#define NAME_MAX_BYTES 64 /* what all formats take as the name of a tool */

static void read_words(struct pj_gather *g, const json_t *item)
{
    const char *role = pj_json_str(item, "role", "user");
    PJ_CLEANUP(pj_freep) char *text = pj_gather_text(g, json_object_get(item, "content"));

    if (strcmp(role, "assistant") == 0)
        pj_gather_assistant(g, text);
    else if (strcmp(role, "system") == 0 || strcmp(role, "developer") == 0)
        pj_gather_system(g, text);
    else
        pj_gather_user(g, text);
}

/* A tool's name as the other formats can have it: those of a namespace carry it in front, and are found again in the answer. */
static char *flat_name(struct pj_gather *g, const char *space, const char *name)
{
    PJ_CLEANUP(pj_freep) char *flat = NULL;
    char *out;

    if (!*space || !*name)
        return pj_strdup(name);
    flat = pj_asprintf("%s__%s", space, name);
    out = pj_strdup(strlen(flat) <= NAME_MAX_BYTES ? flat : name);
    json_object_set_new(g->asked->spaces, out,
                        json_pack("{s:s, s:s}", "namespace", space, "name", name));
    return out;
}

static void read_tool(struct pj_gather *g, const char *space, const json_t *tool)
{
    const char *type = pj_json_str(tool, "type", "");
    PJ_CLEANUP(pj_freep) char *name = flat_name(g, space, pj_json_str(tool, "name", ""));
    bool custom = strcmp(type, "custom") == 0;

    if (custom || strcmp(type, "function") == 0)
        pj_gather_tool(g, name, pj_json_str(tool, "description", ""),
                       json_object_get(tool, "parameters"), custom);
    else
        g->asked->dropped++;
}

static void read_tools(struct pj_gather *g, const json_t *tools)
{
    for (size_t i = 0; i < json_array_size(tools); i++) {
        const json_t *tool = json_array_get(tools, i), *inner = json_object_get(tool, "tools");

        if (strcmp(pj_json_str(tool, "type", ""), "namespace") != 0)
            read_tool(g, "", tool);
        for (size_t k = 0; k < json_array_size(inner); k++)
            read_tool(g, pj_json_str(tool, "name", ""), json_array_get(inner, k));
    }
}

static void read_item(struct pj_gather *g, const json_t *item)
{
    const char *type = pj_json_str(item, "type", "message"), *id = pj_json_str(item, "call_id", "");
    PJ_CLEANUP(pj_freep)
    char *name = flat_name(g, pj_json_str(item, "namespace", ""), pj_json_str(item, "name", ""));

    if (strcmp(type, "message") == 0) {
        read_words(g, item);
    } else if (strcmp(type, "function_call") == 0) {
        pj_gather_call(g, id, name, json_incref(json_object_get(item, "arguments")));
    } else if (strcmp(type, "custom_tool_call") == 0) {
        pj_gather_call(g, id, name, json_pack("{s:s}", "input", pj_json_str(item, "input", "")));
    } else if (strcmp(type, "function_call_output") == 0 ||
               strcmp(type, "custom_tool_call_output") == 0) {
        PJ_CLEANUP(pj_freep) char *text = pj_gather_text(g, json_object_get(item, "output"));
        pj_gather_result(g, id, text);
    } else if (strcmp(type, "additional_tools") == 0) { /* Codex since 0.147 names its tools so */
        read_tools(g, json_object_get(item, "tools"));
    } else if (strcmp(type, "reasoning") != 0) {
        g->asked->dropped++;
    }
}

static void read_choice(struct pj_asked *asked, const json_t *choice)
{
    const char *word = json_string_value(choice), *name = pj_json_str(choice, "name", NULL);

    if (word && strcmp(word, "none") == 0)
        asked->choice = PJ_CHOICE_NONE;
    else if (word && strcmp(word, "required") == 0)
        asked->choice = PJ_CHOICE_ANY;
    else if (name) {
        asked->choice = PJ_CHOICE_ONE;
        pj_str_set(&asked->choice_name, name);
    }
}

static int read_body(struct pj_gather *g, const json_t *body, struct pj_err *err)
{
    const json_t *input = json_object_get(body, "input");

    if (json_is_string(json_object_get(body, "previous_response_id")))
        return pj_fail(err, PJ_E_INVALID,
                       "previous_response_id: nothing is stored here, send the whole input");
    pj_gather_system(g, pj_json_str(body, "instructions", ""));
    if (json_is_string(input))
        pj_gather_user(g, json_string_value(input));
    else if (!json_is_array(input))
        return pj_fail(err, PJ_E_INVALID, "input is no text and no list");
    for (size_t i = 0; i < json_array_size(input); i++)
        read_item(g, json_array_get(input, i));
    read_tools(g, json_object_get(body, "tools"));
    read_choice(g->asked, json_object_get(body, "tool_choice"));
    return 0;
}

static json_t *usage_of(const struct pj_usage *u)
{
    return json_pack("{s:I, s:{s:I}, s:I, s:{s:I}, s:I}", "input_tokens",
                     (json_int_t)pj_usage_prompt(u), "input_tokens_details", "cached_tokens",
                     (json_int_t)u->cached, "output_tokens", (json_int_t)u->output,
                     "output_tokens_details", "reasoning_tokens", (json_int_t)u->reasoning,
                     "total_tokens", (json_int_t)pj_usage_total(u));
}

static json_t *part_of(const char *words)
{
    return json_pack("{s:s, s:s, s:[]}", "type", "output_text", "text", words, "annotations");
}

/* The item of the answer's text; words NULL: it has only begun. */
static json_t *text_item(const struct pj_answer *a, const char *words)
{
    json_t *content = json_array();

    if (words)
        json_array_append_new(content, part_of(words));
    return json_pack("{s:s+, s:s, s:s, s:s, s:o}", "id", "msg_", a->id, "type", "message", "status",
                     words ? "completed" : "in_progress", "role", "assistant", "content", content);
}

static json_t *call_item(const struct pj_answer *a, const json_t *call, size_t number, bool done)
{
    PJ_CLEANUP(pj_freep) char *arguments = pj_answer_arguments(call);
    PJ_CLEANUP(pj_freep) char *id = pj_asprintf("fc_%s_%zu", a->id, number);
    const char *plain = NULL, *name = pj_json_str(call, "name", "");
    bool custom = pj_answer_is_custom(a, call, &plain);
    const json_t *space = json_object_get(a->asked->spaces, name);
    json_t *item = json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:s}", "id", id, "type",
        custom ? "custom_tool_call" : "function_call", "status", done ? "completed" : "in_progress",
        "call_id", pj_json_str(call, "id", ""), "name", name, custom ? "input" : "arguments",
        !done    ? ""
        : custom ? plain
                 : arguments);

    if (space)
        json_object_update(item, (json_t *)(uintptr_t)space);
    return item;
}

/* The response object; `turn` NULL: it has only begun. */
static json_t *response_of(const struct pj_answer *a, const struct pj_model_turn *turn)
{
    bool cut = turn && turn->stop == PJ_STOP_LENGTH;
    json_t *output = json_array(), *doc;

    if (turn && *turn->text)
        json_array_append_new(output, text_item(a, turn->text));
    for (size_t i = 0; turn && i < json_array_size(turn->calls); i++)
        json_array_append_new(output, call_item(a, json_array_get(turn->calls, i), i, true));
    doc = json_pack("{s:s+, s:s, s:I, s:s, s:n, s:n, s:s, s:o, s:b, s:n}", "id", "resp_", a->id,
                    "object", "response", "created_at", (json_int_t)a->created_s, "status",
                    !turn ? "in_progress"
                    : cut ? "incomplete"
                          : "completed",
                    "error", "incomplete_details", "model", a->model, "output", output, "store", 0,
                    "usage");
    if (cut)
        json_object_set_new(doc, "incomplete_details",
                            json_pack("{s:s}", "reason", "max_output_tokens"));
    if (turn)
        json_object_set_new(doc, "usage", usage_of(&turn->usage));
    return doc;
}

static void put(struct pj_answer *a, const char *type, json_t *doc)
{
    json_object_set_new(doc, "type", json_string(type));
    json_object_set_new(doc, "sequence_number", json_integer((json_int_t)a->sequence++));
    pj_answer_event(a, type, doc);
}

static void put_item(struct pj_answer *a, const char *type, size_t index, json_t *item)
{
    put(a, type, json_pack("{s:I, s:o}", "output_index", (json_int_t)index, "item", item));
}

/* An event inside the text's item. The rest is taken over. */
static void put_inside(struct pj_answer *a, const char *type, json_t *rest)
{
    json_t *doc = json_pack("{s:s+, s:i, s:i}", "item_id", "msg_", a->id, "output_index", 0,
                            "content_index", 0);

    json_object_update(doc, rest);
    json_decref(rest);
    put(a, type, doc);
}

static void begin(struct pj_answer *a)
{
    put(a, "response.created", json_pack("{s:o}", "response", response_of(a, NULL)));
    put(a, "response.in_progress", json_pack("{s:o}", "response", response_of(a, NULL)));
}

static void text(struct pj_answer *a, const char *more)
{
    if (!a->text_open) {
        a->text_open = true;
        put_item(a, "response.output_item.added", 0, text_item(a, NULL));
        put_inside(a, "response.content_part.added", json_pack("{s:o}", "part", part_of("")));
    }
    put_inside(a, "response.output_text.delta", json_pack("{s:s}", "delta", more));
}

static void ping(struct pj_answer *a)
{
    (void)pj_str_puts(a->out, ": ping\n\n");
}

static void put_call(struct pj_answer *a, const json_t *call, size_t number, size_t index)
{
    PJ_CLEANUP(pj_freep) char *arguments = pj_answer_arguments(call);
    PJ_CLEANUP(pj_freep) char *id = pj_asprintf("fc_%s_%zu", a->id, number);
    const char *plain = NULL;
    bool custom = pj_answer_is_custom(a, call, &plain);
    const char *words = custom ? plain : arguments;

    put_item(a, "response.output_item.added", index, call_item(a, call, number, false));
    put(a,
        custom ? "response.custom_tool_call_input.delta" : "response.function_call_arguments.delta",
        json_pack("{s:s, s:I, s:s}", "item_id", id, "output_index", (json_int_t)index, "delta",
                  words));
    put(a,
        custom ? "response.custom_tool_call_input.done" : "response.function_call_arguments.done",
        json_pack("{s:s, s:I, s:s}", "item_id", id, "output_index", (json_int_t)index,
                  custom ? "input" : "arguments", words));
    put_item(a, "response.output_item.done", index, call_item(a, call, number, true));
}

static void end(struct pj_answer *a, const struct pj_model_turn *turn)
{
    size_t index = a->text_open ? 1 : 0;

    if (a->text_open) {
        put_inside(a, "response.output_text.done", json_pack("{s:s}", "text", turn->text));
        put_inside(a, "response.content_part.done",
                   json_pack("{s:o}", "part", part_of(turn->text)));
        put_item(a, "response.output_item.done", 0, text_item(a, turn->text));
    }
    for (size_t i = 0; i < json_array_size(turn->calls); i++)
        put_call(a, json_array_get(turn->calls, i), i, index++);
    put(a, turn->stop == PJ_STOP_LENGTH ? "response.incomplete" : "response.completed",
        json_pack("{s:o}", "response", response_of(a, turn)));
}

const struct pj_face pj_face_responses = {read_body, begin, text, ping, end, response_of};
