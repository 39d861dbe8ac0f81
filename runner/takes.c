#include "runner/takes.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "runner/daemon.h"

#define WAIT_MS 5000
#define RETRY_MS 500

/* A take under way. */
struct take {
    struct daemon *daemon;
    size_t want;
    int64_t sent_mono;
};

/* Free slots that no take has been promised. An end travels ahead of the next take on the same connection: its slot is free by
 * the time that the take is answered. */
static size_t free_slots(const struct daemon *d)
{
    size_t n = d->takes.departing;

    for (size_t i = 0; i < d->slot_count; i++)
        n += d->slots[i].state == SLOT_FREE;
    n -= n < d->takes.claiming ? n : d->takes.claiming;
    if (d->settings->max_tasks > 0) { /* PJ_RUNNER_TASKS: no more than that in all */
        int64_t left = d->settings->max_tasks - d->takes.attempts - (int64_t)d->takes.claiming;

        n = left <= 0 ? 0 : (int64_t)n < left ? n : (size_t)left;
    }
    return n;
}

static void retry_later(struct daemon *d)
{
    const struct timeval tv = {.tv_usec = RETRY_MS * 1000};

    (void)event_add(d->takes.retry_event, &tv);
}

static void ignore_reply(void *arg, const struct redisReply *reply, struct pj_err *err)
{
    (void)arg;
    (void)reply;
    (void)err;
}

/* The end that was to make room did not get through. */
static void give_back(struct daemon *d, const struct pj_lease *lease)
{
    struct pj_cmd cmd = {0};

    pj_lease_release_cmd(&cmd, lease->task->id, lease->epoch, false,
                         "the runner had no room for it");
    pj_aredis_submit(d->redis, &cmd, ignore_reply, NULL);
}

static void begin(struct daemon *d, struct pj_lease *lease, int64_t sent_mono)
{
    for (size_t i = 0; i < d->slot_count; i++)
        if (d->slots[i].state == SLOT_FREE) {
            d->takes.attempts++;
            slot_begin(&d->slots[i], lease, sent_mono);
            return;
        }
    give_back(d, lease);
}

void takes_look(struct daemon *d)
{
    d->takes.look_left = d->meta.partitions;
    event_active(d->takes.next_event, EV_TIMEOUT, 0);
}

static void on_taken(void *arg, const struct redisReply *reply, struct pj_err *err)
{
    struct take *t = arg;
    struct daemon *d = t->daemon;
    struct pj_lease leases[PJ_TAKE_MAX] = {0};
    size_t count = 0;
    int rc = reply == NULL ? -1 : pj_lease_take_reply(reply, leases, t->want, &count, err);

    d->takes.claiming -= t->want;
    for (size_t i = 0; rc == 0 && i < count; i++)
        begin(d, &leases[i], t->sent_mono);
    pj_leases_release(leases, count);
    if (rc == 0 && count == t->want && count > 0)
        d->takes.look_left = d->meta.partitions; /* there may be more */
    free(t);
    if (rc < 0 && err->cls == PJ_E_CANCELLED)
        return;
    if (rc < 0) {
        pj_log_err(PJ_LOG_WARN, "take_failed", err, NULL, NULL);
        d->takes.look_left = d->meta.partitions;
        retry_later(d);
        return;
    }
    takes_next(d);
}

/* The bells of a partition that this take answers; they are forgotten here. */
static size_t bells_of(struct daemon *d, unsigned partition, struct pj_bell *out)
{
    size_t count = 0, left = 0;

    for (size_t i = 0; i < d->takes.bell_count; i++) {
        if (d->takes.bells[i].partition == partition)
            out[count++] = d->takes.bells[i];
        else
            d->takes.bells[left++] = d->takes.bells[i];
    }
    d->takes.bell_count = left;
    return count;
}

/* Lease what is next in one partition, as much as there is room for. Without room its bells are passed on to others. */
static void take(struct daemon *d, unsigned partition)
{
    struct pj_bell bells[PJ_BELLS_MAX];
    size_t room = daemon_is_ending(d) ? 0 : free_slots(d);
    struct pj_lease_take spec = {
        .partition = partition,
        .runner = d->settings->name,
        .ttl_ms = d->settings->lease_ttl_ms,
        .timeout_ms = d->settings->task_timeout_ms,
        .want = (int64_t)(room < PJ_TAKE_MAX ? room : PJ_TAKE_MAX),
        .bells = bells,
        .bell_count = bells_of(d, partition, bells),
    };
    struct pj_cmd cmd = {0};
    struct take *t = pj_alloc(1, sizeof(*t));

    t->daemon = d;
    t->want = (size_t)spec.want;
    t->sent_mono = pj_mono_ms();
    d->takes.claiming += t->want;
    pj_lease_take_cmd(&cmd, &spec);
    pj_aredis_submit(d->redis, &cmd, on_taken, t);
}

/* A Redis that came back empty has no consumer groups. */
static void make_groups(struct daemon *d)
{
    for (unsigned p = 0; p < d->meta.partitions; p++) {
        struct pj_cmd cmd = {0};

        pj_queue_init_cmd(&cmd, p);
        pj_aredis_submit(d->redis, &cmd, ignore_reply, NULL);
    }
}

static void on_bells(void *arg, const struct redisReply *reply, struct pj_err *err)
{
    struct daemon *d = arg;
    size_t count = 0;
    int rc = reply == NULL ? -1 : pj_queue_wait_reply(reply, d->takes.bells, &count, err);

    d->takes.waiting = false;
    if (rc < 0 && err->cls == PJ_E_CANCELLED)
        return;
    if (rc < 0) {
        if (strcmp(err->code, "no_group") == 0)
            make_groups(d);
        else
            pj_log_err(PJ_LOG_WARN, "wait_failed", err, NULL, NULL);
        retry_later(d);
        return;
    }
    d->takes.bell_count = count;
    if (count > 0) {
        d->takes.look_left = d->meta.partitions;
        d->takes.look_at = d->takes.bells[0].partition;
    }
    takes_next(d);
}

/* Take at once what may be there; wait for a bell when nothing is. Bells that are heard during a drain go to others. */
void takes_next(struct daemon *d)
{
    struct pj_cmd cmd = {0};

    if (daemon_is_ending(d) && daemon_is_idle(d) && d->takes.bell_count == 0) {
        (void)event_base_loopbreak(d->base);
        return;
    }
    while (d->takes.bell_count > 0 && (daemon_is_ending(d) || free_slots(d) == 0))
        take(d, d->takes.bells[0].partition);
    if (daemon_is_ending(d) || free_slots(d) == 0 || d->takes.claiming > 0)
        return;
    if (d->takes.look_left > 0) {
        d->takes.look_left--;
        take(d, d->takes.look_at++ % d->meta.partitions);
        return;
    }
    if (d->takes.waiting)
        return;
    d->takes.waiting = true;
    pj_queue_wait_cmd(&cmd, d->meta.partitions, d->settings->name, WAIT_MS);
    pj_aredis_submit(d->wakeups, &cmd, on_bells, d);
}

static void on_next(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    takes_next(arg);
}

void takes_init(struct daemon *d)
{
    d->takes.retry_event = event_new(d->base, -1, 0, on_next, d);
    d->takes.next_event = event_new(d->base, -1, 0, on_next, d);
}

void takes_release(struct daemon *d)
{
    if (d->takes.retry_event != NULL)
        event_free(d->takes.retry_event);
    if (d->takes.next_event != NULL)
        event_free(d->takes.next_event);
}
