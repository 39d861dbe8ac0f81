/* collect.h - from a dead box's work tree to a diff, without trusting the tree.
 *
 * The tree is walked beneath its root descriptor (openat2, no symlink, no mount crossed); regular files with one link become
 * blobs in the clean repository, symlinks are taken when they stay inside the tree, anything else is left as the base has it
 * and noted. Every `.git` (any case, file or folder) is ignored. The base commit's ignore rules decide about files that the
 * base does not have. The diff is libgit2's between base and collected tree, so it applies by construction.
 * The caller has made sure that nothing writes to the tree any more. */
#ifndef RUNNER_COLLECT_H
#define RUNNER_COLLECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "lib/base/err.h"
#include "lib/base/str.h"
#include "lib/git/git.h"
#include "runner/workspace.h"

#define COLLECT_DIFF_MAX ((size_t)8 * 1024 * 1024)

/* 0 in a field: the default beside it. */
struct collect_limits {
    size_t max_entries;     /* 500,000: names seen */
    size_t max_depth;       /* 64 */
    size_t max_changed;     /* 2,000 files in the diff */
    size_t max_file_bytes;  /* 16 MiB: a changed file */
    size_t max_total_bytes; /* 128 MiB: all changed files */
    size_t max_diff_bytes;  /* COLLECT_DIFF_MAX */
};

#define COLLECT_NOTES_MAX 64
struct collect_note {
    char path[256]; /* cleaned for display */
    char why[120];
};

struct collect_result {
    bool empty;                 /* nothing changed */
    char tree_sha[PJ_SHA_SIZE]; /* in the clean repository; the base's tree when empty */
    struct pj_str diff;         /* git format, full index, a/ b/, binary where needed, no renames */
    size_t files, added, removed;
    size_t note_count; /* what was left out and why; at most COLLECT_NOTES_MAX are kept */
    size_t notes_dropped;
    struct collect_note notes[COLLECT_NOTES_MAX];
};

/* What setupCommand left, so that it stays out of the diff: taken after set-up, before the agent. */
struct collect_baseline;

/* `root_fd` is a descriptor of the tree's root (of the merged tree where the box had an overlay), or -1: workspace_tree(). */
int collect_baseline_take(struct workspace *ws, int root_fd, const struct collect_limits *limits,
                          struct collect_baseline **out, struct pj_err *err) PJ_MUST_CHECK;
void collect_baseline_free(struct collect_baseline *baseline);
void collect_baseline_freep(struct collect_baseline **baseline);

/* `baseline` may be NULL. LIMIT with code "patch_malformed" when a bound is passed (names it). Release *out in either case. */
int collect_run(struct workspace *ws, int root_fd, const struct collect_baseline *baseline,
                const struct collect_limits *limits, struct collect_result *out,
                struct pj_err *err) PJ_MUST_CHECK;
void collect_result_release(struct collect_result *result);

#endif
