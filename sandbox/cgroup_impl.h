/* cgroup_impl.h - what cgroup.c and cgroup_place.c share. */
#ifndef SANDBOX_CGROUP_IMPL_H
#define SANDBOX_CGROUP_IMPL_H

#include <stddef.h>
#include <sys/types.h>
#include "sandbox/cgroup.h"

int cgroup_write(const char *dir, const char *file, const char *text);
/* Bytes read, -1 with errno; buf ends with a zero. */
ssize_t cgroup_read(const char *dir, const char *file, char *buf, size_t size);
bool cgroup_has_word(const char *list, const char *word);
/* Where our group of this hierarchy is in the file system. */
void cgroup_path(const struct cgroup_hierarchy *h, char *out, size_t size);
/* Make and lock a group beneath `parent`. -1 when it cannot be. */
int cgroup_make_locked(struct cgroup_dir *dir, const char *parent);
/* The box's group in this hierarchy; NULL when there can be none. */
struct cgroup_dir *cgroup_make_dir(struct cgroup *cg, const struct cgroup_hierarchy *h, bool v2);

/* The box's group in v2, where it gets as many of the controllers asked for as can be had. */
struct cgroup_dir *cgroup_place(struct cgroup *cg, const struct cgroup_hierarchy *own,
                                const struct cgroup_limits *limits);
/* Back into the group that this process was in, when it stepped aside. */
void cgroup_step_back(struct cgroup *cg);

#endif
