/* issue.h - the comment on the issue that a task came from. */
#ifndef RUNNER_ISSUE_H
#define RUNNER_ISSUE_H

#include "lib/task/task.h"
#include "runner/forge_view.h"

/* The issue of a task that was made of one: its number; 0 when there is none. */
int64_t issue_number(const struct pj_task *task);
/* Comment once with a link to the task; a comment that is there already counts. PJ_NONE: the task came from no issue, or its
 * repository is gone. INVALID: GitHub will never take it. */
int issue_comment(const struct forge_view_spec *spec, const struct pj_task *task,
                  struct pj_err *err) PJ_MUST_CHECK;

#endif
