/* janitor.c - logs of ended tasks: packed soon, dropped after PJ_LOG_RETENTION (R6.2). Bounded work a call; the rest follows
 * at once. */
#include <stdlib.h>
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/store/events.h"
#include "lib/store/pack.h"
#include "runner/daemon.h"

#define RETAIN_MAX 100
#define PACK_AFTER_MS 10000 /* by then the streams that follow a task have seen its end */

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
    pj_events_retain_cmd(&cmd, partition, d->settings->log_retention_ms, RETAIN_MAX);
    pj_aredis_submit(d->redis, &cmd, on_cleaned, c);
}

static void pack(struct daemon *d, unsigned partition);

static void pack_failed(struct cleaning *c, const struct pj_err *err)
{
    if (err->cls != PJ_E_CANCELLED && err->cls != PJ_E_UNAVAILABLE)
        pj_log_err(PJ_LOG_ERROR, "packing_failed", err, NULL, NULL);
    free(c);
}

static void on_put(void *arg, const struct redisReply *reply, struct pj_err *err)
{
    struct cleaning *c = arg;

    if (reply == NULL || pj_pack_put_reply(reply, err) < 0) {
        pack_failed(c, err);
        return;
    }
    pack(c->daemon, c->partition);
    free(c);
}

static void on_next(void *arg, const struct redisReply *reply, struct pj_err *err)
{
    struct cleaning *c = arg;
    struct pj_cmd put = {0};
    int rc = reply == NULL ? -1 : pj_pack_next_reply(reply, c->partition, &put, err);

    if (rc < 0 && put.argc > 0)
        pj_log_err(PJ_LOG_ERROR, "log_damaged", err, NULL, NULL);
    if (put.argc > 0)
        pj_aredis_submit(c->daemon->redis, &put, on_put, c);
    else if (rc == PJ_NONE)
        free(c);
    else
        pack_failed(c, err);
}

static void pack(struct daemon *d, unsigned partition)
{
    struct cleaning *c = pj_alloc(1, sizeof(*c));
    struct pj_cmd cmd = {0};

    c->daemon = d;
    c->partition = partition;
    pj_pack_next_cmd(&cmd, partition, PACK_AFTER_MS);
    pj_aredis_submit(d->redis, &cmd, on_next, c);
}

void janitor_tick(struct daemon *d)
{
    for (unsigned p = 0; p < d->meta.partitions; p++) {
        clean(d, p);
        pack(d, p);
    }
}
