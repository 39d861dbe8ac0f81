/* Is this a request that the real peer would take? */
#include <stdio.h>
#include <string.h>
#include "lib/json/codec.h"
#include "tests/support/model_wire.h"

enum model_wire model_wire_of_path(const char *path)
{
    static const struct {
        const char *suffix;
        enum model_wire wire;
    } forms[] = {
        {"/v1/chat/completions", MODEL_CHAT},
        {"/v1/messages", MODEL_MESSAGES},
        {"/v1/responses", MODEL_RESPONSES},
    };

    for (size_t i = 0; i < PJ_COUNT_OF(forms); i++)
        if (strcmp(path, forms[i].suffix) == 0)
            return forms[i].wire;
    return MODEL_WIRE_UNKNOWN;
}

static void check_headers(enum model_wire wire, const struct stand_in_request *r, const char *key,
                          struct pj_str *faults)
{
    const char *type = stand_in_header(r, "content-type");
    char bearer[200];

    if (!type || strncmp(type, "application/json", 16) != 0)
        pj_str_putf(faults, "content-type is %s\n", type ? type : "missing");
    if (wire == MODEL_MESSAGES) {
        const char *sent = stand_in_header(r, "x-api-key");
        const char *version = stand_in_header(r, "anthropic-version");

        if (!sent || strcmp(sent, key) != 0)
            pj_str_puts(faults, "x-api-key is missing or wrong\n");
        if (!version || strcmp(version, "2023-06-01") != 0)
            pj_str_puts(faults, "anthropic-version is missing or wrong\n");
        return;
    }
    const char *sent = stand_in_header(r, "authorization");
    snprintf(bearer, sizeof bearer, "Bearer %s", key);
    if (!sent || strcmp(sent, bearer) != 0)
        pj_str_puts(faults, "authorization is missing or wrong\n");
}

/* ---- names and kinds that the documents know ---- */

/* Top-level parameters (API references of late 2026; those that this project could come to send). */
static const char *const chat_names[] = {
    "model",       "messages",    "stream",           "stream_options",
    "tools",       "tool_choice", "max_tokens",       "max_completion_tokens",
    "temperature", "stop",        "reasoning_effort", NULL};
static const char *const responses_names[] = {
    "model",       "input",       "instructions",      "stream",    "store", "include",  "tools",
    "tool_choice", "temperature", "max_output_tokens", "reasoning", "text",  "metadata", NULL};
static const char *const messages_names[] = {
    "model",         "messages",      "max_tokens",         "system",   "stream",
    "tools",         "tool_choice",   "temperature",        "thinking", "metadata",
    "output_config", "cache_control", "context_management", NULL};

static bool is_one_of(const char *word, const char *const *words)
{
    for (; *words; words++)
        if (strcmp(word, *words) == 0)
            return true;
    return false;
}

static void check_names(const json_t *body, const char *const *names, struct pj_str *faults)
{
    const char *name;
    json_t *value;

    json_object_foreach((json_t *)(uintptr_t)body, name, value)
    {
        if (!is_one_of(name, names))
            pj_str_putf(faults, "unknown parameter %s\n", name);
    }
    value = json_object_get(body, "stream");
    if (value && !json_is_boolean(value))
        pj_str_puts(faults, "stream is no boolean\n");
    value = json_object_get(body, "temperature");
    if (value && !json_is_number(value))
        pj_str_puts(faults, "temperature is no number\n");
    for (const char *const *n = (const char *const[]){"max_tokens", "max_completion_tokens",
                                                      "max_output_tokens", NULL};
         *n; n++)
        if (json_object_get(body, *n) && pj_json_i64(body, *n, 0) < 1)
            pj_str_putf(faults, "%s is no positive integer\n", *n);
}

/* Content: a text, or a list of parts of these types. */
static void check_content(const json_t *content, const char *const *types, const char *where,
                          struct pj_str *faults)
{
    size_t i;
    const json_t *part;

    if (json_is_string(content))
        return;
    if (json_array_size(content) == 0) {
        pj_str_putf(faults, "%s: content is missing or empty\n", where);
        return;
    }
    json_array_foreach(content, i, part)
    {
        const char *type = pj_json_str(part, "type", "");

        if (!is_one_of(type, types))
            pj_str_putf(faults, "%s: a part of type %s\n", where, type);
        if (strcmp(type, "text") == 0 && !*pj_json_str(part, "text", ""))
            pj_str_putf(faults, "%s: an empty text\n", where);
    }
}

/* ---- calls and their results: each call once, each result to a call, none left open ---- */

#define OPEN_MAX 64

struct open_calls {
    const char *id[OPEN_MAX];
    size_t count;
};

static void call_made(struct open_calls *open, const char *id, struct pj_str *faults)
{
    if (!id || !*id)
        pj_str_puts(faults, "a tool call without an id\n");
    else if (open->count < OPEN_MAX)
        open->id[open->count++] = id;
}

static void call_answered(struct open_calls *open, const char *id, struct pj_str *faults)
{
    for (size_t i = 0; id && i < open->count; i++)
        if (strcmp(open->id[i], id) == 0) {
            open->id[i] = open->id[--open->count];
            return;
        }
    pj_str_putf(faults, "a tool result for a call that was not made: %s\n", id ? id : "(no id)");
}

static void none_open(const struct open_calls *open, const char *where, struct pj_str *faults)
{
    if (open->count > 0)
        pj_str_putf(faults, "tool call %s has no result before %s\n", open->id[0], where);
}

/* A string that holds an object. */
static bool is_json_object(const json_t *text)
{
    json_t *doc = NULL;
    struct pj_err ignored;
    bool good = json_is_string(text) &&
                pj_json_parse(pj_view_of(json_string_value(text)), &doc, &ignored) == 0 &&
                json_is_object(doc);

    json_decref(doc);
    return good;
}

static void check_chat(const json_t *body, struct pj_str *faults)
{
    struct open_calls open = {.count = 0};
    size_t i, k;
    json_t *m, *call;
    static const char *const roles[] = {"system", "developer", "user", "assistant", "tool", NULL},
                             *const parts[] = {"text", "file", "image_url", "refusal", NULL};

    check_names(body, chat_names, faults);
    json_array_foreach(json_object_get(body, "messages"), i, m)
    {
        const char *role = pj_json_str(m, "role", "");
        bool calls = json_array_size(json_object_get(m, "tool_calls")) > 0;

        if (!is_one_of(role, roles))
            pj_str_putf(faults, "messages[%zu].role is %s\n", i, role);
        if (calls && strcmp(role, "assistant") != 0)
            pj_str_putf(faults, "messages[%zu]: a %s cannot call tools\n", i, role);
        if (!calls || !json_is_null(json_object_get(m, "content")))
            check_content(json_object_get(m, "content"), parts, role, faults);
        if (strcmp(role, "tool") == 0) {
            call_answered(&open, pj_json_str(m, "tool_call_id", NULL), faults);
            continue;
        }
        none_open(&open, "the next message", faults);
        json_array_foreach(json_object_get(m, "tool_calls"), k, call)
        {
            const json_t *function = json_object_get(call, "function");

            call_made(&open, pj_json_str(call, "id", NULL), faults);
            if (strlen(pj_json_str(call, "id", "")) > 40)
                pj_str_puts(faults, "tool_calls[].id has more than 40 characters\n");
            if (strcmp(pj_json_str(call, "type", ""), "function") != 0 ||
                !*pj_json_str(function, "name", ""))
                pj_str_puts(faults, "tool_calls[] is no function with a name\n");
            if (!is_json_object(json_object_get(function, "arguments")))
                pj_str_puts(faults,
                            "tool_calls[].function.arguments is no JSON text of an object\n");
        }
    }
    none_open(&open, "the end", faults);
    json_array_foreach(json_object_get(body, "tools"), i, m)
    {
        const json_t *function = json_object_get(m, "function");

        if (strcmp(pj_json_str(m, "type", ""), "function") != 0 ||
            !json_is_string(json_object_get(function, "name")) ||
            !json_is_object(json_object_get(function, "parameters")))
            pj_str_putf(faults, "tools[%zu] is no function\n", i);
    }
}

static void check_responses(const json_t *body, struct pj_str *faults)
{
    struct open_calls open = {.count = 0};
    size_t i;
    json_t *item;
    static const char *const types[] = {"message",
                                        "reasoning",
                                        "additional_tools",
                                        "function_call",
                                        "function_call_output",
                                        "custom_tool_call",
                                        "custom_tool_call_output",
                                        NULL},
                             *const parts[] = {"input_text", "output_text", "refusal",
                                               "input_image", NULL},
                             *const roles[] = {"system", "developer", "user", "assistant", NULL};

    check_names(body, responses_names, faults);
    if (json_is_array(json_object_get(body, "messages")))
        pj_str_puts(faults, "messages in a responses request\n");
    json_array_foreach(json_object_get(body, "input"), i, item)
    {
        const char *type = pj_json_str(item, "type", "message");

        if (!is_one_of(type, types))
            pj_str_putf(faults, "input[%zu].type is %s\n", i, type);
        if (strcmp(type, "message") == 0) {
            const char *role = pj_json_str(item, "role", "");
            if (!is_one_of(role, roles))
                pj_str_putf(faults, "input[%zu].role is %s\n", i, role);
            check_content(json_object_get(item, "content"), parts, role, faults);
        }
        if (strcmp(type, "function_call") == 0 &&
            (!*pj_json_str(item, "name", "") ||
             !is_json_object(json_object_get(item, "arguments"))))
            pj_str_putf(faults, "input[%zu] lacks a name or arguments\n", i);
        if (strcmp(type, "function_call_output") == 0 &&
            !json_is_string(json_object_get(item, "output")))
            pj_str_putf(faults, "input[%zu].output is no string\n", i);
        if (strcmp(type, "function_call") == 0)
            call_made(&open, pj_json_str(item, "call_id", NULL), faults);
        else if (strcmp(type, "function_call_output") == 0)
            call_answered(&open, pj_json_str(item, "call_id", NULL), faults);
    }
    none_open(&open, "the end", faults);
    json_array_foreach(json_object_get(body, "tools"), i, item)
    {
        const char *kind = pj_json_str(item, "type", "");

        /* what OpenAI runs itself (web_search and others) has no name */
        if (!*kind || ((strcmp(kind, "function") == 0 || strcmp(kind, "custom") == 0) &&
                       !json_is_string(json_object_get(item, "name"))))
            pj_str_putf(faults, "tools[%zu] has no type, or no name at its top\n", i);
    }
}

static void check_messages(const json_t *body, struct pj_str *faults)
{
    struct open_calls open = {.count = 0};
    const char *last = "assistant";
    size_t i, k;
    json_t *m, *block;
    static const char *const parts[] = {"document", "image",       "redacted_thinking", "text",
                                        "thinking", "tool_result", "tool_use",          NULL};

    check_names(body, messages_names, faults);
    if (json_object_get(body, "system"))
        check_content(json_object_get(body, "system"), (const char *const[]){"text", NULL},
                      "system", faults);
    if (!json_is_integer(json_object_get(body, "max_tokens")))
        pj_str_puts(faults, "max_tokens is missing\n");
    json_array_foreach(json_object_get(body, "messages"), i, m)
    {
        const char *role = pj_json_str(m, "role", "");

        /* Claude Code puts instructions into the talk as a message of role "system" */
        if (strcmp(role, "user") != 0 && strcmp(role, "assistant") != 0 &&
            strcmp(role, "system") != 0)
            pj_str_putf(faults, "messages[%zu].role is %s\n", i, role);
        if (i == 0 && strcmp(role, "user") != 0)
            pj_str_puts(faults, "the first message is not the user's\n");
        if (strcmp(role, "assistant") == 0)
            none_open(&open, "the assistant's next turn", faults);
        last = strcmp(role, "system") == 0 ? last : role;
        check_content(json_object_get(m, "content"), parts, role, faults);
        json_array_foreach(json_object_get(m, "content"), k, block)
        {
            const char *type = pj_json_str(block, "type", "");

            if (strcmp(type, "tool_use") == 0 &&
                (!json_is_object(json_object_get(block, "input")) ||
                 !*pj_json_str(block, "name", "")))
                pj_str_putf(faults, "messages[%zu]: a tool_use lacks name or input\n", i);
            if (strcmp(type, "tool_use") == 0 && strcmp(role, "assistant") != 0)
                pj_str_putf(faults, "messages[%zu]: a %s cannot call tools\n", i, role);
            /* results come before anything else that the user says */
            if (strcmp(type, "tool_result") == 0 && k > 0 &&
                strcmp(
                    pj_json_str(json_array_get(json_object_get(m, "content"), k - 1), "type", ""),
                    "tool_result") != 0)
                pj_str_putf(faults, "messages[%zu]: a tool_result after a text\n", i);
            if (strcmp(type, "tool_use") == 0)
                call_made(&open, pj_json_str(block, "id", NULL), faults);
            else if (strcmp(type, "tool_result") == 0)
                call_answered(&open, pj_json_str(block, "tool_use_id", NULL), faults);
        }
    }
    none_open(&open, "the end", faults);
    if (strcmp(last, "user") != 0)
        pj_str_puts(faults, "the last message is not the user's\n");
    json_array_foreach(json_object_get(body, "tools"), i, m)
    {
        if (!json_is_string(json_object_get(m, "name")) ||
            !json_is_object(json_object_get(m, "input_schema")))
            pj_str_putf(faults, "tools[%zu] lacks name or input_schema\n", i);
    }
}

void model_check(enum model_wire wire, const struct stand_in_request *r, const json_t *body,
                 const char *key, struct pj_str *faults)
{
    const char *list = wire == MODEL_RESPONSES ? "input" : "messages";

    if (strcmp(r->method, "POST") != 0)
        pj_str_putf(faults, "method is %s\n", r->method);
    check_headers(wire, r, key, faults);
    if (!json_is_object(body)) {
        pj_str_puts(faults, "the body is no JSON object\n");
        return;
    }
    if (!*pj_json_str(body, "model", ""))
        pj_str_puts(faults, "model is missing\n");
    const json_t *entries = json_object_get(body, list);
    bool text_input = wire == MODEL_RESPONSES && json_is_string(entries);
    if (!text_input && json_array_size(entries) == 0)
        pj_str_putf(faults, "%s is missing or empty\n", list);
    switch (wire) {
    case MODEL_CHAT:
        check_chat(body, faults);
        break;
    case MODEL_RESPONSES:
        check_responses(body, faults);
        break;
    case MODEL_MESSAGES:
        check_messages(body, faults);
        break;
    case MODEL_WIRE_UNKNOWN:
        break;
    }
}
