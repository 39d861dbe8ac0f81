/* step.h - failures of the sandbox itself, named by the step that failed.
 *
 * The result's `error` is {step, errno, remedy} (CONTRACT.md section 6): the step travels in
 * pj_err.code, the rest in its own fields. Safe after fork: nothing allocates. */
#ifndef SANDBOX_STEP_H
#define SANDBOX_STEP_H

#include "lib/base/err.h"

/* Fill *err for `step` and return -1; `remedy` may be NULL; sys_errno 0 is "no system call to
 * blame". */
int step_fail(struct pj_err *err, const char *step, int sys_errno, const char *remedy,
              const char *fmt, ...) PJ_PRINTF(5, 6);

#endif
