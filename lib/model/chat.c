/* OpenAI Chat Completions, and the many servers that speak it. Source: OpenAI API reference, "Create chat completion" and
 * "The chat completion chunk object". */
#include "lib/model/adapter.h"

#include <string.h>
#include "lib/base/mem.h"
#include "lib/json/codec.h"

static void add_tool_calls(json_t *out, const json_t *calls)
{
    json_t *list = json_array(), *call;
    size_t i;

    json_array_foreach(calls, i, call)
    {
        json_t *arguments = pj_call_arguments(call);
        PJ_CLEANUP(pj_freep) char *text = pj_json_text(arguments);

        json_array_append_new(list,
                              json_pack("{s:s, s:s, s:{s:s, s:s}}", "id",
                                        pj_json_str(call, "id", ""), "type", "function", "function",
                                        "name", pj_json_str(call, "name", ""), "arguments", text));
        json_decref(arguments);
    }
    json_object_set_new(out, "tool_calls", list);
}

/* Put back what the server gave beside the turn: Gemini refuses a call without its thought signature (extra_content), DeepSeek
 * one without the reasoning before it. */
static void add_extras(json_t *turn, const json_t *kept)
{
    const json_t *extras = json_array_get(kept, 0), *list = json_object_get(extras, "calls");
    const char *reasoning = pj_json_str(extras, "reasoning_content", NULL);

    if (reasoning)
        json_object_set_new(turn, "reasoning_content", json_string(reasoning));
    for (size_t i = 0; i < json_array_size(list); i++)
        if (json_is_object(json_array_get(list, i)))
            json_object_set(json_array_get(json_object_get(turn, "tool_calls"), i), "extra_content",
                            json_array_get(list, i));
}

static void add_message(json_t *out, const json_t *message, const json_t *kept)
{
    const char *role = pj_json_str(message, "role", "user"),
               *text = pj_json_str(message, "text", "");

    if (strcmp(role, "tool") == 0) {
        const json_t *results = json_object_get(message, "results");
        for (size_t i = 0; i < json_array_size(results); i++) {
            const json_t *result = json_array_get(results, i);
            json_array_append_new(out, json_pack("{s:s, s:s, s:s}", "role", "tool", "tool_call_id",
                                                 pj_json_str(result, "id", ""), "content",
                                                 pj_json_str(result, "text", "")));
        }
    } else if (strcmp(role, "assistant") == 0) {
        const json_t *calls = json_object_get(message, "calls");
        bool has_calls = json_array_size(calls) > 0;
        json_t *turn = json_pack("{s:s}", "role", "assistant");

        json_object_set_new(turn, "content", *text || !has_calls ? json_string(text) : json_null());
        if (has_calls)
            add_tool_calls(turn, calls);
        add_extras(turn, kept);
        json_array_append_new(out, turn);
    } else {
        json_array_append_new(out, json_pack("{s:s, s:s}", "role", "user", "content", text));
    }
}

static json_t *tools_of(const json_t *tools)
{
    json_t *list = json_array(), *tool;
    size_t i;

    json_array_foreach(tools, i, tool)
    {
        json_array_append_new(list, json_pack("{s:s, s:{s:s, s:s, s:O}}", "type", "function",
                                              "function", "name", pj_json_str(tool, "name", ""),
                                              "description", pj_json_str(tool, "description", ""),
                                              "parameters", json_object_get(tool, "parameters")));
    }
    return list;
}

static json_t *choice_of(const struct pj_model_request *request)
{
    switch (request->choice) {
    case PJ_CHOICE_AUTO:
        return NULL;
    case PJ_CHOICE_NONE:
        return json_string("none");
    case PJ_CHOICE_ANY:
        return json_string("required");
    case PJ_CHOICE_ONE:
        return json_pack("{s:s, s:{s:s}}", "type", "function", "function", "name",
                         request->choice_name);
    }
    return NULL;
}

static json_t *build(const struct pj_model_target *target, const struct pj_model_request *request,
                     const struct pj_quirk *quirk)
{
    json_t *body = json_pack("{s:s, s:b}", "model", target->model, "stream", 1),
           *messages = json_array();

    json_array_append_new(messages,
                          json_pack("{s:s, s:s}", "role", "system", "content", request->system));
    for (size_t i = 0; i < json_array_size(request->messages); i++) {
        const json_t *message = json_array_get(request->messages, i);
        add_message(messages, message,
                    pj_history_find(request->kept, pj_json_str(message, "turn", ""), target));
    }
    json_object_set_new(body, "messages", messages);
    if (json_array_size(request->tools) > 0) {
        json_object_set_new(body, "tools", tools_of(request->tools));
        if (request->choice != PJ_CHOICE_AUTO)
            json_object_set_new(body, "tool_choice", choice_of(request));
    }
    json_object_set_new(body, quirk->completion_tokens ? "max_completion_tokens" : "max_tokens",
                        json_integer(request->max_output));
    if (!quirk->no_temperature)
        json_object_set_new(body, "temperature", json_real(0.0)); /* R9.3 */
    if (!quirk->no_stream_options)
        json_object_set_new(body, "stream_options", json_pack("{s:b}", "include_usage", 1));
    return body;
}

static void read_usage(struct pj_builder *b, const json_t *usage)
{
    const json_t *in = json_object_get(usage, "prompt_tokens_details");
    const json_t *out = json_object_get(usage, "completion_tokens_details");
    int64_t prompt = pj_peer_count(usage, "prompt_tokens"),
            cached = pj_peer_count(in, "cached_tokens");
    const json_t *cost = json_object_get(usage, "cost"); /* OpenRouter: credits, one is a dollar */

    if (!json_is_object(usage))
        return;
    if (cached == 0)
        cached = pj_peer_count(usage, "prompt_cache_hit_tokens"); /* DeepSeek */
    pj_usage_split(&b->usage, prompt, cached, pj_peer_count(in, "cache_write_tokens"));
    b->usage.output = pj_peer_count(usage, "completion_tokens");
    b->usage.reasoning = pj_peer_count(out, "reasoning_tokens");
    if (json_is_number(cost) && json_number_value(cost) >= 0 && json_number_value(cost) < 1e9)
        b->usage.reported_microusd = (int64_t)(json_number_value(cost) * 1e6 + 0.5);
    b->has_usage = true;
}

static bool has_whole_arguments(const struct pj_builder_call *call)
{
    struct pj_err ignored;
    json_t *whole = NULL;
    bool has = call->args.len > 0 &&
               pj_json_parse(pj_view_n(call->args.data, call->args.len), &whole, &ignored) == 0;

    json_decref(whole);
    return has;
}

/* Which call a delta belongs to. Its `index` should tell; some servers give 0 to all and tell by a new id or name, or give even one
 * id to all and begin again. */
static struct pj_builder_call *call_for(struct pj_builder *b, const json_t *delta,
                                        struct pj_err *err)
{
    const json_t *function = json_object_get(delta, "function");
    const char *id = pj_json_str(delta, "id", ""), *name = pj_json_str(function, "name", "");
    bool says = !*id || *pj_json_str(function, "arguments", "");
    int64_t key = pj_json_i64(delta, "index", 0);
    struct pj_builder_call *call = pj_builder_call_find(b, key);

    if (call && *id && call->id && strcmp(call->id, id) != 0) {
        call->closed = true;
        call = NULL;
    } else if (call && says && *name && call->name && has_whole_arguments(call)) {
        call->closed = true;
        call = NULL;
    }
    if (!call)
        return pj_builder_call_add(b, key, *id ? id : NULL, *name ? name : NULL, err);
    if (!call->id && *id)
        call->id = pj_strdup(id);
    if (!call->name && *name)
        call->name = pj_strdup(name);
    return call;
}

static int read_calls(struct pj_builder *b, const json_t *calls, struct pj_err *err)
{
    for (size_t i = 0; i < json_array_size(calls); i++) {
        const json_t *delta = json_array_get(calls, i);
        json_t *arguments = json_object_get(json_object_get(delta, "function"), "arguments");
        struct pj_builder_call *call;

        if (!json_is_object(delta))
            continue;
        if (!(call = call_for(b, delta, err)))
            return -1;
        if (!call->extra && json_is_object(json_object_get(delta, "extra_content")))
            call->extra = json_deep_copy(json_object_get(delta, "extra_content"));
        if (json_is_object(arguments) && !call->object)
            call->object = json_incref(arguments);
        else if (pj_builder_args(call, json_string_value(arguments), err) < 0)
            return -1;
    }
    return 0;
}

/* `message` of a whole answer or `delta` of a chunk. */
static int read_message(struct pj_builder *b, const json_t *message, struct pj_err *err)
{
    const json_t *content = json_object_get(message, "content");
    const char *refusal = pj_json_str(message, "refusal", NULL);

    if (refusal) {
        (void)pj_str_puts(&b->refusal, refusal);
        b->refused = true;
    }
    if (json_is_string(json_object_get(message, "reasoning_content"))) {
        b->thinking_back = true;
        (void)pj_str_puts(&b->thinking, pj_json_str(message, "reasoning_content", ""));
    }
    pj_builder_text(b, json_string_value(content));
    for (size_t i = 0; i < json_array_size(content); i++) /* parts, some compatible servers */
        pj_builder_text(b, pj_json_str(json_array_get(content, i), "text", NULL));
    return read_calls(b, json_object_get(message, "tool_calls"), err);
}

static void read_reason(struct pj_builder *b, const char *reason)
{
    if (!reason)
        return;
    b->done = true;
    if (strcmp(reason, "length") == 0)
        b->stop = PJ_STOP_LENGTH;
    else if (strcmp(reason, "content_filter") == 0)
        b->refused = true;
    else if (strcmp(reason, "tool_calls") == 0)
        b->stop = PJ_STOP_CALLS;
}

static int take(struct pj_builder *b, const json_t *doc, const char *part, struct pj_err *err)
{
    const json_t *choice = json_array_get(json_object_get(doc, "choices"), 0);

    read_usage(b, json_object_get(doc, "usage"));
    if (read_message(b, json_object_get(choice, part), err) < 0)
        return -1;
    read_reason(b, pj_json_str(choice, "finish_reason", NULL));
    return 0;
}

static int event(struct pj_builder *b, const char *name, const json_t *data, struct pj_err *err)
{
    (void)name;
    if (json_is_object(json_object_get(data, "error")) ||
        json_is_string(json_object_get(data, "error"))) {
        if (!b->error)
            b->error = json_deep_copy(data);
        return 0;
    }
    return take(b, data, "delta", err);
}

static int whole(struct pj_builder *b, const json_t *doc, struct pj_err *err)
{
    if (!json_is_object(
            json_object_get(json_array_get(json_object_get(doc, "choices"), 0), "message")))
        return pj_fail(err, PJ_E_PROTOCOL, "the answer holds no choice with a message");
    if (take(b, doc, "message", err) < 0)
        return -1;
    b->done = true;
    return 0;
}

const struct pj_adapter pj_adapter_chat = {"/chat/completions", build, event, whole};
