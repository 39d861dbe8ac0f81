#include "lib/store/gather.h"

#include <event2/event.h>
#include <stdlib.h>
#include "lib/base/mem.h"
#include "lib/store/keys.h"
#include "lib/store/lease.h"
#include "lib/store/tasks.h"

/* Small enough that, of sixty-four, some are on their way while others are dealt with. */
#define TOGETHER_MAX 32
/* Patches and descriptions: no command becomes much longer than this. */
#define BYTES_MAX ((size_t)1024 * 1024)

enum kind { CREATE, CREATE_ONCE /* with an idem_key: may be sent again */, FINISH };

/* A command in the making, then under way. */
struct batch {
    struct batch *next;
    enum kind kind;
    unsigned partition;
    struct pj_cmd cmd;
    size_t count;
    struct {
        pj_aredis_cb *cb;
        void *arg;
    } who[TOGETHER_MAX];
};

struct pj_gather {
    struct pj_aredis *redis;
    struct event *leave;
    struct batch *open;
};

static void on_answer(void *arg, const struct redisReply *reply, struct pj_err *err)
{
    struct batch *b = arg;
    struct pj_err own_err;

    for (size_t i = 0; i < b->count; i++) {
        const struct redisReply *own = pj_reply_at(reply, i);

        if (reply && !own)
            (void)pj_fail(&own_err, PJ_E_PROTOCOL, "Redis answered %zu of %zu",
                          pj_reply_count(reply), b->count);
        else if (!reply)
            own_err = *err;
        b->who[i].cb(b->who[i].arg, own, &own_err);
    }
    pj_cmd_release(&b->cmd);
    free(b);
}

static void submit(struct pj_gather *g, struct batch **slot)
{
    struct batch *b = *slot;

    *slot = b->next;
    pj_aredis_submit(g->redis, &b->cmd, on_answer, b);
}

static void leave(evutil_socket_t fd, short what, void *arg)
{
    struct pj_gather *g = arg;

    (void)fd;
    (void)what;
    while (g->open)
        submit(g, &g->open);
}

struct pj_gather *pj_gather_new(struct event_base *base, struct pj_aredis *redis)
{
    struct pj_gather *g = pj_alloc(1, sizeof(*g));

    g->redis = redis;
    g->leave = event_new(base, -1, 0, leave, g);
    return g;
}

void pj_gather_free(struct pj_gather *g)
{
    if (!g)
        return;
    while (g->open) {
        struct batch *b = g->open;
        struct pj_err err;

        g->open = b->next;
        (void)pj_fail(&err, PJ_E_CANCELLED, "the connection to Redis is being closed");
        on_answer(b, NULL, &err);
    }
    event_free(g->leave);
    free(g);
}

/* Where one more of this kind may be added. */
static struct batch **batch_for(struct pj_gather *g, enum kind kind, const char *task_id,
                                pj_aredis_cb *cb, void *arg)
{
    unsigned partition = pj_partition_of_task(task_id);
    struct batch **slot = &g->open;

    while (*slot && ((*slot)->kind != kind || (*slot)->partition != partition))
        slot = &(*slot)->next;
    if (!*slot) {
        *slot = pj_alloc(1, sizeof(**slot));
        (*slot)->kind = kind;
        (*slot)->partition = partition;
        event_active(g->leave, EV_TIMEOUT, 0);
    }
    (*slot)->who[(*slot)->count].cb = cb;
    (*slot)->who[(*slot)->count].arg = arg;
    (*slot)->count++;
    return slot;
}

/* A full one leaves at once: were it to wait for the next, both would be answered together, and from then on Redis would wait while
 * we work and we while it does. */
static void leave_if_full(struct pj_gather *g, struct batch **slot)
{
    if ((*slot)->count == TOGETHER_MAX || (*slot)->cmd.len > BYTES_MAX)
        submit(g, slot);
}

void pj_gather_create(struct pj_gather *g, const struct pj_task *task, bool execute,
                      const char *idem_key, pj_aredis_cb *cb, void *arg)
{
    struct batch **b = batch_for(g, idem_key ? CREATE_ONCE : CREATE, task->id, cb, arg);

    pj_task_create_add(&(*b)->cmd, task, execute, idem_key);
    leave_if_full(g, b);
}

void pj_gather_finish(struct pj_gather *g, const char *task_id, int64_t epoch, int64_t attempt,
                      const struct pj_outcome *outcome, pj_aredis_cb *cb, void *arg)
{
    struct batch **b = batch_for(g, FINISH, task_id, cb, arg);

    pj_lease_finish_add(&(*b)->cmd, task_id, epoch, attempt, outcome);
    leave_if_full(g, b);
}
