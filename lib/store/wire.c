#include "lib/store/wire.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "lib/base/mem.h"
#include "lib/crypto/tls.h"
#include "lib/store/lookup.h"

#define ADDRS_MAX 16
#define TLS_ALERT 0x15 /* the first byte of a server that was spoken to without TLS and wanted it */

struct pj_wire {
    enum { LOOKING, CONNECTING, SHAKING, OPEN, OVER } state;
    int fd;
    unsigned sockets; /* descriptors so far */
    short wants;
    bool plain;               /* TCP without TLS */
    bool heard;               /* a byte came */
    struct pj_lookup *lookup; /* until it is connected; NULL for a Unix socket */
    unsigned nth;
    const struct addrinfo *at[ADDRS_MAX]; /* in the order of trying */
    size_t count, next;
    char *host;
    struct pj_tls *tls;
    struct pj_tls_conn *conn;
    struct pj_err why;
};

static int over(struct pj_wire *wire)
{
    pj_tls_close(wire->conn);
    wire->conn = NULL;
    if (wire->fd >= 0)
        (void)close(wire->fd);
    wire->fd = -1;
    wire->state = OVER;
    return -1;
}

static int over_errno(struct pj_wire *wire, int sys_errno)
{
    (void)pj_fail(&wire->why, PJ_E_UNAVAILABLE, "%s", strerror(sys_errno));
    return over(wire);
}

/* A peer that vanished without a word is noticed after half a minute. */
static void tune(int fd)
{
    static const int on = 1, idle = 15, gap = 5, count = 3;

    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &gap, sizeof(gap));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof(count));
}

/* The socket is connected. */
static void connected(struct pj_wire *wire)
{
    pj_lookup_free(wire->lookup);
    wire->lookup = NULL;
    if (!wire->tls)
        wire->state = OPEN;
    else if (pj_tls_connect(wire->tls, wire->fd, wire->host, &wire->conn, &wire->why) < 0)
        (void)over(wire);
    else
        wire->state = SHAKING;
}

static bool try_socket(struct pj_wire *wire, const struct sockaddr *addr, socklen_t n)
{
    wire->fd = socket(addr->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    wire->sockets++;
    if (wire->fd >= 0 && addr->sa_family != AF_UNIX)
        tune(wire->fd);
    if (wire->fd >= 0 && connect(wire->fd, addr, n) == 0) {
        connected(wire);
        return true;
    }
    if (wire->fd >= 0 && errno == EINPROGRESS) {
        wire->state = CONNECTING;
        wire->wants = POLLOUT;
        return true;
    }
    (void)over_errno(wire, errno);
    return false;
}

/* The next address behind the name; the last one's reason stands when there is none. */
static void try_next(struct pj_wire *wire)
{
    while (wire->next < wire->count) {
        const struct addrinfo *ai = wire->at[wire->next++];

        if (try_socket(wire, ai->ai_addr, ai->ai_addrlen))
            return;
    }
}

/* IPv4 first, as Redis servers mostly listen there; the one to begin with moves on from try to try. */
static void finish_look_up(struct pj_wire *wire)
{
    static const int families[] = {AF_INET, AF_INET6};
    const struct addrinfo *all[ADDRS_MAX], *found;
    int rc = pj_lookup_take(wire->lookup, &found, &wire->why);

    if (rc < 0)
        (void)over(wire);
    if (rc <= 0)
        return;
    for (size_t f = 0; f < PJ_COUNT_OF(families); f++) {
        for (const struct addrinfo *ai = found; ai && wire->count < ADDRS_MAX; ai = ai->ai_next) {
            if (ai->ai_family == families[f])
                all[wire->count++] = ai;
        }
    }
    for (size_t i = 0; i < wire->count; i++)
        wire->at[i] = all[(i + wire->nth) % wire->count];
    (void)pj_fail(&wire->why, PJ_E_UNAVAILABLE, "%.200s has no address", wire->host);
    (void)over(wire);
    try_next(wire);
}

static void look_up(struct pj_wire *wire, const struct pj_redis_addr *addr)
{
    wire->lookup = pj_lookup_new(addr->host, addr->port);
    wire->sockets++;
    wire->state = LOOKING;
    wire->wants = POLLIN;
    finish_look_up(wire);
}

struct pj_wire *pj_wire_new(const char *path, const struct pj_redis_addr *addr, struct pj_tls *tls,
                            unsigned nth)
{
    struct pj_wire *wire = pj_alloc(1, sizeof(*wire));
    struct sockaddr_un un = {.sun_family = AF_UNIX};

    wire->fd = -1;
    if (path) {
        (void)snprintf(un.sun_path, sizeof(un.sun_path), "%s", path);
        (void)try_socket(wire, (const struct sockaddr *)&un, sizeof(un));
        return wire;
    }
    wire->tls = tls;
    wire->plain = !tls;
    wire->host = pj_strdup(addr->host);
    wire->nth = nth;
    look_up(wire, addr);
    return wire;
}

void pj_wire_free(struct pj_wire *wire)
{
    if (!wire)
        return;
    (void)over(wire);
    pj_lookup_free(wire->lookup);
    free(wire->host);
    free(wire);
}

static void finish_connect(struct pj_wire *wire)
{
    struct pollfd p = {.fd = wire->fd, .events = POLLOUT};
    socklen_t n = sizeof(int);
    int fault = 0;

    if (poll(&p, 1, 0) == 0)
        return;
    if (getsockopt(wire->fd, SOL_SOCKET, SO_ERROR, &fault, &n) < 0)
        fault = errno;
    if (!fault) {
        connected(wire);
        return;
    }
    (void)over_errno(wire, fault);
    try_next(wire);
}

int pj_wire_step(struct pj_wire *wire)
{
    if (wire->state == LOOKING)
        finish_look_up(wire);
    else if (wire->state == CONNECTING)
        finish_connect(wire);
    if (wire->state == SHAKING) {
        int rc = pj_tls_handshake(wire->conn, &wire->why);

        if (rc < 0)
            return over(wire);
        if (rc == 0)
            wire->wants = pj_tls_wants_write(wire->conn) ? POLLOUT : POLLIN;
        else
            wire->state = OPEN;
    }
    return wire->state == OVER ? -1 : wire->state == OPEN;
}

static int hung_up(struct pj_wire *wire)
{
    char last[160];
    ssize_t n = recv(wire->fd, last, sizeof(last) - 1, 0);

    if (n > 1 &&
        last[0] == '-') { /* what it said before it closed, "-ERR max number of clients reached" */
        last[n] = '\0';
        last[strcspn(last, "\r\n")] = '\0';
        (void)pj_fail(&wire->why, PJ_E_UNAVAILABLE, "the server closed the connection: %s",
                      last + 1);
        return over(wire);
    }
    (void)pj_fail(&wire->why, PJ_E_UNAVAILABLE, "the server closed the connection");
    if (wire->plain && !wire->heard)
        (void)pj_err_remedy(&wire->why,
                            "If that port speaks TLS, write rediss:// in PJ_REDIS_URL.");
    return over(wire);
}

static int wants_tls(struct pj_wire *wire)
{
    (void)pj_fail(&wire->why, PJ_E_UNAVAILABLE, "the server speaks TLS on that port");
    (void)pj_err_remedy(&wire->why, "Write rediss:// (or rediss-sentinel://) in PJ_REDIS_URL.");
    return over(wire);
}

static ssize_t read_plain(struct pj_wire *wire, void *to, size_t n)
{
    ssize_t got = recv(wire->fd, to, n, 0);

    if (got > 0) {
        bool first = !wire->heard;

        wire->heard = true;
        return first && wire->plain && *(unsigned char *)to == TLS_ALERT ? wants_tls(wire) : got;
    }
    if (got == 0 || errno == ECONNRESET)
        return hung_up(wire);
    wire->wants = POLLIN;
    return errno == EAGAIN || errno == EINTR ? 0 : over_errno(wire, errno);
}

static ssize_t write_plain(struct pj_wire *wire, const void *from, size_t n)
{
    ssize_t put = send(wire->fd, from, n, MSG_NOSIGNAL);

    if (put >= 0)
        return put;
    if (errno == EPIPE || errno == ECONNRESET)
        return hung_up(wire);
    wire->wants = POLLOUT;
    return errno == EAGAIN || errno == EINTR ? 0 : over_errno(wire, errno);
}

/* What TLS answered: bytes, or the need to wait, or the end. */
static ssize_t settle(struct pj_wire *wire, ssize_t n)
{
    if (n < 0)
        return over(wire);
    if (n == 0)
        wire->wants = pj_tls_wants_write(wire->conn) ? POLLOUT : POLLIN;
    return n;
}

ssize_t pj_wire_read(struct pj_wire *wire, void *to, size_t n)
{
    if (wire->state != OPEN)
        return -1;
    return wire->conn ? settle(wire, pj_tls_read(wire->conn, to, n, &wire->why))
                      : read_plain(wire, to, n);
}

ssize_t pj_wire_write(struct pj_wire *wire, const void *from, size_t n)
{
    if (wire->state != OPEN)
        return -1;
    return wire->conn ? settle(wire, pj_tls_write(wire->conn, from, n, &wire->why))
                      : write_plain(wire, from, n);
}

int pj_wire_fd(const struct pj_wire *wire)
{
    return wire->state == LOOKING ? pj_lookup_fd(wire->lookup) : wire->fd;
}

unsigned pj_wire_socket(const struct pj_wire *wire)
{
    return wire->sockets;
}

short pj_wire_wants(const struct pj_wire *wire)
{
    return wire->wants;
}

bool pj_wire_has_bytes(const struct pj_wire *wire)
{
    return wire->conn && pj_tls_has_bytes(wire->conn);
}

bool pj_wire_is_quiet(struct pj_wire *wire)
{
    char byte;

    if (wire->state != OPEN)
        return false;
    if (wire->conn)
        return pj_tls_is_quiet(wire->conn);
    return recv(wire->fd, &byte, 1, MSG_PEEK) < 0 && (errno == EAGAIN || errno == EINTR);
}

void pj_wire_expire(struct pj_wire *wire)
{
    static const char *const words[] = {
        [LOOKING] = "the look-up of its name has no answer in time",
        [CONNECTING] = "no connection in time",
        [SHAKING] = "no answer to the TLS handshake in time",
        [OPEN] = "no answer in time",
    };

    if (wire->state == OVER)
        return;
    (void)pj_fail(&wire->why, PJ_E_UNAVAILABLE, "%s", words[wire->state]);
    if (wire->state == SHAKING)
        (void)pj_err_remedy(&wire->why, "See whether that port speaks TLS.");
    if (wire->state == LOOKING)
        (void)pj_err_remedy(&wire->why,
                            "See whether this host's name server answers: getent hosts %.200s",
                            wire->host);
    (void)over(wire);
}

const struct pj_err *pj_wire_why(const struct pj_wire *wire)
{
    return &wire->why;
}
