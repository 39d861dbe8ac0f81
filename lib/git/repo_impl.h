/* repo_impl.h - what lib/git's own files see of a repository. */
#ifndef PJ_GIT_REPO_IMPL_H
#define PJ_GIT_REPO_IMPL_H

#include <git2.h>
#include "lib/git/net.h"
#include "lib/git/repo.h"

struct pj_git_repo {
    git_repository *repo;
    git_odb *odb;
};

int pj_git_oid(const char *sha, git_oid *out, struct pj_err *err) PJ_MUST_CHECK;
int pj_git_tree(struct pj_git_repo *repo, const char *sha, git_tree **out,
                struct pj_err *err) PJ_MUST_CHECK;

#endif
