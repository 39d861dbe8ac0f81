/* wire.h - the bytes between us and one Redis server: TCP, a Unix socket, or TLS over TCP. It never waits.
 *
 * Made, stepped until it is open, then read and written. What to wait for in between is asked of it; waiting is its owner's:
 * conn.c polls, link.c has a loop. Names are looked up aside (lookup.h), within its owner's patience. */
#ifndef PJ_STORE_WIRE_H
#define PJ_STORE_WIRE_H

#include <stddef.h>
#include <sys/types.h>
#include "lib/store/conn.h"

struct pj_tls;
struct pj_wire;

/* Begins to connect to the target's path, or to `addr`; with `tls`, which must outlive it, under TLS. Of several addresses behind a
 * name the `nth` comes first, the others follow. What fails is told by the first step. Never NULL. */
struct pj_wire *pj_wire_new(const char *path, const struct pj_redis_addr *addr, struct pj_tls *tls,
                            unsigned nth);
void pj_wire_free(struct pj_wire *wire);

/* 1: open, 0: wait and call again, -1: over. Its descriptor may be another one afterwards. */
int pj_wire_step(struct pj_wire *wire);
/* Bytes moved, 0: wait, -1: over. */
ssize_t pj_wire_read(struct pj_wire *wire, void *to, size_t n);
ssize_t pj_wire_write(struct pj_wire *wire, const void *from, size_t n);

/* -1 when it is over. */
int pj_wire_fd(const struct pj_wire *wire);
/* Counts descriptors: a new one may have the old one's number. */
unsigned pj_wire_socket(const struct pj_wire *wire);
/* What the last call that answered 0 waits for: POLLIN or POLLOUT. */
short pj_wire_wants(const struct pj_wire *wire);
/* Something can be read that poll() does not show. */
bool pj_wire_has_bytes(const struct pj_wire *wire);
/* Open, and nothing came that nobody asked for; that includes the end. */
bool pj_wire_is_quiet(struct pj_wire *wire);
/* Gives up: the wait that the owner allowed is over. */
void pj_wire_expire(struct pj_wire *wire);
/* Why it is over: message and, where there is one, remedy. */
const struct pj_err *pj_wire_why(const struct pj_wire *wire);

#endif
