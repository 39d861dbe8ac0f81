/* box.h - the inside: process 1 from its first instruction to its last.
 *
 * Set-up runs with the privilege that building takes and gives it up step by step; each step's
 * failure is reported by name and ends the box before the command exists (fail closed). */
#ifndef SANDBOX_BOX_H
#define SANDBOX_BOX_H

#include "sandbox/carry.h"
#include "sandbox/channel.h"
#include "sandbox/mounts.h"
#include "sandbox/net.h"
#include "sandbox/plan.h"

/* What process 1 gets from outside at birth. Descriptors are the outer process's numbers. The
 * rest, which is made meanwhile, comes as CHANNEL_READY. */
struct box {
    struct plan *plan;
    int std[3];  /* pipe ends for the command */
    int channel; /* see channel.h */
    /* Read end: a byte is a signal to pass to the command; its end means that the outer process
     * is gone. */
    int life;
    int lock_fd; /* the uid's lease, -1 in user mode */
    struct carried *
        late; /* `plan` is but the system, the rest comes here with an order; NULL: `plan` is all */
};

/* Process 1. Never returns. */
void box_main(struct box *box) PJ_NORETURN;

/* ---- for standing.c ---- */

/* Where process 1 keeps its descriptors; everything above is closed. */
enum { FD_CHANNEL = 3, FD_LIFE, FD_LOCK, FD_FIRST_CLOSED };

/* What CHANNEL_READY brings. */
struct ready {
    struct mounts_idmap idmap;
    int net_fd; /* -1: none, it is process 1 who makes it */
    uint16_t proxy_port;
    struct rlimits rlimits;
};

/* Die with the outer process, also when it died before we said so. Cleared by the kernel at each
 * change of identity. */
int box_tie_to_parent(struct pj_err *err) PJ_MUST_CHECK;
int box_name_host(struct pj_err *err) PJ_MUST_CHECK;
/* Wait for a message, or end with the outer process. The descriptors are the caller's. */
void box_await(enum channel_type type, struct channel_msg *msg, int fds[CHANNEL_FDS_MAX],
               size_t *n);
/* Wait for what the outer process prepared meanwhile; join the groups, then the namespaces that depend on them. */
int box_await_ready(struct ready *ready, struct pj_err *err) PJ_MUST_CHECK;
int box_enter_own_net(struct net *net, struct pj_err *err) PJ_MUST_CHECK;
int box_hand_out(enum channel_type type, const int *fds, size_t count,
                 struct pj_err *err) PJ_MUST_CHECK;
/* The merged work tree, for --tree-fd. */
int box_hand_out_tree(struct pj_err *err) PJ_MUST_CHECK;
/* The command is told where its proxy is. */
void box_name_proxy(struct plan *plan, uint16_t port);
/* The proof that the covers hold. */
int box_probe_walls(struct pj_err *err) PJ_MUST_CHECK;

#endif
