/* pool.h - blocking work off the loop: two threads and a bounded queue.
 *
 * `work` runs on a thread and touches only its argument; `done` runs on the loop afterwards and owns the argument again. */
#ifndef API_POOL_H
#define API_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include "lib/base/err.h"

struct event_base;
struct pool;

#define POOL_THREADS 2
#define POOL_QUEUE_MAX 64

int pool_new(struct event_base *base, struct pool **out, struct pj_err *err) PJ_MUST_CHECK;
/* Waits for the work that runs; queued work is not begun, its `done` is called all the same. */
void pool_free(struct pool *pool);
/* False when the queue is full: nothing was taken. */
bool pool_submit(struct pool *pool, void (*work)(void *arg), void (*done)(void *arg),
                 void *arg) PJ_MUST_CHECK;
/* True in `work` when the process is going: long work gives up. */
bool pool_is_ending(const struct pool *pool);

#endif
