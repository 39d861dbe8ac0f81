/* inside.h - paths beneath the new root while it is built: whatever links a rootfs or a work
 * tree holds, none leads out, and neither do those of /proc/<pid>/fd. */
#ifndef SANDBOX_INSIDE_H
#define SANDBOX_INSIDE_H

#include <stdint.h>
#include "lib/base/err.h"

/* An O_PATH descriptor; links count as if `root` were the root. -1 with errno. */
int inside_open(int root, const char *path, uint64_t flags);
/* Open the directory `path`, making what is missing. -1 with errno. */
int inside_dirs(int root, const char *path);
/* Make a file where nothing is, with missing parents. -1 with errno. */
int inside_file(int root, const char *path, const char *content);
/* Attach a detached mount at `dst`, which is made when it does not exist. */
int inside_attach(int root, int fd, const char *dst, struct pj_err *err);

#endif
