/* collect_impl.h - the walk and its list of changes, shared by collect.c and collect_walk.c. */
#ifndef RUNNER_COLLECT_IMPL_H
#define RUNNER_COLLECT_IMPL_H

#include "runner/collect.h"
#include "runner/workspace_impl.h"

/* How a path differs from the base commit. */
struct collect_change {
    char *path;
    unsigned mode; /* 0: gone */
    char sha[PJ_SHA_SIZE];
};

struct collect_changes {
    struct collect_change *item;
    size_t count, cap;
};

struct collect_entry; /* one of the base commit */

struct collect_walk {
    struct collect_limits limits; /* no zeroes */
    struct collect_changes *changes;
    const struct collect_changes *baseline; /* NULL: none */
    struct collect_result *result;          /* NULL: hash only, store nothing, note nothing */
    struct workspace *ws;
    struct pj_err *err;
    struct collect_entry *base; /* sorted by path */
    size_t base_count, base_cap;
    struct pj_str path;
    struct pj_str content;
    size_t entries;
    size_t total_bytes;
};

/* Fill w->changes (unsorted). `root_fd` -1: the workspace's own tree. */
int collect_walk_run(struct collect_walk *w, int root_fd) PJ_MUST_CHECK;
void collect_walk_release(struct collect_walk *w);

void collect_changes_add(struct collect_changes *changes, const char *path, unsigned mode,
                         const char *sha);
const struct collect_change *collect_changes_find(const struct collect_changes *changes,
                                                  const char *path);
void collect_changes_release(struct collect_changes *changes);
int collect_limit(struct pj_err *err, const char *what, size_t limit);

#endif
