/* patch_impl.h - one pass over a diff's text, shared by patch_parse.c, patch_head.c, patch_hunk.c. */
#ifndef RUNNER_PATCH_IMPL_H
#define RUNNER_PATCH_IMPL_H

#include "runner/patch_parse.h"

struct patch_reader {
    const char *p; /* the next line */
    const char *end;
    size_t line;                /* its number, from 1 */
    struct patch_limits limits; /* no zeroes */
    struct patch *patch;
    size_t file_cap, hunk_cap;
    struct pj_err *err;
};

/* -1 with "line N: …", INVALID, patch_malformed. */
int patch_fail(struct patch_reader *r, size_t line, const char *fmt, ...) PJ_PRINTF(3, 4);

/* The next line without its end, not yet taken; false at the end of the text. Lines are checked for their end and length
 * before anything is read. */
bool patch_peek(const struct patch_reader *r, struct pj_view *line);
void patch_next(struct patch_reader *r);

/* From "diff --git" or "---" up to the first "@@", "GIT binary patch" or the next entry. */
int patch_read_head(struct patch_reader *r, struct patch_file *file);
/* Hunks or binary parts of `file`. */
int patch_read_hunks(struct patch_reader *r, struct patch_file *file);
int patch_read_binary(struct patch_reader *r, struct patch_file *file);

/* Is a file's content a link's target after this entry, as far as the entry tells? */
bool patch_is_link(const struct patch_file *file);

#endif
