/* reaper.c - work whose holder is gone: any runner may look, many may at once (lib/store/lease.h). */
#include <stdlib.h>
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "runner/daemon.h"

struct reaping {
    struct daemon *daemon;
    unsigned partition;
};

static void reap(struct daemon *d, unsigned partition);

static void tell(const struct pj_reaped *item)
{
    const char *runner = item->runner[0] != '\0' ? item->runner : NULL;

    switch (item->kind) {
    case PJ_REAPED_REQUEUED:
        pj_log(PJ_LOG_WARN, "lease_expired", "taskId", item->task_id, "runner", runner, "next",
               "requeued", NULL);
        return;
    case PJ_REAPED_LOST:
        pj_log(PJ_LOG_WARN, "lease_expired", "taskId", item->task_id, "runner", runner, "next",
               "failed", NULL);
        pj_log(PJ_LOG_INFO, "task_finished", "taskId", item->task_id, "status", "failed", "code",
               "runner_lost", NULL);
        return;
    case PJ_REAPED_TIMEOUT:
        pj_log(PJ_LOG_INFO, "task_finished", "taskId", item->task_id, "status", "failed", "code",
               "task_timeout", NULL);
        return;
    case PJ_REAPED_CANCELLED:
        pj_log(PJ_LOG_INFO, "task_finished", "taskId", item->task_id, "status", "cancelled", NULL);
        return;
    case PJ_REAPED_REPAIRED:
        pj_log(PJ_LOG_WARN, "queue_repaired", "taskId", item->task_id, NULL);
        return;
    }
}

static void on_reaped(void *arg, const struct redisReply *reply, struct pj_err *err)
{
    struct reaping *r = arg;
    struct pj_reaped items[PJ_REAP_MAX];
    size_t count = 0;
    bool more = false;

    if (reply == NULL || pj_lease_reap_reply(reply, items, PJ_REAP_MAX, &count, &more, err) < 0) {
        if (err->cls != PJ_E_CANCELLED && err->cls != PJ_E_UNAVAILABLE)
            pj_log_err(PJ_LOG_ERROR, "reap_failed", err, NULL, NULL);
        free(r);
        return;
    }
    for (size_t i = 0; i < count; i++)
        tell(&items[i]);
    if (more)
        reap(r->daemon, r->partition);
    free(r);
}

static void reap(struct daemon *d, unsigned partition)
{
    struct reaping *r = pj_alloc(1, sizeof(*r));
    struct pj_cmd cmd = {0};

    r->daemon = d;
    r->partition = partition;
    pj_lease_reap_cmd(&cmd, partition, d->settings->lease_ttl_ms);
    pj_aredis_submit(d->redis, &cmd, on_reaped, r);
}

void reaper_tick(struct daemon *d)
{
    for (unsigned p = 0; p < d->meta.partitions; p++)
        reap(d, p);
}
