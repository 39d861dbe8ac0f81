/* refs.c - what a request may not speak of: things that lie elsewhere. An address would be fetched by the provider, for a box that is
 * offline; an id stands for what the provider's account keeps (files, containers, stored answers), which belongs to the whole
 * installation. Kinds of parts are listed by what may pass: a kind that is new to us may hold a reference that is new to us.
 * Sources: API references of Anthropic ("Messages", "Files"), OpenAI ("Responses", "Chat Completions", "Conversations"). */
#include "runner/gateway/foreign.h"

#include <string.h>
#include <strings.h>
#include "lib/base/mem.h"
#include "lib/json/codec.h"

/* clang-format off */
static const char *const chat_kinds[] = {
    "custom", "ephemeral", "file", "function", "image_url", "input_audio", "reasoning.encrypted", "reasoning.summary", "reasoning.text",
    "refusal", "text", "thinking", NULL};
static const char *const responses_kinds[] = {
    "additional_tools", "compaction", "compaction_summary", "custom_tool_call", "custom_tool_call_output", "exec", "function_call", "function_call_output", "input_audio",
    "input_file", "input_image", "input_text", "local_shell_call", "local_shell_call_output", "message", "output_text", "reasoning",
    "reasoning_text", "refusal", "summary_text", "text", NULL};
static const char *const messages_kinds[] = {
    "base64", "char_location", "compaction", "content", "content_block_location", "direct", "document", "ephemeral", "image", "page_location",
    "redacted_thinking", "search_result", "search_result_location", "text", "thinking", "tool_reference", "tool_result", "tool_use", NULL};
/* Addresses: only the content itself may stand there. */
static const char *const addresses[] = {"file_url", "image_url", "url", NULL};
/* What is kept at the provider, wherever it is named. */
static const char *const ids[] = {
    "audio" /* an answer's sound, by its id */, "connector_id", "container", "container_id", "conversation", "file_id", "file_ids", "item_reference",
    "previous_response_id", "prompt" /* a stored one */, "server_url", "vector_store_ids", NULL};
/* The agent's own data: nobody but itself follows what stands there. Tools are sifted (sift.c). */
static const char *const own[] = {"arguments", "input", "tools", NULL};
/* clang-format on */

struct search {
    const char *const *kinds;
    const char *name, *what; /* out: the first thing found */
};

/* Some servers read names whatever their case. */
static bool is_one_of(const char *word, const char *const *words)
{
    for (; *words; words++)
        if (strcasecmp(word, *words) == 0)
            return true;
    return false;
}

static bool found(struct search *s, const char *name, const char *what)
{
    s->name = name;
    s->what = what;
    return true;
}

static bool is_remote(const json_t *value)
{
    const char *text = json_string_value(value);

    return text && strncmp(text, "data:", 5) != 0;
}

static bool names_one(struct search *s, const char *name, const json_t *value)
{
    const char *kind = json_string_value(value);

    if (strcasecmp(name, "type") == 0 && kind && !is_one_of(kind, s->kinds))
        return found(s, kind, "is a kind of part that is not passed on");
    if (is_one_of(name, ids) && !json_is_null(value))
        return found(s, name, "refers to what is kept in the provider's account");
    if (is_one_of(name, addresses) && is_remote(value))
        return found(s, name, "would be fetched by the provider");
    return false;
}

static bool look(struct search *s, json_t *value, int levels)
{
    const char *name;
    json_t *child;
    size_t i;

    if (levels == 0)
        return found(s, "a part", "lies too deep");
    json_array_foreach(value, i, child)
    {
        if (look(s, child, levels - 1))
            return true;
    }
    json_object_foreach(value, name, child)
    {
        if (names_one(s, name, child))
            return true;
        if (!is_one_of(name, own) && look(s, child, levels - 1))
            return true;
    }
    return false;
}

/* The same ids beside the talk. Tools have places of their own for them and are sifted. */
static bool look_beside(struct search *s, const json_t *body)
{
    for (const char *const *id = ids; *id; id++) {
        const json_t *value = json_object_get(body, *id);

        if (value && !json_is_null(value))
            return found(s, *id, "refers to what is kept in the provider's account");
    }
    return false;
}

int foreign_refuse_refs(enum pj_model_api api, const json_t *body, struct pj_err *err)
{
    static const char *const *const kinds[] = {[PJ_API_CHAT] = chat_kinds,
                                               [PJ_API_RESPONSES] = responses_kinds,
                                               [PJ_API_MESSAGES] = messages_kinds};
    struct search s = {.kinds = kinds[api]};
    const char *talk = api == PJ_API_RESPONSES ? "input" : "messages";

    if (!look_beside(&s, body) && !look(&s, json_object_get(body, talk), PJ_JSON_DEPTH_MAX) &&
        !look(&s, json_object_get(body, "system"), PJ_JSON_DEPTH_MAX))
        return 0;
    return pj_fail(
        err, PJ_E_INVALID,
        "\"%.60s\" %s, but this box is offline and has no account there: put the content itself "
        "into the request (data:, base64, text)",
        s.name, s.what);
}
