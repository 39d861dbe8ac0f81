/* carry.h - a plan for a process 1 that was made before there was one: the outer process copies it into memory that both have at
 * the same address.
 *
 * Only what process 1 and its attacher read is carried: the command, its folder and environment, the work tree, the binds, the
 * limits, the ports. Only the outer process writes, but for `proxy_port`; it reads nothing else back. */
#ifndef SANDBOX_CARRY_H
#define SANDBOX_CARRY_H

#include "sandbox/plan.h"
#include "sandbox/rlimits.h"

#define CARRY_BYTES ((size_t)512 << 10)

struct carried {
    struct spec spec;
    struct plan plan;
    struct rlimits rlimits;
    uint16_t proxy_port; /* the attacher's answer; 0: none */
    size_t used;
    char bytes[CARRY_BYTES];
};

/* Before process 1 is made. NULL with errno. */
struct carried *carry_new(void);
void carry_free(struct carried *c);
/* Fails with LIMIT when it does not fit. Descriptors in the plan's mounts mean nothing on the other side. */
int carry_plan(struct carried *c, const struct plan *plan, struct pj_err *err) PJ_MUST_CHECK;

#endif
