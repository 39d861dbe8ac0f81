/* ends.h - ends of attempts that Redis took a moment ago, kept in case it forgets them.
 *
 * A Redis that is killed, or replaced by its replica, may come back without its last second: a task that had ended is under our lease
 * again, and would run once more when that expires. What is kept here is sent again then. It is the same command under the same
 * epoch: an end that was not forgotten answers that it stands. */
#ifndef RUNNER_ENDS_H
#define RUNNER_ENDS_H

#include "lib/store/async.h"

struct ends;

/* `redis` outlives it, or is freed before: what was under way is answered then. */
struct ends *ends_new(struct pj_aredis *redis);
void ends_free(struct ends *ends);
/* `finish` ended the task, and Redis has said so. Its content is moved out. */
void ends_keep(struct ends *ends, const char *task_id, struct pj_cmd *finish);
/* Call it about once a second, and before the reaper. */
void ends_tick(struct ends *ends);

#endif
