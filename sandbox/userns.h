/* userns.h - who the box's user is on the host, and how process 1 becomes it.
 *
 * As root: each running box leases a host uid that owns nothing, for as long as it runs; mounts
 * are made with the host's privilege, then the process becomes that uid and enters a user
 * namespace in which it is `pj`. So the box owns none of its mounts and not even its network
 * namespace. As an ordinary user: a first user namespace gives the privilege to mount, a second
 * one, entered last, takes it away again. In both, all capabilities are then dropped from every
 * set. */
#ifndef SANDBOX_USERNS_H
#define SANDBOX_USERNS_H

#include "sandbox/plan.h"

/* True when this user namespace has uids to lease: the host's, or a container's with a range of
 * its own. A root of nothing but itself (`unshare -r`) is an ordinary user in another word. */
bool userns_can_lease(void);
/* True when our uid is the host's root as far as this namespace can tell. A box must not be
 * mapped to it. */
bool userns_is_host_root(void);
/* Root mode: choose plan->host_uid and host_gid. *lock_fd holds the lease as long as any process
 * has it open. */
int userns_lease(struct plan *plan, int *lock_fd, struct pj_err *err) PJ_MUST_CHECK;
/* A descriptor of a user namespace that maps `owner` (on disk) to the box's host uid, for
 * idmapped mounts. *helper is a process that made it, is killed and has to be reaped, some time. */
int userns_idmap(const struct plan *plan, const struct plan_owner *owner, int *fd, pid_t *helper,
                 struct pj_err *err) PJ_MUST_CHECK;
/* User mode, in process 1: map the first user namespace. */
int userns_map_first(const struct plan *plan, struct pj_err *err) PJ_MUST_CHECK;
/* Become the box's user in a user namespace of its own; no capability is left in any set,
 * no_new_privs is on and the securebits are locked. /proc must be the box's own. Clears the
 * parent-death signal: set it again afterwards. */
int userns_enter(const struct plan *plan, struct pj_err *err) PJ_MUST_CHECK;

#endif
