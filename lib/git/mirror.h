/* mirror.h - a bare repository that holds what was fetched of one remote, and nothing else.
 *
 * Only the branches asked for are fetched, incrementally. The remote's address and credential are never written to its
 * configuration. Fetching is exclusive (a lock file beside the folder); reading needs no lock against that, since objects only
 * come; they go only in pj_mirror_repack(). */
#ifndef PJ_GIT_MIRROR_H
#define PJ_GIT_MIRROR_H

#include "lib/git/git.h"
#include "lib/git/remote.h"

struct pj_mirror_want {
    const char *branch; /* NULL or "": the remote's default */
    const char *extra;  /* another branch that need not exist, or NULL */
};

struct pj_mirror_have {
    struct pj_remote_head head;  /* of `branch` */
    char extra_tip[PJ_SHA_SIZE]; /* "" when `extra` does not exist */
    bool fetched;                /* false: the mirror was up to date */
};

/* Make or update the mirror at `dir` (its parent exists). A damaged mirror is made anew. Errors as pj_remote_check(). */
int pj_mirror_update(const char *dir, const char *url, const struct pj_git_net *net,
                     const struct pj_mirror_want *want, struct pj_mirror_have *out,
                     struct pj_err *err) PJ_MUST_CHECK;

/* How scattered is it: packs (one more with each fetch), objects in no pack. */
void pj_mirror_count(const char *dir, size_t *packs, size_t *loose);
/* Make one pack of what its branches reach, and drop the rest; of the branches those that were asked for last are kept. Nobody may
 * read or fetch meanwhile. A crash leaves a mirror that is whole. */
int pj_mirror_repack(const char *dir, struct pj_err *err) PJ_MUST_CHECK;

#endif
