/* chaos.h - a run of constant faults: what is asked for, what is struck, what has to hold afterwards. */
#ifndef TESTS_CHAOS_H
#define TESTS_CHAOS_H

#include <signal.h>
#include <stdio.h>
#include "lib/base/clock.h"
#include "lib/base/fs.h"
#include "lib/base/view.h"
#include "tests/chaos/link.h"
#include "tests/scenarios/scene.h"
#include "tests/support/name_server.h"

#define RUNNERS 2
#define ACTIVE_MAX 12
#define TASKS_MAX 4000
#define KILLS_MAX 2000
#define LEASE_MS 3000
#define ANSWER_MS 90000
#define END_MS 180000
/* appendfsync everysec: what was acknowledged up to that long before a kill of Redis may be forgotten, nothing older. */
#define FORGET_MS 1000
/* Lines that the work of a task prints: line 0, line 1, … */
#define WORK_LINES 40

/* What was acknowledged of a task, and when the answer had arrived (0: it was not). */
struct chaos_task {
    char *id;
    char end[24];   /* the status that it ended in; "" while it runs */
    bool cancelled; /* a cancel was asked for */
    bool starved;   /* the disk was full while it ran */
    int64_t accepted_ms, ended_ms;
    int64_t hooked_ms; /* a webhook said that it is completed */
};

#define CHAOS_GROUPS 4

struct chaos {
    struct scene s;
    struct link link;
    unsigned random;
    struct chaos_task task[TASKS_MAX];
    size_t count;
    int64_t until_ms;
    char *hook_secret;
    bool tls;                   /* PJ_CHAOS_LINK: unix, tls (by name, over TCP) */
    struct name_server names;   /* with TLS; pid 0: none */
    bool everysec;              /* PJ_CHAOS_FSYNC: always (all acknowledged is kept), everysec */
    int64_t kill_ms[KILLS_MAX]; /* when Redis was killed */
    size_t kill_count;
    size_t forgotten, undone;  /* tasks, ends of tasks that Redis lost: only under everysec */
    int64_t cut_bytes;         /* of what Redis had written */
    int64_t oldest_loss_ms;    /* the oldest of those: so long before the kill */
    bool small_disk;           /* the state folder is a small file system of its own */
    char *group[CHAOS_GROUPS]; /* control groups that the run has to itself */
};

/* chaos_tasks.c */
unsigned chaos_roll(struct chaos *c, unsigned sides);
/* Something happens at the model, or the time passes: both are reasons to go on. */
void chaos_linger(struct chaos *c, int ms);
void chaos_pass(struct chaos *c, int ms); /* that long, whatever happens */
/* A call of the API, asked again until it answers: idempotency makes that safe. Its status; `out` is the caller's. */
int chaos_ask(struct chaos *c, const char *method, const char *path, const char *body,
              const char *key, struct http_answer *out);

/* One more task, accepted. */
void chaos_create(struct chaos *c);
/* Milliseconds from the acknowledgement at `ms` to the kill of Redis that may have taken it; -1 when there was none. */
int64_t chaos_loss_ms(const struct chaos *c, int64_t ms);

/* No more faults: until all tasks have ended. */
void chaos_settle(struct chaos *c);

/* chaos_faults.c */
void chaos_strike(struct chaos *c);
void chaos_print_faults(FILE *out);
/* The state folder on a file system of 64 MiB, where this is root. */
void chaos_small_disk(struct chaos *c);

/* chaos_host.c: what the run leaves on the host falls to us and into control groups of our own, and is named at the end. */
void chaos_host_begin(struct chaos *c);
void chaos_host_check(struct chaos *c);
void chaos_host_end(struct chaos *c); /* nothing of the run is there any more: the groups go */

/* chaos_keys.c: every key in Redis has an owner, every entry of an index what it names. */
void chaos_keys_check(struct chaos *c);

/* chaos_check.c */
void chaos_check(struct chaos *c);

#endif
