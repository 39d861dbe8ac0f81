/* pump.h - what else a blocking wait serves.
 *
 * A job process has one thread and long calls (a model may think for minutes). Whoever blocks takes a pump and polls its
 * descriptors too, so that the box's output, the log's flush and a cancel are served meanwhile. A NULL pump is allowed
 * everywhere and means: just wait. */
#ifndef PJ_BASE_PUMP_H
#define PJ_BASE_PUMP_H

#include <poll.h>
#include <stddef.h>
#include "lib/base/err.h"

#define PJ_PUMP_FDS_MAX 48

struct pj_pump {
    void *ctx;
    /* Fill at most `cap` entries and lower *timeout_ms (-1: none) to the next deadline of the pump's own. Returns the count. */
    size_t (*want)(void *ctx, struct pollfd *fds, size_t cap, int *timeout_ms);
    /* The same entries with revents; called after every wait, also when only time has passed. 0, or -1 with err (CANCELLED,
     * TIMEOUT, …) to end the wait: the blocking call then fails with that error. */
    int (*ready)(void *ctx, const struct pollfd *fds, size_t n, struct pj_err *err);
};

#endif
