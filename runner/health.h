/* health.h - how this runner is doing, for probes and Prometheus: /livez, /readyz and /metrics on PJ_METRICS_LISTEN.
 *
 * On the daemon's loop. It answers GET and nothing else, needs no token, tells nothing of tasks or settings, and closes after each answer:
 * meant for the host or the pod's network, not for users. At most HEALTH_CLIENTS at once, each with five seconds. */
#ifndef RUNNER_HEALTH_H
#define RUNNER_HEALTH_H

#include "lib/base/err.h"
#include "lib/base/str.h"
#include "lib/base/view.h"

#define HEALTH_CLIENTS 32
#define HEALTH_HEAD_MAX 4096

struct daemon;
struct health;

/* Is this an address to listen on (address:port, [v6]:port)? INVALID names PJ_METRICS_LISTEN. */
int health_address_check(const char *text, struct pj_err *err) PJ_MUST_CHECK;
/* Listen. UNAVAILABLE names PJ_METRICS_LISTEN. */
int health_new(struct daemon *d, const char *address, struct health **out,
               struct pj_err *err) PJ_MUST_CHECK;
void health_free(struct health *h);

#endif
