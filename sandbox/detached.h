/* detached.h - mounts that are attached nowhere yet: clones of what the host has, and new file
 * systems.
 *
 * A mount gets its final attributes while nobody can reach it. All descriptors are CLOEXEC and
 * the caller's. */
#ifndef SANDBOX_DETACHED_H
#define SANDBOX_DETACHED_H

#include <stdbool.h>
#include <stdint.h>
#include "sandbox/plan.h"

/* A clone of the mount at `path`; flags as of open_tree(2). -1 with errno. */
int detached_clone(int dirfd, const char *path, unsigned flags);
/* Set attributes, and with userns_fd >= 0 the idmap of that user namespace. -1 with errno. */
int detached_set(int fd, uint64_t attr, int userns_fd, bool recursive);
/* Set and clear attributes of the mount at `path`. -1 with errno. */
int detached_change(int dirfd, const char *path, uint64_t set, uint64_t clear);
/* A clone of one source with its attributes. In user mode clones must be recursive: the kernel
 * refuses to uncover what lies beneath a submount. */
int detached_source(int tree, const char *path, uint64_t attr, bool recursive, struct pj_err *err);
/* Give the clone of `path` the idmap of a user namespace; -1 as userns_fd: none is asked for. */
int detached_map(int fd, int userns_fd, const char *path, struct pj_err *err);
/* A new file system. `options` is "key=value,flag,…" (cut on a copy). */
int detached_new(const char *type, const char *options, unsigned attr, struct pj_err *err);

#endif
