/* remote.h - asking a remote what it has, without fetching.
 *
 * Thread-safe: the API calls this from a worker. The URL is one that lib/forge/hosts.h has normalised (https, http where the
 * forge's entry allows it, or an absolute path). */
#ifndef PJ_GIT_REMOTE_H
#define PJ_GIT_REMOTE_H

#include "lib/base/branch.h"
#include "lib/git/git.h"

struct pj_remote_head {
    char branch[PJ_BRANCH_SIZE];         /* the branch asked for, else the remote's default */
    char sha[PJ_SHA_SIZE];               /* its tip */
    char default_branch[PJ_BRANCH_SIZE]; /* "" when the remote names none */
};

/* Reach `url` and find `branch` (NULL: the remote's default). Errors, each with a remedy a user can act on:
 * AUTH (credential refused or missing), FORBIDDEN (may not read, or the address is refused), NOT_FOUND with code
 * "branch_not_found" or "repository_not_found", UNAVAILABLE (certificate, a broken
 * connection, 5xx; code "host_unreachable" when the name, the connection or the certificate failed), TIMEOUT, CANCELLED, PROTOCOL.
 * An empty repository is NOT_FOUND/branch_not_found that says so. */
int pj_remote_check(const char *url, const struct pj_git_net *net, const char *branch,
                    struct pj_remote_head *out, struct pj_err *err) PJ_MUST_CHECK;

#endif
