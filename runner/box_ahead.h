/* box_ahead.h - a sandbox that is built while something else is still going on, for the next box of a job.
 *
 * It is a pj-sandbox of its own (`--standby`), used once or ended unused; what an order asks of it is built anew by itself when it does
 * not fit. It dies with this process, like any box. Nothing depends on it: where it fails, a box is started directly. */
#ifndef RUNNER_BOX_AHEAD_H
#define RUNNER_BOX_AHEAD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "lib/base/err.h"

/* All zero: there is none. */
struct box_ahead {
    pid_t pid; /* 0: none */
    int pidfd, socket;
};

/* What is known of the next box already. */
struct box_ahead_spec {
    const char *program;        /* pj-sandbox */
    const char *of;             /* whose it is, for who looks at the list of processes */
    const char *rootfs;         /* NULL: the host's system */
    int64_t memory_bytes, pids; /* 0: none */
};

/* Descriptors that an order brings, in this order; -1: none. */
enum { AHEAD_OUT, AHEAD_ERR, AHEAD_RESULT, AHEAD_TREE, AHEAD_FDS };

/* Begin to build one; returns at once. */
int box_ahead_start(const struct box_ahead_spec *spec, struct box_ahead *ahead,
                    struct pj_err *err) PJ_MUST_CHECK;
/* Give it its order: options and command, NULL-terminated. On success the process is the caller's, and *ahead none. Else it was
 * ended, and the box has to be started directly. */
int box_ahead_order(struct box_ahead *ahead, const char *const *words, const int fds[AHEAD_FDS],
                    pid_t *pid, int *pidfd, struct pj_err *err) PJ_MUST_CHECK;
/* End it unused; bounded. None is fine. */
void box_ahead_end(struct box_ahead *ahead);

#endif
