/* family.h - the processes that descend from one, as /proc tells. */
#ifndef RUNNER_FAMILY_H
#define RUNNER_FAMILY_H

#include <stddef.h>
#include <sys/types.h>

struct held;

/* `root` and all that descends from it, in the order of their numbers; owned by the caller, who frees it also when the count is 0. */
size_t family_list(pid_t root, pid_t **out);
/* Let what descends from `root`, not itself, stand still (SIGSTOP): when this returns nothing of it runs, but for what cannot be stopped
 * within some hundredths of a second. Owned by the caller. */
struct held *family_hold(pid_t root);
/* Let what was held, and nothing else, go on. NULL is allowed. */
void family_let_go(struct held *held);
/* It is being killed as it stands. NULL is allowed. */
void family_forget(struct held *held);

#endif
