/* OpenAI Chat Completions from the client's side. Source: OpenAI API reference, "Create chat completion", "The chat completion
 * object", "The chat completion chunk object". */
#include "lib/model/face_inner.h"

#include <string.h>
#include "lib/base/mem.h"
#include "lib/json/codec.h"

static void read_calls(struct pj_gather *g, const json_t *calls)
{
    for (size_t i = 0; i < json_array_size(calls); i++) {
        const json_t *call = json_array_get(calls, i), *f = json_object_get(call, "function"),
                     *c = json_object_get(call, "custom");
        const char *id = pj_json_str(call, "id", "");

        if (c)
            pj_gather_call(g, id, pj_json_str(c, "name", ""),
                           json_pack("{s:s}", "input", pj_json_str(c, "input", "")));
        else
            pj_gather_call(g, id, pj_json_str(f, "name", ""),
                           json_incref(json_object_get(f, "arguments")));
    }
}

static void read_message(struct pj_gather *g, const json_t *message)
{
    const char *role = pj_json_str(message, "role", "");
    PJ_CLEANUP(pj_freep)
    char *text = pj_gather_text(g, json_object_get(message, "content"));

    if (strcmp(role, "system") == 0 || strcmp(role, "developer") == 0) {
        pj_gather_system(g, text);
    } else if (strcmp(role, "assistant") == 0) {
        pj_gather_assistant(g, text);
        read_calls(g, json_object_get(message, "tool_calls"));
    } else if (strcmp(role, "tool") == 0) {
        pj_gather_result(g, pj_json_str(message, "tool_call_id", ""), text);
    } else {
        pj_gather_user(g, text);
    }
}

static void read_tools(struct pj_gather *g, const json_t *tools)
{
    for (size_t i = 0; i < json_array_size(tools); i++) {
        const json_t *tool = json_array_get(tools, i);
        bool custom = strcmp(pj_json_str(tool, "type", ""), "custom") == 0;
        const json_t *f = json_object_get(tool, custom ? "custom" : "function");

        pj_gather_tool(g, pj_json_str(f, "name", ""), pj_json_str(f, "description", ""),
                       json_object_get(f, "parameters"), custom);
    }
}

static void read_choice(struct pj_asked *asked, const json_t *choice)
{
    const char *word = json_string_value(choice);
    const char *name = pj_json_str(json_object_get(choice, "function"), "name", NULL);

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
    const json_t *messages = json_object_get(body, "messages");

    if (!json_is_array(messages))
        return pj_fail(err, PJ_E_INVALID, "messages is no list");
    for (size_t i = 0; i < json_array_size(messages); i++)
        read_message(g, json_array_get(messages, i));
    read_tools(g, json_object_get(body, "tools"));
    read_choice(g->asked, json_object_get(body, "tool_choice"));
    g->asked->wants_usage =
        json_is_true(json_object_get(json_object_get(body, "stream_options"), "include_usage"));
    return 0;
}

static json_t *usage_of(const struct pj_usage *u)
{
    return json_pack("{s:I, s:I, s:I, s:{s:I}, s:{s:I}}", "prompt_tokens",
                     (json_int_t)pj_usage_prompt(u), "completion_tokens", (json_int_t)u->output,
                     "total_tokens", (json_int_t)pj_usage_total(u), "prompt_tokens_details",
                     "cached_tokens", (json_int_t)u->cached, "completion_tokens_details",
                     "reasoning_tokens", (json_int_t)u->reasoning);
}

static const char *reason_of(const struct pj_model_turn *turn)
{
    return turn->stop == PJ_STOP_LENGTH       ? "length"
           : json_array_size(turn->calls) > 0 ? "tool_calls"
                                              : "stop";
}

static json_t *calls_of(const struct pj_answer *a, const json_t *calls, bool numbered)
{
    json_t *list = json_array();

    for (size_t i = 0; i < json_array_size(calls); i++) {
        const json_t *call = json_array_get(calls, i);
        const char *id = pj_json_str(call, "id", ""), *name = pj_json_str(call, "name", ""),
                   *plain = NULL;
        PJ_CLEANUP(pj_freep) char *arguments = pj_answer_arguments(call);
        json_t *out = pj_answer_is_custom(a, call, &plain)
                          ? json_pack("{s:s, s:s, s:{s:s, s:s}}", "id", id, "type", "custom",
                                      "custom", "name", name, "input", plain)
                          : json_pack("{s:s, s:s, s:{s:s, s:s}}", "id", id, "type", "function",
                                      "function", "name", name, "arguments", arguments);
        if (numbered)
            json_object_set_new(out, "index", json_integer((json_int_t)i));
        json_array_append_new(list, out);
    }
    return list;
}

/* One chunk with the given choices. */
static json_t *chunk(const struct pj_answer *a, json_t *choices)
{
    return json_pack("{s:s+, s:s, s:I, s:s, s:o}", "id", "chatcmpl-", a->id, "object",
                     "chat.completion.chunk", "created", (json_int_t)a->created_s, "model",
                     a->model, "choices", choices);
}

static void put_delta(struct pj_answer *a, json_t *delta, const char *reason)
{
    pj_answer_event(a, NULL,
                    chunk(a, json_pack("[{s:i, s:o, s:s?}]", "index", 0, "delta", delta,
                                       "finish_reason", reason)));
}

static void begin(struct pj_answer *a)
{
    put_delta(a, json_pack("{s:s, s:s}", "role", "assistant", "content", ""), NULL);
}

static void text(struct pj_answer *a, const char *more)
{
    put_delta(a, json_pack("{s:s}", "content", more), NULL);
}

static void ping(struct pj_answer *a)
{
    (void)pj_str_puts(a->out, ": ping\n\n");
}

static void end(struct pj_answer *a, const struct pj_model_turn *turn)
{
    if (json_array_size(turn->calls) > 0)
        put_delta(a, json_pack("{s:o}", "tool_calls", calls_of(a, turn->calls, true)), NULL);
    put_delta(a, json_object(), reason_of(turn));
    if (a->asked->wants_usage) {
        json_t *last = chunk(a, json_array());
        json_object_set_new(last, "usage", usage_of(&turn->usage));
        pj_answer_event(a, NULL, last);
    }
    (void)pj_str_puts(a->out, "data: [DONE]\n\n");
}

static json_t *whole(const struct pj_answer *a, const struct pj_model_turn *turn)
{
    json_t *message = json_pack("{s:s, s:s?, s:n}", "role", "assistant", "content",
                                *turn->text ? turn->text : NULL, "refusal");

    if (json_array_size(turn->calls) > 0)
        json_object_set_new(message, "tool_calls", calls_of(a, turn->calls, false));
    return json_pack("{s:s+, s:s, s:I, s:s, s:[{s:i, s:o, s:s}], s:o}", "id", "chatcmpl-", a->id,
                     "object", "chat.completion", "created", (json_int_t)a->created_s, "model",
                     a->model, "choices", "index", 0, "message", message, "finish_reason",
                     reason_of(turn), "usage", usage_of(&turn->usage));
}

const struct pj_face pj_face_chat = {read_body, begin, text, ping, end, whole};
