/* box.h - the inside: process 1 from its first instruction to its last.
 *
 * Set-up runs with the privilege that building takes and gives it up step by step; each step's
 * failure is reported by name and ends the box before the command exists (fail closed). */
#ifndef SANDBOX_BOX_H
#define SANDBOX_BOX_H

#include "sandbox/cgroup.h"
#include "sandbox/mounts.h"
#include "sandbox/plan.h"
#include "sandbox/rlimits.h"

/* Everything process 1 gets from outside. Descriptors are the outer process's numbers. */
struct box {
    struct plan *plan;
    const struct cgroup *cgroup;
    bool born_in_group; /* process 1 is in its v2 control group already */
    struct rlimits rlimits;
    struct mounts_idmap idmap;
    int std[3];  /* pipe ends for the command */
    int channel; /* see channel.h */
    /* Read end: a byte is a signal to pass to the command; its end means that the outer process
     * is gone. */
    int life;
    int lock_fd; /* the uid's lease, -1 in user mode */
};

/* Process 1. Never returns. */
void box_main(const struct box *box) PJ_NORETURN;

#endif
