/* checkout.h - a commit's files, written out once and shared by the tasks that start there.
 *
 *     <mirror's name>.tree<k>         the files: only ever the lower layer of boxes, never written to after they were made
 *     <mirror's name>.tree<k>.seal    which tree it is, and what the inode of every file looked like when it was complete
 *     <mirror's name>.tree<k>.use     lock: shared while a task uses it; its time is the last use
 *     <mirror's name>.tree.lock       one process writes out at a time
 *
 * A mirror has CHECKOUT_SLOTS of them; the one that was not used for longest makes room. The seal is compared before each use:
 * a change of any file's content, mode or name changes an inode's ctime, which nobody can set back; a checkout that does not
 * match it, or is from before the host's last start (a crash may have lost what was not written yet), is made anew. */
#ifndef RUNNER_CHECKOUT_H
#define RUNNER_CHECKOUT_H

#include <stdint.h>
#include "lib/git/repo.h"

#define CHECKOUT_SLOTS 4

struct checkout {
    char *dir;
    int use;             /* descriptor that holds the shared lock; -1: not open */
    int64_t files, size; /* regular files, and their bytes */
};

/* Find or make the checkout of `tree`, an object of `repo`. PJ_NONE when there is no room: every slot is used by a task that
 * works on another commit. Errors as pj_git_export(), and the pump's of `net`. */
int checkout_open(const char *mirror, struct pj_git_repo *repo, const char *tree,
                  const struct pj_git_net *net, struct checkout *out,
                  struct pj_err *err) PJ_MUST_CHECK;
void checkout_close(struct checkout *checkout);

/* For who measures or clears the cache: does this name, without its folder, belong to a checkout's files? */
bool checkout_is_name(const char *name);
/* Bytes on the disk as its seal has them; -1 when it has none. */
int64_t checkout_sealed_bytes(const char *dir);
/* Forget that it is complete: before its files are removed. */
int checkout_unseal(const char *dir, struct pj_err *err) PJ_MUST_CHECK;

#endif
