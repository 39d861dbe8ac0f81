/* Anthropic Messages. Source: Anthropic API reference, "Messages", "Streaming messages", "Prompt caching", "Extended
 * thinking" (blocks go back unchanged within a tool loop). */
#include "lib/model/adapter.h"

#include <string.h>
#include "lib/base/mem.h"
#include "lib/json/codec.h"

static json_t *text_block(const char *text)
{
    return json_pack("{s:s, s:s}", "type", "text", "text",
                     *text ? text : "(nothing)"); /* empty text is refused */
}

/* Our turn in their blocks, when theirs was not kept. */
static json_t *assistant_blocks(const json_t *message)
{
    const json_t *calls = json_object_get(message, "calls");
    const char *text = pj_json_str(message, "text", "");
    json_t *blocks = json_array();

    if (*text || json_array_size(calls) == 0)
        json_array_append_new(blocks, text_block(text));
    for (size_t i = 0; i < json_array_size(calls); i++) {
        const json_t *call = json_array_get(calls, i);
        json_array_append_new(blocks, json_pack("{s:s, s:s, s:s, s:o}", "type", "tool_use", "id",
                                                pj_json_str(call, "id", ""), "name",
                                                pj_json_str(call, "name", ""), "input",
                                                pj_call_arguments(call)));
    }
    return blocks;
}

static json_t *result_blocks(const json_t *message)
{
    const json_t *results = json_object_get(message, "results");
    json_t *blocks = json_array();

    for (size_t i = 0; i < json_array_size(results); i++) {
        const json_t *result = json_array_get(results, i);
        const char *text = pj_json_str(result, "text", "");
        json_array_append_new(blocks, json_pack("{s:s, s:s, s:s}", "type", "tool_result",
                                                "tool_use_id", pj_json_str(result, "id", ""),
                                                "content", *text ? text : "(nothing)"));
    }
    return blocks;
}

/* Two messages of one role in a row become one. */
static void append(json_t *messages, const char *role, json_t *blocks)
{
    json_t *last = json_array_get(messages, json_array_size(messages) - 1);

    if (last && strcmp(pj_json_str(last, "role", ""), role) == 0) {
        json_array_extend(json_object_get(last, "content"), blocks);
        json_decref(blocks);
        return;
    }
    json_array_append_new(messages, json_pack("{s:s, s:o}", "role", role, "content", blocks));
}

static json_t *messages_of(const struct pj_model_target *target,
                           const struct pj_model_request *request)
{
    json_t *messages = json_array(), *message;
    size_t i;

    json_array_foreach(request->messages, i, message)
    {
        const char *role = pj_json_str(message, "role", "");
        if (strcmp(role, "assistant") == 0) {
            const json_t *raw =
                pj_history_find(request->kept, pj_json_str(message, "turn", ""), target);
            append(messages, "assistant", raw ? json_deep_copy(raw) : assistant_blocks(message));
        } else if (strcmp(role, "tool") == 0) {
            append(messages, "user", result_blocks(message));
        } else {
            json_t *blocks = json_array();
            json_array_append_new(blocks, text_block(pj_json_str(message, "text", "")));
            append(messages, "user", blocks);
        }
    }
    return messages;
}

static void mark_cached(json_t *block)
{
    if (block)
        json_object_set_new(block, "cache_control", json_pack("{s:s}", "type", "ephemeral"));
}

static json_t *choice_of(const struct pj_model_request *request)
{
    switch (request->choice) {
    case PJ_CHOICE_AUTO:
        return NULL;
    case PJ_CHOICE_NONE:
        return json_pack("{s:s}", "type", "none");
    case PJ_CHOICE_ANY:
        return json_pack("{s:s}", "type", "any");
    case PJ_CHOICE_ONE:
        return json_pack("{s:s, s:s}", "type", "tool", "name", request->choice_name);
    }
    return NULL;
}

static json_t *build(const struct pj_model_target *target, const struct pj_model_request *request,
                     const struct pj_quirk *quirk)
{
    json_t *messages = messages_of(target, request), *system = json_array(), *tools = json_array(),
           *tool, *body;
    json_t *last =
        json_object_get(json_array_get(messages, json_array_size(messages) - 1), "content");
    size_t i;

    (void)quirk;
    json_array_foreach(request->tools, i, tool)
    {
        json_array_append_new(tools,
                              json_pack("{s:s, s:s, s:O}", "name", pj_json_str(tool, "name", ""),
                                        "description", pj_json_str(tool, "description", ""),
                                        "input_schema", json_object_get(tool, "parameters")));
    }
    json_array_append_new(system, text_block(request->system));
    mark_cached(json_array_get(system, 0)); /* tools and system: the prefix that never changes */
    mark_cached(json_array_get(last, json_array_size(last) -
                                         1)); /* all of the history, for the next turn */
    body = json_pack("{s:s, s:I, s:b, s:o, s:o}", "model", target->model, "max_tokens",
                     (json_int_t)request->max_output, "stream", 1, "system", system, "messages",
                     messages);
    if (json_array_size(tools) > 0) {
        json_object_set(body, "tools", tools);
        if (request->choice != PJ_CHOICE_AUTO)
            json_object_set_new(body, "tool_choice", choice_of(request));
    }
    json_decref(tools);
    return body;
}

static void read_usage(struct pj_builder *b, const json_t *usage)
{
    if (!json_is_object(usage))
        return;
    /* message_start has the prompt's numbers, message_delta the output's (cumulative); newer servers repeat all. */
    if (json_object_get(usage, "input_tokens"))
        b->usage.uncached = pj_peer_count(usage, "input_tokens");
    if (json_object_get(usage, "cache_read_input_tokens"))
        b->usage.cached = pj_peer_count(usage, "cache_read_input_tokens");
    if (json_object_get(usage, "cache_creation_input_tokens"))
        b->usage.cache_write = pj_peer_count(usage, "cache_creation_input_tokens");
    if (json_object_get(usage, "output_tokens"))
        b->usage.output = pj_peer_count(usage, "output_tokens");
}

static void read_reason(struct pj_builder *b, const char *reason)
{
    if (!reason)
        return;
    if (strcmp(reason, "max_tokens") == 0)
        b->stop = PJ_STOP_LENGTH;
    else if (strcmp(reason, "tool_use") == 0)
        b->stop = PJ_STOP_CALLS;
    else if (strcmp(reason, "refusal") == 0)
        b->refused = true;
    else if (strcmp(reason, "model_context_window_exceeded") == 0)
        b->overflow = true;
}

/* Blocks are kept in raw as they grow: signatures must go back byte for byte. */
static int start_block(struct pj_builder *b, int64_t index, json_t *block, struct pj_err *err)
{
    const char *type = pj_json_str(block, "type", "");
    json_t *kept = json_deep_copy(block);
    json_t *input = json_object_get(block, "input");

    if (!b->raw)
        b->raw = json_array();
    if (json_array_size(b->raw) != (size_t)index || index >= 1024) {
        json_decref(kept);
        return pj_fail(err, PJ_E_PROTOCOL, "content block %lld came out of order",
                       (long long)index);
    }
    json_array_append_new(b->raw, kept);
    b->text_mark = b->text.len;
    pj_str_clear(&b->thinking);
    pj_str_clear(&b->signature);
    if (strcmp(type, "text") == 0)
        pj_builder_text(b, pj_json_str(block, "text", NULL));
    if (strcmp(type, "tool_use") != 0)
        return 0;
    struct pj_builder_call *call = pj_builder_call_add(b, index, pj_json_str(block, "id", NULL),
                                                       pj_json_str(block, "name", NULL), err);
    if (!call)
        return -1;
    if (json_object_size(input) > 0)
        call->object = json_incref(input);
    return 0;
}

static int too_large(struct pj_err *err)
{
    return pj_fail(err, PJ_E_LIMIT, "a block of the answer has more than %zu bytes",
                   PJ_BUILDER_TEXT_MAX);
}

static int delta_block(struct pj_builder *b, int64_t index, const json_t *delta, struct pj_err *err)
{
    const char *type = pj_json_str(delta, "type", "");

    if (strcmp(type, "text_delta") == 0)
        pj_builder_text(b, pj_json_str(delta, "text", ""));
    if (strcmp(type, "thinking_delta") == 0)
        return pj_str_puts(&b->thinking, pj_json_str(delta, "thinking", "")) < 0 ? too_large(err)
                                                                                 : 0;
    if (strcmp(type, "signature_delta") == 0)
        return pj_str_puts(&b->signature, pj_json_str(delta, "signature", "")) < 0 ? too_large(err)
                                                                                   : 0;
    if (strcmp(type, "input_json_delta") == 0) {
        struct pj_builder_call *call = pj_builder_call_find(b, index);
        return call ? pj_builder_args(call, pj_json_str(delta, "partial_json", ""), err) : 0;
    }
    return 0;
}

/* Put what the deltas brought into the block that is kept. */
static void set_field(json_t *block, const char *field, const char *text)
{
    if (block && *text)
        json_object_set_new(block, field, json_string(text));
}

static void stop_block(struct pj_builder *b, int64_t index)
{
    json_t *block = json_array_get(b->raw, (size_t)index);
    const char *type = pj_json_str(block, "type", "");
    struct pj_builder_call *call = pj_builder_call_find(b, index);

    if (strcmp(type, "text") == 0)
        set_field(block, "text", pj_str_cstr(&b->text) + b->text_mark);
    set_field(block, "thinking", pj_str_cstr(&b->thinking));
    set_field(block, "signature", pj_str_cstr(&b->signature));
    if (call && block && !call->object) {
        struct pj_err ignored;
        json_t *input = NULL;
        if (call->args.len == 0 ||
            pj_json_parse(pj_view_n(call->args.data, call->args.len), &input, &ignored) < 0 ||
            !json_is_object(input)) {
            json_decref(input);
            input = call->args.len == 0
                        ? json_object()
                        : json_pack("{s:s}", "invalid_arguments", pj_str_cstr(&call->args));
        }
        json_object_set_new(block, "input", input);
    }
}

static int event(struct pj_builder *b, const char *name, const json_t *data, struct pj_err *err)
{
    const char *type = pj_json_str(data, "type", name);
    int64_t index = pj_json_i64(data, "index", 0);

    if (index < 0 || index >= 1024)
        return pj_fail(err, PJ_E_PROTOCOL, "content block %lld", (long long)index);
    if (strcmp(type, "message_start") == 0) {
        read_usage(b, json_object_get(json_object_get(data, "message"), "usage"));
    } else if (strcmp(type, "content_block_start") == 0) {
        return start_block(b, index, json_object_get(data, "content_block"), err);
    } else if (strcmp(type, "content_block_delta") == 0) {
        return delta_block(b, index, json_object_get(data, "delta"), err);
    } else if (strcmp(type, "content_block_stop") == 0) {
        stop_block(b, index);
    } else if (strcmp(type, "message_delta") == 0) {
        read_reason(b, pj_json_str(json_object_get(data, "delta"), "stop_reason", NULL));
        if (json_is_object(json_object_get(data, "usage"))) {
            read_usage(b, json_object_get(data, "usage"));
            b->has_usage = true;
        }
    } else if (strcmp(type, "message_stop") == 0) {
        b->done = true;
    } else if (strcmp(type, "error") == 0 && !b->error) {
        b->error = json_deep_copy(data);
    }
    return 0;
}

static int whole(struct pj_builder *b, const json_t *doc, struct pj_err *err)
{
    json_t *content = json_object_get(doc, "content");
    size_t i;
    json_t *block;

    if (!json_is_array(content))
        return pj_fail(err, PJ_E_PROTOCOL, "the answer holds no content");
    json_array_foreach(content, i, block)
    {
        if (start_block(b, (int64_t)i, block, err) < 0)
            return -1;
    }
    read_reason(b, pj_json_str(doc, "stop_reason", NULL));
    if (json_is_object(json_object_get(doc, "usage"))) {
        read_usage(b, json_object_get(doc, "usage"));
        b->has_usage = true;
    }
    b->done = true;
    return 0;
}

const struct pj_adapter pj_adapter_messages = {"/v1/messages", build, event, whole};
