/* net.h - the box's network: a loopback interface, and listening sockets that are made inside
 * but served from outside.
 *
 * The kernel takes longer for a network namespace than for all others together. So a process of
 * its own makes it and is gone again: as root from the very start of the outer process, and the
 * host's root owns it; as an ordinary user from process 1, whose user namespace has to own it. */
#ifndef SANDBOX_NET_H
#define SANDBOX_NET_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "lib/base/err.h"
#include "sandbox/spec.h"

/* Sockets that listen inside. */
struct net_ears {
    int fds[SPEC_GATEWAYS_MAX + 1]; /* one a gateway, then the proxy's if any */
    size_t count;
    uint16_t proxy_port; /* 0: none */
};

/* What the maker leaves behind; its descriptors are the caller's, in the table they share. */
struct net {
    pid_t maker;
    int made;  /* futex: 1 when all below is final */
    int ns_fd; /* -1: no namespace of its own (a weakened build) */
    struct net_ears ears;
    int rc;
    const struct spec *spec;
    struct pj_err err;
};

/* Start the maker, whose child status is the caller's. *net is in memory that both see, and that
 * no other child inherits; free it with net_release(). */
int net_begin(struct net **net, const struct spec *spec, struct pj_err *err) PJ_MUST_CHECK;
/* Wait until the maker is done, and well. */
int net_await(struct net *net, struct pj_err *err) PJ_MUST_CHECK;
/* Enter the namespace; -1: none. */
int net_enter(int ns_fd, struct pj_err *err) PJ_MUST_CHECK;
/* Listen in the namespace that we are in. On failure *ears has what is to be closed. */
int net_listeners(const struct spec *spec, struct net_ears *ears, struct pj_err *err) PJ_MUST_CHECK;
/* Close what net_await() brought, and nobody has taken since. NULL is fine. */
void net_release(struct net *net);

#endif
