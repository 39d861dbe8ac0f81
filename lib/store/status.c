#include "lib/store/status.h"

#include <stdio.h>
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/store/keys.h"

/* A word, '-' meaning none, as a text of JSON or null. Words of states are ours: nothing to escape. */
static void put_word(struct pj_str *out, struct pj_view word)
{
    if (pj_view_is(word, "-"))
        (void)pj_str_puts(out, "null");
    else
        pj_str_putf(out, "\"%.*s\"", (int)word.n, word.p);
}

/* A line of lua/state.lua: id owner repo before status stage attempt n ms. */
static bool read_line(struct pj_view line, struct pj_status_event *out)
{
    struct pj_view word[9];
    struct pj_str json;
    char at[PJ_RFC3339_SIZE];
    int64_t ms, attempt;

    for (size_t i = 0; i < PJ_COUNT_OF(word); i++) {
        if (!pj_view_cut(&line, ' ', &word[i]) || word[i].n == 0)
            return false;
    }
    if (word[0].n >= sizeof(out->task_id) || word[4].n > 24 || word[5].n > 24 ||
        pj_parse_i64(word[6], &attempt) < 0 || pj_parse_i64(word[7], &out->logged_n) < 0 ||
        pj_parse_i64(word[8], &ms) < 0)
        return false;
    (void)snprintf(out->task_id, sizeof(out->task_id), "%.*s", (int)word[0].n, word[0].p);
    out->owner = word[1];
    out->repository_id = word[2];
    out->status = word[4];
    out->attempt = attempt;
    pj_str_init(&json, sizeof(out->json) - 1);
    pj_str_putf(&json, "{\"id\":\"%s\",\"status\":", out->task_id);
    put_word(&json, word[4]);
    (void)pj_str_puts(&json, ",\"stage\":");
    put_word(&json, word[5]);
    (void)pj_rfc3339(ms, at);
    pj_str_putf(&json, ",\"attempt\":%lld,\"updatedAt\":\"%s\"}", (long long)attempt, at);
    (void)snprintf(out->json, sizeof(out->json), "%s", pj_str_cstr(&json));
    pj_str_release(&json);
    return true;
}

/* "<ms>-<seq>" and the number of the line: "<ms>-<seq * PJ_STATUS_LINES + line>". */
static bool set_id(struct pj_status_event *event, struct pj_view entry, int64_t line)
{
    struct pj_view ms;
    int64_t seq;

    if (!pj_view_cut(&entry, '-', &ms) || pj_parse_i64(entry, &seq) < 0 || ms.n > 20 ||
        seq > INT64_MAX / PJ_STATUS_LINES - 1)
        return false;
    (void)snprintf(event->id, sizeof(event->id), "%.*s-%lld", (int)ms.n, ms.p,
                   (long long)(seq * PJ_STATUS_LINES + line));
    return true;
}

int pj_status_message_parse(struct pj_view payload, struct pj_status_event *items, size_t *count,
                            struct pj_err *err)
{
    struct pj_view rest = payload, entry, line;

    *count = 0;
    if (!pj_view_cut(&rest, '\n', &entry))
        return pj_fail(err, PJ_E_PROTOCOL, "not a message of the status channel");
    while (*count < PJ_STATUS_LINES && pj_view_cut(&rest, '\n', &line)) {
        if (!read_line(line, &items[*count]) || !set_id(&items[*count], entry, (int64_t)*count))
            return pj_fail(err, PJ_E_PROTOCOL, "not a message of the status channel");
        (*count)++;
    }
    return 0;
}

void pj_status_read_cmd(struct pj_cmd *cmd, unsigned partition, const char *after)
{
    char key[PJ_KEY_SIZE];

    pj_cmd_script(cmd, "status_read");
    pj_cmd_text(cmd, pj_key_part(key, partition, "ev"));
    pj_cmd_text(cmd, after);
    pj_cmd_int(cmd, PJ_STATUS_PAGE_MAX);
}

int pj_status_read_reply(const struct redisReply *reply, struct pj_status_event *items,
                         size_t *count, struct pj_err *err)
{
    int rc = pj_reply_word(reply, err);

    *count = 0;
    if (rc != 0)
        return rc;
    for (size_t i = 1; i < pj_reply_count(reply); i++) {
        const struct redisReply *entry = pj_reply_at(reply, i);
        int64_t number = pj_reply_int(pj_reply_at(entry, 1), 0);
        struct pj_view rest = pj_reply_view(pj_reply_at(entry, 2)), line;

        for (; *count < PJ_STATUS_PAGE_MAX && pj_view_cut(&rest, '\n', &line); number++) {
            if (!read_line(line, &items[*count]) ||
                !set_id(&items[*count], pj_reply_view(pj_reply_at(entry, 0)), number))
                return pj_fail(err, PJ_E_PROTOCOL, "a change of a task in Redis is damaged");
            (*count)++;
        }
    }
    return 0;
}
