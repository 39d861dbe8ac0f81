/* fs.h - files: bounded reads, atomic writes, directories, removal of hostile trees. Descriptors are CLOEXEC. */
#ifndef PJ_BASE_FS_H
#define PJ_BASE_FS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include "lib/base/err.h"
#include "lib/base/str.h"

/* Read a whole file; LIMIT when it has more than out->max bytes. */
int pj_fs_read(const char *path, struct pj_str *out, struct pj_err *err) PJ_MUST_CHECK;
int pj_fs_read_fd(int fd, struct pj_str *out, struct pj_err *err) PJ_MUST_CHECK;
/* Write to a temporary name beside `path`, fsync, rename. */
int pj_fs_write_atomic(const char *path, const void *data, size_t n, mode_t mode,
                       struct pj_err *err) PJ_MUST_CHECK;
/* Make a directory and its missing parents (each with `mode`). An existing directory is fine. */
int pj_fs_mkdirs(const char *path, mode_t mode, struct pj_err *err) PJ_MUST_CHECK;
/* Remove a tree without following links, restoring search permission where an owner took it away. Absent is fine. Depth is
 * bounded only by the tree; descriptors in use are bounded. */
int pj_fs_remove_tree(const char *path, struct pj_err *err) PJ_MUST_CHECK;
bool pj_fs_exists(const char *path);
/* write(2) until all is written; -1 with errno. */
int pj_write_all(int fd, const void *data, size_t n);

#endif
