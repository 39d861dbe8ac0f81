/* branch.h - names of git branches. */
#ifndef PJ_BASE_BRANCH_H
#define PJ_BASE_BRANCH_H

#include <stdbool.h>

#define PJ_BRANCH_SIZE 256

/* May `name` be a branch (git-check-ref-format(1) of refs/heads/<name>, at most PJ_BRANCH_SIZE - 1 bytes, neither HEAD nor with a
 * dash in front)? */
bool pj_branch_name_valid(const char *name);

#endif
