/* The end of an attempt: nothing of it runs any more, and the store is told what became of it. */
#include <string.h>
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/store/repos.h"
#include "runner/ends.h"
#include "runner/job.h"
#include "runner/slot_impl.h"

#define SETTLE_RETRY_MS 500 /* doubled up to the maximum */
#define SETTLE_RETRY_MAX_MS 10000
#define SETTLE_TRIES_MAX 120 /* 20 minutes: by then the reaper has long ended it */

static void settle_later(struct slot *slot, const struct pj_err *err)
{
    int64_t wait = SETTLE_RETRY_MS << (slot->settle_tries < 5 ? slot->settle_tries : 5);

    pj_log_err(PJ_LOG_WARN, "settle_retry", err, "taskId", slot->lease.task->id);
    if (++slot->settle_tries > SETTLE_TRIES_MAX) {
        slot_leave(slot);
        return;
    }
    slot_arm(slot->settle_event, wait < SETTLE_RETRY_MAX_MS ? wait : SETTLE_RETRY_MAX_MS);
}

static void on_finished(void *arg, const struct redisReply *reply, struct pj_err *err)
{
    struct slot *slot = arg;
    struct pj_finished done;
    int rc = reply == NULL ? -1 : pj_lease_finish_reply(reply, &done, err);

    slot_arrive(slot);
    if (rc < 0 && err->cls == PJ_E_CANCELLED)
        return; /* the daemon is leaving */
    if (rc < 0 && err->cls == PJ_E_UNAVAILABLE) {
        settle_later(slot, err);
        return;
    }
    if (rc < 0) {
        pj_log_err(PJ_LOG_WARN, "finish_refused", err, "taskId", slot->lease.task->id);
    } else {
        pj_log(PJ_LOG_INFO, "task_finished", "taskId", slot->lease.task->id, "status",
               pj_task_status_word((enum pj_task_status)done.status), "attempt",
               PJ_I64(slot->lease.task->attempt), "durationMs", PJ_I64(done.duration_ms), "tokens",
               PJ_I64(done.tokens), NULL);
        ends_keep(slot->daemon->ends, slot->lease.task->id, &slot->end);
    }
    slot_leave(slot);
}

static void on_released(void *arg, const struct redisReply *reply, struct pj_err *err)
{
    struct slot *slot = arg;
    bool requeued = false;
    int rc = reply == NULL ? -1 : pj_lease_release_reply(reply, &requeued, err);

    if (rc < 0 && err->cls == PJ_E_CANCELLED)
        return;
    if (rc < 0 && err->cls == PJ_E_UNAVAILABLE) {
        settle_later(slot, err);
        return;
    }
    if (rc < 0)
        pj_log_err(PJ_LOG_WARN, "release_refused", err, "taskId", slot->lease.task->id);
    else
        pj_log(PJ_LOG_INFO, requeued ? "task_requeued" : "task_finished", "taskId",
               slot->lease.task->id, "status", requeued ? "running" : "failed", NULL);
    slot_leave(slot);
}

static void ignore_reply(void *arg, const struct redisReply *reply, struct pj_err *err)
{
    (void)arg;
    (void)reply;
    (void)err;
}

/* The remote could not be reached: the next execute is refused until somebody has verified the repository (R1.3). */
static void mark_invalid(struct slot *slot, const char *cause)
{
    struct pj_cmd cmd = {0};

    pj_repo_status_cmd(&cmd, slot->lease.task->repository_id, PJ_REPO_INVALID, cause);
    pj_aredis_submit(slot->daemon->redis, &cmd, ignore_reply, NULL);
}

void slot_finish(struct slot *slot, const struct pj_outcome *outcome)
{
    if (outcome->repository_invalid)
        mark_invalid(slot, outcome->error.detail);
    pj_lease_finish_cmd(&slot->end, slot->lease.task->id, slot->lease.epoch,
                        slot->lease.task->attempt, outcome);
    pj_gather_finish(slot->daemon->gather, slot->lease.task->id, slot->lease.epoch,
                     slot->lease.task->attempt, outcome, on_finished, slot);
    if (!slot->departing)
        slot->daemon->takes.departing++;
    slot->departing = true;
    takes_look(slot->daemon); /* the next task is asked for in the same breath */
}

void slot_give_back(struct slot *slot, bool lost, const char *reason)
{
    struct pj_cmd cmd = {0};

    pj_lease_release_cmd(&cmd, slot->lease.task->id, slot->lease.epoch, lost, reason);
    pj_aredis_submit(slot->daemon->redis, &cmd, on_released, slot);
}

/* What the job reported, if it did. */
static int read_outcome(struct slot *slot, struct pj_outcome *out)
{
    PJ_CLEANUP(pj_json_decrefp) json_t *doc = NULL;
    struct pj_err err;

    if (slot->outcome.len == 0)
        return -1;
    if (pj_json_parse(pj_view_n(slot->outcome.data, slot->outcome.len), &doc, &err) < 0 ||
        pj_outcome_from_json(doc, out, &err) < 0) {
        pj_log_err(PJ_LOG_ERROR, "outcome_unreadable", &err, "taskId", slot->lease.task->id);
        return -1;
    }
    return 0;
}

static void settle_without_outcome(struct slot *slot, struct pj_outcome *out)
{
    PJ_CLEANUP(pj_freep) char *text = NULL;
    PJ_CLEANUP(pj_freep) char *limit = NULL;
    int64_t own = slot->lease.task->limits.timeout_ms;

    if (slot->job_ended && slot->job_status == JOB_EXIT_EXTERNAL) {
        /* Whatever was asked for meanwhile is for those who watch the workflow now. */
        pj_log(PJ_LOG_INFO, "task_dispatched", "taskId", slot->lease.task->id, NULL);
        slot_leave(slot);
        return;
    }
    if (slot->job_ended && slot->job_status == SPAWNER_FENCED)
        pj_log(PJ_LOG_ERROR, "lease_lost", "taskId", slot->lease.task->id, "detail",
               "this process stood still and did not renew it in time: the job was ended", NULL);
    switch (slot->stop) {
    case SLOT_TIMEOUT:
        limit = runner_duration_text(own >= 0 ? own : slot->daemon->settings->task_timeout_ms);
        text = pj_asprintf("the task reached its time limit of %s and was stopped", limit);
        pj_outcome_fail(out, "task_timeout", text, "");
        slot_finish(slot, out);
        return;
    case SLOT_CANCEL:
        pj_outcome_cancel(out);
        slot_finish(slot, out);
        return;
    case SLOT_DRAIN:
        slot_give_back(slot, false, "the runner was stopped");
        return;
    case SLOT_LOST:
        slot_leave(slot);
        return;
    case SLOT_GO:
        break;
    }
    text = slot->job_status == SPAWNER_FENCED ? pj_strdup("its lease was not renewed in time")
           : slot->job_status >= 128
               ? pj_asprintf("the job process was killed by signal %d", slot->job_status - 128)
               : pj_asprintf("the job process ended with code %d and no result", slot->job_status);
    pj_log(PJ_LOG_ERROR, "job_lost", "taskId", slot->lease.task->id, "detail", text, NULL);
    slot_give_back(slot, true, text);
}

void slot_settle(struct slot *slot)
{
    struct pj_outcome out;

    slot->state = SLOT_SETTLING;
    slot_unwatch(slot);
    pj_outcome_init(&out);
    if (slot->stop == SLOT_LOST)
        slot_leave(slot);
    else if (read_outcome(slot, &out) == 0)
        slot_finish(slot, &out);
    else
        settle_without_outcome(slot, &out);
    pj_outcome_release(&out);
}
