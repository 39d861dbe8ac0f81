/* landlock.h - a second, independent wall around files: even if a mount were wrong, only /tmp,
 * /workspace and a few device nodes can be written, and nothing outside the box can be signalled
 * or reached by an abstract socket. */
#ifndef SANDBOX_LANDLOCK_H
#define SANDBOX_LANDLOCK_H

#include "lib/base/err.h"

/* The ABI of this kernel, 0 when it has none that serves or has it turned off. Asked by system
 * call: securityfs may be absent. */
int landlock_abi(void);
/* Restrict the calling process and its children. no_new_privs must be on; "/" is the box's.
 * `abi` above 0. */
int landlock_apply(int abi, struct pj_err *err) PJ_MUST_CHECK;
/* The same in two parts: all but the work tree's rule, which can be made before there is one, as a ruleset; then that one, and the
 * restriction. The ruleset is closed in either case. */
int landlock_begin(int abi, int *ruleset, struct pj_err *err) PJ_MUST_CHECK;
int landlock_finish(int abi, int ruleset, struct pj_err *err) PJ_MUST_CHECK;

#endif
