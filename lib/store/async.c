#include "lib/store/async.h"

#include <stdlib.h>
#include <string.h>
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/store/link.h"

#define TICK_MS 50

struct call {
    struct pj_aredis *redis; /* NULL: answered already, the link still holds it */
    struct pj_cmd cmd;
    pj_aredis_cb *cb;
    void *arg;
    int64_t deadline_ms;
    bool sent;
    bool refused; /* too many: fails at the next tick */
    struct call *prev, *next;
};

struct pj_aredis {
    struct pj_alink link;
    int command_ms;
    unsigned ups;              /* how often there was a connection */
    struct call *first, *last; /* in order of submit */
    size_t pending;
    struct event *tick; /* runs while something is pending */
    bool ticking;
    int depth; /* callbacks on the stack */
    bool freed;
};

static void enter(struct pj_aredis *r)
{
    r->depth++;
}

/* The owner may have freed it meanwhile. */
static void leave(struct pj_aredis *r)
{
    if (--r->depth == 0 && r->freed)
        free(r);
}

static void unlink_call(struct pj_aredis *r, struct call *c)
{
    *(c->prev ? &c->prev->next : &r->first) = c->next;
    *(c->next ? &c->next->prev : &r->last) = c->prev;
    c->prev = c->next = NULL;
    c->redis = NULL;
    r->pending--;
}

/* Takes the call out and answers it. Its memory stays while the link holds it. */
static void answer(struct pj_aredis *r, struct call *c, const struct redisReply *reply,
                   struct pj_err *err)
{
    pj_aredis_cb *cb = c->cb;
    void *arg = c->arg;
    bool held = c->sent;

    unlink_call(r, c);
    pj_cmd_release(&c->cmd);
    if (!held)
        free(c);
    enter(r);
    cb(arg, reply, err);
    leave(r);
}

static void fail_call(struct pj_aredis *r, struct call *c, enum pj_err_class cls, const char *text)
{
    struct pj_err err;

    (void)pj_fail(&err, cls, "%s", text);
    answer(r, c, NULL, &err);
}

static bool send_call(struct pj_aredis *r, struct call *c, bool source);

static bool is_passing(const struct pj_err *err)
{
    return strcmp(err->code, "store_loading") == 0 || strcmp(err->code, "store_readonly") == 0;
}

/* The connection is gone: what may be sent again waits for the next one. */
static void lost(struct call *c)
{
    struct pj_aredis *r = c->redis;

    c->sent = false;
    if (!c->cmd.repeatable)
        fail_call(r, c, PJ_E_UNAVAILABLE, "lost the connection to Redis before its answer");
}

static void on_reply(void *arg, const struct redisReply *got)
{
    struct call *c = arg;
    struct pj_aredis *r = c->redis;
    struct pj_err err;

    if (!r) { /* answered before */
        free(c);
        return;
    }
    if (!got) {
        lost(c);
        return;
    }
    c->sent = false; /* the link lets go of it */
    if (c->cmd.script && pj_reply_is_noscript(got)) {
        (void)send_call(r, c, true);
        return;
    }
    if (pj_reply_error(got, &err) == 0) {
        answer(r, c, got, &err);
    } else if (is_passing(&err)) { /* it was not carried out: wait for a server that will */
        enter(r);
        pj_alink_drop(&r->link, err.message);
        leave(r);
    } else {
        answer(r, c, NULL, &err);
    }
}

static bool send_call(struct pj_aredis *r, struct call *c, bool source)
{
    c->sent = pj_alink_send(&r->link, &c->cmd, source, on_reply, c);
    return c->sent;
}

static void on_up(void *owner)
{
    struct pj_aredis *r = owner;

    r->ups++;
    for (struct call *c = r->first; c; c = c->next) {
        if (!c->sent && !c->refused && !send_call(r, c, false))
            return;
    }
}

static void on_down(void *owner)
{
    (void)owner; /* calls were told one by one */
}

static void keep_ticking(struct pj_aredis *r)
{
    static const struct timeval gap = {.tv_usec = TICK_MS * 1000};

    if (r->pending && !r->ticking) {
        r->ticking = true;
        (void)event_add(r->tick, &gap);
    }
}

/* Fails one call whose time is over; false when there is none. The list may change in the callback, hence one at a time. */
static bool fail_one_late(struct pj_aredis *r, int64_t now)
{
    char text[500];

    for (struct call *c = r->first; c; c = c->next) {
        if (c->refused) {
            fail_call(r, c, PJ_E_UNAVAILABLE, "too many commands wait for Redis");
            return true;
        }
        if (c->deadline_ms > now)
            continue;
        if (!c->sent) {
            (void)snprintf(text, sizeof(text), "no connection to Redis: %s", r->link.last_error);
            fail_call(r, c, PJ_E_UNAVAILABLE, text);
            return true;
        }
        c->cmd.repeatable = false; /* its time is over: not once more */
        pj_alink_drop(&r->link, "no answer in time");
        return true;
    }
    return false;
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    struct pj_aredis *r = arg;
    int64_t now = pj_mono_ms();

    (void)fd;
    (void)what;
    r->ticking = false;
    enter(r);
    while (!r->freed && fail_one_late(r, now)) {
    }
    if (!r->freed)
        keep_ticking(r);
    leave(r);
}

int pj_aredis_new(struct event_base *base, const struct pj_redis_options *options,
                  struct pj_aredis **out, struct pj_err *err)
{
    struct pj_aredis *r = pj_alloc(1, sizeof(*r));

    r->link = (struct pj_alink){.owner = r, .on_up = on_up, .on_down = on_down};
    if (pj_alink_init(&r->link, base, options, err) < 0) {
        free(r);
        return -1;
    }
    r->command_ms = options->command_ms ? options->command_ms : 5000;
    r->tick = evtimer_new(base, on_tick, r);
    *out = r;
    return 0;
}

void pj_aredis_free(struct pj_aredis *r)
{
    if (!r || r->freed)
        return;
    enter(r);
    r->freed = true;
    while (r->first)
        fail_call(r, r->first, PJ_E_CANCELLED, "the connection to Redis is being closed");
    pj_alink_release(&r->link);
    event_free(r->tick);
    leave(r);
}

void pj_aredis_submit(struct pj_aredis *r, struct pj_cmd *cmd, pj_aredis_cb *cb, void *arg)
{
    struct call *c = pj_alloc(1, sizeof(*c));

    pj_cmd_move(&c->cmd, cmd);
    c->redis = r;
    c->cb = cb;
    c->arg = arg;
    c->deadline_ms = pj_mono_ms() + r->command_ms + c->cmd.block_ms;
    c->refused = r->pending >= PJ_AREDIS_PENDING_MAX || r->freed;
    c->prev = r->last;
    *(r->last ? &r->last->next : &r->first) = c;
    r->last = c;
    r->pending++;
    if (!c->refused)
        (void)send_call(r, c, false);
    if (!r->freed)
        keep_ticking(r);
}

bool pj_aredis_is_up(const struct pj_aredis *r)
{
    return r->link.state == PJ_LINK_UP;
}

unsigned pj_aredis_connections(const struct pj_aredis *r)
{
    return r->ups;
}

size_t pj_aredis_pending(const struct pj_aredis *r)
{
    return r->pending;
}

const char *pj_aredis_last_error(const struct pj_aredis *r)
{
    return r->link.last_error;
}
