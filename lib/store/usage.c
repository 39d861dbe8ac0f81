#include "lib/store/usage.h"

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/json/codec.h"
#include "lib/store/keys.h"

struct shown_call {
    int64_t at_ms, attempt;
    struct pj_usage_call call;
    int64_t total;
};

#define AT(member) offsetof(struct shown_call, member)
static const struct pj_field call_fields[] = {
    {"id", PJ_F_STR, AT(call.id)},
    {"at", PJ_F_TIME, AT(at_ms)},
    {"attempt", PJ_F_INT, AT(attempt)},
    {"turn", PJ_F_INT, AT(call.turn)},
    {"purpose", PJ_F_STR, AT(call.purpose)},
    {"provider", PJ_F_STR, AT(call.provider)},
    {"model", PJ_F_STR, AT(call.model)},
    {"promptTokens", PJ_F_INT, AT(call.prompt_tokens)},
    {"completionTokens", PJ_F_INT, AT(call.completion_tokens)},
    {"cachedTokens", PJ_F_INT, AT(call.cached_tokens)},
    {"cacheWriteTokens", PJ_F_INT, AT(call.cache_write_tokens)},
    {"reasoningTokens", PJ_F_INT, AT(call.reasoning_tokens)},
    {"totalTokens", PJ_F_INT, AT(total)},
    {"estimated", PJ_F_BOOL, AT(call.estimated)},
    {"costUsd", PJ_F_MONEY, AT(call.cost_microusd)},
    {"price", PJ_F_JSON, AT(call.price)},
    {"durationMs", PJ_F_INT, AT(call.duration_ms)},
    {"requestId", PJ_F_STR, AT(call.request_id)},
};

void pj_usage_record_cmd(struct pj_cmd *cmd, const char *task_id, int64_t epoch, int64_t attempt,
                         const struct pj_usage_call *call)
{
    struct shown_call shown = {pj_now_ms(), attempt, *call,
                               call->prompt_tokens + call->completion_tokens};
    PJ_CLEANUP(pj_json_decrefp)
    json_t *doc = pj_json_encode(call_fields, PJ_COUNT_OF(call_fields), &shown);
    PJ_CLEANUP(pj_freep) char *text = pj_json_text(doc);
    PJ_CLEANUP(pj_freep)
    char *model =
        pj_asprintf("%s/%s", call->provider ? call->provider : "", call->model ? call->model : "");
    char key[PJ_KEY_SIZE];

    pj_cmd_script(cmd, "usage_record");
    pj_cmd_text(cmd, pj_key_task(key, task_id));
    pj_cmd_text(cmd, task_id);
    pj_cmd_int(cmd, epoch);
    pj_cmd_int(cmd, attempt);
    pj_cmd_text(cmd, call->id);
    pj_cmd_text(cmd, text);
    pj_cmd_text(cmd, model);
    pj_cmd_int(cmd, call->prompt_tokens);
    pj_cmd_int(cmd, call->completion_tokens);
    pj_cmd_int(cmd, call->cached_tokens);
    pj_cmd_int(cmd, call->cache_write_tokens);
    pj_cmd_int(cmd, call->reasoning_tokens);
    pj_cmd_int(cmd, call->cost_microusd < 0 ? -1 : call->cost_microusd);
}

int pj_usage_record_reply(const struct redisReply *reply, int64_t *before, int64_t *after,
                          struct pj_err *err)
{
    if (pj_reply_word(reply, err) < 0)
        return -1;
    *before = pj_reply_int(pj_reply_at(reply, 1), 0);
    *after = pj_reply_int(pj_reply_at(reply, 2), 0);
    return 0;
}

void pj_usage_list_cmd(struct pj_cmd *cmd, const char *task_id)
{
    char key[PJ_KEY_SIZE];

    pj_cmd_script(cmd, "usage_list");
    pj_cmd_text(cmd, pj_key_task(key, task_id));
}

int pj_usage_list_reply(const struct redisReply *reply, json_t **out, struct pj_err *err)
{
    PJ_CLEANUP(pj_json_decrefp) json_t *list = json_array();

    if (pj_reply_word(reply, err) < 0)
        return -1;
    for (size_t i = 1; i < pj_reply_count(reply); i++) {
        json_t *call;

        if (pj_json_parse(pj_reply_view(pj_reply_at(reply, i)), &call, err) < 0)
            return pj_err_wrap(err, "a model call in Redis is damaged");
        (void)json_array_append_new(list, call);
    }
    *out = list;
    list = NULL;
    return 0;
}
