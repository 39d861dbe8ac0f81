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
/* A clone of one source with its final attributes. In user mode clones are recursive: the kernel
 * refuses to uncover what lies beneath a submount. */
int detached_source(const struct plan *plan, const char *path, uint64_t attr, int userns_fd,
                    struct pj_err *err);
/* A new file system. `options` is "key=value,flag,…" (cut on a copy). */
int detached_new(const char *type, const char *options, unsigned attr, struct pj_err *err);

#endif
