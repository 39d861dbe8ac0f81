/* pump.h - bounded copying between descriptors under poll(2): one direction, one buffer, never
 * blocking on either side. */
#ifndef SANDBOX_PUMP_H
#define SANDBOX_PUMP_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PUMP_BUFFER 65536

struct pump {
    int from, to; /* -1: closed */
    bool chunked; /* `to` may block: write only after POLLOUT and at most what a pipe then takes */
    bool discard; /* `to` is gone or full: read and drop */
    bool eof;     /* nothing more comes from `from` */
    char *buf;    /* PUMP_BUFFER bytes */
    size_t start, len;
    int64_t total; /* bytes read from `from` */
    /* NULL: no limit; else what may still pass, shared between pumps; the rest is dropped. */
    int64_t *allowed;
    bool truncated; /* something was dropped for `allowed` */
};

void pump_init(struct pump *p, int from, int to);
/* Frees the buffer; the descriptors stay the caller's. */
void pump_release(struct pump *p);
/* What to wait for: fills up to two entries, returns how many. */
size_t pump_want(const struct pump *p, struct pollfd *fds);
/* After the wait. `from_ready`, `to_ready`: any revents on the respective descriptor. */
void pump_step(struct pump *p, bool from_ready, bool to_ready);
/* Everything that came has been passed on, and nothing more comes. */
bool pump_done(const struct pump *p);

#endif
