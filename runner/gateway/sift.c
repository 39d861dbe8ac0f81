/* sift.c - a box is offline, and its budget is what was reserved. A request that goes on as it is could get round both by way of
 * the provider: a hosted tool makes the provider fetch from anywhere, `n` multiplies the answer, and work in the background is not
 * seen to cost anything. So only known parameters pass. */
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

/* Of a list of tools. A namespace has a list of its own, and goes when nothing is left of it. */
static size_t drop_tools(enum pj_model_api api, json_t *tools, bool inner)
{
    size_t dropped = 0;

    for (size_t i = json_array_size(tools); i-- > 0;) {
        json_t *tool = json_array_get(tools, i), *list = json_object_get(tool, "tools");
        bool space = !inner && api == PJ_API_RESPONSES &&
                     strcmp(pj_json_str(tool, "type", ""), "namespace") == 0;

        if (space)
            dropped += drop_tools(api, list, true);
        if (space ? json_array_size(list) > 0 : is_own_tool(api, tool))
            continue;
        json_array_remove(tools, i);
        dropped += !space;
    }
    return dropped;
}

/* Tools stand beside the talk, or, in Responses, as items of it. */
static size_t drop_all_tools(enum pj_model_api api, json_t *body)
{
    json_t *tools = json_object_get(body, "tools"), *input = json_object_get(body, "input");
    size_t dropped = drop_tools(api, tools, false);

    if (tools && json_array_size(tools) == 0) {
        json_object_del(body, "tools");
        json_object_del(body, "tool_choice");
    }
    for (size_t i = api == PJ_API_RESPONSES ? json_array_size(input) : 0; i-- > 0;) {
        json_t *item = json_array_get(input, i), *list = json_object_get(item, "tools");

        dropped += drop_tools(api, list, false);
        if (list && json_array_size(list) == 0)
            json_array_remove(input, i);
    }
    return dropped;
}

/* Reasoning that says nothing but its id would be looked up among the account's stored answers; the answer does without. */
static void drop_lookups(json_t *body)
{
    json_t *input = json_object_get(body, "input");

    for (size_t i = json_array_size(input); i-- > 0;) {
        const json_t *item = json_array_get(input, i);

        if (strcmp(pj_json_str(item, "type", ""), "reasoning") == 0 &&
            !json_is_string(json_object_get(item, "encrypted_content")) &&
            json_array_size(json_object_get(item, "content")) == 0)
            json_array_remove(input, i);
    }
}

void foreign_sift(enum pj_model_api api, json_t *body, size_t *dropped)
{
    static const char *const *const names[] = {[PJ_API_CHAT] = chat_names,
                                               [PJ_API_RESPONSES] = responses_names,
                                               [PJ_API_MESSAGES] = messages_names};

    *dropped = drop_names(body, names[api]) + drop_all_tools(api, body);
    if (api != PJ_API_RESPONSES)
        return;
    json_object_set_new(body, "store", json_false());
    drop_lookups(body);
}
