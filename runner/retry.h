/* retry.h - one try and three retries, 1, 2, 4 times a base apart, with jitter (R4.2, R8.2). */
#ifndef RUNNER_RETRY_H
#define RUNNER_RETRY_H

#include <stdint.h>
#include "lib/base/err.h"
#include "lib/base/pump.h"

#define RETRY_MAX 3

struct retry {
    int64_t base_ms;     /* 0: 1 s */
    int64_t deadline_ms; /* pj_mono_ms() after which no wait may end; 0: none */
    const struct pj_pump *pump;
    /* Told before each wait; may be NULL. */
    void (*on_retry)(void *ctx, int retry, int64_t wait_ms, const struct pj_err *why);
    void *on_retry_ctx;
    int done; /* retries so far */
};

/* Wait before the next try. `at_least_ms`: what the peer asked for (0: nothing). Returns 1: try again; 0: no more retries, or
 * the wait would pass the deadline; -1: the pump's error is in *err. *err is kept on 0 and 1. */
int retry_wait(struct retry *retry, int64_t at_least_ms, struct pj_err *err) PJ_MUST_CHECK;
/* The same when *err is of a transient class (UNAVAILABLE, TIMEOUT, RATE, PROTOCOL) and has no code of the pump, else 0. */
int retry_transient(struct retry *retry, struct pj_err *err) PJ_MUST_CHECK;
/* The same after a call to a forge (lib/forge/rest.h): only an outage or a rate limit is tried again, after what the answer asked
 * to wait (-1: it did not say). */
int retry_forge(struct retry *retry, int64_t retry_after_ms, struct pj_err *err) PJ_MUST_CHECK;

#endif
