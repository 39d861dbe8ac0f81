#include "api/conn.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "api/request.h"
#include "api/server.h"
#include "lib/base/mem.h"

#define READ_SIZE 16384
#define IN_MAX (HTTP_HEAD_MAX + READ_SIZE)
#define SMALL_MAX 2048
#define LINGER_MAX (16 * 1024 * 1024) /* within the second that the deadline allows */

static void conn_process(struct conn *conn);

/* Reading stays armed while a request is answered, which spares two system calls a request: only when a peer really sends
 * meanwhile is it disarmed (on_readable()) and armed again here. */
static void want_read(struct conn *conn)
{
    if (!conn->reading)
        event_add(&conn->readable, NULL);
    conn->reading = true;
}

static void stop_reading(struct conn *conn)
{
    event_del(&conn->readable);
    conn->reading = false;
}

static void release(struct conn *conn)
{
    server_remove(conn->server, conn);
    event_del(&conn->readable);
    event_del(&conn->writable);
    close(conn->fd);
    evbuffer_free(conn->out);
    pj_str_release(&conn->in);
    free(conn);
}

void conn_close(struct conn *conn)
{
    if (conn->dead)
        return;
    conn->dead = true;
    if (conn->request != NULL) {
        struct request *req = conn->request;
        conn->request = NULL;
        request_abandon(req);
    }
    if (conn->ops != NULL) {
        const struct stream_ops *ops = conn->ops;
        conn->ops = NULL;
        ops->closed(conn->ops_arg);
    }
    if (!conn->busy)
        release(conn);
}

static void linger(struct conn *conn)
{
    conn->state = CONN_LINGER;
    conn->lingered = conn->in.len;
    shutdown(conn->fd, SHUT_WR);
    server_deadline(conn->server, conn, DEADLINE_LINGER);
    want_read(conn);
}

/* The answer is with the kernel. */
static void answered(struct conn *conn)
{
    if (conn->close_after) {
        linger(conn);
        return;
    }
    conn->state = CONN_HEAD;
    conn->scanned = 0;
    server_deadline(conn->server, conn, conn->in.len > 0 ? DEADLINE_HEAD : DEADLINE_IDLE);
    if (conn->in.len == 0)
        want_read(conn);
    else if (!conn->busy)
        conn_process(conn);
}

/* Write what is queued. Returns false when the connection was closed. */
static bool flush(struct conn *conn)
{
    while (evbuffer_get_length(conn->out) > 0) {
        int n = evbuffer_write(conn->out, conn->fd);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN) {
            if (conn->kind != DEADLINE_WRITE)
                server_deadline(conn->server, conn, DEADLINE_WRITE);
            event_add(&conn->writable, NULL);
            return true;
        }
        if (n <= 0) {
            conn_close(conn);
            return false;
        }
        if (conn->kind == DEADLINE_WRITE)
            server_deadline(conn->server, conn,
                            DEADLINE_WRITE); /* it took something: the 30 s begin again */
    }
    return true;
}

static void stream_drained(struct conn *conn)
{
    if (conn->ending) {
        conn_close(conn);
        return;
    }
    server_deadline(conn->server, conn, conn->beats ? DEADLINE_BEAT : DEADLINE_NONE);
    if (conn->ops != NULL)
        conn->ops->drained(conn->ops_arg);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    struct conn *conn = arg;

    (void)fd;
    (void)what;
    if (!flush(conn) || evbuffer_get_length(conn->out) > 0)
        return;
    if (conn->state == CONN_STREAM)
        stream_drained(conn);
    else if (conn->state == CONN_WRITE)
        answered(conn);
}

static void free_body(const void *data, size_t n, void *arg)
{
    (void)data;
    (void)n;
    free(arg);
}

/* A small answer to somebody who keeps up: one call and no buffer. What the kernel does not take of it is queued. */
static void send_small(struct conn *conn, const char *bytes, size_t n)
{
    ssize_t sent = evbuffer_get_length(conn->out) == 0
                       ? send(conn->fd, bytes, n, MSG_NOSIGNAL | MSG_DONTWAIT)
                       : 0;

    if (sent < 0) /* what is wrong is found again by flush() */
        sent = 0;
    if ((size_t)sent < n)
        evbuffer_add(conn->out, bytes + sent, n - (size_t)sent);
}

void conn_answer(struct conn *conn, struct pj_str *head, char *body, size_t body_n)
{
    conn->request = NULL;
    conn->state = CONN_WRITE;
    if (body_n < SMALL_MAX && head->len + body_n <= head->max) {
        pj_str_append(head, body, body_n);
        free(body);
        send_small(conn, head->data, head->len);
    } else {
        evbuffer_add(conn->out, head->data, head->len);
        evbuffer_add_reference(conn->out, body, body_n, free_body, body);
    }
    if (flush(conn) && evbuffer_get_length(conn->out) == 0)
        answered(conn);
}

void conn_stream_begin(struct conn *conn, const struct pj_str *head, bool chunked, bool beats,
                       const struct stream_ops *ops, void *arg)
{
    int size = 65536; /* a viewer that stalls must not make the kernel keep megabytes for it */

    conn->request = NULL;
    conn->state = CONN_STREAM;
    conn->chunked = chunked;
    conn->beats = beats;
    conn->ops = ops;
    conn->ops_arg = arg;
    pj_str_release(&conn->in);
    if (beats && setsockopt(conn->fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size) < 0)
        errno = 0;
    event_del(&conn->readable);
    event_assign(&conn->readable, server_base(conn->server), conn->fd, EV_CLOSED | EV_PERSIST,
                 event_get_callback(&conn->readable), conn);
    event_add(&conn->readable, NULL);
    evbuffer_add(conn->out, head->data, head->len);
    event_add(&conn->writable, NULL);
    server_deadline(conn->server, conn, DEADLINE_WRITE);
}

void conn_stream_write(struct conn *conn, const void *bytes, size_t n)
{
    if (n == 0)
        return;
    if (conn->chunked)
        evbuffer_add_printf(conn->out, "%zx\r\n", n);
    evbuffer_add(conn->out, bytes, n);
    if (conn->chunked)
        evbuffer_add(conn->out, "\r\n", 2);
    if (conn->kind != DEADLINE_WRITE)
        server_deadline(conn->server, conn, DEADLINE_WRITE);
    event_add(&conn->writable, NULL);
}

ssize_t conn_stream_send(struct conn *conn, const void *bytes, size_t n)
{
    ssize_t sent = send(conn->fd, bytes, n, MSG_NOSIGNAL | MSG_DONTWAIT);

    if (sent < 0 && (errno == EAGAIN || errno == EINTR))
        sent = 0;
    if (sent < 0) {
        conn_close(conn);
        return -1;
    }
    if ((size_t)sent < n) {
        if (conn->kind != DEADLINE_WRITE || sent > 0)
            server_deadline(conn->server, conn, DEADLINE_WRITE);
        event_add(&conn->writable, NULL);
    }
    return sent;
}

bool conn_stream_blocked(const struct conn *conn)
{
    return evbuffer_get_length(conn->out) > 0 || event_pending(&conn->writable, EV_WRITE, NULL);
}

void conn_stream_kick(struct conn *conn)
{
    event_add(&conn->writable, NULL);
}

void conn_stream_end(struct conn *conn)
{
    if (conn->chunked && !conn->ending)
        evbuffer_add(conn->out, "0\r\n\r\n", 5);
    conn->ending = true;
    event_add(&conn->writable, NULL);
}

/* A refusal: the answer, then no more requests. */
static void refuse(struct conn *conn, const struct http_refusal *why)
{
    conn->close_after = true;
    if (conn->request == NULL)
        conn->request = request_new(conn, NULL, NULL);
    request_refuse(conn->request, why);
}

/* One step in HEAD; true when there may be more to do. */
static bool process_head(struct conn *conn)
{
    static struct http_head head; /* one loop, and its content ends with this call */
    struct http_refusal why;

    int rc = conn->in.len == 0
                 ? PJ_NONE
                 : http_parse(conn->in.data, conn->in.len, &conn->scanned, &head, &why);
    if (rc == PJ_NONE) {
        if (conn->in.len > 0 && conn->kind == DEADLINE_IDLE)
            server_deadline(conn->server, conn, DEADLINE_HEAD);
        want_read(conn);
        return false;
    }
    if (rc < 0) {
        refuse(conn, &why);
        return false;
    }
    conn->request = request_new(conn, conn->in.data, &head);
    pj_str_shift(&conn->in, head.size);
    if (!head.keep_alive || server_draining(conn->server))
        conn->close_after = true;
    if (request_judge(conn->request, &why) < 0) {
        refuse(conn, &why);
        return false;
    }
    if (head.expect_continue && (head.chunked || head.content_length > 0) && conn->in.len == 0)
        evbuffer_add(conn->out, "HTTP/1.1 100 Continue\r\n\r\n", 25);
    if (!flush(conn))
        return false;
    conn->state = CONN_BODY;
    server_deadline(conn->server, conn, DEADLINE_BODY);
    return true;
}

/* One step in BODY. */
static bool process_body(struct conn *conn)
{
    struct http_refusal why = {0};
    size_t used = 0;

    int rc = request_feed(conn->request, conn->in.data, conn->in.len, &used, &why);
    pj_str_shift(&conn->in, used);
    if (rc == PJ_NONE) {
        want_read(conn);
        return false;
    }
    if (rc < 0) {
        refuse(conn, &why);
        return false;
    }
    conn->state = CONN_WAIT;
    server_deadline(conn->server, conn, DEADLINE_NONE);
    request_dispatch(conn->request);
    return true;
}

static void conn_process(struct conn *conn)
{
    bool more = true;

    conn->busy = true;
    while (more && !conn->dead) {
        if (conn->state == CONN_HEAD)
            more = process_head(conn);
        else if (conn->state == CONN_BODY)
            more = process_body(conn);
        else
            more = false;
    }
    conn->busy = false;
    if (conn->dead)
        release(conn);
}

static void on_linger(struct conn *conn, size_t n)
{
    conn->lingered += n;
    if (conn->lingered > LINGER_MAX)
        conn_close(conn);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct conn *conn = arg;
    static char bytes[READ_SIZE]; /* one loop; on the stack it would be zeroed for every request */

    if ((what & EV_CLOSED) != 0) {
        conn_close(conn);
        return;
    }
    if (conn->state == CONN_WAIT ||
        conn->state == CONN_WRITE) { /* its next request waits in the kernel */
        stop_reading(conn);
        return;
    }
    size_t room = IN_MAX - conn->in.len;
    ssize_t n =
        read(fd, bytes, conn->state == CONN_LINGER || room > sizeof bytes ? sizeof bytes : room);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        conn_close(conn);
        return;
    }
    if (conn->state == CONN_LINGER) {
        on_linger(conn, (size_t)n);
        return;
    }
    if (pj_str_append(&conn->in, bytes, (size_t)n) < 0) {
        conn_close(conn);
        return;
    }
    conn_process(conn);
}

void conn_expired(struct conn *conn)
{
    static const struct http_refusal slow = {408, "the request did not arrive in time"};

    if (conn->state == CONN_STREAM && conn->kind == DEADLINE_NONE && conn->beats &&
        !conn_stream_blocked(conn)) {
        conn_stream_write(conn, ":\n\n", 3);
        return;
    }
    if ((conn->state == CONN_HEAD && conn->in.len > 0) || conn->state == CONN_BODY) {
        refuse(conn, &slow);
        return;
    }
    conn_close(conn);
}

void conn_new(struct server *server, int fd, const char *peer, bool trusted)
{
    struct conn *conn = pj_alloc(1, sizeof *conn);

    conn->server = server;
    conn->fd = fd;
    conn->trusted = trusted;
    snprintf(conn->peer, sizeof conn->peer, "%s", peer);
    conn->out = evbuffer_new();
    pj_str_init(&conn->in, IN_MAX);
    event_assign(&conn->readable, server_base(server), fd, EV_READ | EV_PERSIST, on_readable, conn);
    event_assign(&conn->writable, server_base(server), fd, EV_WRITE, on_writable, conn);
    server_add(server, conn);
    server_deadline(server, conn, DEADLINE_HEAD);
    want_read(conn);
}
