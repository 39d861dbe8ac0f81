/* patch_parse.h - a unified diff, judged as bytes: no file, no repository.
 *
 * Accepts git's extended format and plain ---/+++ pairs. What passes has: right line counts in every hunk, hunks in order and
 * apart, paths that stay inside the tree (relative, no "..", no empty or "." part, no `.git` in any case or in a form that
 * HFS+ or NTFS would fold to it, no control characters, valid UTF-8), one entry a path (but for a delete and a new file of
 * another type), no two paths equal but for case, modes 100644, 100755 and 120000 only, symlinks whose target stays inside,
 * binary parts that are well formed, within their bound, and have full object ids. Everything else is INVALID with code "patch_malformed", and the
 * message names line and reason.
 *
 * All slices point into the text, which must outlive the patch, but for paths that had to be unquoted. */
#ifndef RUNNER_PATCH_PARSE_H
#define RUNNER_PATCH_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "lib/base/err.h"
#include "lib/base/view.h"

enum patch_change { PATCH_MODIFIED, PATCH_ADDED, PATCH_DELETED, PATCH_RENAMED, PATCH_COPIED };

struct patch_hunk {
    struct pj_view header; /* the @@ line */
    struct pj_view body;   /* the lines after it */
    size_t line;           /* of the header in the text, from 1 */
    uint32_t old_start, old_count, new_start, new_count;
};

struct patch_file {
    enum patch_change change;
    char *old_path; /* NULL when added */
    char *new_path; /* NULL when deleted */
    unsigned old_mode,
        new_mode; /* 0: not said (new_mode is then as before, or 100644 for an added file) */
    bool binary;
    struct pj_view forward, backward; /* binary: the two parts, from "literal" or "delta" on */
    struct pj_view old_sha, new_sha;  /* of the index line, as written; empty when there is none */
    size_t added, removed;            /* lines */
    size_t line;                      /* where the entry begins */
    size_t first_hunk, hunk_count;
};

struct patch {
    struct patch_file *files;
    size_t file_count;
    struct patch_hunk *hunks; /* of all files, in order */
    size_t hunk_count;
    size_t added, removed;
};

/* 0 in a field: the default beside it. */
struct patch_limits {
    size_t max_bytes;        /* 8 MiB */
    size_t max_files;        /* 2,000 */
    size_t max_line_bytes;   /* 1 MiB */
    size_t max_path_bytes;   /* 1,024 */
    size_t max_binary_bytes; /* 4 MiB: a binary file, inflated size as stated */
};

/* PJ_NONE when the text holds no entry at all (an empty diff). */
int patch_parse(struct pj_view text, const struct patch_limits *limits, struct patch **out,
                struct pj_err *err) PJ_MUST_CHECK;
void patch_free(struct patch *patch);
void patch_freep(struct patch **patch);
/* "2 files changed, 1 line added, 3 lines removed" */
#define PATCH_SUMMARY_SIZE 120
void patch_summary(size_t files, size_t added, size_t removed, char out[PATCH_SUMMARY_SIZE]);
/* new_path, else old_path. */
const char *patch_file_path(const struct patch_file *file);

/* Is `path` one that a patch may touch? On false, *why names the reason. */
bool patch_path_ok(struct pj_view path, size_t max_bytes, const char **why);
/* Does a symlink at `path` with this target stay inside the tree (by its text alone)? */
bool patch_link_ok(struct pj_view path, struct pj_view target);
/* May a symlink have this name? Not those files that git itself reads in a work tree. */
bool patch_link_name_ok(const char *path);
/* A path component that some file system takes for `.git`. */
bool patch_is_dotgit(struct pj_view component);

#endif
