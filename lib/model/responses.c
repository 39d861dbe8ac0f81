/* OpenAI Responses, stateless: store is false, so reasoning travels with us in encrypted form. Source: OpenAI API reference,
 * "Responses" and "Streaming events"; guide "Reasoning models", section "Encrypted reasoning items". */
#include "lib/model/adapter.h"

#include <string.h>
#include "lib/base/mem.h"
#include "lib/json/codec.h"

static void add_assistant(json_t *input, const json_t *message)
{
    const json_t *calls = json_object_get(message, "calls");
    const char *text = pj_json_str(message, "text", "");

    if (*text)
        json_array_append_new(input, json_pack("{s:s, s:s}", "role", "assistant", "content", text));
    for (size_t i = 0; i < json_array_size(calls); i++) {
        const json_t *call = json_array_get(calls, i);
        json_t *arguments = pj_call_arguments(call);
        PJ_CLEANUP(pj_freep) char *dumped = pj_json_text(arguments);

        json_array_append_new(input, json_pack("{s:s, s:s, s:s, s:s}", "type", "function_call",
                                               "call_id", pj_json_str(call, "id", ""), "name",
                                               pj_json_str(call, "name", ""), "arguments", dumped));
        json_decref(arguments);
    }
}

static json_t *input_of(const struct pj_model_target *target,
                        const struct pj_model_request *request)
{
    json_t *input = json_array(), *message;
    size_t i;

    json_array_foreach(request->messages, i, message)
    {
        const char *role = pj_json_str(message, "role", "");
        if (strcmp(role, "assistant") == 0) {
            const json_t *raw =
                pj_history_find(request->kept, pj_json_str(message, "turn", ""), target);
            if (raw) {
                json_t *copy = json_deep_copy(raw);
                json_array_extend(input, copy);
                json_decref(copy);
            } else {
                add_assistant(input, message);
            }
        } else if (strcmp(role, "tool") == 0) {
            const json_t *results = json_object_get(message, "results");
            for (size_t k = 0; k < json_array_size(results); k++) {
                const json_t *result = json_array_get(results, k);
                json_array_append_new(input,
                                      json_pack("{s:s, s:s, s:s}", "type", "function_call_output",
                                                "call_id", pj_json_str(result, "id", ""), "output",
                                                pj_json_str(result, "text", "")));
            }
        } else {
            json_array_append_new(input, json_pack("{s:s, s:s}", "role", "user", "content",
                                                   pj_json_str(message, "text", "")));
        }
    }
    return input;
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
        return json_pack("{s:s, s:s}", "type", "function", "name", request->choice_name);
    }
    return NULL;
}

static json_t *build(const struct pj_model_target *target, const struct pj_model_request *request,
                     const struct pj_quirk *quirk)
{
    json_t *tools = json_array(), *tool, *body;
    size_t i;

    json_array_foreach(request->tools, i, tool)
    {
        json_array_append_new(tools, json_pack("{s:s, s:s, s:s, s:O, s:b}", "type", "function",
                                               "name", pj_json_str(tool, "name", ""), "description",
                                               pj_json_str(tool, "description", ""), "parameters",
                                               json_object_get(tool, "parameters"), "strict", 0));
    }
    body = json_pack("{s:s, s:s, s:o, s:I, s:b, s:b}", "model", target->model, "instructions",
                     request->system, "input", input_of(target, request), "max_output_tokens",
                     (json_int_t)request->max_output, "store", 0, "stream", 1);
    if (json_array_size(tools) > 0) {
        json_object_set(body, "tools", tools);
        if (request->choice != PJ_CHOICE_AUTO)
            json_object_set_new(body, "tool_choice", choice_of(request));
    }
    json_decref(tools);
    if (!quirk->no_include)
        json_object_set_new(body, "include", json_pack("[s]", "reasoning.encrypted_content"));
    if (!quirk->no_temperature)
        json_object_set_new(body, "temperature", json_real(0.0)); /* R9.3 */
    return body;
}

static void read_usage(struct pj_builder *b, const json_t *usage)
{
    int64_t prompt = pj_peer_count(usage, "input_tokens");
    int64_t cached = pj_peer_count(json_object_get(usage, "input_tokens_details"), "cached_tokens");

    if (!json_is_object(usage))
        return;
    pj_usage_split(
        &b->usage, prompt, cached,
        pj_peer_count(json_object_get(usage, "input_tokens_details"), "cache_write_tokens"));
    b->usage.output = pj_peer_count(usage, "output_tokens");
    b->usage.reasoning =
        pj_peer_count(json_object_get(usage, "output_tokens_details"), "reasoning_tokens");
    b->has_usage = true;
}

/* One finished item of the output: kept as it came, and read. `cut`: the answer ended by length. */
static int take_item(struct pj_builder *b, json_t *item, bool cut, struct pj_err *err)
{
    const char *type = pj_json_str(item, "type", "");

    if (!b->raw)
        b->raw = json_array();
    if (strcmp(type, "reasoning") == 0 &&
        !json_is_string(json_object_get(item, "encrypted_content")))
        return 0; /* nothing is stored over there, so its id alone would not be found again */
    if (strcmp(type, "function_call") == 0) {
        struct pj_builder_call *call =
            pj_builder_call_add(b, (int64_t)b->calls, pj_json_str(item, "call_id", NULL),
                                pj_json_str(item, "name", NULL), err);
        if (!call || pj_builder_args(call, pj_json_str(item, "arguments", ""), err) < 0)
            return -1;
        call->closed = strcmp(pj_json_str(item, "status", "completed"), "completed") == 0;
        if (cut && !call->closed)
            return 0; /* dropped later, so it must not stand in raw either */
    } else if (strcmp(type, "message") == 0) {
        const json_t *content = json_object_get(item, "content");
        for (size_t i = 0; i < json_array_size(content); i++) {
            const json_t *part = json_array_get(content, i);
            pj_builder_text(b, pj_json_str(part, "text", NULL));
            if (strcmp(pj_json_str(part, "type", ""), "refusal") == 0) {
                b->refused = true;
                (void)pj_str_puts(&b->refusal, pj_json_str(part, "refusal", ""));
            }
        }
    }
    if (json_array_size(b->raw) >= 1024)
        return pj_fail(err, PJ_E_PROTOCOL, "the answer has more than 1024 items");
    json_array_append_new(b->raw, json_deep_copy(item));
    return 0;
}

/* The response object that ends every stream, or is the whole answer. */
static int take_response(struct pj_builder *b, const json_t *response, struct pj_err *err)
{
    const char *status = pj_json_str(response, "status", "completed");
    const char *why = pj_json_str(json_object_get(response, "incomplete_details"), "reason", "");
    const json_t *output = json_object_get(response, "output");

    read_usage(b, json_object_get(response, "usage"));
    if (json_is_object(json_object_get(response, "error")) && !b->error)
        b->error = json_pack("{s:O}", "error", json_object_get(response, "error"));
    if (strcmp(status, "incomplete") == 0) {
        if (strcmp(why, "content_filter") == 0)
            b->refused = true;
        else
            b->stop = PJ_STOP_LENGTH;
    }
    if (!b->raw)
        for (size_t i = 0; i < json_array_size(output); i++)
            if (take_item(b, json_array_get(output, i), b->stop == PJ_STOP_LENGTH, err) < 0)
                return -1;
    b->done = true;
    return 0;
}

static int event(struct pj_builder *b, const char *name, const json_t *data, struct pj_err *err)
{
    const char *type = pj_json_str(data, "type", name);

    if (strcmp(type, "response.output_item.done") == 0)
        return take_item(
            b, json_object_get(data, "item"),
            strcmp(pj_json_str(json_object_get(data, "item"), "status", ""), "incomplete") == 0,
            err);
    if (strcmp(type, "response.completed") == 0 || strcmp(type, "response.incomplete") == 0 ||
        strcmp(type, "response.failed") == 0)
        return take_response(b, json_object_get(data, "response"), err);
    if (strcmp(type, "error") == 0 && !b->error)
        b->error = json_deep_copy(data);
    return 0;
}

static int whole(struct pj_builder *b, const json_t *doc, struct pj_err *err)
{
    if (!json_is_array(json_object_get(doc, "output")) &&
        !json_is_object(json_object_get(doc, "error")))
        return pj_fail(err, PJ_E_PROTOCOL, "the answer holds no output");
    return take_response(b, doc, err);
}

const struct pj_adapter pj_adapter_responses = {"/responses", build, event, whole};
