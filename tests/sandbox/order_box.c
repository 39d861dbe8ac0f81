#include "tests/sandbox/order_box.h"

#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include "sandbox/order.h"

bool order_await_ready(int socket, int ms)
{
    struct pollfd p = {.fd = socket, .events = POLLIN};
    char said[16];
    const size_t n = sizeof ORDER_READY - 1;

    return poll(&p, 1, ms) == 1 && recv(socket, said, sizeof said, 0) == (ssize_t)n &&
           memcmp(said, ORDER_READY, n) == 0;
}

static bool put(char *buf, size_t size, size_t *used, const char *word)
{
    size_t n = strlen(word) + 1;

    if (n > size - *used)
        return false;
    memcpy(buf + *used, word, n);
    *used += n;
    return true;
}

bool order_send(int socket, const char *letters, const int *fds, const char *const *words)
{
    union {
        char bytes[CMSG_SPACE((ORDER_FDS_MAX + 1) * sizeof(int))];
        struct cmsghdr align;
    } control = {0};
    char bytes[ORDER_BYTES_MAX];
    const size_t count = strlen(letters);
    struct iovec iov = {.iov_base = bytes};
    struct msghdr head = {.msg_iov = &iov, .msg_iovlen = 1};
    size_t used = 0;

    if (count > ORDER_FDS_MAX + 1 || !put(bytes, sizeof bytes, &used, letters))
        return false;
    for (; *words; words++) {
        if (!put(bytes, sizeof bytes, &used, *words))
            return false;
    }
    iov.iov_len = used;
    if (count) {
        struct cmsghdr *c = &control.align;

        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(count * sizeof(int));
        memcpy(CMSG_DATA(c), fds, count * sizeof(int));
        head.msg_control = control.bytes;
        head.msg_controllen = CMSG_SPACE(count * sizeof(int));
    }
    return sendmsg(socket, &head, MSG_NOSIGNAL) == (ssize_t)used;
}
