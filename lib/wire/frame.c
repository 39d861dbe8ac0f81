#include "lib/wire/frame.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "lib/base/clock.h"

#define HEAD 4
#define READ_PIECE ((size_t)64 << 10)
#define KEEP_BYTES ((size_t)256 << 10)

int pj_frame_encode(struct pj_str *out, struct pj_view payload, struct pj_err *err)
{
    unsigned char head[HEAD];

    if (payload.n == 0 || payload.n > PJ_FRAME_MAX)
        return pj_fail(err, PJ_E_LIMIT, "a message has %zu bytes, allowed are 1 to %zu", payload.n,
                       PJ_FRAME_MAX);
    head[0] = (unsigned char)(payload.n >> 24);
    head[1] = (unsigned char)(payload.n >> 16);
    head[2] = (unsigned char)(payload.n >> 8);
    head[3] = (unsigned char)payload.n;
    if (pj_str_append(out, head, HEAD) < 0 || pj_str_append(out, payload.p, payload.n) < 0)
        return pj_fail(err, PJ_E_LIMIT, "no room for a message of %zu bytes", payload.n);
    return 0;
}

int pj_frame_decode(struct pj_view in, struct pj_view *payload, size_t *used, struct pj_err *err)
{
    const unsigned char *p = (const unsigned char *)in.p;
    size_t n;

    if (in.n < HEAD)
        return PJ_NONE;
    n = (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | (size_t)p[3];
    if (n == 0 || n > PJ_FRAME_MAX)
        return pj_fail(err, PJ_E_PROTOCOL, "a message claims %zu bytes, allowed are 1 to %zu", n,
                       PJ_FRAME_MAX);
    if (in.n - HEAD < n)
        return PJ_NONE;
    *payload = pj_view_n(in.p + HEAD, n);
    *used = HEAD + n;
    return 0;
}

void pj_link_init(struct pj_link *link, int fd)
{
    int flags = fcntl(fd, F_GETFL);

    memset(link, 0, sizeof *link);
    link->fd = fd;
    if (flags >= 0)
        (void)fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    pj_str_init(&link->in, HEAD + PJ_FRAME_MAX + READ_PIECE);
}

void pj_link_release(struct pj_link *link)
{
    pj_fd_close(&link->fd);
    pj_str_release(&link->in);
    link->used = 0;
}

/* The nearer of two waits, where -1 is for ever. */
static int nearer(int64_t left_ms, int pump_ms)
{
    int wait_ms = left_ms < 0 ? -1 : left_ms > 60000 ? 60000 : (int)left_ms;

    return pump_ms >= 0 && (wait_ms < 0 || pump_ms < wait_ms) ? pump_ms : wait_ms;
}

/* One wait for the descriptor and the pump; *ready tells about the descriptor. */
static int wait_once(struct pollfd own, int64_t left_ms, const struct pj_pump *pump, bool *ready,
                     struct pj_err *err)
{
    struct pollfd fds[PJ_PUMP_FDS_MAX + 1];
    int pump_ms = -1;
    size_t n = pump ? pump->want(pump->ctx, fds + 1, PJ_PUMP_FDS_MAX, &pump_ms) : 0;

    fds[0] = own;
    if (poll(fds, n + 1, nearer(left_ms, pump_ms)) < 0) {
        if (errno != EINTR)
            return pj_fail_errno(err, errno, "poll");
        for (size_t i = 0; i <= n; i++)
            fds[i].revents = 0;
    }
    *ready = fds[0].revents != 0;
    return pump && pump->ready(pump->ctx, fds + 1, n, err) < 0 ? -1 : 0;
}

int pj_wire_wait(int fd, short events, int64_t timeout_ms, const struct pj_pump *pump,
                 struct pj_err *err)
{
    int64_t until = timeout_ms < 0 ? -1 : pj_mono_ms() + timeout_ms;

    for (;;) {
        int64_t left = until < 0 ? -1 : until - pj_mono_ms();
        bool ready = false;

        if (wait_once((struct pollfd){.fd = fd, .events = events},
                      until >= 0 && left < 0 ? 0 : left, pump, &ready, err) < 0)
            return -1;
        if (ready)
            return 0;
        if (until >= 0 && pj_mono_ms() >= until)
            return PJ_NONE;
    }
}

/* Wait on the link within what is left of the deadline. */
static int wait_link(struct pj_link *link, short events, int64_t until, const struct pj_pump *pump,
                     struct pj_err *err)
{
    int64_t left = until < 0 ? -1 : until - pj_mono_ms();
    int rc = pj_wire_wait(link->fd, events, until >= 0 && left < 0 ? 0 : left, pump, err);

    if (rc == PJ_NONE)
        return pj_fail(err, PJ_E_TIMEOUT, "the other end did not %s in time",
                       events == POLLOUT ? "read" : "answer");
    return rc;
}

int pj_link_send(struct pj_link *link, struct pj_view payload, int64_t timeout_ms,
                 const struct pj_pump *pump, struct pj_err *err)
{
    PJ_CLEANUP(pj_str_release) struct pj_str out;
    int64_t until = timeout_ms < 0 ? -1 : pj_mono_ms() + timeout_ms;
    size_t sent = 0;

    pj_str_init(&out, HEAD + PJ_FRAME_MAX);
    if (pj_frame_encode(&out, payload, err) < 0)
        return -1;
    while (sent < out.len) {
        ssize_t n = send(link->fd, out.data + sent, out.len - sent, MSG_NOSIGNAL);
        if (n >= 0) {
            sent += (size_t)n;
        } else if (errno == EAGAIN) {
            if (wait_link(link, POLLOUT, until, pump, err) < 0)
                return -1;
        } else if (errno != EINTR) {
            return pj_fail(err, PJ_E_UNAVAILABLE, "the other end is gone: %s", strerror(errno));
        }
    }
    return 0;
}

static int read_some(struct pj_link *link, bool *eof, struct pj_err *err)
{
    char piece[8192];
    ssize_t n = recv(link->fd, piece, sizeof piece, 0);

    if (n > 0)
        return pj_str_append(&link->in, piece, (size_t)n) < 0
                   ? pj_fail(err, PJ_E_LIMIT, "a message does not fit")
                   : 0;
    if (n == 0 || errno == ECONNRESET) {
        *eof = true;
        return 0;
    }
    if (errno == EAGAIN || errno == EINTR)
        return PJ_NONE;
    return pj_fail_errno(err, errno, "reading from the other end");
}

int pj_link_recv(struct pj_link *link, struct pj_view *payload, int64_t timeout_ms,
                 const struct pj_pump *pump, struct pj_err *err)
{
    int64_t until = timeout_ms < 0 ? -1 : pj_mono_ms() + timeout_ms;
    bool eof = false;

    if (link->used > 0) {
        pj_str_shift(&link->in, link->used);
        link->used = 0;
        if (link->in.len == 0 &&
            link->in.cap > KEEP_BYTES) { /* one huge message must not stay paid for */
            pj_str_release(&link->in);
            pj_str_init(&link->in, HEAD + PJ_FRAME_MAX + READ_PIECE);
        }
    }
    for (;;) {
        int rc = pj_frame_decode(pj_view_n(pj_str_cstr(&link->in), link->in.len), payload,
                                 &link->used, err);
        if (rc <= 0)
            return rc;
        if (eof)
            return link->in.len == 0
                       ? PJ_NONE
                       : pj_fail(err, PJ_E_PROTOCOL, "the connection ended inside a message");
        rc = read_some(link, &eof, err);
        if (rc < 0 || (rc == PJ_NONE && wait_link(link, POLLIN, until, pump, err) < 0))
            return -1;
    }
}
