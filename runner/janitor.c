/* janitor.c - what is kept only for a time: logs of ended tasks (R6.2). Bounded work a call; the rest follows at once. */
#include <stdlib.h>
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/store/events.h"
#include "runner/daemon.h"

#define RETAIN_MAX 100

struct cleaning {
    struct daemon *daemon;
    unsigned partition;
};

static void clean(struct daemon *d, unsigned partition);

static void on_cleaned(void *arg, const struct redisReply *reply, struct pj_err *err)
{
    struct cleaning *c = arg;
    int64_t dropped = 0;

    if (reply == NULL || pj_events_retain_reply(reply, &dropped, err) < 0) {
        if (err->cls != PJ_E_CANCELLED && err->cls != PJ_E_UNAVAILABLE)
            pj_log_err(PJ_LOG_ERROR, "retention_failed", err, NULL, NULL);
    } else if (dropped > 0) {
        pj_log(PJ_LOG_INFO, "logs_dropped", "tasks", PJ_I64(dropped), NULL);
        if (dropped >= RETAIN_MAX)
            clean(c->daemon, c->partition);
    }
    free(c);
}

static void clean(struct daemon *d, unsigned partition)
{
    struct cleaning *c = pj_alloc(1, sizeof(*c));
    struct pj_cmd cmd = {0};

    c->daemon = d;
    c->partition = partition;
    pj_events_retain_cmd(&cmd, partition, pj_now_ms() - d->settings->log_retention_ms, RETAIN_MAX);
    pj_aredis_submit(d->redis, &cmd, on_cleaned, c);
}

void janitor_tick(struct daemon *d)
{
    for (unsigned p = 0; p < d->meta.partitions; p++)
        clean(d, p);
}
