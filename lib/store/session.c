#include "lib/store/session.h"

#include <hiredis/hiredis.h>
#include <poll.h>
#include <stdlib.h>
#include "lib/base/mem.h"
#include "lib/store/wire.h"

#define READ_SIZE (16 * 1024) /* as large as a record of TLS */
#define READS_MAX 16          /* in a row, before others on the loop have their turn */
#define OUT_KEEP ((size_t)1 << 20)
#define SENT_KEEP                                                                                  \
    ((size_t)256 * 1024) /* what is sent is let go of beyond, however much waits behind it */

/* Enough for a packet of its own: it does not wait for the loop's next turn, so that Redis has something to do meanwhile. */
#define OUT_EAGER ((size_t)4 * 1024)

struct waiter {
    pj_session_cb *cb;
    void *arg;
};

struct pj_session {
    struct event_base *base;
    struct pj_wire *wire;
    redisReader *reader;
    const struct pj_session_events *events;
    void *owner; /* NULL: it has let go */
    bool open;
    unsigned depth;            /* frames of ours on the stack; the last one frees */
    struct event *in, *out_ev; /* `in` also runs what is due */
    unsigned socket;           /* which of the wire's sockets the events are for */
    struct pj_str out;         /* commands; the first `sent` bytes are gone */
    size_t sent;
    struct waiter *ring; /* `waiting` of them from `first` on; a power of two */
    size_t ring_size, first, waiting;
    char bytes[READ_SIZE];
};

static void on_io(evutil_socket_t fd, short what, void *arg);

static void drop_events(struct pj_session *s)
{
    if (s->in)
        event_free(s->in);
    if (s->out_ev)
        event_free(s->out_ev);
    s->in = s->out_ev = NULL;
}

/* The wire may have moved on to another descriptor while it connects. */
static void follow(struct pj_session *s)
{
    int fd = pj_wire_fd(s->wire);

    if (s->in && s->socket == pj_wire_socket(s->wire))
        return;
    drop_events(s);
    s->socket = pj_wire_socket(s->wire);
    s->in = event_new(s->base, fd, EV_PERSIST | (fd >= 0 ? EV_READ : 0), on_io, s);
    s->out_ev = event_new(s->base, fd, fd >= 0 ? EV_WRITE : 0, on_io, s);
    if (fd >= 0)
        (void)event_add(s->in, NULL);
    else
        event_active(s->in, EV_TIMEOUT, 0); /* it is over already, which the loop shall tell */
}

struct pj_session *pj_session_new(struct event_base *base, const char *path,
                                  const struct pj_redis_addr *addr, struct pj_tls *tls,
                                  unsigned nth, const struct pj_session_events *events, void *owner)
{
    struct pj_session *s = pj_alloc(1, sizeof(*s));

    s->base = base;
    s->events = events;
    s->owner = owner;
    pj_str_init(&s->out, SIZE_MAX); /* what waits is bounded by those who wait */
    s->wire = pj_wire_new(path, addr, tls, nth);
    s->reader = redisReaderCreate();
    follow(s);
    event_active(s->in, EV_TIMEOUT, 0);
    return s;
}

static void free_session(struct pj_session *s)
{
    drop_events(s);
    redisReaderFree(s->reader);
    pj_wire_free(s->wire);
    pj_str_release(&s->out);
    free(s->ring);
    free(s);
}

static void enter(struct pj_session *s)
{
    s->depth++;
}

static void leave(struct pj_session *s)
{
    if (--s->depth == 0 && !s->owner)
        free_session(s);
}

static struct waiter take_waiter(struct pj_session *s)
{
    struct waiter w = s->ring[s->first];

    s->first = (s->first + 1) & (s->ring_size - 1);
    s->waiting--;
    return w;
}

void pj_session_end(struct pj_session *s)
{
    if (!s->owner)
        return;
    enter(s);
    s->owner = NULL;
    drop_events(s);
    while (s->waiting) {
        struct waiter w = take_waiter(s);

        w.cb(w.arg, NULL);
    }
    leave(s);
}

/* The owner hears of it, then whoever waits. The descriptor is closed, and its number may soon be another's. */
static void finish(struct pj_session *s, const struct pj_err *why)
{
    drop_events(s);
    s->events->on_over(s->owner, why);
    pj_session_end(s);
}

static void await_reply(struct pj_session *s, pj_session_cb *cb, void *arg)
{
    if (s->waiting == s->ring_size) {
        size_t size = s->ring_size ? s->ring_size * 2 : 64;
        struct waiter *ring = pj_alloc(size, sizeof(*ring));

        for (size_t i = 0; i < s->waiting; i++)
            ring[i] = s->ring[(s->first + i) & (s->ring_size - 1)];
        free(s->ring);
        s->ring = ring;
        s->ring_size = size;
        s->first = 0;
    }
    s->ring[(s->first + s->waiting++) & (s->ring_size - 1)] = (struct waiter){cb, arg};
}

static void want_write(struct pj_session *s)
{
    (void)event_add(s->out_ev, NULL);
}

/* False when it is over. */
static bool flush(struct pj_session *s)
{
    while (s->sent < s->out.len) {
        ssize_t n = pj_wire_write(s->wire, s->out.data + s->sent, s->out.len - s->sent);

        if (n < 0)
            return false;
        if (n == 0) {
            if (pj_wire_wants(s->wire) == POLLOUT)
                want_write(s);
            return true;
        }
        s->sent += (size_t)n;
        if (s->sent >= SENT_KEEP && s->sent >= s->out.len / 2) {
            pj_str_shift(&s->out, s->sent);
            s->sent = 0;
        }
    }
    s->sent = 0;
    pj_str_clear(&s->out);
    if (s->out.cap > OUT_KEEP)
        pj_str_release(&s->out);
    return true;
}

void pj_session_send(struct pj_session *s, const struct pj_cmd *cmd, bool source, pj_session_cb *cb,
                     void *arg)
{
    bool idle = s->sent == s->out.len;

    pj_cmd_write(cmd, source, &s->out);
    if (cb)
        await_reply(s, cb, arg);
    if (s->open && s->in && s->out.len - s->sent >= OUT_EAGER && idle) {
        idle = false;
        if (!flush(
                s)) { /* the loop tells; until then nothing may watch a number that is another's soon */
            drop_events(s);
            follow(s);
        }
    }
    if (idle && s->in)
        event_active(s->in, EV_TIMEOUT, 0);
}

static void hand_out(struct pj_session *s, const redisReply *reply)
{
    struct waiter w;

    if (s->waiting == 0) {
        s->events->on_push(s->owner, reply);
        return;
    }
    w = take_waiter(s);
    w.cb(w.arg, reply);
}

/* What has been read, as far as it makes whole replies. */
static void work_off(struct pj_session *s)
{
    while (s->owner) {
        void *reply = NULL;

        if (redisReaderGetReply(s->reader, &reply) != REDIS_OK) {
            struct pj_err why;

            (void)pj_fail(&why, PJ_E_UNAVAILABLE, "%s", s->reader->errstr);
            finish(s, &why);
            return;
        }
        if (!reply)
            return;
        hand_out(s, reply);
        freeReplyObject(reply);
    }
}

/* False when it is over. A socket with more to read comes back by itself; bytes that TLS holds do not. */
static bool take_in(struct pj_session *s)
{
    for (int i = 0; i < READS_MAX && s->owner; i++) {
        ssize_t n = pj_wire_read(s->wire, s->bytes, sizeof(s->bytes));

        if (n < 0)
            return false;
        if (n == 0) {
            if (pj_wire_wants(s->wire) == POLLOUT)
                want_write(s);
            return true;
        }
        (void)redisReaderFeed(s->reader, s->bytes, (size_t)n);
        work_off(s);
        if (s->owner && (size_t)n < sizeof(s->bytes) && !pj_wire_has_bytes(s->wire))
            return true;
    }
    if (s->owner && pj_wire_has_bytes(s->wire))
        event_active(s->in, EV_READ, 0);
    return true;
}

/* Connecting; true when it is open. */
static bool advance(struct pj_session *s)
{
    int rc = pj_wire_step(s->wire);

    if (rc < 0) {
        finish(s, pj_wire_why(s->wire));
        return false;
    }
    follow(s);
    if (rc == 0) {
        if (pj_wire_wants(s->wire) == POLLOUT)
            want_write(s);
        return false;
    }
    s->open = true;
    s->events->on_open(s->owner);
    return s->owner != NULL;
}

static void on_io(evutil_socket_t fd, short what, void *arg)
{
    struct pj_session *s = arg;

    (void)fd;
    enter(s);
    if (s->open || advance(s)) {
        bool alive = flush(s);

        /* TLS may have to read before it can write, and the other way round: neither asks what woke it. */
        if (alive && ((what & (EV_READ | EV_WRITE)) || pj_wire_has_bytes(s->wire)))
            alive = take_in(s);
        if (alive && s->owner)
            alive = flush(s);
        if (!alive && s->owner)
            finish(s, pj_wire_why(s->wire));
    }
    leave(s);
}

const struct pj_err *pj_session_expire(struct pj_session *s)
{
    drop_events(s);
    pj_wire_expire(s->wire);
    return pj_wire_why(s->wire);
}
