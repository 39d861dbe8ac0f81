/* layout.h - what the file system inside looks like, as a list of mounts in the order in which
 * they are made. */
#ifndef SANDBOX_LAYOUT_H
#define SANDBOX_LAYOUT_H

#include "sandbox/plan.h"

/* Fill plan->mounts. Looks at the host (is /bin a link or a directory?), changes nothing. */
int layout_make(struct plan *plan, struct pj_err *err) PJ_MUST_CHECK;

#endif
