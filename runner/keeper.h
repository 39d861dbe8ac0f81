/* keeper.h - the process that has one job, and all that comes of it (spawner.h). */
#ifndef RUNNER_KEEPER_H
#define RUNNER_KEEPER_H

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "lib/base/cleanup.h"

#define KEEPER_FDS 3

struct keeper_job {
    pid_t spawner; /* which it does not outlive */
    char *const *argv;
    int fds[KEEPER_FDS];     /* the job's description, outcome and orders */
    const char *work_dir;    /* removed in the end; "": none */
    const sigset_t *signals; /* SIGCHLD and SIGTERM, which are blocked */
    const _Atomic int64_t *fence;
};

/* In a process of its own, forked by the spawner: start the job, end it when told to (SIGTERM) or when its fence is reached, kill
 * and wait for whatever it leaves, and exit with its status. */
PJ_NORETURN void keeper_main(const struct keeper_job *k);
/* SIGKILL to each child of this process that is not spared (NULL: none is); how many there were. */
size_t keeper_kill_children(bool (*is_spared)(void *ctx, pid_t pid), void *ctx);

#endif
