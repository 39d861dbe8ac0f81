#include "runner/daemon.h"

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
#include "runner/ends.h"
#include "runner/health.h"
#include "runner/preflight.h"

#define KEEP_MAX_MS 5000
#define GUARD_MAX_MS 500 /* of a lease's last fifth, in which its job is ended */
#define REAP_MAX_MS 1000 /* a lost runner is found out within a second of the end of its lease */
#define OPEN_RETRY_MS 5000

static struct timeval every_ms(int64_t ms)
{
    return (struct timeval){.tv_sec = ms / 1000, .tv_usec = (ms % 1000) * 1000};
}

bool daemon_is_ending(const struct daemon *d)
{
    return d->draining > 0 || d->leaving;
}

bool daemon_is_idle(const struct daemon *d)
{
    for (size_t i = 0; i < d->slot_count; i++)
        if (d->slots[i].state != SLOT_FREE)
            return false;
    return d->takes.claiming == 0;
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
    takes_next(d);
}

/* Leave once idle, when PJ_RUNNER_TASKS were begun or PJ_RUNNER_IDLE has passed. */
static void leave_when_due(struct daemon *d)
{
    int64_t now = pj_mono_ms(), idle_ms = d->settings->idle_ms;
    bool enough = d->settings->max_tasks > 0 && d->takes.attempts >= d->settings->max_tasks;

    if (daemon_is_ending(d))
        return;
    if (!daemon_is_idle(d))
        d->idle_since_mono = 0;
    else if (d->idle_since_mono == 0)
        d->idle_since_mono = now;
    if (!enough && (idle_ms == 0 || d->idle_since_mono == 0 || now - d->idle_since_mono < idle_ms))
        return;
    d->leaving = true;
    pj_log(PJ_LOG_INFO, "leaving", "detail",
           enough ? "PJ_RUNNER_TASKS were taken" : "PJ_RUNNER_IDLE has passed without a task",
           "attempts", PJ_I64(d->takes.attempts), NULL);
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

static void on_keep(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    keep_tick(arg);
    leave_when_due(arg);
    takes_next(arg);
}

static void on_guard(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    keep_guard(arg);
}

static void on_reap(evutil_socket_t fd, short what, void *arg)
{
    struct daemon *d = arg;

    (void)fd;
    (void)what;
    ends_tick(d->ends);
    reaper_tick(d);
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
    d->guard_event = timer(d, at_most(d->settings->lease_ttl_ms / 20, GUARD_MAX_MS), on_guard);
    d->reap_event = timer(d, at_most(third, REAP_MAX_MS), on_reap);
    d->janitor_event = timer(d, d->settings->janitor_interval_ms, on_janitor);
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
    if (pj_redis_new(&patient, &redis, err) < 0 || pj_store_check(redis, findings, &count, err) < 0)
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
    if (pj_store_open(redis, 1, &d->meta, err) < 0)
        return -1;
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
    const struct pj_redis_options options =
        pj_redis_options_of(&d->settings->redis, d->settings->ca_file, "pj-runner");
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
    d->ends = ends_new(d->redis);
    takes_init(d);
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
    ends_free(d->ends);
    for (size_t i = 0; i < d->slot_count; i++)
        slot_release(&d->slots[i]);
    free(d->slots);
    free_event(d->spawner_event);
    free_event(d->term_event);
    free_event(d->int_event);
    free_event(d->keep_event);
    free_event(d->guard_event);
    free_event(d->reap_event);
    free_event(d->janitor_event);
    takes_release(d);
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
    reaper_tick(&d); /* patience with a Redis that is new to us counts from here on */
    takes_look(&d);
    (void)event_base_dispatch(d.base);
    if (!d.failed)
        leave_fleet(&d);
    stop(&d);
    pj_log(PJ_LOG_INFO, "runner_stopped", "runner", settings->name, NULL);
    return d.failed ? 1 : 0;
}
