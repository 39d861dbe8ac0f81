/* sift.c - a box is offline, and its budget is what was reserved. A request that goes on as it is could get round both by way of
 * the provider: a hosted tool or a picture's address makes the provider fetch from anywhere, `n` multiplies the answer, and work
 * in the background is not seen to cost anything. So only known parameters pass. */
#include "runner/gateway/foreign.h"

#include <string.h>
#include "lib/base/mem.h"
#include "lib/json/codec.h"

/* clang-format off */
static const char *const chat_names[] = {
    "frequency_penalty", "logit_bias", "logprobs", "max_completion_tokens", "max_tokens", "messages", "model", "parallel_tool_calls",
    "presence_penalty", "prompt_cache_key", "reasoning_effort", "response_format", "seed", "stop", "stream", "stream_options",
    "temperature", "tool_choice", "tools", "top_logprobs", "top_p", "verbosity", NULL};
static const char *const responses_names[] = {
    "include", "input", "instructions", "max_output_tokens", "model", "parallel_tool_calls", "prompt_cache_key", "reasoning", "stream",
    "stream_options", "temperature", "text", "tool_choice", "tools", "top_logprobs", "top_p", "truncation", NULL};
static const char *const messages_names[] = {
    "cache_control", "context_management", "max_tokens", "messages", "model", "output_config", "stop_sequences", "stream", "system", "temperature", "thinking",
    "tool_choice", "tools", "top_k", "top_p", NULL};
/* What clients send as a matter of course and nobody misses. */
static const char *const unsaid[] = {"client_metadata", "metadata", "n", "safety_identifier", "service_tier", "store", "user", NULL};
/* Tools that the agent itself carries out, though Anthropic brings their schema. */
static const char *const own_tools[] = {"bash_", "computer_", "custom", "memory_", "text_editor_", NULL};
/* clang-format on */

static bool is_one_of(const char *word, const char *const *words)
{
    for (; *words; words++)
        if (strcmp(word, *words) == 0)
            return true;
    return false;
}

static size_t drop_names(json_t *body, const char *const *names)
{
    const char *name;
    json_t *value;
    void *next;
    size_t dropped = 0;

    json_object_foreach_safe(body, next, name, value)
    {
        if (is_one_of(name, names))
            continue;
        dropped += !is_one_of(name, unsaid);
        json_object_del(body, name);
    }
    return dropped;
}

static bool is_own_tool(enum pj_model_api api, const json_t *tool)
{
    const char *type = pj_json_str(tool, "type", "");

    if (api != PJ_API_MESSAGES)
        return strcmp(type, "function") == 0 || strcmp(type, "custom") == 0;
    if (!*type)
        return json_is_object(json_object_get(tool, "input_schema"));
    for (const char *const *own = own_tools; *own; own++)
        if (strncmp(type, *own, strlen(*own)) == 0)
            return true;
    return false;
}

static size_t drop_tools(enum pj_model_api api, json_t *body)
{
    json_t *tools = json_object_get(body, "tools");
    size_t dropped = 0;

    for (size_t i = json_array_size(tools); i-- > 0;) {
        if (is_own_tool(api, json_array_get(tools, i)))
            continue;
        json_array_remove(tools, i);
        dropped++;
    }
    if (tools && json_array_size(tools) == 0) {
        json_object_del(body, "tools");
        json_object_del(body, "tool_choice");
    }
    return dropped;
}

/* A text that the provider would take for an address to fetch from. */
static bool is_remote(const json_t *value)
{
    const char *text = json_string_value(value);

    return text && strncmp(text, "data:", 5) != 0;
}

/* Is something to be fetched anywhere in the talk? Only parts of messages can say so: arguments and schemas of tools are left
 * alone, they are the agent's own. */
static bool fetches(const json_t *value, int levels)
{
    static const char *const addresses[] = {"file_url", "image_url", "url", NULL};
    const char *name;
    json_t *child;
    size_t i;

    if (levels == 0)
        return false;
    json_array_foreach((json_t *)(uintptr_t)value, i, child)
    {
        if (fetches(child, levels - 1))
            return true;
    }
    json_object_foreach((json_t *)(uintptr_t)value, name, child)
    {
        if (strcmp(name, "arguments") == 0 || strcmp(name, "input") == 0)
            continue;
        if ((is_one_of(name, addresses) && is_remote(child)) || fetches(child, levels - 1))
            return true;
    }
    return false;
}

int foreign_sift(enum pj_model_api api, json_t *body, size_t *dropped, struct pj_err *err)
{
    static const char *const *const names[] = {[PJ_API_CHAT] = chat_names,
                                               [PJ_API_RESPONSES] = responses_names,
                                               [PJ_API_MESSAGES] = messages_names};

    *dropped = drop_names(body, names[api]) + drop_tools(api, body);
    if (api == PJ_API_RESPONSES)
        json_object_set_new(body, "store", json_false());
    if (fetches(json_object_get(body, api == PJ_API_RESPONSES ? "input" : "messages"),
                PJ_JSON_DEPTH_MAX))
        return pj_fail(err, PJ_E_INVALID,
                       "an address in the request would be fetched by the provider, but this box "
                       "is offline: put pictures and files into the request (data:)");
    return 0;
}
