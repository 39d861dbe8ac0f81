/* repo.h - the clean repository of one task: objects in, objects out.
 *
 * Bare, with a mirror's objects borrowed; never sees a work tree of a stranger, reads no configuration but its own. Commits
 * and trees are named by 40 hex digits. One thread at a time. */
#ifndef PJ_GIT_REPO_H
#define PJ_GIT_REPO_H

#include "lib/base/str.h"
#include "lib/base/view.h"
#include "lib/git/git.h"

#define PJ_MODE_FILE 0100644u
#define PJ_MODE_EXEC 0100755u
#define PJ_MODE_LINK 0120000u
#define PJ_MODE_SUBMODULE 0160000u
#define PJ_MODE_TREE 0040000u

/* What git takes a stored mode for: old trees have 100664 and the like. */
unsigned pj_mode_canonical(unsigned mode);

struct pj_git_repo;

/* Make the repository at `dir` (must not exist); objects of the mirror at `mirror_dir` are found through it. */
int pj_git_repo_create(const char *dir, const char *mirror_dir, struct pj_git_repo **out,
                       struct pj_err *err) PJ_MUST_CHECK;
void pj_git_repo_free(struct pj_git_repo *repo);
void pj_git_repo_freep(struct pj_git_repo **repo);

/* See what was fetched into the mirror since. */
int pj_git_repo_reload(struct pj_git_repo *repo, struct pj_err *err) PJ_MUST_CHECK;

/* NOT_FOUND when there is no such commit. */
int pj_git_commit_tree(struct pj_git_repo *repo, const char *commit, char tree[PJ_SHA_SIZE],
                       struct pj_err *err) PJ_MUST_CHECK;
/* The commit's committer time (Unix ms) and parents' count. */
int pj_git_commit_info(struct pj_git_repo *repo, const char *commit, int64_t *time_ms,
                       unsigned *parents, struct pj_err *err) PJ_MUST_CHECK;

struct pj_tree_entry {
    const char *path; /* from the root, '/' between the parts */
    unsigned mode;
    char sha[PJ_SHA_SIZE];
};

/* Every entry but folders, in git's order, submodules too. `visit`: 0 goes on, positive stops (and is returned), negative is
 * a failure with err filled. */
int pj_git_tree_each(struct pj_git_repo *repo, const char *tree,
                     int (*visit)(void *ctx, const struct pj_tree_entry *entry, struct pj_err *err),
                     void *ctx, struct pj_err *err) PJ_MUST_CHECK;
/* PJ_NONE when the tree has no such path. */
int pj_git_tree_find(struct pj_git_repo *repo, const char *tree, const char *path,
                     struct pj_tree_entry *out, struct pj_err *err) PJ_MUST_CHECK;

int pj_git_blob_size(struct pj_git_repo *repo, const char *sha, int64_t *bytes,
                     struct pj_err *err) PJ_MUST_CHECK;
/* LIMIT when it has more than out->max bytes. */
int pj_git_blob_read(struct pj_git_repo *repo, const char *sha, struct pj_str *out,
                     struct pj_err *err) PJ_MUST_CHECK;
int pj_git_blob_write(struct pj_git_repo *repo, struct pj_view bytes, char sha[PJ_SHA_SIZE],
                      struct pj_err *err) PJ_MUST_CHECK;
/* The name the bytes would have, without storing them. */
int pj_git_blob_name(struct pj_view bytes, char sha[PJ_SHA_SIZE], struct pj_err *err) PJ_MUST_CHECK;

/* The same for an open file of any size, read from its beginning. */
int pj_git_blob_name_fd(int fd, char sha[PJ_SHA_SIZE], struct pj_err *err) PJ_MUST_CHECK;

/* Write the tree's files beneath `dir_fd`, an empty folder: modes 0644 and 0755, symlinks as they are, submodules as empty
 * folders, contents byte for byte (no filter, no line-end change). INVALID for an entry that no file can have (`.git`, ".."). */
int pj_git_export(struct pj_git_repo *repo, const char *tree, int dir_fd,
                  const struct pj_git_net *net, struct pj_err *err) PJ_MUST_CHECK;

/* A tree under change: starts as `tree`, put and remove, then write. */
struct pj_tree_edit;
int pj_tree_edit_new(struct pj_git_repo *repo, const char *tree, struct pj_tree_edit **out,
                     struct pj_err *err) PJ_MUST_CHECK;
/* Replaces a file or a whole folder that stands in the way. */
int pj_tree_edit_put(struct pj_tree_edit *edit, const char *path, unsigned mode, const char *sha,
                     struct pj_err *err) PJ_MUST_CHECK;
/* Absent is fine. */
int pj_tree_edit_remove(struct pj_tree_edit *edit, const char *path,
                        struct pj_err *err) PJ_MUST_CHECK;
int pj_tree_edit_write(struct pj_tree_edit *edit, char tree[PJ_SHA_SIZE],
                       struct pj_err *err) PJ_MUST_CHECK;
void pj_tree_edit_free(struct pj_tree_edit *edit);
void pj_tree_edit_freep(struct pj_tree_edit **edit);

/* Ignore rules: read once from the .gitignore files of `tree`, which are laid out in `scratch_dir` (made here, removed by the
 * caller with the rest). */
int pj_git_ignore_load(struct pj_git_repo *repo, const char *tree, const char *scratch_dir,
                       struct pj_err *err) PJ_MUST_CHECK;
/* Would git ignore the path, were it untracked? */
int pj_git_is_ignored(struct pj_git_repo *repo, const char *path, bool is_folder, bool *out,
                      struct pj_err *err) PJ_MUST_CHECK;

struct pj_diff_stat {
    size_t files, added, removed;
};

/* Append the difference of two trees: git's format, full index, a/ and b/, three lines of context, binary parts, no
 * renames. LIMIT when out->max does not hold it, or when more than max_files differ. */
int pj_git_diff(struct pj_git_repo *repo, const char *old_tree, const char *new_tree,
                size_t max_files, struct pj_str *out, struct pj_diff_stat *stat,
                struct pj_err *err) PJ_MUST_CHECK;
struct pj_commit_spec {
    const char *tree;
    const char *parent;
    const char *name, *email; /* author and committer */
    int64_t date_ms;          /* whole seconds count; UTC */
    const char *message;      /* UTF-8 */
};
/* Same spec, same id. Angle brackets, line ends and control characters in name and email are taken out. */
int pj_git_commit(struct pj_git_repo *repo, const struct pj_commit_spec *spec,
                  char commit[PJ_SHA_SIZE], struct pj_err *err) PJ_MUST_CHECK;

struct pj_push_spec {
    const char *url;
    const char *branch;
    const char *commit;
    /* Tips that the branch may have, ids with blanks between; it may also not exist. NULL or "": it must not. */
    const char *may_replace;
};
enum pj_push_end { PJ_PUSHED, PJ_PUSH_WAS_THERE };
/* Push one commit to a branch, expecting what may_replace says at the moment of the update. CONFLICT when it is at another
 * commit (the message names it; nothing was changed), FORBIDDEN when the remote refused the update (its words in the
 * message), else as pj_remote_check(). */
int pj_git_push(struct pj_git_repo *repo, const struct pj_push_spec *spec,
                const struct pj_git_net *net, enum pj_push_end *end,
                struct pj_err *err) PJ_MUST_CHECK;

#endif
