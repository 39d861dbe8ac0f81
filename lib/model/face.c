#include "lib/model/face_inner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "lib/base/mem.h"
#include "lib/json/codec.h"
#include "lib/model/history.h"

#define SYSTEM_MAX ((size_t)8 << 20)
#define TEXT_MAX ((size_t)16 << 20)
#define NO_RESULT "(no result)"

static const struct pj_face *face_of(enum pj_model_api api)
{
    /* clang-format off */
    static const struct pj_face *const faces[] = {
        [PJ_API_CHAT] = &pj_face_chat,
        [PJ_API_RESPONSES] = &pj_face_responses,
        [PJ_API_MESSAGES] = &pj_face_messages,
    };
    /* clang-format on */
    return faces[api];
}

/* ---- reading ---- */

static json_t *last_message(const struct pj_gather *g)
{
    return json_array_get(g->asked->messages, json_array_size(g->asked->messages) - 1);
}

static bool is_role(const json_t *message, const char *role)
{
    return message && strcmp(pj_json_str(message, "role", ""), role) == 0;
}

void pj_gather_system(struct pj_gather *g, const char *text)
{
    if (!*text)
        return;
    if (json_array_size(g->asked->messages) > 0) {
        pj_gather_user(g, text);
        return;
    }
    (void)pj_str_puts(&g->system, g->system.len > 0 ? "\n\n" : "");
    (void)pj_str_puts(&g->system, text);
}

void pj_gather_user(struct pj_gather *g, const char *text)
{
    if (*text)
        json_array_append_new(g->asked->messages,
                              json_pack("{s:s, s:s}", "role", "user", "text", text));
}

/* The turn that may still grow: the last message, unless its calls were answered already. */
static json_t *open_turn(struct pj_gather *g)
{
    json_t *last = last_message(g);

    if (is_role(last, "assistant") && !json_object_get(last, "answered"))
        return last;
    if (json_array_size(g->asked->messages) == 0)
        pj_gather_user(g, "(the conversation begins here)");
    json_array_append_new(g->asked->messages,
                          json_pack("{s:s, s:s, s:s, s:[], s:[]}", "role", "assistant", "turn", "",
                                    "text", "", "calls", "parts"));
    return last_message(g);
}

/* Its parts are joined once, when all are there (settle_text). */
void pj_gather_assistant(struct pj_gather *g, const char *text)
{
    if (*text)
        json_array_append_new(json_object_get(open_turn(g), "parts"), json_string(text));
}

/* Some servers count their calls from 0 again in each turn, or give one id to several at once: others take an id only once. */
static char *own_id(struct pj_gather *g, const char *id)
{
    char name[32];

    if (!json_object_get(g->callers, id))
        return pj_strdup(id);
    do
        (void)snprintf(name, sizeof name, "again_%zu", ++g->renamed);
    while (json_object_get(g->callers, name));
    return pj_strdup(name);
}

/* Calls by the client's ids: the latest turn that used one, its calls of that id, and how many of them were answered. Looked up, not
 * searched: a box may send very many. */
static void await_result(struct pj_gather *g, const char *id, json_t *turn, json_t *call)
{
    json_t *entry = json_object_get(g->callers, id);

    if (json_object_get(entry, "turn") != turn) {
        entry = json_pack("{s:O, s:[], s:i}", "turn", turn, "calls", "answered", 0);
        json_object_set_new(g->callers, id, entry);
    }
    json_array_append(json_object_get(entry, "calls"), call);
}

void pj_gather_call(struct pj_gather *g, const char *id, const char *name, json_t *arguments_taken)
{
    PJ_CLEANUP(pj_json_decrefp) json_t *arguments = arguments_taken;
    PJ_CLEANUP(pj_freep) char *own = NULL;
    json_t *turn, *call, *parsed = NULL;
    struct pj_err ignored;
    const char *text = json_is_string(arguments) ? json_string_value(arguments) : NULL;

    if (!*id || !*name) {
        g->asked->dropped++;
        return;
    }
    turn = open_turn(g);
    own = own_id(g, id);
    call = json_pack("{s:s, s:s}", "id", own, "name", name);
    if (json_is_object(arguments))
        json_object_set(call, "arguments", arguments);
    else if (!text || !*text)
        json_object_set_new(call, "arguments", json_object());
    else if (pj_json_parse(pj_view_of(text), &parsed, &ignored) == 0 && json_is_object(parsed))
        json_object_set(call, "arguments", parsed);
    else
        json_object_set_new(call, "raw", json_string(text));
    json_decref(parsed);
    if (json_array_size(json_object_get(turn, "calls")) == 0)
        json_object_set_new(turn, "turn", json_string(own));
    json_array_append_new(json_object_get(turn, "calls"), call);
    await_result(g, id, turn, call);
    if (strcmp(own, id) != 0) /* nobody else may have it */
        json_object_set_new(g->callers, own, json_object());
}

/* To the first call of that id, in the latest turn that used it, that has no result yet. */
void pj_gather_result(struct pj_gather *g, const char *id, const char *text)
{
    json_t *entry = json_object_get(g->callers, id), *answered = json_object_get(entry, "answered");
    json_t *call =
        json_array_get(json_object_get(entry, "calls"), (size_t)json_integer_value(answered));

    if (!call) {
        g->asked->dropped++;
        return;
    }
    json_object_set_new(call, "result", json_string(text));
    json_integer_set(answered, json_integer_value(answered) + 1);
    json_object_set_new(json_object_get(entry, "turn"), "answered", json_true());
}

static void settle_text(json_t *message)
{
    const json_t *parts = json_object_get(message, "parts");
    struct pj_str text;

    if (!parts)
        return;
    pj_str_init(&text, 2 * TEXT_MAX);
    for (size_t i = 0; i < json_array_size(parts); i++) {
        (void)pj_str_puts(&text, i > 0 ? "\n" : "");
        (void)pj_str_puts(&text, json_string_value(json_array_get(parts, i)));
    }
    json_object_set_new(message, "text", json_string(pj_str_cstr(&text)));
    json_object_del(message, "parts");
    pj_str_release(&text);
}

/* Each turn is followed by one result for each of its calls, in their order. */
static void settle_results(struct pj_asked *asked)
{
    json_t *old = asked->messages, *message;
    size_t i;

    asked->messages = json_array();
    json_array_foreach(old, i, message)
    {
        const json_t *calls = json_object_get(message, "calls");
        json_t *results = json_array();

        settle_text(message);
        for (size_t k = 0; k < json_array_size(calls); k++) {
            json_t *call = json_array_get(calls, k);

            json_array_append_new(results,
                                  json_pack("{s:s, s:s}", "id", pj_json_str(call, "id", ""), "text",
                                            pj_json_str(call, "result", NO_RESULT)));
            json_object_del(call, "result");
        }
        json_array_append(asked->messages, message);
        if (json_array_size(results) > 0)
            json_array_append_new(asked->messages,
                                  json_pack("{s:s, s:O}", "role", "tool", "results", results));
        json_decref(results);
        json_object_del(message, "answered");
    }
    json_decref(old);
}

void pj_gather_tool(struct pj_gather *g, const char *name, const char *description,
                    json_t *parameters, bool custom)
{
    json_t *own;

    if (!*name) {
        g->asked->dropped++;
        return;
    }
    if (json_object_get(g->named, name))
        return;
    json_object_set_new(g->named, name, json_true());
    own = custom ? json_pack("{s:s, s:{s:{s:s}}, s:[s]}", "type", "object", "properties", "input",
                             "type", "string", "required", "input")
          : json_is_object(parameters) ? json_incref(parameters)
                                       : json_pack("{s:s, s:{}}", "type", "object", "properties");
    json_array_append_new(g->asked->tools, json_pack("{s:s, s:s, s:o}", "name", name, "description",
                                                     description, "parameters", own));
    if (custom)
        json_object_set_new(g->asked->custom, name, json_true());
}

char *pj_gather_text(struct pj_gather *g, const json_t *content)
{
    struct pj_str out;
    char *text;

    if (json_is_string(content))
        return pj_strdup(json_string_value(content));
    pj_str_init(&out, TEXT_MAX);
    for (size_t i = 0; i < json_array_size(content); i++) {
        const char *part = pj_json_str(json_array_get(content, i), "text", NULL);

        (void)pj_str_puts(&out, out.len > 0 ? "\n" : "");
        (void)pj_str_puts(&out, part ? part : "[left out: this part is no text]");
        g->asked->dropped += part == NULL;
    }
    text = pj_str_take(&out);
    pj_str_release(&out);
    return text;
}

static int64_t most_output(const json_t *body)
{
    static const char *const names[] = {"max_output_tokens", "max_completion_tokens", "max_tokens"};

    for (size_t i = 0; i < PJ_COUNT_OF(names); i++)
        if (json_is_integer(json_object_get(body, names[i])))
            return pj_json_i64(body, names[i], 0);
    return 0;
}

int pj_asked_read(enum pj_model_api api, const json_t *body, struct pj_asked *out,
                  struct pj_err *err)
{
    struct pj_gather g = {.asked = out, .callers = json_object(), .named = json_object()};
    int rc;

    *out = (struct pj_asked){.messages = json_array(),
                             .tools = json_array(),
                             .custom = json_object(),
                             .spaces = json_object(),
                             .max_output = most_output(body),
                             .stream = json_is_true(json_object_get(body, "stream"))};
    pj_str_init(&g.system, SYSTEM_MAX);
    rc = face_of(api)->read(&g, body, err);
    out->system = pj_str_take(&g.system);
    pj_str_release(&g.system);
    json_decref(g.callers);
    json_decref(g.named);
    if (rc == 0) {
        settle_results(out);
        rc = pj_messages_check(out->messages, err);
    }
    return rc;
}

void pj_asked_release(struct pj_asked *asked)
{
    free(asked->system);
    free(asked->choice_name);
    json_decref(asked->messages);
    json_decref(asked->tools);
    json_decref(asked->custom);
    json_decref(asked->spaces);
    *asked = (struct pj_asked){0};
}

/* ---- writing ---- */

void pj_answer_event(struct pj_answer *a, const char *name, json_t *doc_taken)
{
    PJ_CLEANUP(pj_freep) char *text = pj_json_text(doc_taken);

    json_decref(doc_taken);
    if (name)
        (void)pj_str_putf(a->out, "event: %s\n", name);
    (void)pj_str_puts(a->out, "data: ");
    (void)pj_str_puts(a->out, text);
    (void)pj_str_puts(a->out, "\n\n");
}

bool pj_answer_is_custom(const struct pj_answer *a, const json_t *call, const char **text)
{
    if (!json_object_get(a->asked->custom, pj_json_str(call, "name", "")))
        return false;
    *text = pj_json_str(json_object_get(call, "arguments"), "input", pj_json_str(call, "raw", ""));
    return true;
}

char *pj_answer_arguments(const json_t *call)
{
    const json_t *arguments = json_object_get(call, "arguments");

    return arguments ? pj_json_text(arguments) : pj_strdup(pj_json_str(call, "raw", ""));
}

void pj_answer_begin(struct pj_answer *a)
{
    if (a->begun)
        return;
    a->begun = true;
    face_of(a->api)->begin(a);
}

void pj_answer_text(struct pj_answer *a, const char *text_so_far)
{
    size_t n = strlen(text_so_far);

    if (n <= a->text_sent)
        return;
    pj_answer_begin(a);
    face_of(a->api)->text(a, text_so_far + a->text_sent);
    a->text_sent = n;
}

void pj_answer_ping(struct pj_answer *a)
{
    pj_answer_begin(a);
    face_of(a->api)->ping(a);
}

void pj_answer_end(struct pj_answer *a, const struct pj_model_turn *turn)
{
    pj_answer_begin(a);
    pj_answer_text(a, turn->text);
    face_of(a->api)->end(a, turn);
}

json_t *pj_answer_whole(const struct pj_answer *a, const struct pj_model_turn *turn)
{
    return face_of(a->api)->whole(a, turn);
}

/* Anthropic's words for a status (API reference, "Errors"). */
static const char *messages_type(int status)
{
    static const struct {
        int status;
        const char *type;
    } rows[] = {
        {400, "invalid_request_error"}, {401, "authentication_error"}, {403, "permission_error"},
        {404, "not_found_error"},       {413, "request_too_large"},    {429, "rate_limit_error"},
        {529, "overloaded_error"},
    };

    for (size_t i = 0; i < PJ_COUNT_OF(rows); i++)
        if (rows[i].status == status)
            return rows[i].type;
    return status < 500 ? "invalid_request_error" : "api_error";
}

json_t *pj_answer_error(enum pj_model_api api, int status, const char *code, const char *message)
{
    if (api == PJ_API_MESSAGES)
        return json_pack("{s:s, s:{s:s, s:s, s:s}}", "type", "error", "error", "type",
                         messages_type(status), "code", code, "message", message);
    return json_pack("{s:{s:s, s:s, s:s, s:n}}", "error", "message", message, "type",
                     status == 429  ? "rate_limit_error"
                     : status < 500 ? "invalid_request_error"
                                    : "server_error",
                     "code", code, "param");
}

void pj_answer_fail(struct pj_answer *a, int status, const char *code, const char *message)
{
    json_t *doc = pj_answer_error(a->api, status, code, message);

    pj_answer_begin(a);
    if (a->api == PJ_API_RESPONSES) { /* its error event is flat */
        json_decref(doc);
        doc = json_pack("{s:s, s:s, s:s, s:n, s:I}", "type", "error", "code", code, "message",
                        message, "param", "sequence_number", (json_int_t)a->sequence++);
    }
    pj_answer_event(a, a->api == PJ_API_CHAT ? NULL : "error", doc);
}
