#include "sandbox/order.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "lib/base/fs.h"
#include "lib/base/mem.h"

void order_release(struct order *order)
{
    for (size_t i = 0; i < ORDER_FDS_MAX; i++)
        pj_fd_close(&order->fds[i]);
    free(order->bytes);
    free(order->words);
    *order = (struct order){.fds = {-1, -1, -1, -1, -1}};
}

int order_say_ready(int fd)
{
    const size_t n = sizeof ORDER_READY - 1;

    return send(fd, ORDER_READY, n, MSG_NOSIGNAL) == (ssize_t)n ? 0 : -1;
}

/* Descriptors of a message go where its first word says; what has no place is closed. */
static int place(struct order *order, const char *letters, const int *fds, size_t n,
                 struct pj_err *err)
{
    bool fits = strlen(letters) == n;

    for (size_t i = 0; i < n; i++) {
        const char *at = fits ? strchr(ORDER_LETTERS, letters[i]) : NULL;

        if (at && order->fds[at - ORDER_LETTERS] < 0) {
            order->fds[at - ORDER_LETTERS] = fds[i];
        } else {
            close(fds[i]);
            fits = false;
        }
    }
    return fits
               ? 0
               : pj_fail(
                     err, PJ_E_INVALID,
                     "order: \"%.8s\" does not name its %zu descriptors (letters of %s, once each)",
                     letters, n, ORDER_LETTERS);
}

/* `n` bytes, of which the last is a NUL. */
static void split(struct order *order, size_t n)
{
    size_t words = 0;
    char *at;

    for (size_t i = 0; i < n; i++)
        words += order->bytes[i] == '\0';
    order->words = pj_alloc(words, sizeof *order->words); /* one is the letters, so NULL has room */
    for (at = order->bytes + strlen(order->bytes) + 1; at < order->bytes + n; at += strlen(at) + 1)
        order->words[order->count++] = at;
}

static size_t take_fds(struct msghdr *head, int fds[ORDER_FDS_MAX])
{
    size_t n = 0;

    for (struct cmsghdr *c = CMSG_FIRSTHDR(head); c; c = CMSG_NXTHDR(head, c)) {
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
            n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
            memcpy(fds, CMSG_DATA(c), n * sizeof(int));
        }
    }
    return n;
}

int order_recv(int fd, struct order *order, struct pj_err *err)
{
    union {
        char bytes[CMSG_SPACE(ORDER_FDS_MAX * sizeof(int))];
        struct cmsghdr align;
    } control;
    struct iovec iov = {.iov_len = ORDER_BYTES_MAX};
    struct msghdr head = {.msg_iov = &iov,
                          .msg_iovlen = 1,
                          .msg_control = control.bytes,
                          /* what alignment adds would be room for one more than we have */
                          .msg_controllen = CMSG_LEN(ORDER_FDS_MAX * sizeof(int))};
    int fds[ORDER_FDS_MAX];
    size_t fd_count;
    ssize_t n;

    *order = (struct order){.fds = {-1, -1, -1, -1, -1}};
    iov.iov_base = order->bytes = pj_alloc(1, ORDER_BYTES_MAX);
    do
        n = recvmsg(fd, &head, MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n <= 0)
        return 0; /* a connection that is broken off is one that has ended */
    fd_count = take_fds(&head, fds);
    if (head.msg_flags & (MSG_TRUNC | MSG_CTRUNC) || order->bytes[n - 1] != '\0') {
        place(order, "", fds, fd_count, err);
        return pj_fail(
            err, PJ_E_INVALID,
            "order: not words that end with a NUL each, at most %zu bytes and %d descriptors",
            ORDER_BYTES_MAX, ORDER_FDS_MAX);
    }
    if (place(order, order->bytes, fds, fd_count, err) < 0)
        return -1;
    split(order, (size_t)n);
    return 1;
}
