/* tree.h - the work tree: opening beneath its root, and walking it in order. */
#ifndef AGENT_TREE_H
#define AGENT_TREE_H

#include <stdint.h>
#include <sys/stat.h>
#include "runner/agent/agent.h"

/* The path relative to the root, without "./", doubled slashes or the root's own name before it; owned by the caller. FORBIDDEN for "..", INVALID
 * for an empty one or control characters. "." is the root. */
int tree_path(const struct agent *a, const char *given, char **out,
              struct pj_err *err) PJ_MUST_CHECK;
/* open(2) beneath the root; links inside the tree are followed, links out of it are FORBIDDEN. */
int tree_open(const struct agent *a, const char *path, int flags, mode_t mode, int *fd,
              struct pj_err *err) PJ_MUST_CHECK;
/* The directory that holds `path`, and the name in it (borrowed from `path`). With `make`, missing parents are made. */
int tree_parent(const struct agent *a, const char *path, bool make, int *dirfd, const char **name,
                struct pj_err *err) PJ_MUST_CHECK;
/* Read a regular file whole; LIMIT above out->max. *st may be NULL. */
int tree_read(const struct agent *a, const char *path, struct pj_str *out, struct stat *st,
              struct pj_err *err) PJ_MUST_CHECK;
bool tree_is_binary(const char *bytes, size_t n);

/* Called for each entry below `path` (files, directories, links, in order of name, `.git` left out). False stops the walk. */
typedef bool tree_visit(void *ctx, const char *path, const struct stat *st, int dirfd,
                        const char *name);
/* `depth` 1: only the entries of `path` itself. */
int tree_walk(const struct agent *a, const char *path, int depth, tree_visit *visit, void *ctx,
              struct pj_err *err) PJ_MUST_CHECK;
/* A number that changes when any file of the tree is added, removed or written. */
uint64_t tree_digest(const struct agent *a);

#endif
