#include "sandbox/relay.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "sandbox/proxy.h"
#include "sandbox/pump.h"

enum conn_state { CONN_ASKING, CONN_OPEN };

struct conn {
    enum conn_state state;
    int inside, outside;
    struct pump out, in; /* inside -> outside, outside -> inside */
    bool out_shut, in_shut;
    struct proxy_dial dial; /* while asking */
};

struct listener {
    int fd;
    const struct spec_gateway *gateway; /* NULL: the proxy */
};

struct relay {
    const struct spec *spec;
    struct result *result;
    struct listener listeners[SPEC_GATEWAYS_MAX + 1];
    size_t listener_count;
    struct conn *conns[RELAY_CONNS_MAX];
    size_t conn_count;
};

struct relay *relay_new(const struct spec *spec, struct result *result)
{
    struct relay *r = pj_alloc(1, sizeof *r);

    r->spec = spec;
    r->result = result;
    return r;
}

static void conn_free(struct conn *c)
{
    if (c->state == CONN_ASKING)
        proxy_dial_release(&c->dial);
    if (c->out.buf)
        pump_release(&c->out);
    if (c->in.buf)
        pump_release(&c->in);
    pj_fd_close(&c->inside);
    pj_fd_close(&c->outside);
    free(c);
}

void relay_free(struct relay *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < r->conn_count; i++)
        conn_free(r->conns[i]);
    for (size_t i = 0; i < r->listener_count; i++)
        pj_fd_close(&r->listeners[i].fd);
    free(r);
}

void relay_listen(struct relay *r, const int *fds, size_t count)
{
    for (size_t i = 0; i < count && i < PJ_COUNT_OF(r->listeners); i++) {
        r->listeners[i] = (struct listener){
            .fd = fds[i], .gateway = i < r->spec->gateway_count ? &r->spec->gateways[i] : NULL};
        r->listener_count = i + 1;
    }
}

static void conn_open(struct conn *c, int outside)
{
    c->state = CONN_OPEN;
    c->outside = outside;
    pump_init(&c->out, c->inside, outside);
    pump_init(&c->in, outside, c->inside);
}

static int dial_unix(const char *path)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return -1;
    memcpy(addr.sun_path, path, strnlen(path, sizeof addr.sun_path - 1));
    /* A Unix connect is done at once or, when the peer's backlog is full, not at all. */
    if (connect(fd, (struct sockaddr *)&addr, sizeof addr) < 0)
        pj_fd_close(&fd);
    return fd;
}

static void accept_one(struct relay *r, const struct listener *l)
{
    int fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK), outside = -1;
    struct conn *c;

    if (fd < 0)
        return;
    if (l->gateway && (outside = dial_unix(l->gateway->path)) < 0) {
        close(fd); /* nobody serves the gateway: the peer sees its connection end */
        return;
    }
    c = pj_alloc(1, sizeof *c);
    c->inside = fd;
    c->outside = -1;
    if (l->gateway)
        conn_open(c, outside);
    else
        proxy_dial_init(&c->dial, fd, r->spec, r->result);
    r->conns[r->conn_count++] = c;
}

size_t relay_want(struct relay *r, struct pollfd *fds)
{
    size_t n = 0;

    for (size_t i = 0; i < r->listener_count && r->conn_count < RELAY_CONNS_MAX; i++)
        fds[n++] = (struct pollfd){.fd = r->listeners[i].fd, .events = POLLIN};
    for (size_t i = 0; i < r->conn_count; i++) {
        struct conn *c = r->conns[i];

        if (c->state == CONN_ASKING) {
            n += proxy_dial_want(&c->dial, fds + n);
        } else {
            n += pump_want(&c->out, fds + n);
            n += pump_want(&c->in, fds + n);
        }
    }
    return n;
}

static int events_of(const struct pollfd *fds, size_t count, int fd)
{
    int events = 0;

    for (size_t i = 0; i < count; i++) {
        if (fds[i].fd == fd)
            events |= fds[i].revents;
    }
    return events;
}

/* Pass the end of one direction on; the other may go on. */
static void pass_end(struct pump *p, bool *shut)
{
    if (pump_done(p) && !*shut) {
        shutdown(p->to, SHUT_WR);
        *shut = true;
    }
}

/* Returns false when the connection has ended. */
static bool conn_step(struct conn *c, const struct pollfd *fds, size_t count)
{
    int inside = events_of(fds, count, c->inside), outside;

    if (c->state == CONN_ASKING) {
        int fd = -1;
        enum proxy_answer answer = proxy_dial_step(&c->dial, fds, count, &fd);

        if (answer == PROXY_OPEN) {
            /* Bytes that the client sent after its request stand in the dial's buffer. */
            conn_open(c, fd);
            c->out.len = proxy_dial_rest(&c->dial, c->out.buf, PUMP_BUFFER);
            proxy_dial_release(&c->dial);
        }
        return answer != PROXY_ENDED;
    }
    outside = events_of(fds, count, c->outside);
    pump_step(&c->out, inside & (POLLIN | POLLHUP | POLLERR),
              outside & (POLLOUT | POLLERR | POLLHUP));
    pump_step(&c->in, outside & (POLLIN | POLLHUP | POLLERR),
              inside & (POLLOUT | POLLERR | POLLHUP));
    if (c->out.discard || c->in.discard)
        return false;
    pass_end(&c->out, &c->out_shut);
    pass_end(&c->in, &c->in_shut);
    return !(c->out_shut && c->in_shut);
}

void relay_ready(struct relay *r, const struct pollfd *fds, size_t count)
{
    for (size_t i = 0; i < r->conn_count;) {
        if (conn_step(r->conns[i], fds, count)) {
            i++;
            continue;
        }
        conn_free(r->conns[i]);
        r->conns[i] = r->conns[--r->conn_count];
    }
    for (size_t i = 0; i < r->listener_count && r->conn_count < RELAY_CONNS_MAX; i++) {
        if (events_of(fds, count, r->listeners[i].fd) & POLLIN)
            accept_one(r, &r->listeners[i]);
    }
}
