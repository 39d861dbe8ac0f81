/* standing.h - process 1 of a box that is built ahead of need, and waits for its order.
 *
 * It builds the system, joins its groups and namespaces, leaves behind one more process, the attacher, and then gives all power
 * up: identity, capabilities, filter. The attacher keeps the power and does nothing until the order comes; then it attaches the
 * work tree and the binds, opens the listening sockets, and is gone: only when it was reaped does process 1 go on, to the probe, to
 * Landlock and the command. So nothing that was ever powerful lives beside a command, and what is left to do after the
 * order is short. The attacher shares process 1's memory and thus ends at once. */
#ifndef SANDBOX_STANDING_H
#define SANDBOX_STANDING_H

#include "sandbox/box.h"

/* The rest of process 1's set-up, from the host's name on. On success box->plan is the order's. */
int standing_set_up(struct box *box, struct rlimits *rlimits, struct pj_err *err) PJ_MUST_CHECK;

#endif
