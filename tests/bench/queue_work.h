/* queue_work.h - the work of the queue's benches: what pj-api and pj-runner do with a Redis, as much of it as it takes.
 *
 * Complete: fenced, fair between 200 users, with indexes, events and a notification record. What follows from a change is worked off later:
 * taking and finishing pay for it within the measurement, accepting does not. Faults end the program. */
#ifndef TESTS_BENCH_QUEUE_WORK_H
#define TESTS_BENCH_QUEUE_WORK_H

#include <stdbool.h>
#include <stdio.h>
#include "lib/store/conn.h"

#define QUEUE_ROUNDS_MAX 15

struct event_base;

struct queue_work {
    struct pj_redis *redis;
    struct event_base *base;
    struct pj_aredis *loop;
    struct pj_gather *gather;
    long total, begun, ended; /* of the phase that runs */
};

struct queue_phase {
    const char *name, *what;
    void (*run)(struct queue_work *w);
    bool filled; /* starts with all tasks accepted */
    long count;  /* operations a round */
};

/* --json FILE (rows are appended), --only ROW, --rounds N, --stats 1. */
struct queue_options {
    FILE *json;       /* NULL: none */
    const char *only; /* NULL: all */
    int rounds;       /* 3 unless told, at most QUEUE_ROUNDS_MAX */
    bool stats;
};
void queue_options_read(int argc, char **argv, struct queue_options *out);
bool queue_is_wanted(const struct queue_options *options, const char *row);

PJ_NORETURN void queue_die(const char *what, const struct pj_err *err);
/* Connects, both ways, and makes the store. */
void queue_open(struct queue_work *w, struct event_base *base,
                const struct pj_redis_options *options);
void queue_close(struct queue_work *w);
/* Releases the command; the reply is the caller's. */
struct redisReply *queue_ask(struct queue_work *w, struct pj_cmd *cmd);
/* A store as new. */
void queue_flush(struct queue_work *w);
/* Microseconds of CPU that the server has used. */
double queue_server_cpu(struct queue_work *w);

/* `total` operations each. */
void queue_accept_one_by_one(struct queue_work *w);
void queue_accept_in_flight(struct queue_work *w); /* 64 */
void queue_accept_bulk(struct queue_work *w);      /* thousands, in scripts */
/* A runner of that many slots, each task with that many lines of log, until all have ended. */
void queue_drain(struct queue_work *w, int width, int lines);
void queue_take_1(struct queue_work *w);
void queue_take_16(struct queue_work *w);
void queue_take_64(struct queue_work *w);
void queue_log_lines(struct queue_work *w);

/* A round of a phase: what it starts from; then its operations a second, and of the server's CPU the microseconds that one took. */
void queue_prepare(struct queue_work *w, const struct queue_phase *phase);
double queue_run(struct queue_work *w, const struct queue_phase *phase, double *cpu);
/* Of at most QUEUE_ROUNDS_MAX. */
double queue_median(const double *values, int n);

#endif
