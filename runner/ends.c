#include "runner/ends.h"

#include <stdio.h>
#include <stdlib.h>
#include "lib/base/clock.h"
#include "lib/base/id.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/store/lease.h"
#include "lib/task/state.h"

/* Redis writes and syncs its log every second, and holds back for up to two more when the disk is slow. */
#define KEEP_MS 5000
#define KEPT_MAX 256
#define BYTES_MAX ((size_t)16 * 1024 * 1024)

struct kept {
    char task_id[PJ_ID_SIZE + 10];
    struct pj_cmd finish;
    int64_t taken_mono;
};

struct ends {
    struct pj_aredis *redis;
    unsigned connections; /* of which the last has heard of all that is kept */
    struct kept *kept;    /* oldest first, in a ring */
    size_t first, count, bytes;
};

/* One that is sent again. */
struct again {
    struct ends *ends;
    struct kept end;
};

struct ends *ends_new(struct pj_aredis *redis)
{
    struct ends *e = pj_alloc(1, sizeof(*e));

    e->redis = redis;
    e->kept = pj_alloc(KEPT_MAX, sizeof(*e->kept));
    return e;
}

static void take_first(struct ends *e, struct kept *out)
{
    *out = e->kept[e->first];
    e->bytes -= out->finish.len;
    e->first = (e->first + 1) % KEPT_MAX;
    e->count--;
}

static void drop_first(struct ends *e)
{
    struct kept one;

    take_first(e, &one);
    pj_cmd_release(&one.finish);
}

void ends_free(struct ends *e)
{
    if (e == NULL)
        return;
    while (e->count > 0)
        drop_first(e);
    free(e->kept);
    free(e);
}

void ends_keep(struct ends *e, const char *task_id, struct pj_cmd *finish)
{
    struct kept *one;

    while (e->count > 0 && (e->count == KEPT_MAX || e->bytes + finish->len > BYTES_MAX))
        drop_first(e);
    one = &e->kept[(e->first + e->count++) % KEPT_MAX];
    (void)snprintf(one->task_id, sizeof(one->task_id), "%s", task_id);
    e->bytes += finish->len;
    pj_cmd_move(&one->finish, finish);
    one->taken_mono = pj_mono_ms();
}

static void on_again(void *arg, const struct redisReply *reply, struct pj_err *err)
{
    struct again *a = arg;
    struct pj_finished done;
    int rc = reply == NULL ? -1 : pj_lease_finish_reply(reply, &done, err);

    if (rc == 0 && !done.repeated)
        pj_log(PJ_LOG_WARN, "end_restored", "taskId", a->end.task_id, "status",
               pj_task_status_word((enum pj_task_status)done.status), "detail",
               "Redis had forgotten that the task has ended", NULL);
    if (rc == 0 || err->cls == PJ_E_UNAVAILABLE)
        ends_keep(a->ends, a->end.task_id, &a->end.finish);
    else
        pj_cmd_release(&a->end.finish); /* the task went on meanwhile */
    free(a);
}

static void send_again(struct ends *e)
{
    struct again *a = pj_alloc(1, sizeof(*a));
    struct pj_cmd cmd = {0};

    a->ends = e;
    take_first(e, &a->end);
    pj_cmd_copy(&cmd, &a->end.finish);
    pj_aredis_submit(e->redis, &cmd, on_again, a);
}

void ends_tick(struct ends *e)
{
    unsigned connections = pj_aredis_connections(e->redis);
    int64_t now = pj_mono_ms();

    if (!pj_aredis_is_up(e->redis))
        return;
    if (connections != e->connections) {
        e->connections = connections;
        for (size_t n = e->count; n > 0; n--)
            send_again(e);
    }
    while (e->count > 0 && now - e->kept[e->first].taken_mono > KEEP_MS)
        drop_first(e);
}
