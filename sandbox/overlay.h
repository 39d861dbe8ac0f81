/* overlay.h - /workspace as a writable layer over a read-only one. */
#ifndef SANDBOX_OVERLAY_H
#define SANDBOX_OVERLAY_H

#include "sandbox/mounts.h"
#include "sandbox/plan.h"

/* The detached mount that holds the writable layer and the scratch folder: they must be reached
 * through one mount, so it is that of the parent of --workspace, or a new sized tmpfs. -1 with
 * err. */
int overlay_upper(const struct plan *plan, const struct plan_mount *m, int tree,
                  struct pj_err *err);
/* Map the owners of both layers, make the overlay from m->fd and m->upper_fd and attach it at
 * m->dst. */
int overlay_mount(const struct mounts *b, struct plan_mount *m, const struct mounts_idmap *idmap,
                  struct pj_err *err);

#endif
