/* seccomp.h - the two filters of rules.h, compiled by libseccomp when the program is built and
 * loaded as they are. */
#ifndef SANDBOX_SECCOMP_H
#define SANDBOX_SECCOMP_H

#include "lib/base/err.h"

/* Load both into the calling process and its children. no_new_privs must be on. */
int seccomp_apply(struct pj_err *err) PJ_MUST_CHECK;

#endif
