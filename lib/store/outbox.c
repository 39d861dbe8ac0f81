#include "lib/store/outbox.h"

#include <stdlib.h>
#include "lib/base/mem.h"
#include "lib/json/codec.h"
#include "lib/store/keys.h"
#include "lib/task/state.h"

const char *const pj_outbox_state_words[] = {"pending", "sent", "failed", "skipped", NULL};

#define AT(member) offsetof(struct pj_outbox, member)
static const struct pj_field outbox_fields[] = {
    {"id", PJ_F_STR, AT(id)},
    {"kind", PJ_F_STR, AT(kind)},
    {"taskId", PJ_F_STR, AT(task_id)},
    {"to", PJ_F_STR, AT(to)},
    {"template", PJ_F_STR, AT(template_name)},
    {"state", PJ_F_WORD, AT(state), .words = pj_outbox_state_words},
    {"attempts", PJ_F_INT, AT(attempts)},
    {"lastError", PJ_F_STR, AT(last_error)},
    {"createdAt", PJ_F_TIME, AT(created_ms)},
};

static void release_one(struct pj_outbox *record)
{
    free(record->owner);
    pj_json_release(outbox_fields, PJ_COUNT_OF(outbox_fields), record);
    *record = (struct pj_outbox){0};
}

void pj_outbox_release(struct pj_outbox *records, size_t count)
{
    for (size_t i = 0; i < count; i++)
        release_one(&records[i]);
}

void pj_outbox_claim_cmd(struct pj_cmd *cmd, unsigned partition, int64_t max, int64_t hold_ms)
{
    char key[PJ_KEY_SIZE];

    pj_cmd_script(cmd, "outbox_claim");
    pj_cmd_text(cmd, pj_key_part(key, partition, "ob:due"));
    pj_cmd_int(cmd, max > PJ_OUTBOX_BATCH_MAX ? PJ_OUTBOX_BATCH_MAX : max);
    pj_cmd_int(cmd, hold_ms);
}

/* Names of the hash and where they go. */
static const struct {
    const char *name;
    size_t offset;
} strings[] = {
    {"id", AT(id)},
    {"kind", AT(kind)},
    {"task", AT(task_id)},
    {"owner", AT(owner)},
    {"to", AT(to)},
    {"template", AT(template_name)},
    {"error", AT(last_error)},
};

static void read_record(const struct redisReply *hash, struct pj_outbox *out)
{
    for (size_t i = 0; i + 1 < pj_reply_count(hash); i += 2) {
        struct pj_view name = pj_reply_view(pj_reply_at(hash, i));
        const struct redisReply *value = pj_reply_at(hash, i + 1);

        if (pj_view_is(name, "attempts"))
            out->attempts = pj_reply_int(value, 0);
        else if (pj_view_is(name, "created"))
            out->created_ms = pj_reply_int(value, 0);
        else if (pj_view_is(name, "state"))
            out->state = pj_word_index(pj_outbox_state_words, pj_reply_view(value).p);
        for (size_t k = 0; k < PJ_COUNT_OF(strings); k++) {
            if (pj_view_is(name, strings[k].name))
                *(char **)((char *)out + strings[k].offset) = pj_reply_dup(value);
        }
    }
}

int pj_outbox_claim_reply(const struct redisReply *reply, struct pj_outbox *records, size_t cap,
                          size_t *count, struct pj_err *err)
{
    *count = 0;
    if (pj_reply_word(reply, err) < 0)
        return -1;
    for (size_t i = 1; i < pj_reply_count(reply) && *count < cap; i++) {
        records[*count] = (struct pj_outbox){0};
        read_record(pj_reply_at(reply, i), &records[(*count)++]);
    }
    return 0;
}

void pj_outbox_settle_cmd(struct pj_cmd *cmd, unsigned partition, const char *id, int64_t attempts,
                          enum pj_outbox_state state, const char *to, const char *error,
                          int64_t retry_ms)
{
    char key[PJ_KEY_SIZE];

    pj_cmd_script(cmd, "outbox_settle");
    pj_cmd_text(cmd, pj_key_part(key, partition, "ob:due"));
    pj_cmd_text(cmd, id);
    pj_cmd_text(cmd, pj_outbox_state_words[state]);
    pj_cmd_text(cmd, to);
    pj_cmd_text(cmd, error);
    pj_cmd_int(cmd, retry_ms);
    pj_cmd_int(cmd, attempts);
}

void pj_outbox_add_cmd(struct pj_cmd *cmd, unsigned partition, const char *of_id,
                       const char *suffix, const char *kind, const char *to)
{
    char key[PJ_KEY_SIZE];

    pj_cmd_script(cmd, "outbox_add");
    pj_cmd_text(cmd, pj_key_part(key, partition, "ob:due"));
    pj_cmd_text(cmd, of_id);
    pj_cmd_text(cmd, suffix);
    pj_cmd_text(cmd, kind);
    pj_cmd_text(cmd, to);
}

void pj_outbox_owe_cmd(struct pj_cmd *cmd, unsigned partition, const struct pj_outbox_debt *debt)
{
    char key[PJ_KEY_SIZE];

    pj_cmd_script(cmd, "outbox_owe");
    pj_cmd_text(cmd, pj_key_part(key, partition, "ob:due"));
    pj_cmd_text(cmd, debt->task_id);
    pj_cmd_text(cmd, debt->name);
    pj_cmd_text(cmd, debt->owner);
    pj_cmd_text(cmd, debt->kind);
    pj_cmd_text(cmd, debt->template_name);
    pj_cmd_text(cmd, debt->to);
    pj_cmd_int(cmd, debt->delay_ms);
    cmd->repeatable = true;
}

int pj_outbox_reply(const struct redisReply *reply, struct pj_err *err)
{
    return pj_reply_word(reply, err);
}

void pj_outbox_list_cmd(struct pj_cmd *cmd, unsigned partition, const char *task_id,
                        const char *before, int64_t limit)
{
    char key[PJ_KEY_SIZE];

    pj_cmd_script(cmd, "outbox_list");
    pj_cmd_text(cmd, pj_key_part(key, partition, "ob"));
    pj_cmd_text(cmd, task_id);
    pj_cmd_text(cmd, before);
    pj_cmd_int(cmd, limit);
}

int pj_outbox_list_reply(const struct redisReply *reply, json_t **out, struct pj_err *err)
{
    struct pj_view next = pj_reply_view(pj_reply_at(reply, 1));
    json_t *items;

    if (pj_reply_word(reply, err) < 0)
        return -1;
    items = json_array();
    for (size_t i = 2; i < pj_reply_count(reply); i++) {
        struct pj_outbox record = {0};

        read_record(pj_reply_at(reply, i), &record);
        (void)json_array_append_new(
            items, pj_json_encode(outbox_fields, PJ_COUNT_OF(outbox_fields), &record));
        release_one(&record);
    }
    *out = json_object();
    (void)json_object_set_new(*out, "items", items);
    (void)json_object_set_new(*out, "nextCursor",
                              next.n ? json_stringn(next.p, next.n) : json_null());
    return 0;
}
