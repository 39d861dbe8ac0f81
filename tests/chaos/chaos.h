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

#define RUNNERS 2
#define ACTIVE_MAX 12
#define TASKS_MAX 4000
#define LEASE_MS 3000
#define ANSWER_MS 90000
#define END_MS 180000
/* Lines that the work of a task prints: line 0, line 1, … */
#define WORK_LINES 40

struct chaos_task {
    char *id;
    bool ended;
    bool cancelled; /* a cancel was asked for */
    bool hooked;    /* a webhook said that it is completed, and that was accepted */
    bool starved;   /* the disk was full while it ran */
    int64_t accepted_ms;
};

struct chaos {
    struct scene s;
    struct link link;
    unsigned random;
    struct chaos_task task[TASKS_MAX];
    size_t count;
    int64_t until_ms;
    char *hook_secret;
    const char *fsync;     /* PJ_CHAOS_FSYNC: always (all acknowledged is kept), everysec */
    int64_t redis_died_ms; /* last kill of Redis */
    size_t forgotten; /* accepted, gone with the last second before a kill: only under everysec */
    bool small_disk;  /* the state folder is a small file system of its own */
};

/* chaos_tasks.c */
unsigned chaos_roll(struct chaos *c, unsigned sides);
/* Something happens at the model, or the time passes: both are reasons to go on. */
void chaos_linger(struct chaos *c, int ms);
void chaos_pass(struct chaos *c, int ms); /* that long, whatever happens */
/* A call of the API, asked again until it answers: idempotency makes that safe. Its status; `out` is the caller's. */
int chaos_ask(struct chaos *c, const char *method, const char *path, const char *body,
              const char *key, struct http_answer *out);

/* chaos_faults.c */
void chaos_strike(struct chaos *c);
void chaos_print_faults(FILE *out);
/* The state folder on a file system of 64 MiB, where this is root. */
void chaos_small_disk(struct chaos *c);

/* chaos_check.c */
void chaos_check(struct chaos *c);

#endif
