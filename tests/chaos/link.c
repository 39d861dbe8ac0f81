#include "tests/chaos/link.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
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

union address {
    struct sockaddr any;
    struct sockaddr_un un;
    struct sockaddr_in in;
};

struct relay {
    int listener, control;
    union address target;
    int fd[PAIRS_MAX][2]; /* client, server; -1: free */
    int64_t hold_until[PAIRS_MAX]
                      [2]; /* what waits at that end is passed on then; 0: nothing does */
    enum link_fault fault;
    int64_t fault_until;
};

static union address at_path(const char *path)
{
    union address at = {.un = {.sun_family = AF_UNIX}};

    (void)snprintf(at.un.sun_path, sizeof(at.un.sun_path), "%s", path);
    return at;
}

static union address at_port(int port)
{
    return (union address){.in = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}};
}

static socklen_t size_of(const union address *at)
{
    return at->any.sa_family == AF_UNIX ? sizeof(at->un) : sizeof(at->in);
}

/* What is small is not held back for more. */
static void hurry(int fd)
{
    static const int on = 1;

    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* refused by a Unix socket */
}

static int dial(const union address *at)
{
    int fd = socket(at->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (connect(fd, &at->any, size_of(at)) < 0) {
        (void)close(fd);
        return -1;
    }
    hurry(fd);
    return fd;
}

static int listen_at(const union address *at)
{
    int fd = socket(at->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    cr_assert_eq(bind(fd, &at->any, size_of(at)), 0);
    cr_assert_eq(listen(fd, 200), 0);
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
    int server = is_on(r, LINK_CUT) ? -1 : dial(&r->target);

    for (int i = 0; client >= 0 && server >= 0 && i < PAIRS_MAX; i++) {
        if (r->fd[i][0] >= 0)
            continue;
        hurry(client);
        r->fd[i][0] = client;
        r->fd[i][1] = server;
        return;
    }
    if (client >= 0)
        (void)close(client);
    if (server >= 0)
        (void)close(server);
}

/* All that there is (when it is torn, half of it), or the pair is done with. */
static void pass_on(struct relay *r, int i, int from)
{
    static char buf[1 << 16];
    ssize_t n = read(r->fd[i][from], buf, sizeof(buf));
    bool torn = n > 0 && is_on(r, LINK_TEAR);

    n = torn ? n / 2 : n;
    r->hold_until[i][from] = 0;
    for (ssize_t done = 0; n > 0 && done < n;) {
        ssize_t put = send(r->fd[i][!from], buf + done, (size_t)(n - done), MSG_NOSIGNAL);

        if (put <= 0)
            n = -1;
        else
            done += put;
    }
    if (n <= 0 || torn)
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

static void start(struct link *link, const union address *from, const union address *to)
{
    static struct relay relay;
    union address bound = {0};
    socklen_t n = sizeof(bound);
    int control[2];

    cr_assert_eq(pipe2(control, O_CLOEXEC), 0);
    relay.listener = listen_at(from);
    cr_assert_eq(getsockname(relay.listener, &bound.any, &n), 0);
    link->port = bound.any.sa_family == AF_INET ? ntohs(bound.in.sin_port) : 0;
    relay.control = control[0];
    relay.target = *to;
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

void link_start(struct link *link, const char *dir, const char *target)
{
    const union address to = at_path(target);
    union address from;

    (void)snprintf(link->socket, sizeof(link->socket), "%s/link.sock", dir);
    from = at_path(link->socket);
    start(link, &from, &to);
    (void)snprintf(link->url, sizeof(link->url), "unix://%s", link->socket);
}

void link_start_tcp(struct link *link, int target)
{
    const union address from = at_port(0), to = at_port(target);

    start(link, &from, &to);
    (void)snprintf(link->url, sizeof(link->url), "redis://127.0.0.1:%d/0", link->port);
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
