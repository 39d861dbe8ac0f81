#include "runner/box_ahead.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "lib/base/proc.h"

#define SOCKET_FD 3
#define READY "ready"
#define LETTERS "oert"
/* Nothing else of the job is served meanwhile: both together stay below the grace of an order to stop (slot.c). */
#define READY_MS 1500             /* to stand; there is the ordinary way when it takes longer */
#define END_MS 2000               /* to remove what was built */
#define ORDER_MAX ((size_t)65536) /* what pj-sandbox takes */

int box_ahead_start(const struct box_ahead_spec *spec, struct box_ahead *ahead, struct pj_err *err)
{
    PJ_CLEANUP(pj_freep) char *memory = pj_asprintf("%lld", (long long)spec->memory_bytes);
    PJ_CLEANUP(pj_freep) char *pids = pj_asprintf("%lld", (long long)spec->pids);
    PJ_CLEANUP(pj_freep) char *name = pj_asprintf("pj-sandbox:%s", spec->of);
    const char *argv[10] = {name, "--standby", "3"};
    size_t n = 3;
    int pair[2], rc;

    if (spec->rootfs != NULL) {
        argv[n++] = "--rootfs";
        argv[n++] = spec->rootfs;
    }
    if (spec->memory_bytes > 0) {
        argv[n++] = "--memory";
        argv[n++] = memory;
    }
    if (spec->pids > 0) {
        argv[n++] = "--pids";
        argv[n++] = pids;
    }
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return pj_fail_errno(err, errno, "socket for a box built ahead");
    const struct pj_spawn_fd fds[] = {{pair[1], SOCKET_FD}};
    const struct pj_spawn s = {
        .path = spec->program,
        .argv = (char *const *)(uintptr_t)argv,
        .fds = fds,
        .fd_count = PJ_COUNT_OF(fds),
        .death_signal = SIGKILL,
        .new_session = true,
    };
    rc = pj_spawn(&s, &ahead->pid, &ahead->pidfd, err);
    pj_fd_close(&pair[1]);
    if (rc < 0) {
        pj_fd_close(&pair[0]);
        *ahead = (struct box_ahead){0};
        return -1;
    }
    ahead->socket = pair[0];
    return 0;
}

void box_ahead_end(struct box_ahead *ahead)
{
    struct pollfd p = {.fd = ahead->pidfd, .events = POLLIN};

    if (ahead->pid == 0)
        return;
    pj_fd_close(&ahead->socket);
    if (poll(&p, 1, END_MS) <= 0)
        (void)pidfd_send_signal(ahead->pidfd, SIGKILL, NULL, 0);
    while (waitpid(ahead->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    pj_fd_close(&ahead->pidfd);
    *ahead = (struct box_ahead){0};
}

static int await_ready(const struct box_ahead *ahead, struct pj_err *err)
{
    struct pollfd p = {.fd = ahead->socket, .events = POLLIN};
    char said[16];
    ssize_t n;

    if (poll(&p, 1, READY_MS) <= 0)
        return pj_fail(err, PJ_E_TIMEOUT, "it does not stand after %d ms", READY_MS);
    n = recv(ahead->socket, said, sizeof(said), MSG_DONTWAIT);
    if (n != (ssize_t)strlen(READY) || memcmp(said, READY, strlen(READY)) != 0)
        return pj_fail(err, PJ_E_UNAVAILABLE, "it ended before it stood");
    return 0;
}

/* Words that end with a NUL each; the first names the descriptors. */
static int add_word(char *bytes, size_t *used, const char *word, struct pj_err *err)
{
    size_t n = strlen(word) + 1;

    if (n > ORDER_MAX - *used)
        return pj_fail(err, PJ_E_LIMIT, "the order has more than %zu bytes", ORDER_MAX);
    memcpy(bytes + *used, word, n);
    *used += n;
    return 0;
}

static int send_order(int socket, const char *bytes, size_t n, const int *fds, size_t count,
                      struct pj_err *err)
{
    union {
        char bytes[CMSG_SPACE(AHEAD_FDS * sizeof(int))];
        struct cmsghdr align;
    } control = {0};
    struct iovec part = {.iov_base = (char *)(uintptr_t)bytes, .iov_len = n};
    struct msghdr msg = {.msg_iov = &part, .msg_iovlen = 1};

    if (count > 0) {
        control.align.cmsg_level = SOL_SOCKET;
        control.align.cmsg_type = SCM_RIGHTS;
        control.align.cmsg_len = CMSG_LEN(count * sizeof(int));
        memcpy(CMSG_DATA(&control.align), fds, count * sizeof(int));
        msg.msg_control = control.bytes;
        msg.msg_controllen = CMSG_SPACE(count * sizeof(int));
    }
    if (sendmsg(socket, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)n)
        return pj_fail_errno(err, errno, "the order could not be sent");
    return 0;
}

static int order(const struct box_ahead *ahead, const char *const *words, const int fds[AHEAD_FDS],
                 struct pj_err *err)
{
    PJ_CLEANUP(pj_freep) char *bytes = pj_alloc(1, ORDER_MAX);
    char letters[AHEAD_FDS + 1] = "";
    int sent[AHEAD_FDS];
    size_t used = 0, count = 0;

    for (size_t i = 0; i < AHEAD_FDS; i++) {
        if (fds[i] < 0)
            continue;
        letters[count] = LETTERS[i];
        sent[count++] = fds[i];
    }
    if (add_word(bytes, &used, letters, err) < 0)
        return -1;
    for (; *words != NULL; words++)
        if (add_word(bytes, &used, *words, err) < 0)
            return -1;
    return send_order(ahead->socket, bytes, used, sent, count, err);
}

int box_ahead_order(struct box_ahead *ahead, const char *const *words, const int fds[AHEAD_FDS],
                    pid_t *pid, int *pidfd, struct pj_err *err)
{
    if (await_ready(ahead, err) < 0 || order(ahead, words, fds, err) < 0) {
        box_ahead_end(ahead);
        return -1;
    }
    *pid = ahead->pid;
    *pidfd = ahead->pidfd;
    pj_fd_close(&ahead->socket);
    *ahead = (struct box_ahead){0};
    return 0;
}
