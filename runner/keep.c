/* keep.c - what the daemon owes the store while it lives: renewed leases, a heartbeat.
 *
 * A lease that cannot be renewed is given up before it ends: the job is killed by our own clock, a fifth of the lease early, so
 * that the next holder never meets it (DESIGN.md section 3). When it is this process that stands still, the job's keeper does so a
 * tenth early (spawner.h). */
#include <stdlib.h>
#include <string.h>
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/store/keys.h"
#include "lib/store/runners.h"
#include "runner/daemon.h"

#define RENEW_MAX 256

/* One renewal under way: which slots it named. */
struct renewal {
    struct daemon *daemon;
    int64_t sent_mono;
    size_t count;
    struct {
        size_t slot;
        int64_t epoch;
    } named[RENEW_MAX];
};

/* A job that starts a workflow gives its lease up before, and may wait for the forge for longer than a lease lasts: its deadline is what ends it
 * then. One whose lease is another's by now is told so by its next write, before it dispatches. */
static bool dispatches(const struct slot *slot)
{
    const struct pj_task *task = slot->lease.task;

    return task->executor == PJ_EXECUTOR_GITHUB_ACTIONS && task->mode == NULL;
}

static void answer(struct slot *slot, enum pj_renewed what, int64_t until)
{
    switch (what) {
    case PJ_RENEWED:
        slot_leased(slot, until);
        return;
    case PJ_RENEW_CANCEL:
        slot_leased(slot, until);
        slot_stop(slot, SLOT_CANCEL);
        return;
    case PJ_RENEW_STALE:
        if (dispatches(slot)) {
            slot_leased(slot, slot->deadline_mono + slot->daemon->settings->lease_ttl_ms);
            slot->handed_over = true;
            return;
        }
        pj_log(PJ_LOG_WARN, "lease_lost", "taskId", slot->lease.task->id, NULL);
        slot_stop(slot, SLOT_LOST);
        return;
    }
}

static void on_renewed(void *arg, const struct redisReply *reply, struct pj_err *err)
{
    struct renewal *r = arg;
    struct daemon *d = r->daemon;
    enum pj_renewed answers[RENEW_MAX];

    if (reply == NULL || pj_lease_renew_reply(reply, answers, r->count, err) < 0) {
        if (err->cls != PJ_E_CANCELLED)
            pj_log_err(PJ_LOG_WARN, "renew_failed", err, NULL, NULL);
        free(r);
        return;
    }
    for (size_t i = 0; i < r->count; i++) {
        struct slot *slot = &d->slots[r->named[i].slot];

        if (slot->state != SLOT_FREE && slot->lease.epoch == r->named[i].epoch)
            answer(slot, answers[i], r->sent_mono + d->settings->lease_ttl_ms);
    }
    free(r);
}

static void renew(struct daemon *d, unsigned partition)
{
    struct renewal *r = pj_alloc(1, sizeof(*r));
    struct pj_renew items[RENEW_MAX];
    struct pj_cmd cmd = {0};

    r->daemon = d;
    r->sent_mono = pj_mono_ms();
    for (size_t i = 0; i < d->slot_count && r->count < RENEW_MAX; i++) {
        const struct slot *slot = &d->slots[i];

        if (slot->state == SLOT_FREE || slot->stop == SLOT_LOST || slot->handed_over ||
            pj_partition_of_task(slot->lease.task->id) != partition)
            continue;
        items[r->count] =
            (struct pj_renew){.task_id = slot->lease.task->id, .epoch = slot->lease.epoch};
        r->named[r->count].slot = i;
        r->named[r->count].epoch = slot->lease.epoch;
        r->count++;
    }
    if (r->count == 0) {
        free(r);
        return;
    }
    pj_lease_renew_cmd(&cmd, partition, d->settings->lease_ttl_ms, items, r->count);
    pj_aredis_submit(d->redis, &cmd, on_renewed, r);
}

static void on_beat(void *arg, const struct redisReply *reply, struct pj_err *err)
{
    struct daemon *d = arg;
    bool drain = false;

    if (reply == NULL || pj_runner_beat_reply(reply, &drain, err) < 0)
        return; /* the renewal says why */
    if (drain && !d->draining)
        daemon_drain(d);
}

void keep_beat(struct daemon *d, const char *state)
{
    struct pj_str tasks;
    struct pj_cmd cmd = {0};
    struct pj_runner_beat beat = {
        .name = d->settings->name,
        .instance = d->instance,
        .version = PJ_VERSION,
        .labels = d->settings->labels,
        .isolation = d->isolation,
        .state = state,
        .slots = (int64_t)d->slot_count,
        .started_ms = d->started_ms,
    };

    pj_str_init(&tasks, 16384);
    for (size_t i = 0; i < d->slot_count; i++) {
        if (d->slots[i].state == SLOT_FREE)
            continue;
        (void)pj_str_putf(&tasks, "%s%s", beat.busy > 0 ? "," : "", d->slots[i].lease.task->id);
        beat.busy++;
    }
    beat.tasks = pj_str_cstr(&tasks);
    pj_runner_beat_cmd(&cmd, &beat);
    pj_aredis_submit(d->redis, &cmd, on_beat, d);
    pj_str_release(&tasks);
}

void keep_guard(struct daemon *d)
{
    int64_t now = pj_mono_ms();
    int64_t margin = d->settings->lease_ttl_ms / 5;

    for (size_t i = 0; i < d->slot_count; i++) {
        struct slot *slot = &d->slots[i];

        if ((slot->state == SLOT_STARTING || slot->state == SLOT_RUNNING) &&
            slot->stop != SLOT_LOST && now > slot->leased_until_mono - margin) {
            pj_log(PJ_LOG_ERROR, "lease_lost", "taskId", slot->lease.task->id, "detail",
                   "it could not be renewed in time: the job is killed", NULL);
            slot_stop(slot, SLOT_LOST);
        }
    }
}

void keep_tick(struct daemon *d)
{
    for (unsigned p = 0; p < d->meta.partitions; p++)
        renew(d, p);
    keep_beat(d, d->draining || d->leaving ? "draining" : "ready");
}
