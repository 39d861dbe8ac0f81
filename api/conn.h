/* conn.h - one client connection: HEAD -> BODY -> WAIT -> WRITE -> HEAD …, or STREAM, or LINGER.
 *
 * A connection owns its socket, the bytes read and not used yet, and what is to be written. While a request is being answered
 * nothing is read from its socket: pipelined requests wait in the kernel. A request may outlive its connection (the client went
 * away): then request->conn is NULL and the answer is dropped. Every state but WAIT has a deadline (server.c keeps them). */
#ifndef API_CONN_H
#define API_CONN_H

#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include "api/http_parse.h"
#include "lib/base/str.h"

struct request;
struct server;

enum conn_state {
    CONN_HEAD,   /* reading a request's head */
    CONN_BODY,   /* reading its body */
    CONN_WAIT,   /* a handler has it */
    CONN_WRITE,  /* the answer is on its way */
    CONN_STREAM, /* an answer without an end of its own: SSE, downloads */
    CONN_LINGER, /* refused: our side is shut, the peer's bytes are drained so that the answer arrives */
};

/* FIFO lists, one length each, so that the oldest stands first. */
enum conn_deadline {
    DEADLINE_NONE,
    DEADLINE_HEAD,   /* 5 s for a whole head */
    DEADLINE_BODY,   /* 30 s for a whole body */
    DEADLINE_IDLE,   /* 30 s between requests */
    DEADLINE_WRITE,  /* 30 s without the peer taking a byte */
    DEADLINE_LINGER, /* 1 s */
    DEADLINE_BEAT,   /* 15 s: not an end, an SSE comment is due */
    DEADLINE_COUNT
};

/* What a stream is told. After `closed` the connection is gone. */
struct stream_ops {
    void (*drained)(void *arg); /* everything written was taken by the kernel: more may follow */
    void (*closed)(void *arg);
};

TAILQ_HEAD(conn_list, conn);

struct conn {
    struct server *server;
    int fd;
    enum conn_state state;
    bool close_after; /* no further request on this connection */
    bool busy;        /* conn_process() is on the stack */
    bool dead;        /* close when conn_process() returns */
    bool chunked;     /* the stream is framed in chunks */
    bool ending;      /* the stream closes once drained */
    bool beats;       /* the stream gets comments */
    bool reading;     /* `readable` is armed */
    bool trusted;     /* the peer is a proxy of ours */
    struct event readable, writable;
    struct evbuffer *out;
    struct pj_str in;
    size_t scanned; /* of `in`, by http_parse() */
    size_t lingered;
    struct request *request;
    const struct stream_ops *ops;
    void *ops_arg;
    enum conn_deadline kind;
    int64_t deadline_ms;
    TAILQ_ENTRY(conn) by_deadline, all;
    char peer[64]; /* address without port, "unix" */
};

/* Takes the socket. The connection frees itself. */
void conn_new(struct server *server, int fd, const char *peer, bool trusted);
/* Close now; frees the connection (at the latest when the call that is on the stack returns). */
void conn_close(struct conn *conn);
/* The deadline of this connection has passed. */
void conn_expired(struct conn *conn);

/* Answer the request of this connection: `head` is the whole head with its empty line (a small body is put behind it), `body` (malloc, taken, may be NULL)
 * follows. Afterwards the connection goes on with its next request or closes. */
void conn_answer(struct conn *conn, struct pj_str *head, char *body, size_t body_n);

/* Turn the answer into a stream. `head` as above; when `chunked` the writes are framed. */
void conn_stream_begin(struct conn *conn, const struct pj_str *head, bool chunked, bool beats,
                       const struct stream_ops *ops, void *arg);
/* Queue a copy; `drained` is called when the kernel took it all (never from inside this call). */
void conn_stream_write(struct conn *conn, const void *bytes, size_t n);
/* Hand bytes straight to the kernel; only when nothing is queued. Returns how many it took; when fewer than n, `drained` will be
 * called. -1: the connection failed and was closed (`closed` was called). */
ssize_t conn_stream_send(struct conn *conn, const void *bytes, size_t n);
/* True when the kernel has not taken all yet. */
bool conn_stream_blocked(const struct conn *conn);
/* Call `drained` in the next turn of the loop. */
void conn_stream_kick(struct conn *conn);
/* Close once everything is written. */
void conn_stream_end(struct conn *conn);

#endif
