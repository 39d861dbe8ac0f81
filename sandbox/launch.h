/* launch.h - everything that makes a box and keeps it reachable from outside: its groups, its
 * pipes, its process 1. */
#ifndef SANDBOX_LAUNCH_H
#define SANDBOX_LAUNCH_H

#include <sys/types.h>
#include "sandbox/carry.h"
#include "sandbox/cgroup.h"
#include "sandbox/net.h"
#include "sandbox/plan.h"

struct launch {
    struct cgroup cgroup;
    pid_t pid;          /* process 1; 0: there is none */
    bool born_in_group; /* it was made in its v2 control group */
    int pidfd;
    int channel;      /* see channel.h */
    int life;         /* write end: a byte is a signal for the command; closed, the box ends */
    int in, out, err; /* our ends of the command's standard streams, non-blocking */
    int lock_fd;      /* the uid's lease */
    pid_t helpers[2]; /* of userns_idmap(), to be reaped; 0: none */
    /* Of a box that stood by. */
    struct carried *late;
    int home_map; /* maps what belongs to `home` to the box's user, made ahead; -1: none */
    struct plan_owner home;
    bool let_go; /* the sources that we cloned for it are still open */
};

/* Nothing made, nothing open. */
#define LAUNCH_NONE                                                                                \
    {                                                                                              \
        .pidfd = -1, .channel = -1, .life = -1, .in = -1, .out = -1, .err = -1, .lock_fd = -1,     \
        .home_map = -1                                                                             \
    }

/* Lease, pipes, process 1; then, while that builds, groups and maps, which it waits for. On
 * failure what was made is in *l all the same, but process 1 is gone: launch_release() in either
 * case. Adds to the plan's isolation what keeps the limits. */
int launch_box(struct launch *l, struct plan *plan, struct net *net,
               struct pj_err *err) PJ_MUST_CHECK;
/* A box built ahead of need: `plan` is but the system, its limits those of the order to come. Process 1 says CHANNEL_STANDING when it
 * waits. As launch_box() otherwise. */
int launch_standing(struct launch *l, struct plan *plan, struct net *net,
                    struct pj_err *err) PJ_MUST_CHECK;
/* Tell it what to do. On failure process 1 is gone. */
int launch_order(struct launch *l, struct plan *plan, struct pj_err *err) PJ_MUST_CHECK;
/* The command runs: close what was cloned for the order. Done while it runs, for the kernel waits for all processors. */
void launch_let_go(struct launch *l, struct plan *plan);
/* End what was launched, in which no command runs yet. Descriptors and groups stay, to be released. */
void launch_kill(struct launch *l);
/* Close descriptors. The groups are removed before, by cgroup_remove(). */
void launch_release(struct launch *l);

#endif
