#include "sandbox/channel.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int channel_send(int fd, const struct channel_msg *msg, const int *fds, size_t fd_count)
{
    union {
        char bytes[CMSG_SPACE(CHANNEL_FDS_MAX * sizeof(int))];
        struct cmsghdr align;
    } control;
    struct channel_msg copy = *msg;
    struct iovec iov = {.iov_base = &copy, .iov_len = sizeof copy};
    struct msghdr head = {.msg_iov = &iov, .msg_iovlen = 1};

    if (fd_count) {
        struct cmsghdr *c;

        memset(&control, 0, sizeof control);
        head.msg_control = control.bytes;
        head.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
        c = CMSG_FIRSTHDR(&head);
        if (c) { /* there is room: it was sized for this */
            c->cmsg_level = SOL_SOCKET;
            c->cmsg_type = SCM_RIGHTS;
            c->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
            memcpy(CMSG_DATA(c), fds, fd_count * sizeof(int));
        }
    }
    return sendmsg(fd, &head, MSG_NOSIGNAL) == (ssize_t)sizeof *msg ? 0 : -1;
}

int channel_recv(int fd, struct channel_msg *msg, int fds[CHANNEL_FDS_MAX], size_t *fd_count)
{
    union {
        char bytes[CMSG_SPACE(CHANNEL_FDS_MAX * sizeof(int))];
        struct cmsghdr align;
    } control;
    struct iovec iov = {.iov_base = msg, .iov_len = sizeof *msg};
    struct msghdr head = {.msg_iov = &iov,
                          .msg_iovlen = 1,
                          .msg_control = control.bytes,
                          .msg_controllen = CMSG_LEN(CHANNEL_FDS_MAX * sizeof(int))};
    ssize_t n;

    *fd_count = 0;
    /* A peer that ended with something unread resets the connection, but only once: what it said
     * before is still there. */
    do
        n = recvmsg(fd, &head, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    while (n < 0 && (errno == EINTR || errno == ECONNRESET));
    if (n < 0)
        return errno == EAGAIN ? 0 : -1;
    if (n == 0)
        return -1;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&head); c; c = CMSG_NXTHDR(&head, c)) {
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
            *fd_count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
            memcpy(fds, CMSG_DATA(c), *fd_count * sizeof(int));
        }
    }
    /* Out of descriptors we got some of them, or none: half an order is none. */
    if (n != (ssize_t)sizeof *msg || (head.msg_flags & MSG_CTRUNC)) {
        for (size_t i = 0; i < *fd_count; i++)
            close(fds[i]);
        *fd_count = 0;
        return -1;
    }
    return 1;
}
