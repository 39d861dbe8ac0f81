/* relay.h - the ways out of the box: connections to its listening sockets, carried to Unix
 * sockets outside or through the filtering proxy. Served by the outer process under its one
 * poll(2); bounded in connections and in bytes held. */
#ifndef SANDBOX_RELAY_H
#define SANDBOX_RELAY_H

#include <poll.h>
#include <stddef.h>
#include "sandbox/result.h"
#include "sandbox/spec.h"

#define RELAY_CONNS_MAX 64
/* Descriptors that relay_want() fills at most. */
#define RELAY_POLL_MAX (SPEC_GATEWAYS_MAX + 1 + RELAY_CONNS_MAX * 4)

struct relay;

/* `result` collects refused hosts; both are borrowed. */
struct relay *relay_new(const struct spec *spec, struct result *result);
void relay_free(struct relay *r);
/* The listening sockets, gateways first in the order of the spec, then the proxy's. They are the
 * relay's now. */
void relay_listen(struct relay *r, const int *fds, size_t count);
size_t relay_want(struct relay *r, struct pollfd *fds);
void relay_ready(struct relay *r, const struct pollfd *fds, size_t count);

#endif
