#include "lib/model/history.h"

#include <stdlib.h>
#include <string.h>
#include "lib/base/mem.h"
#include "lib/json/codec.h"

struct pj_history {
    json_t *turns; /* turn id -> {"of": who said it, "raw": as it came} */
};

static bool is_text(const json_t *obj, const char *name)
{
    return json_is_string(json_object_get(obj, name));
}

static int check_calls(const json_t *calls, size_t where, struct pj_err *err)
{
    const json_t *call;
    size_t i;

    if (calls && !json_is_array(calls))
        return pj_fail(err, PJ_E_INVALID, "message %zu: calls is no list", where);
    json_array_foreach(calls, i, call)
    {
        if (!is_text(call, "id") || !*pj_json_str(call, "id", "") || !is_text(call, "name") ||
            !(is_text(call, "raw") || json_is_object(json_object_get(call, "arguments"))))
            return pj_fail(err, PJ_E_INVALID, "message %zu: call %zu lacks id, name or arguments",
                           where, i);
    }
    return 0;
}

/* The results after a turn: one for each of its calls, in their order. */
static int check_results(const json_t *message, const json_t *calls, size_t where,
                         struct pj_err *err)
{
    const json_t *results = json_object_get(message, "results");

    if (!json_is_array(results) || json_array_size(results) != json_array_size(calls))
        return pj_fail(err, PJ_E_INVALID, "message %zu: %zu results for %zu calls", where,
                       json_array_size(results), json_array_size(calls));
    for (size_t i = 0; i < json_array_size(results); i++) {
        const json_t *result = json_array_get(results, i);
        if (!is_text(result, "text") ||
            strcmp(pj_json_str(result, "id", ""),
                   pj_json_str(json_array_get(calls, i), "id", "")) != 0)
            return pj_fail(err, PJ_E_INVALID, "message %zu: result %zu answers no call", where, i);
    }
    return 0;
}

/* One message, after one whose calls (`open`) want results. *open becomes this one's. */
static int check_message(const json_t *message, size_t i, const json_t **open, struct pj_err *err)
{
    const char *role = pj_json_str(message, "role", "");
    bool tool = strcmp(role, "tool") == 0;

    if ((json_array_size(*open) > 0) != tool)
        return pj_fail(err, PJ_E_INVALID, "message %zu: %s", i,
                       tool ? "results without calls" : "calls without results");
    if (tool) {
        int rc = check_results(message, *open, i, err);
        *open = NULL;
        return rc;
    }
    if (strcmp(role, "assistant") == 0) {
        *open = json_object_get(message, "calls");
        if (!is_text(message, "text") || !is_text(message, "turn"))
            return pj_fail(err, PJ_E_INVALID, "message %zu lacks text or turn", i);
        return check_calls(*open, i, err);
    }
    if (strcmp(role, "user") != 0 || !is_text(message, "text"))
        return pj_fail(err, PJ_E_INVALID, "message %zu has no known role or no text", i);
    return 0;
}

int pj_messages_check(const json_t *messages, struct pj_err *err)
{
    const json_t *open = NULL, *message;
    size_t i;

    if (json_array_size(messages) == 0)
        return pj_fail(err, PJ_E_INVALID, "there are no messages");
    if (strcmp(pj_json_str(json_array_get(messages, 0), "role", ""), "user") != 0)
        return pj_fail(err, PJ_E_INVALID, "the first message is not the user's");
    json_array_foreach(messages, i, message)
    {
        if (check_message(message, i, &open, err) < 0)
            return -1;
    }
    if (json_array_size(open) > 0)
        return pj_fail(err, PJ_E_INVALID, "the last turn's calls have no results");
    return 0;
}

struct pj_history *pj_history_new(void)
{
    struct pj_history *history = pj_alloc(1, sizeof *history);

    history->turns = json_object();
    return history;
}

void pj_history_free(struct pj_history *history)
{
    if (!history)
        return;
    json_decref(history->turns);
    free(history);
}

/* Signatures bind thinking to a model; encrypted reasoning binds to an account. */
static char *who(const struct pj_model_target *target)
{
    return pj_asprintf("%s %s %s", pj_model_api_word(target->api), target->base_url, target->model);
}

void pj_history_keep(struct pj_history *history, const char *turn,
                     const struct pj_model_target *target, json_t *raw)
{
    PJ_CLEANUP(pj_freep) char *of = who(target);

    if (json_array_size(raw) > 0)
        json_object_set_new(history->turns, turn, json_pack("{s:s, s:O}", "of", of, "raw", raw));
}

const json_t *pj_history_find(const struct pj_history *history, const char *turn,
                              const struct pj_model_target *target)
{
    const json_t *entry = history ? json_object_get(history->turns, turn) : NULL;

    if (!entry)
        return NULL;
    PJ_CLEANUP(pj_freep) char *of = who(target);
    return strcmp(pj_json_str(entry, "of", ""), of) == 0 ? json_object_get(entry, "raw") : NULL;
}
