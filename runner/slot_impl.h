/* slot_impl.h - between slot.c (beginning, orders) and slot_settle.c (end). */
#ifndef RUNNER_SLOT_IMPL_H
#define RUNNER_SLOT_IMPL_H

#include "lib/task/outcome.h"
#include "runner/daemon.h"

void slot_arm(struct event *ev, int64_t ms);
/* Its job is gone: there is no deadline any more, and nothing to kill. */
void slot_unwatch(struct slot *slot);
/* Its end has been answered. */
void slot_arrive(struct slot *slot);
/* Free again. */
void slot_leave(struct slot *slot);

/* Store what became of an attempt of which nothing runs. */
void slot_settle(struct slot *slot);
void slot_finish(struct slot *slot, const struct pj_outcome *outcome);
/* Give the task back; `lost`: this delivery of it came to nothing. */
void slot_give_back(struct slot *slot, bool lost, const char *reason);

#endif
