/* mounts.h - builds the file system of the box from the plan and makes it the root.
 *
 * Called by process 1 in its new mount namespace while it still may mount: as the host's root,
 * or with all capabilities of the first user namespace. Sources are cloned as detached mounts
 * with their final attributes before anything of the host is covered; targets are resolved
 * beneath the new root only, so a link in a workspace or a rootfs leads nowhere else. */
#ifndef SANDBOX_MOUNTS_H
#define SANDBOX_MOUNTS_H

#include "sandbox/plan.h"

/* The user namespaces that describe idmapped mounts, -1 where none is used (not root, or no such
 * directory). */
struct mounts_idmap {
    int work_fd;
    int base_fd;
};

/* Build, then pivot_root; on return "/" is the box's. */
int mounts_apply(struct plan *plan, const struct mounts_idmap *idmap,
                 struct pj_err *err) PJ_MUST_CHECK;

#endif
