/* net.h - the box's network: a loopback interface, and listening sockets that are made inside
 * but served from outside. */
#ifndef SANDBOX_NET_H
#define SANDBOX_NET_H

#include <stdint.h>
#include "lib/base/err.h"

/* Bring `lo` up in the calling process's network namespace. */
int net_loopback_up(struct pj_err *err) PJ_MUST_CHECK;
/* Listen on 127.0.0.1:*port (0: any, then set). The descriptor is non-blocking. */
int net_listen(uint16_t *port, int *fd, struct pj_err *err) PJ_MUST_CHECK;

#endif
