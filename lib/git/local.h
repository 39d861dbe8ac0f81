/* local.h - a bare repository on this host: made with a first commit, and its branches read. For samples and set-up. */
#ifndef PJ_GIT_LOCAL_H
#define PJ_GIT_LOCAL_H

#include "lib/git/git.h"

struct pj_local_file {
    const char *path; /* '/' between the parts */
    const void *data;
    size_t size;
    bool executable;
};

/* Make `dir` (must not exist; its parent does) with one commit of these files on `main`, which is its HEAD. Whatever was
 * made is left behind on failure. */
int pj_local_create(const char *dir, const struct pj_local_file *files, size_t count,
                    const char *message, int64_t date_ms, struct pj_err *err) PJ_MUST_CHECK;

struct pj_local_tip {
    char sha[PJ_SHA_SIZE];
    char subject[300]; /* first line of the message */
};

/* The commit a branch points to; NOT_FOUND when there is no such branch. */
int pj_local_branch(const char *dir, const char *branch, struct pj_local_tip *out,
                    struct pj_err *err) PJ_MUST_CHECK;

#endif
