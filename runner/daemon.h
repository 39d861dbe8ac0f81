/* daemon.h - the runner's daemon: slots, leases, children, drain.
 *
 * One loop (libevent), no blocking call after start. It takes as many tasks as it has free slots, starts a job process for each,
 * renews their leases in one call, tells jobs of cancel and deadline, kills what does not listen, and settles an attempt when
 * the spawner says that nothing of it runs any more. It holds no forge or model connection.
 *
 *     daemon.c  loop, events, drain       takes.c   bells and takes (takes.h)
 *     slot.c    one attempt: start, orders, outcome      slot_settle.c   its end
 *     ends.c    ends that Redis may forget (ends.h)
 *     keep.c    renewing, heartbeat       reaper.c  expired work of any runner      janitor.c  retention
 *     helper.c  the outbox process        health.c  probes and metrics */
#ifndef RUNNER_DAEMON_H
#define RUNNER_DAEMON_H

#include <stdbool.h>
#include <stdint.h>
#include "lib/base/err.h"
#include "lib/base/str.h"
#include "lib/store/async.h"
#include "lib/store/gather.h"
#include "lib/store/lease.h"
#include "lib/store/meta.h"
#include "runner/settings.h"
#include "runner/spawner.h"
#include "runner/takes.h"

struct event;
struct event_base;
struct daemon;
struct health;
struct helper;

/* Why a job was told to stop; the first reason stays, but for LOST, which always wins: the task is no longer ours. */
enum slot_stop { SLOT_GO, SLOT_CANCEL, SLOT_TIMEOUT, SLOT_DRAIN, SLOT_LOST };

enum slot_state {
    SLOT_FREE,
    SLOT_STARTING, /* leased; its repository is being read */
    SLOT_RUNNING,  /* a job process exists */
    SLOT_SETTLING, /* nothing runs; the end is being stored */
};

struct slot {
    struct daemon *daemon;
    enum slot_state state;
    enum slot_stop stop;
    uint32_t token;
    struct pj_lease lease;
    int64_t
        leased_until_mono; /* by our own clock, from the moment the last good renewal was sent */
    int64_t deadline_mono; /* the attempt's end */
    int outcome_fd, control_fd;
    struct pj_str outcome;
    struct pj_cmd end; /* that was sent last */
    bool job_ended;
    bool departing;   /* its end was sent */
    bool handed_over; /* to a workflow: there is no lease any more to be renewed */
    int job_status;
    int settle_tries;
    struct event *outcome_event, *deadline_event, *kill_event, *settle_event, *again_event;
};

struct daemon {
    const struct runner_settings *settings;
    struct event_base *base;
    struct pj_meta meta;
    struct pj_aredis *redis, *wakeups;
    struct pj_gather *gather; /* what slots ask for in one turn of the loop */
    struct ends *ends;
    struct pj_sub *doorbell;
    struct spawner spawner;
    struct helper *outbox;
    struct health *health; /* NULL: not asked for */
    struct slot *slots;
    size_t slot_count;
    uint32_t next_token;
    struct takes takes;
    int draining;            /* signals seen */
    bool leaving;            /* enough tasks were done, or idle for long enough */
    bool subscribed;         /* orders are heard: ready */
    int64_t idle_since_mono; /* 0: not idle */
    bool failed;             /* the spawner died: leave with an error */
    char instance[PJ_ID_SIZE];
    char *isolation;
    int64_t started_ms;
    struct event *spawner_event, *term_event, *int_event, *keep_event, *guard_event, *reap_event,
        *janitor_event;
};

/* Run until drained; the process's exit code. `spawner` was forked before. `outbox_argv`: arguments of our executable as the
 * process that delivers mails and notifications (outbox.h). */
int daemon_run(const struct runner_settings *settings, const struct spawner *spawner,
               char *const *outbox_argv);

/* ---- daemon.c, for the other files ---- */
/* Nothing new is taken any more. */
bool daemon_is_ending(const struct daemon *d);
/* No slot is at work, and no take is under way. */
bool daemon_is_idle(const struct daemon *d);
void daemon_drain(struct daemon *d);

/* ---- slot.c ---- */
void slot_init(struct slot *slot, struct daemon *d);
void slot_release(struct slot *slot);
/* Begin the attempt of a lease (its content is moved out). `sent_mono`: when the take was sent. */
void slot_begin(struct slot *slot, struct pj_lease *lease, int64_t sent_mono);
/* Its lease is good until then: so long its job may run, whatever becomes of this process. */
void slot_leased(struct slot *slot, int64_t until_mono);
/* Tell the job to end; it is killed when it does not. */
void slot_stop(struct slot *slot, enum slot_stop why);
/* All of the job is gone. */
void slot_ended(struct slot *slot, int status);
struct slot *slot_find(struct daemon *d, const char *task_id);

/* ---- keep.c ---- */
void keep_tick(struct daemon *d);
/* Ends the jobs whose lease is in its last fifth. */
void keep_guard(struct daemon *d);
void keep_beat(struct daemon *d, const char *state);

/* ---- helper.c ---- */
struct helper *helper_new(struct daemon *d, char *const *argv);
void helper_free(struct helper *h);

/* ---- reaper.c, janitor.c ---- */
void reaper_tick(struct daemon *d);
void janitor_tick(struct daemon *d);

#endif
