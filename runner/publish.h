/* publish.h - from a judged diff to a pushed branch.
 *
 * Three steps, so that the caller records the commit's id before the push: apply (in the clean repository, no files), commit
 * (deterministic: same inputs, same id), push (to refs/heads/pj/<taskId>, only over an absent branch or the tip that was
 * recorded). Each may be repeated after a crash and gives the same result. */
#ifndef RUNNER_PUBLISH_H
#define RUNNER_PUBLISH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "lib/base/err.h"
#include "lib/base/view.h"
#include "runner/patch_apply.h"
#include "runner/workspace.h"

/* Judge `diff` (patch_parse.h) and apply it to the base commit's tree. `expect_tree` (NULL or "": none) is the tree the
 * collector built; another result is INTERNAL. INVALID/"patch_malformed" when it is no well-formed patch, or would make a
 * symlink that leads out, or a name that differs from another only by case; CONFLICT/"patch_conflict" when it does not apply
 * (message names file and hunk, publish_rejects() tells all). Nothing is accepted that `git apply` would refuse. */
int publish_apply(struct workspace *ws, struct pj_view diff, const char *expect_tree,
                  char tree_sha[PJ_SHA_SIZE], struct pj_err *err) PJ_MUST_CHECK;

/* Which hunks of the last publish_apply() did not apply. Borrowed until the next one. */
const struct patch_rejects *publish_rejects(const struct workspace *ws);

/* `tree_sha` with one file more (mode 100644), written over *tree_sha. */
int publish_add_file(struct workspace *ws, const char *path, struct pj_view content,
                     char tree_sha[PJ_SHA_SIZE], struct pj_err *err) PJ_MUST_CHECK;

struct publish_commit_spec {
    const char *task_id;
    const char *title;        /* the task's; control characters and length are handled here */
    const char *author_name;  /* NULL: Pithy Jaunt */
    const char *author_email; /* NULL: pithy-jaunt@localhost */
    const char *co_author;    /* "Name <mail>" or NULL */
    int64_t
        date_ms; /* author and committer date: the attempt's start, so that a repeated commit is the same */
};
/* "Name <mail>" of who asked for the task, empty when nothing is known: by the login, on a forge that gives each one an address
 * (github.com), else by the mail address. */
void publish_co_author(const char *login, const char *email, const char *forge_host,
                       struct pj_str *out);
int publish_commit(struct workspace *ws, const struct publish_commit_spec *spec,
                   const char *tree_sha, char commit_sha[PJ_SHA_SIZE],
                   struct pj_err *err) PJ_MUST_CHECK;
/* "Pithy Jaunt: <title>" as one line of at most 250 bytes: the commit's subject and the pull request's title. */
void publish_subject(const char *title, struct pj_str *out);

struct publish_push_spec {
    const char *task_id;
    const char *commit_sha;
    /* Commits of ours that the branch may be at (recorded by earlier deliveries), with blanks between; NULL or "": none. In a
     * further round also the head that the workspace started at. */
    const char *recorded_tips;
    const char *url;
    int64_t retry_base_ms; /* PJ_RETRY_BASE; 0: 1 s */
    struct pj_git_net net; /* its credential needs the right to push */
};

struct publish_push_result {
    bool already_there; /* the remote was at this commit: an earlier delivery had pushed it */
    char branch[PJ_BRANCH_SIZE];
};

/* CONFLICT with code "push_conflict" when the branch is at a commit we did not record (message names it);
 * AUTH/"github_auth", FORBIDDEN/"github_permission" (also a hook's or protection's refusal, with the remote's words),
 * UNAVAILABLE or TIMEOUT/"github_service", NOT_FOUND/"repository_unavailable", CANCELLED. */
int publish_push(struct workspace *ws, const struct publish_push_spec *spec,
                 struct publish_push_result *out, struct pj_err *err) PJ_MUST_CHECK;
/* "pj/<taskId>" */
void publish_branch_name(const char *task_id, char out[PJ_BRANCH_SIZE]);

#endif
