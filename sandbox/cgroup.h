/* cgroup.h - one control group a box: limits by v2 or v1, whichever this host has the controller
 * in; the kill by v2.
 *
 * Groups are called pj-sandbox.<pid>.<random> beneath the caller's own group, so that the
 * caller's limits hold too; in v2, where a group with processes passes no controllers on, this
 * process steps aside into one of its own first, and where it is not alone the box's is made
 * beside it (cgroup_place.c). Their maker keeps them locked; the next start sweeps those that nobody has locked. What
 * cannot be had is reported, and rlimits stand in (CONTRACT.md section 6). */
#ifndef SANDBOX_CGROUP_H
#define SANDBOX_CGROUP_H

#include <stdbool.h>
#include <stdint.h>
#include "lib/base/err.h"

#define CGROUP_DIRS_MAX 4
#define CGROUP_HIERARCHIES 4 /* v2, and those of v1's cpu, memory, pids */

struct cgroup_dir {
    char path[512];
    int dir_fd;  /* locked: says that the maker lives */
    int join_fd; /* cgroup.procs, or tasks in v1 */
    bool v2;
    char controllers[256]; /* v2: what it has of them */
};

/* Where a hierarchy is mounted, and where in it this process is. */
struct cgroup_hierarchy {
    char mount[256]; /* "" when there is none */
    char own[256];   /* our group, "/" and below; "" when there is none */
};

struct cgroup_limits {
    int64_t memory_bytes; /* 0: none, here and below */
    int64_t pids;
    int64_t cpu_milli;
};

struct cgroup {
    struct cgroup_hierarchy hierarchies[CGROUP_HIERARCHIES];
    struct cgroup_dir dirs[CGROUP_DIRS_MAX];
    size_t count;
    struct cgroup_dir home; /* where this process stepped aside to; no path when it did not */
    const char *memory_kept, *pids_kept,
        *cpu_kept; /* "cgroup-v1", "cgroup-v2", NULL: not by a cgroup */
    const struct cgroup_dir *memory_dir, *kill_dir; /* NULL: none */
};

/* Find the hierarchies and make the v2 group, without which process 1 cannot be born into it.
 * Never fails: what cannot be had stays NULL. */
void cgroup_begin(struct cgroup *cg, const struct cgroup_limits *limits);
/* The v2 group as a directory, for CLONE_INTO_CGROUP; -1 when there is none. */
int cgroup_birth_fd(const struct cgroup *cg);
/* Set the limits, in groups of v1 where v2 does not have the controller. Never fails either. */
void cgroup_limit(struct cgroup *cg, const struct cgroup_limits *limits);
/* Descriptors into which the process that joins, which has one thread, writes "0": all but v2's
 * when it was born there. They stay ours. */
size_t cgroup_join_fds(const struct cgroup *cg, bool born_in_v2, int fds[CGROUP_DIRS_MAX]);
/* Remove groups whose maker is gone, beside ours; what is left in them is killed. */
void cgroup_sweep(const struct cgroup *cg);
/* Kill every member at once where the kernel offers it. */
void cgroup_kill(const struct cgroup *cg);
/* Times the memory limit killed a process. */
int64_t cgroup_oom_kills(const struct cgroup *cg);
/* Wait (bounded) until the groups are empty and remove them. False when something is still in
 * one. */
bool cgroup_remove(struct cgroup *cg, int64_t wait_ms);

#endif
