#include "sandbox/pump.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>
#include "lib/base/mem.h"

void pump_init(struct pump *p, int from, int to)
{
    *p = (struct pump){.from = from, .to = to, .eof = from < 0, .discard = to < 0};
    p->buf = pj_alloc(1, PUMP_BUFFER);
}

void pump_release(struct pump *p)
{
    free(p->buf);
    p->buf = NULL;
}

size_t pump_want(const struct pump *p, struct pollfd *fds)
{
    size_t n = 0;

    if (!p->eof && p->len == 0)
        fds[n++] = (struct pollfd){.fd = p->from, .events = POLLIN};
    if (p->len > 0 && !p->discard)
        fds[n++] = (struct pollfd){.fd = p->to, .events = POLLOUT};
    return n;
}

static void flush(struct pump *p)
{
    while (p->len > 0) {
        size_t n = p->chunked && p->len > PIPE_BUF ? PIPE_BUF : p->len;
        ssize_t done = write(p->to, p->buf + p->start, n);

        if (done < 0) {
            if (errno == EINTR)
                continue;
            if (errno != EAGAIN) { /* the reader is gone */
                p->discard = true;
                p->len = 0;
            }
            return;
        }
        p->start += (size_t)done;
        p->len -= (size_t)done;
        if (p->chunked)
            return; /* only poll knows whether more fits */
    }
}

static void fill(struct pump *p)
{
    ssize_t n = read(p->from, p->buf, PUMP_BUFFER);

    if (n < 0) {
        if (errno != EAGAIN && errno != EINTR)
            p->eof = true;
        return;
    }
    if (n == 0) {
        p->eof = true;
        return;
    }
    p->total += n;
    p->start = 0;
    p->len = (size_t)n;
    if (p->allowed) {
        if ((int64_t)p->len > *p->allowed) {
            p->len = (size_t)*p->allowed;
            p->truncated = true;
        }
        *p->allowed -= (int64_t)p->len;
    }
    if (p->discard)
        p->len = 0;
}

void pump_step(struct pump *p, bool from_ready, bool to_ready)
{
    if (from_ready && !p->eof && p->len == 0) {
        fill(p);
        to_ready = to_ready || !p->chunked; /* most often it fits at once */
    }
    if (to_ready && p->len > 0 && !p->discard)
        flush(p);
}

bool pump_done(const struct pump *p)
{
    return p->eof && (p->len == 0 || p->discard);
}
