/* workspace_impl.h - a workspace as collect.c and publish.c see it. */
#ifndef RUNNER_WORKSPACE_IMPL_H
#define RUNNER_WORKSPACE_IMPL_H

#include "lib/git/repo.h"
#include "runner/checkout.h"
#include "runner/patch_apply.h"
#include "runner/workspace.h"

struct workspace {
    char *dir;
    char *tree;
    char *mirror;
    int mirror_use;           /* descriptor that holds the shared lock */
    struct checkout checkout; /* dir NULL: `tree` has the files itself */
    struct pj_git_repo *repo;
    char base_sha[PJ_SHA_SIZE];
    char base_tree[PJ_SHA_SIZE];
    char base_branch[PJ_BRANCH_SIZE];
    char task_branch_tip[PJ_SHA_SIZE];
    bool further_round; /* base_sha is a commit of pj/<taskId> */
    bool ignores_loaded;
    struct patch_rejects rejects; /* of the last publish_apply() */
};

#endif
