/* takes.h - how the daemon comes to its tasks: it takes when there is room, and waits for a bell when nothing is left to take.
 *
 * Two connections: one takes, and never blocks; one waits for bells (lib/store/queue.h), and does nothing else. Partitions are
 * looked at in turn, one take under way at a time, until each has once been found with nothing to take. A bell that is heard without
 * room, or while the daemon is ending, is answered with a take of nothing, so that another runner hears it. */
#ifndef RUNNER_TAKES_H
#define RUNNER_TAKES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "lib/store/queue.h"

struct daemon;
struct event;

struct takes {
    size_t claiming;  /* slots promised to a take under way */
    size_t departing; /* slots whose end is on its way to Redis, ahead of any take */
    int64_t attempts; /* begun so far */
    bool waiting;     /* for bells */
    struct pj_bell bells[PJ_BELLS_MAX]; /* heard and not answered yet */
    size_t bell_count;
    unsigned look_left, look_at; /* partitions still to be looked at; the next one */
    struct event *retry_event, *next_event;
};

void takes_init(struct daemon *d);
void takes_release(struct daemon *d);
/* Look at every partition, once this turn of the loop is over: a slot is free, or about to be. */
void takes_look(struct daemon *d);
/* Go on: take, wait, or break the loop of a daemon that is ending and idle. */
void takes_next(struct daemon *d);

#endif
