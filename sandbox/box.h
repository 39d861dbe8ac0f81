/* box.h - the inside: process 1 from its first instruction to its last.
 *
 * Set-up runs with the privilege that building takes and gives it up step by step; each step's
 * failure is reported by name and ends the box before the command exists (fail closed). */
#ifndef SANDBOX_BOX_H
#define SANDBOX_BOX_H

#include "sandbox/plan.h"

/* What process 1 gets from outside at birth. Descriptors are the outer process's numbers. The
 * rest, which is made meanwhile, comes as CHANNEL_READY. */
struct box {
    struct plan *plan;
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
