/* init.h - process 1 while the command runs: starts it, reaps whatever dies, passes signals on,
 * reports the end.
 *
 * When it exits the kernel kills all that is left in the pid namespace, so the command's end is
 * the box's end. */
#ifndef SANDBOX_INIT_H
#define SANDBOX_INIT_H

#include "sandbox/plan.h"
#include "sandbox/rlimits.h"

/* Start the command and stay until it ends. `tell` when it runs (CHANNEL_STARTED). Never returns. */
void init_run(const struct plan *plan, const struct rlimits *limits, int channel, int life,
              bool tell) PJ_NORETURN;

#endif
