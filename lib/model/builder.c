#include "lib/model/adapter.h"

#include <stdlib.h>
#include <string.h>
#include "lib/base/mem.h"
#include "lib/json/codec.h"

#define ARGS_MAX ((size_t)8 << 20)
#define ARGS_DEPTH_MAX 20
#define CALL_ID_MAX 40 /* OpenAI Chat Completions: tool_call_id "maximum length 40" */

void pj_builder_init(struct pj_builder *b)
{
    memset(b, 0, sizeof *b);
    pj_str_init(&b->text, PJ_BUILDER_TEXT_MAX);
    pj_str_init(&b->refusal, 8192);
    pj_str_init(&b->thinking, PJ_BUILDER_TEXT_MAX);
    pj_str_init(&b->signature, PJ_BUILDER_TEXT_MAX);
    b->usage.reported_microusd = -1;
}

void pj_builder_release(struct pj_builder *b)
{
    pj_str_release(&b->text);
    pj_str_release(&b->refusal);
    pj_str_release(&b->thinking);
    pj_str_release(&b->signature);
    for (size_t i = 0; i < b->calls; i++) {
        free(b->call[i].id);
        free(b->call[i].name);
        pj_str_release(&b->call[i].args);
        json_decref(b->call[i].object);
        json_decref(b->call[i].extra);
    }
    json_decref(b->raw);
    json_decref(b->error);
    memset(b, 0, sizeof *b);
}

struct pj_builder_call *pj_builder_call_find(struct pj_builder *b, int64_t key)
{
    for (size_t i = b->calls; i-- > 0;)
        if (b->call[i].key == key && !b->call[i].closed)
            return &b->call[i];
    return NULL;
}

struct pj_builder_call *pj_builder_call_add(struct pj_builder *b, int64_t key, const char *id,
                                            const char *name, struct pj_err *err)
{
    struct pj_builder_call *call;

    if (b->calls == PJ_BUILDER_CALLS_MAX) {
        pj_fail(err, PJ_E_PROTOCOL, "the model asks for more than %d calls at once",
                PJ_BUILDER_CALLS_MAX);
        return NULL;
    }
    call = &b->call[b->calls++];
    memset(call, 0, sizeof *call);
    call->key = key;
    call->id = pj_strdup_or_null(id);
    call->name = pj_strdup_or_null(name);
    pj_str_init(&call->args, ARGS_MAX);
    return call;
}

void pj_builder_text(struct pj_builder *b, const char *text)
{
    if (text)
        (void)pj_str_puts(&b->text, text);
}

int pj_builder_args(struct pj_builder_call *call, const char *text, struct pj_err *err)
{
    if (text && pj_str_puts(&call->args, text) < 0)
        return pj_fail(err, PJ_E_LIMIT, "the arguments of a tool call have more than %zu bytes",
                       ARGS_MAX);
    return 0;
}

static bool id_is_usable(const char *id)
{
    size_t n = id ? strlen(id) : 0;

    if (n == 0 || n > CALL_ID_MAX)
        return false;
    return strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") == n;
}

static bool id_is_taken(const struct pj_builder *b, size_t before, const char *id)
{
    for (size_t i = 0; i < before; i++)
        if (b->call[i].id && strcmp(b->call[i].id, id) == 0)
            return true;
    return false;
}

/* Arguments travel inside two more documents, each with a bound on its depth: what is nested deeper counts as no JSON. */
static bool is_deeper(json_t *value, int levels)
{
    const char *name;
    json_t *child;
    size_t i;

    if (!json_is_object(value) && !json_is_array(value))
        return false;
    if (levels == 0)
        return true;
    json_array_foreach(value, i, child)
    {
        if (is_deeper(child, levels - 1))
            return true;
    }
    json_object_foreach(value, name, child)
    {
        if (is_deeper(child, levels - 1))
            return true;
    }
    return false;
}

/* The call's arguments as an object (new reference), or NULL when its text is none. No text at all means no arguments. */
static json_t *arguments_of(const struct pj_builder_call *call)
{
    struct pj_err ignored;
    json_t *doc = NULL;

    if (call->object)
        return is_deeper(call->object, ARGS_DEPTH_MAX) ? NULL : json_incref(call->object);
    if (call->args.len == 0)
        return json_object();
    if (pj_json_parse(pj_view_n(call->args.data, call->args.len), &doc, &ignored) < 0)
        return NULL;
    if (json_is_string(doc)) { /* encoded twice, seen from small models */
        json_t *inner = NULL;
        if (pj_json_parse(pj_view_of(json_string_value(doc)), &inner, &ignored) == 0) {
            json_decref(doc);
            doc = inner;
        }
    }
    if (!json_is_object(doc) || is_deeper(doc, ARGS_DEPTH_MAX)) {
        json_decref(doc);
        return NULL;
    }
    return doc;
}

static void put_raw(json_t *entry, const struct pj_builder_call *call)
{
    struct pj_str clean;

    pj_str_init(&clean, call->args.len * 3 + 1);
    (void)pj_utf8_append_clean(&clean, pj_view_n(call->args.data, call->args.len));
    json_object_set_new(entry, "raw", json_stringn(pj_str_cstr(&clean), clean.len));
    pj_str_release(&clean);
}

/* What is kept must be what may be sent back: no half call, no empty text. */
static void tidy_raw(json_t *raw, bool call_cut)
{
    for (size_t i = json_array_size(raw); i-- > 0;) {
        const json_t *block = json_array_get(raw, i);
        const char *type = pj_json_str(block, "type", "");

        if (call_cut && strcmp(type, "tool_use") == 0) {
            json_array_remove(raw, i);
            call_cut = false;
        } else if (strcmp(type, "text") == 0 && !*pj_json_str(block, "text", "")) {
            json_array_remove(raw, i);
        }
    }
}

/* Chat keeps no blocks, but what stands beside text and calls may be wanted back: one object for the turn, with `calls` in the
 * order of the turn's. NULL when there is nothing. */
static json_t *chat_extras(const struct pj_builder *b, size_t calls)
{
    json_t *extras = json_array();
    bool any = b->thinking_back && calls > 0;

    for (size_t i = 0; i < calls; i++) {
        any |= b->call[i].extra != NULL;
        json_array_append_new(extras,
                              b->call[i].extra ? json_incref(b->call[i].extra) : json_null());
    }
    if (!any) {
        json_decref(extras);
        return NULL;
    }
    return json_pack("[{s:s*, s:o}]", "reasoning_content",
                     b->thinking_back ? pj_str_cstr(&b->thinking) : NULL, "calls", extras);
}

void pj_builder_finish(struct pj_builder *b, const char *turn_id, const json_t *taken,
                       struct pj_model_turn *turn)
{
    turn->calls = json_array();
    for (size_t i = 0; i < b->calls; i++) {
        struct pj_builder_call *call = &b->call[i];
        json_t *arguments = arguments_of(call), *entry;

        if (b->stop == PJ_STOP_LENGTH && i + 1 == b->calls && !call->closed) {
            /* The answer was cut here: whether this call is whole cannot be known. */
            json_decref(arguments);
            turn->call_cut = true;
            continue;
        }
        if (taken && (!id_is_usable(call->id) || id_is_taken(b, i, call->id) ||
                      json_object_get(taken, call->id))) {
            free(call->id);
            call->id = pj_asprintf("%s_%zu", turn_id, i + 1);
        }
        entry = json_pack("{s:s, s:s}", "id", call->id ? call->id : "", "name",
                          call->name ? call->name : "");
        if (arguments)
            json_object_set_new(entry, "arguments", arguments);
        else
            put_raw(entry, call);
        json_array_append_new(turn->calls, entry);
    }
    turn->stop = b->stop;
    if (b->text.full && b->calls == 0)
        turn->stop = PJ_STOP_LENGTH;
    turn->text = pj_str_take(&b->text);
    if (json_array_size(turn->calls) > 0 && turn->stop == PJ_STOP_END)
        turn->stop = PJ_STOP_CALLS; /* compatible servers say "stop" here */
    tidy_raw(b->raw, turn->call_cut);
    turn->raw = b->raw ? b->raw : chat_extras(b, json_array_size(turn->calls));
    b->raw = NULL;
}

void pj_usage_split(struct pj_usage *usage, int64_t prompt, int64_t cached, int64_t written)
{
    usage->cached = cached < prompt ? cached : prompt;
    usage->cache_write = written < prompt - usage->cached ? written : prompt - usage->cached;
    usage->uncached = prompt - usage->cached - usage->cache_write;
}

int64_t pj_peer_count(const json_t *obj, const char *name)
{
    const json_t *value = json_object_get(obj, name);
    double n = json_is_number(value) ? json_number_value(value) : 0;

    return n > 0 ? n < 1e12 ? (int64_t)n : (int64_t)1000000000000 : 0;
}

json_t *pj_call_arguments(const json_t *call)
{
    json_t *arguments = json_object_get(call, "arguments");

    if (json_is_object(arguments))
        return json_incref(arguments);
    return json_pack("{s:s}", "invalid_arguments", pj_json_str(call, "raw", ""));
}
