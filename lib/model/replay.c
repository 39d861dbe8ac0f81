#include "lib/model/replay.h"

#include <stdlib.h>
#include <string.h>
#include "lib/base/fs.h"
#include "lib/base/mem.h"
#include "lib/json/codec.h"

#define FILE_MAX ((size_t)4 << 20)

struct pj_replay {
    json_t *answers;
    size_t next;
};

static int check_object(json_t *doc, const char *const *names, struct pj_err *err)
{
    const char *name;
    json_t *value;

    if (!json_is_object(doc))
        return pj_fail(err, PJ_E_INVALID, "not an object");
    json_object_foreach(doc, name, value)
    {
        size_t i = 0;
        while (names[i] && strcmp(names[i], name) != 0)
            i++;
        if (!names[i])
            return pj_fail(err, PJ_E_INVALID, "unknown field \"%s\"", name);
    }
    return 0;
}

static int check_answer(json_t *answer, struct pj_err *err)
{
    static const char *const names[] = {"text", "toolCalls", "usage", NULL};
    static const char *const call_names[] = {"name", "arguments", NULL};
    static const char *const usage_names[] = {"promptTokens", "cachedTokens", "completionTokens",
                                              NULL};
    json_t *calls = json_object_get(answer, "toolCalls"), *usage = json_object_get(answer, "usage");

    if (check_object(answer, names, err) < 0)
        return -1;
    if (json_object_get(answer, "text") && !json_is_string(json_object_get(answer, "text")))
        return pj_fail(err, PJ_E_INVALID, "text is no string");
    if (usage && check_object(usage, usage_names, err) < 0)
        return pj_err_wrap(err, "usage");
    if (calls && !json_is_array(calls))
        return pj_fail(err, PJ_E_INVALID, "toolCalls is no list");
    for (size_t i = 0; i < json_array_size(calls); i++) {
        json_t *call = json_array_get(calls, i);
        if (check_object(call, call_names, err) < 0)
            return pj_err_wrap(err, "tool call %zu", i + 1);
        if (!json_is_string(json_object_get(call, "name")) ||
            !json_is_object(json_object_get(call, "arguments")))
            return pj_fail(err, PJ_E_INVALID,
                           "tool call %zu needs a name and an object of arguments", i + 1);
    }
    return 0;
}

int pj_replay_load(const char *path, struct pj_replay **out, struct pj_err *err)
{
    PJ_CLEANUP(pj_str_release) struct pj_str text;
    PJ_CLEANUP(pj_json_decrefp) json_t *doc = NULL;
    static const char *const names[] = {"answers", NULL};
    const json_t *answers;

    pj_str_init(&text, FILE_MAX);
    if (pj_fs_read(path, &text, err) < 0)
        return pj_err_wrap(err, "PJ_REPLAY_FILE");
    if (pj_json_parse(pj_view_n(pj_str_cstr(&text), text.len), &doc, err) < 0 ||
        check_object(doc, names, err) < 0)
        return pj_err_wrap(err, "PJ_REPLAY_FILE %s", path);
    answers = json_object_get(doc, "answers");
    if (json_array_size(answers) == 0)
        return pj_fail(err, PJ_E_INVALID, "PJ_REPLAY_FILE %s holds no answers", path);
    for (size_t i = 0; i < json_array_size(answers); i++)
        if (check_answer(json_array_get(answers, i), err) < 0)
            return pj_err_wrap(err, "PJ_REPLAY_FILE %s, answer %zu", path, i + 1);
    *out = pj_alloc(1, sizeof **out);
    (*out)->answers = json_incref(json_object_get(doc, "answers"));
    return 0;
}

void pj_replay_free(struct pj_replay *replay)
{
    if (!replay)
        return;
    json_decref(replay->answers);
    free(replay);
}

void pj_replay_freep(struct pj_replay **replay)
{
    pj_replay_free(*replay);
    *replay = NULL;
}

int pj_replay_next(struct pj_replay *replay, const struct pj_model_request *request,
                   struct pj_model_turn *turn, struct pj_err *err)
{
    const json_t *answer = json_array_get(replay->answers, replay->next), *calls, *usage;

    memset(turn, 0, sizeof *turn);
    if (!answer) {
        pj_fail(err, PJ_E_PROTOCOL,
                "the replay file has %zu answers and the agent asks for one more", replay->next);
        pj_err_remedy(err, "end the last answer of PJ_REPLAY_FILE with a call of finish");
        return pj_err_code(err, "model_protocol");
    }
    replay->next++;
    calls = json_object_get(answer, "toolCalls");
    usage = json_object_get(answer, "usage");
    turn->text = pj_strdup(pj_json_str(answer, "text", ""));
    turn->calls = json_array();
    for (size_t i = 0; i < json_array_size(calls); i++) {
        const json_t *call = json_array_get(calls, i);
        PJ_CLEANUP(pj_freep) char *id = pj_asprintf("%s_%zu", request->turn, i + 1);
        json_array_append_new(turn->calls, json_pack("{s:s, s:s, s:O}", "id", id, "name",
                                                     pj_json_str(call, "name", ""), "arguments",
                                                     json_object_get(call, "arguments")));
    }
    turn->stop = json_array_size(turn->calls) > 0 ? PJ_STOP_CALLS : PJ_STOP_END;
    turn->usage.cached = pj_json_i64(usage, "cachedTokens", 0);
    turn->usage.uncached = pj_json_i64(usage, "promptTokens", 0) - turn->usage.cached;
    turn->usage.output = pj_json_i64(usage, "completionTokens", 0);
    turn->usage.reported_microusd = -1;
    if (turn->usage.uncached < 0)
        turn->usage.uncached = 0;
    return 0;
}
