/* channel.h - what process 1 and the outer process tell each other, and the descriptors they hand
 * over, by one SOCK_SEQPACKET pair.
 *
 * The command never holds an end of it, and process 1 is not dumpable, so nothing in the box can
 * forge a message. */
#ifndef SANDBOX_CHANNEL_H
#define SANDBOX_CHANNEL_H

#include <stdint.h>
#include "lib/base/err.h"
#include "sandbox/rlimits.h"

enum channel_type {
    CHANNEL_LISTENERS, /* fds: one a gateway, then the proxy's if any */
    CHANNEL_TREE,      /* fd: /workspace as the box sees it */
    CHANNEL_FAILED,    /* err: a step of the set-up; process 1 is gone */
    CHANNEL_NO_EXEC,   /* value: errno of execve; process 1 is gone */
    CHANNEL_ENDED,     /* value: wait status of the command; process 1 is going */
    CHANNEL_READY,     /* to process 1: all it waits for; value: the proxy's port */
    CHANNEL_STANDING,  /* process 1 waits for an order (standing.h) */
    CHANNEL_ORDER,     /* to its attacher: what it needs for the work tree and the binds */
    CHANNEL_STARTED,   /* process 1, once it stood by: the command runs */
};

/* The descriptors of READY, in this order; after them the groups to join. Those of ORDER: the first two, then the sources. */
enum channel_has { CHANNEL_WORK_MAP = 1, CHANNEL_BASE_MAP = 2, CHANNEL_NET = 4 };

#define CHANNEL_FDS_MAX 80 /* all binds, the layers, the maps */

struct channel_msg {
    enum channel_type type;
    int value;
    unsigned has;           /* READY, ORDER: which of enum channel_has are among the fds */
    struct rlimits rlimits; /* READY */
    struct pj_err err;
};

/* Send; `fds` may be NULL. Returns 0 or -1 with errno. */
int channel_send(int fd, const struct channel_msg *msg, const int *fds, size_t fd_count);
/* Receive without waiting. 1 with a message (its fds are CLOEXEC and the caller's), 0 when there
 * is none, -1 at the end. */
int channel_recv(int fd, struct channel_msg *msg, int fds[CHANNEL_FDS_MAX], size_t *fd_count);

#endif
