/* rlimits.h - per-process limits: always a floor of sane ones, and stand-ins where no cgroup can
 * be had. */
#ifndef SANDBOX_RLIMITS_H
#define SANDBOX_RLIMITS_H

#include <stdbool.h>
#include <stdint.h>
#include "lib/base/err.h"

/* Not the address space: node, Go, Java and sanitizers reserve terabytes that they never touch. */
struct rlimits {
    int64_t pids;         /* processes of the box; 0: the default */
    int64_t memory_bytes; /* private memory of each process; 0: none, the cgroup keeps it. */
    int64_t cpu_seconds;  /* processor time of each process; 0: none */
};

/* Apply to the calling process and its children to be. A limit never goes up: what the caller
 * has may be lower. */
int rlimits_apply(const struct rlimits *limits, struct pj_err *err) PJ_MUST_CHECK;

#endif
