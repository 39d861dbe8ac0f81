/* supervise.h - the outer process: starts the box, serves what leads out of it, keeps the clock,
 * ends it, collects.
 *
 * The box's time, its kill and its relays live here, out of its reach. "Ended" is said when
 * process 1 was reaped, which the kernel allows only once its pid namespace is empty, and the
 * control groups could be removed. */
#ifndef SANDBOX_SUPERVISE_H
#define SANDBOX_SUPERVISE_H

#include "sandbox/launch.h"
#include "sandbox/net.h"
#include "sandbox/plan.h"
#include "sandbox/result.h"

/* Signals that ask for an end come by this descriptor from now on (-1 with errno); a reader that is gone is no signal at all. */
int supervise_signals(void);
/* Run the plan to its end. `net` is the network that is being made, NULL in user mode. Failures of
 * the sandbox are in result->err; the caller releases the result. */
void supervise(struct plan *plan, struct net *net, struct result *result);
/* The same for a box that stands by; afterwards nothing of it is left but its memory. */
void supervise_standing(struct plan *plan, struct launch *standing, struct result *result);

#endif
