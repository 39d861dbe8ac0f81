/* patch_apply.h - one file's part of a parsed patch, applied to the file's bytes. No I/O.
 *
 * Places hunks exactly as git does (git, apply.c: apply_one_fragment, find_pos): context must match to the byte, at the stated
 * line or the nearest other one; a hunk at line 1 only at the beginning, one without trailing context only at the end; lines
 * that one hunk wrote are no context for the next. */
#ifndef RUNNER_PATCH_APPLY_H
#define RUNNER_PATCH_APPLY_H

#include <stddef.h>
#include "lib/base/str.h"
#include "runner/patch_parse.h"

#define PATCH_REJECTS_MAX 64
struct patch_reject {
    size_t file; /* index in patch->files */
    size_t hunk; /* index in patch->hunks; SIZE_MAX: the file as a whole */
    char why[160];
    /* Filled by publish_apply(), so that they outlive the patch. */
    char path[1025];
    size_t number; /* of the hunk in its file, from 1; 0: the file as a whole */
};
struct patch_rejects {
    size_t count; /* may exceed PATCH_REJECTS_MAX: then only the first are kept */
    struct patch_reject item[PATCH_REJECTS_MAX];
};
void patch_reject_add(struct patch_rejects *rejects, size_t file, size_t hunk, const char *why);

/* Append the new content of patch->files[file] to `out`. Returns 0, or PJ_NONE when a hunk did not apply: then it is in
 * `rejects`, the others were applied nevertheless, and `out` is no valid result. LIMIT when `out` is too small. */
int patch_apply_text(const struct patch *patch, size_t file, struct pj_view base,
                     struct pj_str *out, struct patch_rejects *rejects,
                     struct pj_err *err) PJ_MUST_CHECK;
/* The same for a binary entry: inflates at most `out->max` bytes. Whether the base is the right one is told by the ids of the
 * index line, which the caller compares. INVALID with code "patch_malformed" when the data is broken. */
int patch_apply_binary(const struct patch_file *file, struct pj_view base, struct pj_str *out,
                       struct pj_err *err) PJ_MUST_CHECK;

#endif
