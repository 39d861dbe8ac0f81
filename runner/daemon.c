#include "runner/daemon.h"

#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include "lib/base/clock.h"
#include "lib/base/id.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/notify.h"
#include "lib/store/keys.h"
#include "lib/store/queue.h"
#include "lib/store/runners.h"
#include "runner/health.h"
#include "runner/preflight.h"

#define WAIT_MS 5000
#define RETRY_MS 500
#define KEEP_MAX_MS 5000
#define REAP_MAX_MS 1000 /* a lost runner is found out within a second of the end of its lease */
#define OPEN_RETRY_MS 5000

/* A take under way. */
struct take {
    struct daemon *daemon;
    size_t want;
    int64_t sent_mono;
};

static struct timeval every_ms(int64_t ms)
{
    return (struct timeval){.tv_sec = ms / 1000, .tv_usec = (ms % 1000) * 1000};
}

/* Free slots that no take has been promised. An end travels ahead of the next take on the same connection: its slot is free by
 * the time that the take is answered. */
size_t daemon_free_slots(const struct daemon *d)
{
    size_t n = d->departing;

    for (size_t i = 0; i < d->slot_count; i++)
        n += d->slots[i].state == SLOT_FREE;
    n -= n < d->claiming ? n : d->claiming;
    if (d->settings->max_tasks > 0) { /* PJ_RUNNER_TASKS: no more than that in all */
        int64_t left = d->settings->max_tasks - d->attempts - (int64_t)d->claiming;

        n = left <= 0 ? 0 : (int64_t)n < left ? n : (size_t)left;
    }
    return n;
}

/* Nothing new is taken any more. */
static bool is_ending(const struct daemon *d)
{
    return d->draining > 0 || d->leaving;
}

static void next(struct daemon *d);

static void retry_later(struct daemon *d)
{
    struct timeval tv = every_ms(RETRY_MS);

    (void)event_add(d->retry_event, &tv);
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
            d->attempts++;
            slot_begin(&d->slots[i], lease, sent_mono);
            return;
        }
    give_back(d, lease);
}

static void look(struct daemon *d)
{
    d->look_left = d->meta.partitions;
    event_active(d->next_event, EV_TIMEOUT, 0);
}

static void on_taken(void *arg, const struct redisReply *reply, struct pj_err *err)
{
    struct take *t = arg;
    struct daemon *d = t->daemon;
    struct pj_lease leases[PJ_TAKE_MAX] = {0};
    size_t count = 0;
    int rc = reply == NULL ? -1 : pj_lease_take_reply(reply, leases, t->want, &count, err);

    d->claiming -= t->want;
    for (size_t i = 0; rc == 0 && i < count; i++)
        begin(d, &leases[i], t->sent_mono);
    pj_leases_release(leases, count);
    if (rc == 0 && count == t->want && count > 0)
        d->look_left = d->meta.partitions; /* there may be more */
    free(t);
    if (rc < 0 && err->cls == PJ_E_CANCELLED)
        return;
    if (rc < 0) {
        pj_log_err(PJ_LOG_WARN, "take_failed", err, NULL, NULL);
        d->look_left = d->meta.partitions;
        retry_later(d);
        return;
    }
    next(d);
}

/* The bells of a partition that this take answers; they are forgotten here. */
static size_t bells_of(struct daemon *d, unsigned partition, struct pj_bell *out)
{
    size_t count = 0, left = 0;

    for (size_t i = 0; i < d->bell_count; i++) {
        if (d->bells[i].partition == partition)
            out[count++] = d->bells[i];
        else
            d->bells[left++] = d->bells[i];
    }
    d->bell_count = left;
    return count;
}

/* Lease what is next in one partition, as much as there is room for. Without room its bells are passed on to others. */
static void take(struct daemon *d, unsigned partition)
{
    struct pj_bell bells[PJ_BELLS_MAX];
    size_t room = is_ending(d) ? 0 : daemon_free_slots(d);
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
    d->claiming += t->want;
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
    int rc = reply == NULL ? -1 : pj_queue_wait_reply(reply, d->bells, &count, err);

    d->waiting = false;
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
    d->bell_count = count;
    if (count > 0) {
        d->look_left = d->meta.partitions;
        d->look_at = d->bells[0].partition;
    }
    next(d);
}

static bool is_idle(const struct daemon *d)
{
    for (size_t i = 0; i < d->slot_count; i++)
        if (d->slots[i].state != SLOT_FREE)
            return false;
    return d->claiming == 0;
}

/* Take at once what may be there; wait for a bell when nothing is. Bells that are heard during a drain go to others. */
static void next(struct daemon *d)
{
    struct pj_cmd cmd = {0};

    if (is_ending(d) && is_idle(d) && d->bell_count == 0) {
        (void)event_base_loopbreak(d->base);
        return;
    }
    while (d->bell_count > 0 && (is_ending(d) || daemon_free_slots(d) == 0))
        take(d, d->bells[0].partition);
    if (is_ending(d) || daemon_free_slots(d) == 0 || d->claiming > 0)
        return;
    if (d->look_left > 0) {
        d->look_left--;
        take(d, d->look_at++ % d->meta.partitions);
        return;
    }
    if (d->waiting)
        return;
    d->waiting = true;
    pj_queue_wait_cmd(&cmd, d->meta.partitions, d->settings->name, WAIT_MS);
    pj_aredis_submit(d->wakeups, &cmd, on_bells, d);
}

static void on_next(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    next(arg);
}

void daemon_freed(struct daemon *d)
{
    look(d);
}

void daemon_drain(struct daemon *d)
{
    size_t busy = 0;

    for (size_t i = 0; i < d->slot_count; i++)
        busy += d->slots[i].state != SLOT_FREE;
    d->draining++;
    if (d->draining == 1) {
        pj_log(PJ_LOG_INFO, "draining", "tasks", PJ_I64((int64_t)busy), NULL);
        pj_notify("STOPPING=1\nSTATUS=draining %zu tasks", busy);
        keep_beat(d, "draining");
    } else {
        pj_log(PJ_LOG_WARN, "drain_forced", "tasks", PJ_I64((int64_t)busy), NULL);
        for (size_t i = 0; i < d->slot_count; i++)
            slot_stop(&d->slots[i], SLOT_DRAIN);
    }
    next(d);
}

/* Leave once idle, when PJ_RUNNER_TASKS were begun or PJ_RUNNER_IDLE has passed. */
static void leave_when_due(struct daemon *d)
{
    int64_t now = pj_mono_ms(), idle_ms = d->settings->idle_ms;
    bool enough = d->settings->max_tasks > 0 && d->attempts >= d->settings->max_tasks;

    if (is_ending(d))
        return;
    if (!is_idle(d))
        d->idle_since_mono = 0;
    else if (d->idle_since_mono == 0)
        d->idle_since_mono = now;
    if (!enough && (idle_ms == 0 || d->idle_since_mono == 0 || now - d->idle_since_mono < idle_ms))
        return;
    d->leaving = true;
    pj_log(PJ_LOG_INFO, "leaving", "detail",
           enough ? "PJ_RUNNER_TASKS were taken" : "PJ_RUNNER_IDLE has passed without a task",
           "attempts", PJ_I64(d->attempts), NULL);
    pj_notify("STOPPING=1");
    keep_beat(d, "draining");
}

/* ---- events ---- */

static void on_signal(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    daemon_drain(arg);
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    next(arg);
}

static void on_keep(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    keep_tick(arg);
    leave_when_due(arg);
    next(arg);
}

static void on_reap(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    reaper_tick(arg);
}

static void on_janitor(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    janitor_tick(arg);
}

static void on_spawner(evutil_socket_t fd, short what, void *arg)
{
    struct daemon *d = arg;
    struct spawner_event ev;
    struct pj_err err;
    int rc;

    (void)fd;
    (void)what;
    while ((rc = spawner_next(&d->spawner, &ev, &err)) == 0)
        for (size_t i = 0; i < d->slot_count; i++)
            if (d->slots[i].state == SLOT_RUNNING && d->slots[i].token == ev.token)
                slot_ended(&d->slots[i], ev.status);
    if (rc < 0) {
        /* Its jobs died with it; their leases expire and the tasks are offered again. */
        pj_log_err(PJ_LOG_ERROR, "spawner_lost", &err, NULL, NULL);
        d->failed = true;
        (void)event_base_loopbreak(d->base);
    }
}

/* "cancel <taskId>", "drain": faster than the next renewal, which says the same. */
static void on_doorbell(void *arg, const char *channel, struct pj_view payload)
{
    struct daemon *d = arg;
    struct pj_view rest = payload, verb, id;
    struct slot *slot;

    (void)channel;
    if (!pj_view_cut(&rest, ' ', &verb))
        return;
    if (pj_view_is(verb, "drain") && !d->draining)
        daemon_drain(d);
    if (pj_view_is(verb, "cancel") && pj_view_cut(&rest, ' ', &id)) {
        PJ_CLEANUP(pj_freep) char *task_id = pj_strndup(id.p, id.n);

        slot = slot_find(d, task_id);
        if (slot != NULL)
            slot_stop(slot, SLOT_CANCEL);
    } else if (!pj_view_is(verb, "drain")) {
        keep_tick(d); /* a bell of a newer program: the renewal's answer says what it wants */
    }
}

static void on_subscribed(void *arg)
{
    struct daemon *d = arg;

    d->subscribed = true;
    pj_log(PJ_LOG_INFO, "runner_ready", "runner", d->settings->name, "slots",
           PJ_I64((int64_t)d->slot_count), "isolation", d->isolation, NULL);
    pj_notify("READY=1\nSTATUS=taking tasks as %s, %zu slots", d->settings->name, d->slot_count);
}

static struct event *timer(struct daemon *d, int64_t ms, event_callback_fn fn)
{
    struct event *ev = event_new(d->base, -1, EV_PERSIST, fn, d);
    struct timeval tv = every_ms(ms);

    (void)event_add(ev, &tv);
    return ev;
}

static int64_t at_most(int64_t ms, int64_t max)
{
    return ms < max ? ms : max;
}

static void watch(struct daemon *d)
{
    int64_t third = d->settings->lease_ttl_ms / 3;

    d->spawner_event = event_new(d->base, d->spawner.fd, EV_READ | EV_PERSIST, on_spawner, d);
    d->term_event = evsignal_new(d->base, SIGTERM, on_signal, d);
    d->int_event = evsignal_new(d->base, SIGINT, on_signal, d);
    (void)event_add(d->spawner_event, NULL);
    (void)event_add(d->term_event, NULL);
    (void)event_add(d->int_event, NULL);
    d->keep_event = timer(d, at_most(third, KEEP_MAX_MS), on_keep);
    d->reap_event = timer(d, at_most(third, REAP_MAX_MS), on_reap);
    d->janitor_event = timer(d, d->settings->janitor_interval_ms, on_janitor);
    d->retry_event = event_new(d->base, -1, 0, on_retry, d);
}

/* ---- start and end ---- */

/* The store is there, of our schema, and fit to keep tasks. Blocking: nothing runs yet. */
static int open_store(struct daemon *d, const struct pj_redis_options *options, struct pj_err *err)
{
    PJ_CLEANUP(pj_redis_freep) struct pj_redis *redis = NULL;
    struct pj_redis_options patient = *options;
    struct pj_store_finding findings[PJ_STORE_FINDINGS_MAX];
    size_t count = 0;

    patient.retry_ms = OPEN_RETRY_MS;
    if (pj_redis_new(&patient, &redis, err) < 0 || pj_store_open(redis, 1, &d->meta, err) < 0 ||
        pj_store_check(redis, findings, &count, err) < 0)
        return -1;
    for (size_t i = 0; i < count; i++) {
        if (findings[i].level > 1) {
            (void)pj_fail(err, PJ_E_UNAVAILABLE, "Redis: %s", findings[i].detail);
            return pj_err_remedy(err, "%s", findings[i].remedy);
        }
        if (findings[i].level == 1)
            pj_log(PJ_LOG_WARN, findings[i].event, "detail", findings[i].detail, "remedy",
                   findings[i].remedy, NULL);
    }
    for (unsigned p = 0; p < d->meta.partitions; p++) {
        PJ_CLEANUP(pj_cmd_release) struct pj_cmd cmd = {0};
        PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = NULL;

        pj_queue_config_cmd(&cmd, p, d->settings->user_max_running);
        if (pj_redis_do(redis, &cmd, &reply, err) < 0)
            return -1;
    }
    return 0;
}

static int start(struct daemon *d, struct pj_err *err)
{
    const struct pj_redis_options options = {
        .url = d->settings->redis_url,
        .password = d->settings->redis_password,
        .name = "pj-runner",
    };
    const struct pj_sub_events events = {.on_message = on_doorbell};
    char channel[PJ_KEY_SIZE];

    if (open_store(d, &options, err) < 0)
        return -1;
    if (!runner_makes_boxes(d->settings))
        d->isolation = pj_strdup("none: no boxes are made here");
    else if (preflight_isolation(d->settings, &d->isolation, err) < 0)
        return -1;
    d->base = event_base_new();
    if (d->base == NULL)
        return pj_fail(err, PJ_E_INTERNAL, "event loop");
    if (pj_aredis_new(d->base, &options, &d->redis, err) < 0 ||
        pj_aredis_new(d->base, &options, &d->wakeups, err) < 0 ||
        pj_sub_new(d->base, &options, &events, d, &d->doorbell, err) < 0)
        return -1;
    d->slot_count = (size_t)d->settings->slots;
    d->slots = pj_alloc(d->slot_count, sizeof(*d->slots));
    for (size_t i = 0; i < d->slot_count; i++)
        slot_init(&d->slots[i], d);
    if (d->settings->metrics_listen != NULL &&
        health_new(d, d->settings->metrics_listen, &d->health, err) < 0)
        return -1;
    d->gather = pj_gather_new(d->base, d->redis);
    d->next_event = event_new(d->base, -1, 0, on_next, d);
    watch(d);
    pj_sub_add(d->doorbell, pj_key_runner_channel(channel, d->settings->name), on_subscribed, d);
    return 0;
}

static void free_event(struct event *ev)
{
    if (ev != NULL)
        event_free(ev);
}

static void stop(struct daemon *d)
{
    helper_free(d->outbox);
    health_free(d->health);
    spawner_stop(&d->spawner);
    pj_sub_free(d->doorbell);
    pj_aredis_free(d->wakeups);
    pj_gather_free(d->gather);
    pj_aredis_free(d->redis);
    for (size_t i = 0; i < d->slot_count; i++)
        slot_release(&d->slots[i]);
    free(d->slots);
    free_event(d->spawner_event);
    free_event(d->term_event);
    free_event(d->int_event);
    free_event(d->keep_event);
    free_event(d->reap_event);
    free_event(d->janitor_event);
    free_event(d->retry_event);
    free_event(d->next_event);
    if (d->base != NULL)
        event_base_free(d->base);
    free(d->isolation);
}

static void on_gone(void *arg, const struct redisReply *reply, struct pj_err *err)
{
    struct daemon *d = arg;

    (void)reply;
    (void)err;
    (void)event_base_loopbreak(d->base);
}

/* Say good-bye; one command, at most as long as a command may take. */
static void leave_fleet(struct daemon *d)
{
    struct pj_cmd cmd = {0};

    if (!pj_aredis_is_up(d->redis))
        return;
    pj_runner_gone_cmd(&cmd, d->settings->name, d->instance);
    pj_aredis_submit(d->redis, &cmd, on_gone, d);
    (void)event_base_dispatch(d->base);
}

int daemon_run(const struct runner_settings *settings, const struct spawner *spawner,
               char *const *outbox_argv)
{
    struct daemon d = {.settings = settings, .spawner = *spawner, .started_ms = pj_now_ms()};
    struct pj_err err = {0};

    (void)signal(SIGPIPE, SIG_IGN);
    pj_id_new(0, d.instance);
    if (start(&d, &err) < 0) {
        pj_log_err(PJ_LOG_ERROR, "start_failed", &err, NULL, NULL);
        stop(&d);
        return 1;
    }
    d.outbox = helper_new(&d, outbox_argv);
    keep_beat(&d, "ready");
    look(&d);
    (void)event_base_dispatch(d.base);
    if (!d.failed)
        leave_fleet(&d);
    stop(&d);
    pj_log(PJ_LOG_INFO, "runner_stopped", "runner", settings->name, NULL);
    return d.failed ? 1 : 0;
}
