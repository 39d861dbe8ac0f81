/* workspace.h - a task's clean repository and the work tree made from it.
 *
 *     <state>/cache/<repository>-<url hash>.git    bare mirror of one repository, fetched incrementally under a lock
 *     <state>/work/<taskId>/clean.git              this task's own objects; borrows the mirror's; no configuration of anybody's
 *     <state>/cache/<repository>-<url hash>.tree<k>  files of a commit, shared read-only (checkout.h)
 *     <state>/work/<taskId>/tree                   the pinned commit's files, no .git in it, no filter applied; or, over a
 *                                                  shared checkout, the layer that takes what the box writes
 *
 * The clean repository is the runner's and never visible in the box; the tree is the box's. Submodules are left as empty
 * folders; a stranger's hooks, filters, alternates and configuration have no way in, since only objects are taken. */
#ifndef RUNNER_WORKSPACE_H
#define RUNNER_WORKSPACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "lib/base/str.h"
#include "lib/git/git.h"
#include "lib/git/remote.h"

struct workspace;

struct workspace_spec {
    const char *state_dir; /* PJ_STATE_DIR */
    const char *task_id;
    const char *repository_id; /* names the mirror */
    const char *url;           /* normalised, see lib/forge/hosts.h */
    const char *base_branch;   /* NULL or "": the remote's default branch */
    const char *
        pinned_sha; /* NULL or "": the tip of the base branch; else the commit recorded by an earlier delivery */
    bool
        start_at_task_branch; /* a further round: the tree starts at the head of pj/<taskId>, its diff is against that */
    /* The files of commits with at least so many are not copied but shared: the box gets a layer over them. 0: never. */
    int64_t share_from_files;
    int64_t
        retry_base_ms; /* PJ_RETRY_BASE: transient failures are tried again after 1, 2, 4 times this; 0: 1 s */
    struct pj_git_net net;
};

/* Fetch, pin, check out. A leftover of an earlier run of the same task is removed first. Errors carry a code of CONTRACT.md
 * section 9: "repository_unavailable" (no such host, repository, branch or pinned commit, or no access: the repository is to
 * become invalid), "github_service" and "github_rate_limited" (transient, and still so after three retries; the repository
 * stays connected), "repository_analysis" (a commit that cannot be written out). A pump's error passes as it is. */
int workspace_open(const struct workspace_spec *spec, struct workspace **out,
                   struct pj_err *err) PJ_MUST_CHECK;
/* Look again where the base branch is, and if it has moved, take its new tip as the base commit that diffs are applied to. The
 * tree stays as it is. Never in a further round. */
int workspace_refresh(struct workspace *ws, const struct workspace_spec *spec, bool *moved,
                      struct pj_err *err) PJ_MUST_CHECK;
/* Free, and remove work/<taskId>. The mirror stays. */
void workspace_close(struct workspace *ws);
void workspace_closep(struct workspace **ws);

const char *workspace_tree(const struct workspace *ws); /* absolute path of the work tree */
/* The checkout beneath the tree, which is then the layer above it (pj-sandbox --workspace-base); NULL: the tree is whole. */
const char *workspace_shared(const struct workspace *ws);
/* Give the checkout up and write the files into the tree: for a host that cannot lay one over the other. */
int workspace_unshare(struct workspace *ws, const struct pj_git_net *net,
                      struct pj_err *err) PJ_MUST_CHECK;
const char *workspace_dir(
    const struct workspace *ws); /* work/<taskId>: for the caller's own files of the task */
const char *workspace_base_sha(
    const struct workspace *ws); /* the commit the diff is against and the new commit's parent */
const char *
workspace_base_branch(const struct workspace *ws); /* what a pull request is opened against */
/* The remote's pj/<taskId> as the fetch saw it; "" when it does not exist. */
const char *workspace_task_branch_tip(const struct workspace *ws);

/* Another copy of files: of the base commit (tree_sha NULL), or of a tree that publish_apply() made; for checks, at
 * work/<taskId>/<name>, where `name` is one path component. Removed by workspace_close(), or before by the caller. */
int workspace_copy(struct workspace *ws, const char *name, const char *tree_sha, char **path,
                   struct pj_err *err) PJ_MUST_CHECK;

/* A file of the base commit. PJ_NONE when there is none (or it is no regular file); LIMIT over out->max. */
int workspace_base_file(struct workspace *ws, const char *path, struct pj_str *out,
                        struct pj_err *err) PJ_MUST_CHECK;

/* How many regular files the base commit has, and their bytes. */
struct workspace_survey {
    int64_t files, bytes;
};
int workspace_survey(struct workspace *ws, struct workspace_survey *out,
                     struct pj_err *err) PJ_MUST_CHECK;

/* Start-up: remove every work/<taskId> for which `is_live` says no. Returns the count removed, or -1. */
int workspace_sweep(const char *state_dir, bool (*is_live)(void *ctx, const char *task_id),
                    void *ctx, struct pj_err *err);
/* Remove the mirrors and checkouts that were not used for longest until the cache has at most max_bytes; what is in use stays. */
int workspace_cache_trim(const char *state_dir, int64_t max_bytes, struct pj_err *err);

/* Pack at most one mirror anew that many fetches have scattered and that nobody uses. Returns 1 when one was, 0, or -1. */
int workspace_cache_repack(const char *state_dir, struct pj_err *err);
#define WORKSPACE_PACKS_MAX 40
#define WORKSPACE_LOOSE_MAX 5000

#endif
