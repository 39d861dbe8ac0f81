/* control_group.h - room for the boxes' control groups in the group that systemd delegates to the runner's unit (Delegate=).
 *
 * In version 2 a group that has processes passes no controllers on, so a runner that stayed in its unit's group would leave the boxes'
 * limits to rlimits. It moves into a group "runner" below, before it starts anything; pj-sandbox makes the boxes' groups beside that. */
#ifndef RUNNER_CONTROL_GROUP_H
#define RUNNER_CONTROL_GROUP_H

#include <stdbool.h>

/* True when this process moved. Only where version 2 alone is mounted, it may, and it is the only process of its group:
 * then the group is its own, and else nothing is done. */
bool control_group_step_aside(void);

#endif
