/* cgroup.h - one control group a box: limits by v2 or v1, whichever this host has the controller
 * in; the kill by v2.
 *
 * Groups are called pj-sandbox.<pid>.<random> beneath the caller's own group, so that the
 * caller's limits hold too; in v2, where a group with processes passes no controllers on, beside
 * it. Their maker keeps them locked; the next start sweeps those that nobody has locked. What
 * cannot be had is reported, and rlimits stand in (CONTRACT.md section 6). */
#ifndef SANDBOX_CGROUP_H
#define SANDBOX_CGROUP_H

#include <stdbool.h>
#include <stdint.h>
#include "lib/base/err.h"

#define CGROUP_DIRS_MAX 4

struct cgroup_dir {
    char path[512];
    int dir_fd;  /* locked: says that the maker lives */
    int join_fd; /* cgroup.procs, or tasks in v1 */
    bool v2;
};

struct cgroup_limits {
    int64_t memory_bytes; /* 0: none, here and below */
    int64_t pids;
    int64_t cpu_milli;
};

struct cgroup {
    struct cgroup_dir dirs[CGROUP_DIRS_MAX];
    size_t count;
    const char *memory_kept, *pids_kept,
        *cpu_kept; /* "cgroup-v1", "cgroup-v2", NULL: not by a cgroup */
    const struct cgroup_dir *memory_dir, *kill_dir; /* NULL: none */
};

/* Make the groups. Never fails: what could not be had stays NULL. */
void cgroup_make(struct cgroup *cg, const struct cgroup_limits *limits);
/* The v2 group as a directory, for CLONE_INTO_CGROUP; -1 when there is none. */
int cgroup_birth_fd(const struct cgroup *cg);
/* In the process that joins, which has one thread: a write of "0" to each, but not to v2 when it
 * was born there. 0 or -1 with errno. */
int cgroup_join(const struct cgroup *cg, bool born_in_v2);
/* Kill every member at once where the kernel offers it. */
void cgroup_kill(const struct cgroup *cg);
/* Times the memory limit killed a process. */
int64_t cgroup_oom_kills(const struct cgroup *cg);
/* Wait (bounded) until the groups are empty and remove them. False when something is still in
 * one. */
bool cgroup_remove(struct cgroup *cg, int64_t wait_ms);

#endif
