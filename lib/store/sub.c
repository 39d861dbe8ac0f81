/* The subscriber of async.h. Order matters: a channel is subscribed again only after its unsubscribe was confirmed. */
#include <stdlib.h>
#include <string.h>
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/crypto/random.h"
#include "lib/store/async.h"
#include "lib/store/link.h"

#define BEAT_MS 5000
#define SILENCE_MS 15000
#define BUCKETS 1024

struct waiter {
    void (*confirmed)(void *arg);
    void *arg;
    struct waiter *next;
};

struct channel {
    char *name;
    unsigned refs;
    enum { OUT, JOINING, IN, LEAVING } state;
    struct waiter *waiters;
    struct channel *next; /* in its bucket */
};

struct pj_sub {
    struct pj_alink link;
    struct pj_aredis *voice; /* publishes the heartbeat */
    struct pj_sub_events events;
    void *arg;
    struct channel *bucket[BUCKETS];
    size_t joining; /* channels not confirmed yet */
    char own[64];   /* the heartbeat's channel */
    struct event *beat;
    struct event *soon; /* confirms what was confirmed before */
    int64_t heard_ms;
    bool lost; /* on_lost was told */
};

static struct channel **slot_of(struct pj_sub *sub, const char *name, size_t n)
{
    uint32_t hash = 2166136261U;
    struct channel **p;

    for (size_t i = 0; i < n; i++)
        hash = (hash ^ (unsigned char)name[i]) * 16777619U;
    p = &sub->bucket[hash % BUCKETS];
    while (*p && (strlen((*p)->name) != n || memcmp((*p)->name, name, n) != 0))
        p = &(*p)->next;
    return p;
}

static void drop_waiters(struct channel *c)
{
    while (c->waiters) {
        struct waiter *w = c->waiters;

        c->waiters = w->next;
        free(w);
    }
}

static void forget(struct channel **slot)
{
    struct channel *c = *slot;

    *slot = c->next;
    drop_waiters(c);
    free(c->name);
    free(c);
}

/* The answer is a push like the messages. */
static bool tell(struct pj_sub *sub, const char *command, const char *channel)
{
    PJ_CLEANUP(pj_cmd_release) struct pj_cmd cmd = {0};

    pj_cmd_start(&cmd, command);
    pj_cmd_text(&cmd, channel);
    return pj_alink_send(&sub->link, &cmd, false, NULL, NULL);
}

static void join(struct pj_sub *sub, struct channel *c)
{
    if (c->state != OUT || !tell(sub, "SUBSCRIBE", c->name))
        return;
    c->state = JOINING;
    sub->joining++;
}

static void tell_back(struct pj_sub *sub)
{
    if (sub->joining || !sub->lost)
        return;
    sub->lost = false;
    if (sub->events.on_back)
        sub->events.on_back(sub->arg);
}

/* One at a time: a waiter may remove the channel. */
static bool confirm_one(struct channel *c)
{
    struct waiter *w = c->waiters, done;

    if (!w || c->state != IN)
        return false;
    c->waiters = w->next;
    done = *w;
    free(w);
    done.confirmed(done.arg);
    return true;
}

static void confirm_all(struct pj_sub *sub, const char *name, size_t n)
{
    struct channel *c;

    do
        c = *slot_of(sub, name, n);
    while (c && confirm_one(c));
}

static bool confirm_any(struct pj_sub *sub)
{
    for (size_t i = 0; i < BUCKETS; i++) {
        for (struct channel *c = sub->bucket[i]; c; c = c->next) {
            if (confirm_one(c))
                return true;
        }
    }
    return false;
}

static void on_soon(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    while (confirm_any(arg)) {
    }
}

static void joined(struct pj_sub *sub, struct channel *c, struct pj_view name)
{
    if (c->state != JOINING)
        return;
    c->state = IN;
    sub->joining--;
    confirm_all(sub, name.p, name.n);
    tell_back(sub);
}

static void left(struct pj_sub *sub, struct channel **slot)
{
    struct channel *c = *slot;

    c->state = OUT;
    if (c->refs == 0)
        forget(slot);
    else
        join(sub, c);
}

/* ["subscribe"|"message"|"unsubscribe", channel, count|payload] */
static void on_push(void *owner, const struct redisReply *got)
{
    struct pj_sub *sub = owner;
    struct pj_view kind, name;
    struct channel **slot;

    if (pj_reply_count(got) < 3)
        return;
    kind = pj_reply_view(pj_reply_at(got, 0));
    name = pj_reply_view(pj_reply_at(got, 1));
    sub->heard_ms = pj_mono_ms();
    slot = slot_of(sub, name.p, name.n);
    if (!*slot)
        return;
    if (pj_view_is(kind, "subscribe"))
        joined(sub, *slot, name);
    else if (pj_view_is(kind, "unsubscribe"))
        left(sub, slot);
    else if ((*slot)->refs && strcmp((*slot)->name, sub->own) != 0)
        sub->events.on_message(sub->arg, (*slot)->name, pj_reply_view(pj_reply_at(got, 2)));
}

static void on_up(void *owner)
{
    struct pj_sub *sub = owner;

    sub->heard_ms = pj_mono_ms();
    for (size_t i = 0; i < BUCKETS; i++) {
        for (struct channel *c = sub->bucket[i]; c; c = c->next)
            join(sub, c);
    }
}

static void on_down(void *owner)
{
    struct pj_sub *sub = owner;
    bool told = sub->lost;

    sub->joining = 0;
    sub->lost = true;
    for (size_t i = 0; i < BUCKETS; i++) {
        struct channel **p = &sub->bucket[i];

        while (*p) {
            (*p)->state = OUT;
            if ((*p)->refs == 0)
                forget(p);
            else
                p = &(*p)->next;
        }
    }
    if (!told && sub->events.on_lost)
        sub->events.on_lost(sub->arg);
}

static void beat_answered(void *arg, const struct redisReply *reply, struct pj_err *err)
{
    (void)arg; /* what counts is that it arrives on the channel */
    (void)reply;
    (void)err;
}

static void on_beat(evutil_socket_t fd, short what, void *arg)
{
    struct pj_sub *sub = arg;
    struct pj_cmd cmd = {0};

    (void)fd;
    (void)what;
    if (sub->link.state == PJ_LINK_UP && pj_mono_ms() - sub->heard_ms > SILENCE_MS) {
        pj_alink_drop(&sub->link, "the subscription is silent");
        return;
    }
    pj_cmd_start(&cmd, "PUBLISH");
    pj_cmd_text(&cmd, sub->own);
    pj_cmd_text(&cmd, "beat");
    pj_aredis_submit(sub->voice, &cmd, beat_answered, NULL);
}

int pj_sub_new(struct event_base *base, const struct pj_redis_options *options,
               const struct pj_sub_events *events, void *arg, struct pj_sub **out,
               struct pj_err *err)
{
    static const struct timeval gap = {.tv_sec = BEAT_MS / 1000};
    struct pj_sub *sub = pj_alloc(1, sizeof(*sub));
    char unique[17];

    sub->link =
        (struct pj_alink){.owner = sub, .on_up = on_up, .on_down = on_down, .on_push = on_push};
    if (pj_alink_init(&sub->link, base, options, err) < 0) {
        free(sub);
        return -1;
    }
    if (pj_aredis_new(base, options, &sub->voice, err) < 0) {
        pj_alink_release(&sub->link);
        free(sub);
        return -1;
    }
    sub->events = *events;
    sub->arg = arg;
    pj_random_text(unique, 16);
    (void)snprintf(sub->own, sizeof(sub->own), "pj:c:beat:%s", unique);
    sub->beat = event_new(base, -1, EV_PERSIST, on_beat, sub);
    (void)event_add(sub->beat, &gap);
    sub->soon = evtimer_new(base, on_soon, sub);
    pj_sub_add(sub, sub->own, NULL, NULL);
    *out = sub;
    return 0;
}

void pj_sub_free(struct pj_sub *sub)
{
    if (!sub)
        return;
    pj_alink_release(&sub->link);
    pj_aredis_free(sub->voice);
    event_free(sub->beat);
    event_free(sub->soon);
    for (size_t i = 0; i < BUCKETS; i++) {
        while (sub->bucket[i])
            forget(&sub->bucket[i]);
    }
    free(sub);
}

void pj_sub_add(struct pj_sub *sub, const char *name, void (*confirmed)(void *arg), void *arg)
{
    static const struct timeval now = {0};
    struct channel **slot = slot_of(sub, name, strlen(name));

    if (!*slot) {
        *slot = pj_alloc(1, sizeof(**slot));
        (*slot)->name = pj_strdup(name);
    }
    (*slot)->refs++;
    if (confirmed) {
        struct waiter *w = pj_alloc(1, sizeof(*w));

        *w = (struct waiter){confirmed, arg, (*slot)->waiters};
        (*slot)->waiters = w;
        if ((*slot)->state == IN)
            (void)event_add(sub->soon, &now);
    }
    join(sub, *slot);
}

void pj_sub_remove(struct pj_sub *sub, const char *name)
{
    struct channel **slot = slot_of(sub, name, strlen(name));
    struct channel *c = *slot;

    if (!c || c->refs == 0 || --c->refs)
        return;
    drop_waiters(c);
    if (c->state == OUT) {
        forget(slot);
        return;
    }
    if (c->state == JOINING)
        sub->joining--;
    c->state = LEAVING;
    (void)tell(sub, "UNSUBSCRIBE", c->name); /* in any other state than OUT the link is up */
    tell_back(sub);
}

bool pj_sub_is_up(const struct pj_sub *sub)
{
    return sub->link.state == PJ_LINK_UP && sub->joining == 0;
}
