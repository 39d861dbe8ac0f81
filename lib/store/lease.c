#include "lib/store/lease.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "lib/base/mem.h"
#include "lib/store/keys.h"
#include "lib/store/task_hash.h"

static void task_script(struct pj_cmd *cmd, const char *name, const char *id, int64_t epoch)
{
    char key[PJ_KEY_SIZE];

    pj_cmd_script(cmd, name);
    pj_cmd_text(cmd, pj_key_task(key, id));
    pj_cmd_text(cmd, id);
    pj_cmd_int(cmd, epoch);
}

static void pair(struct pj_cmd *cmd, const char *name, const char *value)
{
    if (!value)
        return;
    pj_cmd_text(cmd, name);
    pj_cmd_text(cmd, value);
}

static void add_end(struct pj_cmd *cmd, const char *code, const char *detail)
{
    const struct pj_end *end = pj_end_find(code);

    pj_cmd_text(cmd, code);
    pj_cmd_text(cmd, end->title);
    pj_cmd_text(cmd, detail);
    pj_cmd_text(cmd, end->remedy);
}

static void add_lost_end(struct pj_cmd *cmd)
{
    add_end(cmd, "runner_lost", "No runner brought the task to an end in three deliveries.");
}

void pj_leases_release(struct pj_lease *leases, size_t count)
{
    for (size_t i = 0; i < count; i++)
        pj_task_freep(&leases[i].task);
}

void pj_lease_take_cmd(struct pj_cmd *cmd, const struct pj_lease_take *take)
{
    char key[PJ_KEY_SIZE];

    pj_cmd_script(cmd, "lease_take");
    pj_cmd_text(cmd, pj_key_ready(key, take->partition));
    pj_cmd_text(cmd, take->runner);
    pj_cmd_int(cmd, take->ttl_ms);
    pj_cmd_int(cmd, take->timeout_ms);
    pj_cmd_int(cmd, take->want > PJ_TAKE_MAX ? PJ_TAKE_MAX : take->want);
    for (size_t i = 0; i < take->bell_count; i++) {
        if (take->bells[i].partition == take->partition)
            pj_cmd_text(cmd, take->bells[i].stream_id);
    }
}

enum { TAKE_NOW = 1, TAKE_UNTIL, TAKE_ITEMS };

/* The i-th: what it was created with, or its hash; its lease. */
static int read_lease(const struct redisReply *reply, size_t i, struct pj_lease *out,
                      struct pj_err *err)
{
    struct pj_task *task = pj_alloc(1, sizeof(*task));
    int64_t deadline_ms;

    if (pj_task_leased_get(pj_reply_at(reply, TAKE_ITEMS + 2 * i),
                           pj_reply_at(reply, TAKE_ITEMS + 2 * i + 1), task, &deadline_ms,
                           err) < 0) {
        free(task);
        return -1;
    }
    *out = (struct pj_lease){
        .epoch = task->epoch,
        .deliveries = task->deliveries,
        .next_n = task->logged_n + 1,
        .until_ms = pj_reply_int(pj_reply_at(reply, TAKE_UNTIL), 0),
        .deadline_ms = deadline_ms,
        .now_ms = pj_reply_int(pj_reply_at(reply, TAKE_NOW), 0),
        .cancel = task->cancel_ms > 0,
        .task = task,
    };
    return 0;
}

int pj_lease_take_reply(const struct redisReply *reply, struct pj_lease *leases, size_t cap,
                        size_t *count, struct pj_err *err)
{
    *count = 0;
    if (pj_reply_word(reply, err) < 0)
        return -1;
    while (TAKE_ITEMS + 2 * *count + 1 < pj_reply_count(reply) && *count < cap) {
        if (read_lease(reply, *count, &leases[*count], err) < 0) {
            pj_leases_release(leases, *count);
            *count = 0;
            return -1;
        }
        (*count)++;
    }
    return 0;
}

void pj_lease_renew_cmd(struct pj_cmd *cmd, unsigned partition, int64_t ttl_ms,
                        const struct pj_renew *items, size_t count)
{
    char key[PJ_KEY_SIZE];

    pj_cmd_script(cmd, "lease_renew");
    pj_cmd_text(cmd, pj_key_part(key, partition, "lease"));
    pj_cmd_int(cmd, ttl_ms);
    for (size_t i = 0; i < count; i++) {
        pj_cmd_text(cmd, items[i].task_id);
        pj_cmd_int(cmd, items[i].epoch);
    }
}

int pj_lease_renew_reply(const struct redisReply *reply, enum pj_renewed *answers, size_t count,
                         struct pj_err *err)
{
    if (pj_reply_word(reply, err) < 0)
        return -1;
    if (pj_reply_count(reply) != count + 1)
        return pj_fail(err, PJ_E_PROTOCOL, "%zu answers for %zu leases", pj_reply_count(reply) - 1,
                       count);
    for (size_t i = 0; i < count; i++)
        answers[i] = (enum pj_renewed)pj_reply_int(pj_reply_at(reply, i + 1), PJ_RENEW_STALE);
    return 0;
}

void pj_lease_stage_cmd(struct pj_cmd *cmd, const char *task_id, int64_t epoch,
                        enum pj_task_stage stage)
{
    task_script(cmd, "lease_stage", task_id, epoch);
    pj_cmd_text(cmd, pj_task_stage_word(stage));
}

static void add_json(struct pj_cmd *cmd, const char *name, const json_t *doc)
{
    PJ_CLEANUP(pj_freep) char *text = doc ? pj_json_text(doc) : NULL;

    pair(cmd, name, text);
}

void pj_lease_note_cmd(struct pj_cmd *cmd, const char *task_id, int64_t epoch,
                       const struct pj_lease_note *note)
{
    task_script(cmd, "lease_write", task_id, epoch);
    pair(cmd, "baseSha", note->base_sha);
    pair(cmd, "commitSha", note->commit_sha);
    pair(cmd, "branch", note->branch);
    pair(cmd, "prUrl", note->pr_url);
    pair(cmd, "prState", note->pr_state);
    pair(cmd, "ranProvider", note->provider);
    pair(cmd, "ranModel", note->model);
    pair(cmd, "tips", note->tips);
    add_json(cmd, "rejects", note->rejects);
    if (note->pr_number) {
        pj_cmd_text(cmd, "prNumber");
        pj_cmd_int(cmd, note->pr_number);
    }
}

static void text_cmd(struct pj_cmd *cmd, const char *task_id, int64_t epoch, const char *part,
                     struct pj_view text)
{
    task_script(cmd, "lease_text", task_id, epoch);
    pj_cmd_text(cmd, part);
    pj_cmd_add(cmd, text.p, text.n);
}

void pj_lease_patch_cmd(struct pj_cmd *cmd, const char *task_id, int64_t epoch,
                        struct pj_view patch)
{
    text_cmd(cmd, task_id, epoch, "patch", patch);
}

void pj_lease_patch_part_cmd(struct pj_cmd *cmd, const char *task_id, int64_t epoch,
                             int64_t attempt, int64_t offset, struct pj_view part)
{
    task_script(cmd, "lease_part", task_id, epoch);
    pj_cmd_int(cmd, attempt);
    pj_cmd_int(cmd, offset);
    pj_cmd_int(cmd, PJ_PATCH_MAX);
    pj_cmd_add(cmd, part.p, part.n);
}

void pj_lease_trajectory_cmd(struct pj_cmd *cmd, const char *task_id, int64_t epoch,
                             struct pj_view lines)
{
    text_cmd(cmd, task_id, epoch, "traj", lines);
    cmd->repeatable = false; /* it appends */
}

void pj_lease_external_cmd(struct pj_cmd *cmd, const char *task_id, int64_t epoch)
{
    task_script(cmd, "lease_external", task_id, epoch);
}

void pj_lease_run_cmd(struct pj_cmd *cmd, const char *task_id, int64_t epoch, int64_t run_id,
                      int64_t floor)
{
    task_script(cmd, "lease_write", task_id, epoch);
    pj_cmd_text(cmd, "runId");
    pj_cmd_int(cmd, run_id);
    pj_cmd_text(cmd, "runFloor");
    pj_cmd_int(cmd, floor);
}

int pj_lease_write_reply(const struct redisReply *reply, struct pj_err *err)
{
    return pj_reply_word(reply, err);
}

static void put_outcome(struct pj_cmd *cmd, const struct pj_outcome *outcome)
{
    pj_task_hash_put_error(cmd, &outcome->error);
    pair(cmd, "branch", outcome->branch);
    pair(cmd, "commitSha", outcome->commit_sha);
    pair(cmd, "baseSha", outcome->base_sha);
    pair(cmd, "prUrl", outcome->pr_url ? outcome->pr_url : outcome->pr.url);
    pair(cmd, "prState", outcome->pr.state);
    if (outcome->pr.number) {
        pj_cmd_text(cmd, "prNumber");
        pj_cmd_int(cmd, outcome->pr.number);
    }
    pair(cmd, "question", outcome->question);
    add_json(cmd, "checks", outcome->checks);
}

void pj_lease_finish_add(struct pj_cmd *cmd, const char *task_id, int64_t epoch, int64_t attempt,
                         const struct pj_outcome *outcome)
{
    PJ_CLEANUP(pj_cmd_release) struct pj_cmd set = {0};
    char key[PJ_KEY_SIZE];

    if (cmd->argc == 0) {
        pj_cmd_script(cmd, "lease_finish");
        pj_cmd_text(cmd, pj_key_task(key, task_id));
        pj_cmd_text(cmd, pj_key_runner_channel(key, ""));
        pj_cmd_text(cmd, pj_task_move_from(PJ_MOVE_FINISH));
    }
    pj_cmd_text(cmd, task_id);
    pj_cmd_int(cmd, epoch);
    pj_cmd_int(cmd, attempt);
    pj_cmd_text(cmd, pj_task_status_word((enum pj_task_status)outcome->status));
    pj_cmd_text(cmd, outcome->patch);
    put_outcome(&set, outcome);
    pj_cmd_int(cmd, (int64_t)set.argc);
    for (size_t i = 0; i < set.argc; i++) {
        struct pj_view arg = pj_cmd_arg(&set, i);

        pj_cmd_add(cmd, arg.p, arg.n);
    }
}

void pj_lease_finish_cmd(struct pj_cmd *cmd, const char *task_id, int64_t epoch, int64_t attempt,
                         const struct pj_outcome *outcome)
{
    pj_cmd_release(cmd);
    pj_lease_finish_add(cmd, task_id, epoch, attempt, outcome);
}

int pj_lease_finish_reply(const struct redisReply *reply, struct pj_finished *out,
                          struct pj_err *err)
{
    struct pj_view rest, status = {0}, repeated = {0}, since = {0}, until = {0};
    int64_t since_ms, until_ms;

    if (pj_reply_text(pj_reply_only(reply), &rest, err) < 0)
        return -1;
    (void)pj_view_cut(&rest, ' ', &repeated);
    (void)pj_view_cut(&rest, ' ', &status);
    (void)pj_view_cut(&rest, ' ', &since);
    (void)pj_view_cut(&rest, ' ', &until);
    out->repeated = pj_view_is(repeated, "1");
    for (out->status = 0; pj_task_status_words[out->status]; out->status++) {
        if (pj_view_is(status, pj_task_status_words[out->status]))
            break;
    }
    if (!pj_task_status_words[out->status] || pj_parse_i64(since, &since_ms) < 0 ||
        pj_parse_i64(until, &until_ms) < 0 || pj_parse_i64(rest, &out->tokens) < 0)
        return pj_fail(err, PJ_E_PROTOCOL, "unexpected answer of Redis to the end of a task");
    out->duration_ms = until_ms - since_ms;
    return 0;
}

void pj_lease_release_cmd(struct pj_cmd *cmd, const char *task_id, int64_t epoch, bool lost,
                          const char *reason)
{
    PJ_CLEANUP(pj_freep) char *line = pj_strdup(reason ? reason : "");

    for (char *p = line; *p; p++) {
        if ((unsigned char)*p < ' ')
            *p = ' ';
    }
    task_script(cmd, "lease_release", task_id, epoch);
    pj_cmd_int(cmd, lost);
    pj_cmd_int(cmd, PJ_DELIVERIES_MAX);
    pj_cmd_text(cmd, line);
    add_lost_end(cmd);
}

int pj_lease_release_reply(const struct redisReply *reply, bool *requeued, struct pj_err *err)
{
    if (pj_reply_word(reply, err) < 0)
        return -1;
    *requeued = pj_view_is(pj_reply_view(pj_reply_at(reply, 1)), "requeued");
    return 0;
}

void pj_lease_reap_cmd(struct pj_cmd *cmd, unsigned partition, int64_t ttl_ms)
{
    char key[PJ_KEY_SIZE];

    pj_cmd_script(cmd, "lease_reap");
    pj_cmd_text(cmd, pj_key_part(key, partition, "lease"));
    pj_cmd_int(cmd, ttl_ms);
    pj_cmd_int(cmd, PJ_DELIVERIES_MAX);
    pj_cmd_int(cmd, PJ_REAP_MAX);
    add_lost_end(cmd);
    add_end(cmd, "task_timeout", "The task passed its time limit and was ended.");
}

int pj_lease_reap_reply(const struct redisReply *reply, struct pj_reaped *items, size_t cap,
                        size_t *count, bool *more, struct pj_err *err)
{
    static const char *const kinds[] = {"requeued",  "lost",     "timeout",
                                        "cancelled", "repaired", NULL};

    *count = 0;
    if (pj_reply_word(reply, err) < 0)
        return -1;
    *more = pj_reply_int(pj_reply_at(reply, 1), 0) != 0;
    for (size_t i = 2; i < pj_reply_count(reply) && *count < cap; i++) {
        const struct redisReply *item = pj_reply_at(reply, i);
        int kind = pj_word_index(kinds, pj_reply_view(pj_reply_at(item, 1)).p);
        struct pj_view id = pj_reply_view(pj_reply_at(item, 0)),
                       runner = pj_reply_view(pj_reply_at(item, 2));
        struct pj_reaped *r = &items[(*count)++];

        (void)snprintf(r->task_id, sizeof(r->task_id), "%.*s", (int)id.n, id.p);
        (void)snprintf(r->runner, sizeof(r->runner), "%.*s", (int)runner.n, runner.p);
        r->kind = kind < 0 ? PJ_REAPED_REPAIRED : (enum pj_reaped_kind)kind;
    }
    return 0;
}
