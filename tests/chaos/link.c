#include "tests/chaos/link.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include "lib/base/clock.h"

#define PAIRS_MAX 250
#define HOLD_MS 100

struct order {
    enum link_fault fault;
    int ms;
};

struct relay {
    int listener, control;
    const char *target;
    int fd[PAIRS_MAX][2]; /* client, server; -1: free */
    int64_t hold_until[PAIRS_MAX]
                      [2]; /* what waits at that end is passed on then; 0: nothing does */
    enum link_fault fault;
    int64_t fault_until;
};

static int dial(const char *path, bool listening)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), rc;

    (void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
    if (listening)
        rc = bind(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0 ? listen(fd, 200) : -1;
    else
        rc = connect(fd, (struct sockaddr *)&addr, sizeof(addr));
    if (rc < 0) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

static void close_pair(struct relay *r, int i)
{
    (void)close(r->fd[i][0]);
    (void)close(r->fd[i][1]);
    r->fd[i][0] = r->fd[i][1] = -1;
    r->hold_until[i][0] = r->hold_until[i][1] = 0;
}

static bool is_on(const struct relay *r, enum link_fault fault)
{
    return r->fault == fault && pj_mono_ms() < r->fault_until;
}

static void welcome(struct relay *r)
{
    int client = accept4(r->listener, NULL, NULL, SOCK_CLOEXEC);
    int server = is_on(r, LINK_CUT) ? -1 : dial(r->target, false);

    for (int i = 0; client >= 0 && server >= 0 && i < PAIRS_MAX; i++) {
        if (r->fd[i][0] >= 0)
            continue;
        r->fd[i][0] = client;
        r->fd[i][1] = server;
        return;
    }
    if (client >= 0)
        (void)close(client);
    if (server >= 0)
        (void)close(server);
}

/* All of `n`, or the pair is done with. */
static void pass_on(struct relay *r, int i, int from)
{
    static char buf[1 << 16];
    ssize_t n = read(r->fd[i][from], buf, sizeof(buf));

    r->hold_until[i][from] = 0;
    for (ssize_t done = 0; n > 0 && done < n;) {
        ssize_t put = send(r->fd[i][!from], buf + done, (size_t)(n - done), MSG_NOSIGNAL);

        if (put <= 0)
            n = -1;
        else
            done += put;
    }
    if (n <= 0)
        close_pair(r, i);
}

static void obey(struct relay *r)
{
    struct order order;

    if (read(r->control, &order, sizeof(order)) != (ssize_t)sizeof(order))
        _exit(0);
    r->fault = order.fault;
    r->fault_until = pj_mono_ms() + order.ms;
    for (int i = 0; order.fault == LINK_CUT && i < PAIRS_MAX; i++) {
        if (r->fd[i][0] >= 0)
            close_pair(r, i);
    }
}

/* One round: wait for something to pass on, at most until a hold or a fault ends. */
static void turn(struct relay *r)
{
    struct pollfd p[2 + 2 * PAIRS_MAX];
    int owner[2 + 2 * PAIRS_MAX] = {0}, n = 2, wait = 1000;
    bool stalled = is_on(r, LINK_STALL), delayed = is_on(r, LINK_DELAY);
    int64_t now = pj_mono_ms();

    p[0] = (struct pollfd){.fd = r->control, .events = POLLIN};
    p[1] = (struct pollfd){.fd = stalled ? -1 : r->listener, .events = POLLIN};
    if (stalled)
        wait = (int)(r->fault_until - now) + 1;
    for (int k = 0; k < 2 * PAIRS_MAX && !stalled; k++) {
        int64_t left = r->hold_until[k / 2][k % 2] - now;

        if (r->fd[k / 2][0] < 0)
            continue;
        if (left > 0) {
            wait = left < wait ? (int)left : wait;
            continue;
        }
        owner[n] = k;
        p[n++] = (struct pollfd){.fd = r->fd[k / 2][k % 2], .events = POLLIN};
    }
    if (poll(p, (nfds_t)n, wait) < 0)
        return;
    for (int q = 2; q < n; q++) {
        int i = owner[q] / 2, from = owner[q] % 2;

        if (p[q].revents == 0 || r->fd[i][0] < 0)
            continue;
        if (delayed && r->hold_until[i][from] == 0)
            r->hold_until[i][from] = now + HOLD_MS;
        else
            pass_on(r, i, from);
    }
    if (p[1].revents)
        welcome(r);
    if (p[0].revents)
        obey(r);
}

void link_start(struct link *link, const char *dir, const char *target)
{
    static struct relay relay;
    int control[2];

    (void)snprintf(link->socket, sizeof(link->socket), "%s/link.sock", dir);
    (void)snprintf(link->url, sizeof(link->url), "unix://%s", link->socket);
    cr_assert_eq(pipe2(control, O_CLOEXEC), 0);
    relay.listener = dial(link->socket, true);
    cr_assert_geq(relay.listener, 0, "%s", link->socket);
    relay.control = control[0];
    relay.target = target;
    memset(relay.fd, -1, sizeof(relay.fd));
    link->control = control[1];
    link->pid = fork();
    cr_assert_geq(link->pid, 0);
    if (link->pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)close(control[1]);
        for (;;)
            turn(&relay);
    }
    (void)close(relay.listener);
    (void)close(control[0]);
}

void link_break(struct link *link, enum link_fault fault, int ms)
{
    const struct order order = {fault, ms};

    cr_assert_eq(write(link->control, &order, sizeof(order)), (ssize_t)sizeof(order));
}

void link_stop(struct link *link)
{
    (void)close(link->control);
    (void)kill(link->pid, SIGKILL);
    (void)waitpid(link->pid, NULL, 0);
}
