/* repo_remote.h - asks a repository's remote, off the loop, whether it is there and may be read. */
#ifndef API_REPO_REMOTE_H
#define API_REPO_REMOTE_H

#include "api/request.h"
#include "lib/base/err.h"
#include "lib/task/repo.h"

struct repo_remote_answer {
    char branch[256];      /* the branch asked for, else the remote's default */
    int credential_source; /* enum pj_repo_credential of lib/task/repo.h, -1: none was used */
    char permission
        [16]; /* of the person asked for: "admin", "write", "read", "none"; "" when that is not known */
    bool reached;
    struct pj_err err; /* when not */
};

/* What a user typed, normalised. `url` and `name` are owned by the caller. -1 when the request was answered (400 for a malformed
 * address, 422 for a forge that is not listed or a path that is not there). */
int repo_remote_address(struct request *req, const char *text, char **url,
                        char **name) PJ_MUST_CHECK;

typedef void repo_remote_then(struct request *req, const struct repo_remote_answer *answer);
/* Reach `url` (normalised) with the repository's own credential (may be NULL) or the best there is, and find `branch` (NULL: the
 * default one). Answers 503 when the pool is full. Strings are copied. */
void repo_remote_check(struct request *req, const char *url, const char *branch, const char *token,
                       const char *username, repo_remote_then *then);
/* What may a person of the forge do in `repo`, asked with its own credential or the best there is? answer->permission, or "" and
 * answer->err. Short: a webhook's sender waits. */
void repo_remote_permission(struct request *req, const struct pj_repo *repo, const char *login,
                            repo_remote_then *then);

#endif
