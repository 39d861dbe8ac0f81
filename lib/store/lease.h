/* lease.h - the exclusive, expiring right to work on one task.
 *
 * Every take raises the task's epoch, and every later write names the epoch it was made under: a runner that stalled past its
 * deadline cannot overwrite its successor (CONFLICT, code `stale_lease`). Times are Unix ms by the clock of Redis.
 * Source: Redis docs, "Scripting with Lua" and TIME. */
#ifndef PJ_STORE_LEASE_H
#define PJ_STORE_LEASE_H

#include "lib/store/queue.h"
#include "lib/task/outcome.h"
#include "lib/task/task.h"

#define PJ_DELIVERIES_MAX 3

struct pj_lease {
    int64_t epoch;
    int64_t deliveries; /* 1 for the first of this attempt */
    int64_t next_n;     /* the log goes on with this number */
    int64_t until_ms;   /* the lease ends */
    int64_t
        deadline_ms; /* the attempt ends (PJ_TASK_TIMEOUT or the task's own, from its first lease) */
    int64_t now_ms;  /* Redis clock at the take: until_ms - now_ms is what is left */
    bool cancel;     /* cancel was asked for before */
    struct pj_task *task; /* owned */
};
void pj_leases_release(struct pj_lease *leases, size_t count);

/* Lease what is next in the backlogs of one partition, up to `want` (at most PJ_TAKE_MAX), and answer `bells` (may be none). leases[]
 * holds `want`; 0 leases is fine: others were faster. `timeout_ms` is PJ_TASK_TIMEOUT. */
#define PJ_TAKE_MAX 64
struct pj_lease_take {
    unsigned partition;
    const char *runner;
    int64_t ttl_ms;
    int64_t timeout_ms;
    int64_t want;
    const struct pj_bell *bells;
    size_t bell_count;
};
void pj_lease_take_cmd(struct pj_cmd *cmd, const struct pj_lease_take *take);
int pj_lease_take_reply(const struct redisReply *reply, struct pj_lease *leases, size_t cap,
                        size_t *count, struct pj_err *err) PJ_MUST_CHECK;

enum pj_renewed { PJ_RENEWED, PJ_RENEW_STALE, PJ_RENEW_CANCEL };
struct pj_renew {
    const char *task_id;
    int64_t epoch;
};
/* All of one partition in one call, at most 256. answers[i] belongs to items[i]. CANCEL is renewed too: it is still ours to end. */
void pj_lease_renew_cmd(struct pj_cmd *cmd, unsigned partition, int64_t ttl_ms,
                        const struct pj_renew *items, size_t count);
int pj_lease_renew_reply(const struct redisReply *reply, enum pj_renewed *answers, size_t count,
                         struct pj_err *err) PJ_MUST_CHECK;

/* The stage shown to the user. */
void pj_lease_stage_cmd(struct pj_cmd *cmd, const char *task_id, int64_t epoch,
                        enum pj_task_stage stage);
/* Facts to be on record before a side effect: NULL leaves as it is. */
struct pj_lease_note {
    const char *base_sha;
    const char *commit_sha;
    const char *branch;
    const char *pr_url;
    const char *pr_state;
    int64_t pr_number;            /* 0: none */
    const char *provider, *model; /* what ran; what was chosen stays as it is */
    const char *tips;             /* all commits recorded so far */
    const json_t *rejects;        /* what of the kept patch did not apply */
};
void pj_lease_note_cmd(struct pj_cmd *cmd, const char *task_id, int64_t epoch,
                       const struct pj_lease_note *note);
/* Keep the patch text, also a partial one. */
void pj_lease_patch_cmd(struct pj_cmd *cmd, const char *task_id, int64_t epoch,
                        struct pj_view patch);
/* A part of it, from `offset` on; attempt 0: any. CONFLICT `hole` when what comes before is missing or PJ_PATCH_MAX is passed. */
void pj_lease_patch_part_cmd(struct pj_cmd *cmd, const char *task_id, int64_t epoch,
                             int64_t attempt, int64_t offset, struct pj_view part);
/* The trajectory: JSON lines, appended. */
void pj_lease_trajectory_cmd(struct pj_cmd *cmd, const char *task_id, int64_t epoch,
                             struct pj_view lines);
/* Give the lease up for a workflow elsewhere: no lease, no slot, the deadline stays. */
void pj_lease_external_cmd(struct pj_cmd *cmd, const char *task_id, int64_t epoch);
/* Which workflow run has the task (0: not known yet), and the last run of an earlier attempt. epoch -1: as known from outside. */
void pj_lease_run_cmd(struct pj_cmd *cmd, const char *task_id, int64_t epoch, int64_t run_id,
                      int64_t floor);
/* Reply of the seven above: 0, or CONFLICT `stale_lease`, or NOT_FOUND. */
int pj_lease_write_reply(const struct redisReply *reply, struct pj_err *err) PJ_MUST_CHECK;

/* End the attempt: the only way to a terminal state of a running task. epoch >= 0: ours to end, else `stale_lease`. epoch -1:
 * whoever holds it (webhooks): `attempt` must be the current one when it is > 0 (CONFLICT `stale_attempt`), the task running (CONFLICT
 * `not_running`); a runner that holds it is told to drop it. Repeating the same finish (epoch and status) answers done again.
 * Also: indexes, totals, analytics bucket, one outbox record, the messages on the channels. The patch of the outcome is stored. */
void pj_lease_finish_cmd(struct pj_cmd *cmd, const char *task_id, int64_t epoch, int64_t attempt,
                         const struct pj_outcome *outcome);
/* The same, one more of the same partition in one command (an empty one is begun), at most PJ_TAKE_MAX: pj_reply_at(reply, i) is the
 * answer for the i-th. */
void pj_lease_finish_add(struct pj_cmd *cmd, const char *task_id, int64_t epoch, int64_t attempt,
                         const struct pj_outcome *outcome);
struct pj_finished {
    int status;    /* now, enum pj_task_status */
    bool repeated; /* it had been stored before */
    int64_t duration_ms;
    int64_t tokens; /* of the task so far */
};
int pj_lease_finish_reply(const struct redisReply *reply, struct pj_finished *out,
                          struct pj_err *err) PJ_MUST_CHECK;

/* Give it back unfinished. `lost`: the job died (one more delivery, after PJ_DELIVERIES_MAX failed/runner_lost); otherwise the
 * runner drains and the delivery does not count. *requeued tells which. */
void pj_lease_release_cmd(struct pj_cmd *cmd, const char *task_id, int64_t epoch, bool lost,
                          const char *reason);
int pj_lease_release_reply(const struct redisReply *reply, bool *requeued,
                           struct pj_err *err) PJ_MUST_CHECK;

/* One bounded tick of the reaper, safe to run by many: expired leases, unanswered bells, `running` in no queue, leases of no task,
 * past deadlines. `ttl_ms` is PJ_LEASE_TTL: after a restart or a new primary (run id) it waits that long before it takes a lease.
 * Call again at once while `more`. */
#define PJ_REAP_MAX 64
enum pj_reaped_kind {
    PJ_REAPED_REQUEUED,
    PJ_REAPED_LOST,
    PJ_REAPED_TIMEOUT,
    PJ_REAPED_CANCELLED,
    PJ_REAPED_REPAIRED
};
struct pj_reaped {
    char task_id[PJ_ID_SIZE + 10];
    enum pj_reaped_kind kind;
    char runner[80]; /* who held it, "" when nobody */
};
void pj_lease_reap_cmd(struct pj_cmd *cmd, unsigned partition, int64_t ttl_ms);
int pj_lease_reap_reply(const struct redisReply *reply, struct pj_reaped *items, size_t cap,
                        size_t *count, bool *more, struct pj_err *err) PJ_MUST_CHECK;

#endif
