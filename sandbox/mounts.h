/* mounts.h - builds the file system of the box from the plan and makes it the root.
 *
 * Called by process 1 in its new mount namespace while it still may mount: as the host's root,
 * or with all capabilities of the first user namespace. Sources are cloned as detached mounts
 * while the host's tree is still there; then the new, empty root takes its place, and all the
 * rest is built beneath "/", so that no link of a work tree or a rootfs leads anywhere else. */
#ifndef SANDBOX_MOUNTS_H
#define SANDBOX_MOUNTS_H

#include "sandbox/plan.h"

/* The user namespaces that describe idmapped mounts, -1 where none is used (not root, or no such
 * directory). */
struct mounts_idmap {
    int work_fd;
    int base_fd;
};

/* A build that goes on. */
struct mounts {
    struct plan *plan;
    size_t next;    /* the first entry of the plan that is not in place */
    int host;       /* the root of the host's tree, as long as that is there */
    bool pivoted;   /* ... on top of ours, then */
    bool aside;     /* ... or rather in a folder of ours */
    bool uncovered; /* all covers are in place */
    bool covering;  /* /proc and the root are read-only for as long as they are being covered */
};

/* Leave the host's tree, and build all that does not depend on the work tree: what the outer
 * process has to prepare for that, it prepares meanwhile. `stands`: the plan is but the system, the rest comes with an order. */
int mounts_begin(struct mounts *m, struct plan *plan, bool stands,
                 struct pj_err *err) PJ_MUST_CHECK;
/* Clone what the plan's entries from this one on show, as detached mounts: from the tree that "/" is (AT_FDCWD), or from the one whose root
 * is `tree`, in which absolute paths and links begin there. */
int mounts_sources(struct plan *plan, size_t from, int tree, struct pj_err *err) PJ_MUST_CHECK;
/* The covers of /proc are in place: what they were cloned from is itself again. mounts_attach() does it too. */
int mounts_uncover(struct mounts *m, struct pj_err *err) PJ_MUST_CHECK;
/* The rest of the plan. */
int mounts_attach(struct mounts *m, const struct mounts_idmap *idmap,
                  struct pj_err *err) PJ_MUST_CHECK;
/* "/" is complete: from now on it is read-only. */
int mounts_seal(struct pj_err *err) PJ_MUST_CHECK;
/* A detached mount that was needed for a moment: it goes with the host's tree. To close it would
 * wait for all processors once more. */
void mounts_park(const struct mounts *m, int *fd);
/* Take away the host's tree: nothing of it stays reachable. */
int mounts_leave_host(struct mounts *m, struct pj_err *err) PJ_MUST_CHECK;

#endif
