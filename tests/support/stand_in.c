#include "tests/support/stand_in.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/http_struct.h>
#include <event2/keyvalq_struct.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>
#include "lib/base/cleanup.h"
#include "lib/base/mem.h"

#define BODY_MAX (64L * 1024 * 1024)

struct stand_in_exchange {
    struct stand_in *server;
    struct evhttp_request *req;
    struct stand_in_exchange *next; /* among the held ones */
    void (*resume)(struct stand_in_exchange *, void *);
    void *arg;
    bool muted;
};

enum command { CMD_STOP = 1, CMD_RELEASE = 2 };

struct stand_in {
    stand_in_handler *handle;
    void *ctx;
    struct event_base *base;
    struct evhttp *http;
    struct event *wake;
    int wake_fd;
    uint16_t port;
    char url[64];
    pthread_t thread;
    struct stand_in_exchange *held;
    bool released; /* gates stay open */

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    unsigned commands;
    struct stand_in_request **requests;
    size_t count, cap;
    size_t abandoned;
};

static void die(const char *what)
{
    fprintf(stderr, "stand-in server: %s: %s\n", what, strerror(errno));
    abort();
}

const char *stand_in_header(const struct stand_in_request *r, const char *name)
{
    for (size_t i = 0; i < r->header_count; i++)
        if (strcasecmp(r->headers[i].name, name) == 0)
            return r->headers[i].value;
    return NULL;
}

/* ---- recording ---- */

static const char *method_word(enum evhttp_cmd_type type)
{
    switch (type) {
    case EVHTTP_REQ_GET:
        return "GET";
    case EVHTTP_REQ_POST:
        return "POST";
    case EVHTTP_REQ_HEAD:
        return "HEAD";
    case EVHTTP_REQ_PUT:
        return "PUT";
    case EVHTTP_REQ_DELETE:
        return "DELETE";
    case EVHTTP_REQ_PATCH:
        return "PATCH";
    case EVHTTP_REQ_OPTIONS:
        return "OPTIONS";
    case EVHTTP_REQ_TRACE:
        return "TRACE";
    case EVHTTP_REQ_CONNECT:
        return "CONNECT";
    }
    return "?";
}

static struct stand_in_request *copy_request(struct evhttp_request *req)
{
    struct stand_in_request *r = pj_alloc(1, sizeof *r);
    const char *uri = evhttp_request_get_uri(req);
    const char *query = strchr(uri, '?');
    struct evbuffer *body = evhttp_request_get_input_buffer(req);
    struct evkeyval *h;

    r->method = pj_strdup(method_word(evhttp_request_get_command(req)));
    r->path = query ? pj_strndup(uri, (size_t)(query - uri)) : pj_strdup(uri);
    r->query = query ? pj_strdup(query + 1) : NULL;
    r->body_len = evbuffer_get_length(body);
    r->body = pj_alloc(r->body_len + 1, 1);
    evbuffer_copyout(body, r->body, r->body_len);
    for (h = evhttp_request_get_input_headers(req)->tqh_first; h; h = h->next.tqe_next) {
        if (r->header_count == STAND_IN_HEADERS_MAX)
            break;
        r->headers[r->header_count].name = pj_strdup(h->key);
        r->headers[r->header_count].value = pj_strdup(h->value);
        r->header_count++;
    }
    return r;
}

static void free_request(struct stand_in_request *r)
{
    for (size_t i = 0; i < r->header_count; i++) {
        free(r->headers[i].name);
        free(r->headers[i].value);
    }
    free(r->method);
    free(r->path);
    free(r->query);
    free(r->body);
    free(r);
}

static void record(struct stand_in *s, struct stand_in_request *r)
{
    pthread_mutex_lock(&s->lock);
    if (s->count == s->cap) {
        s->cap = s->cap ? s->cap * 2 : 32;
        s->requests = pj_realloc(s->requests, s->cap, sizeof *s->requests);
    }
    s->requests[s->count++] = r;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

static void on_request(struct evhttp_request *req, void *arg)
{
    struct stand_in *s = arg;
    struct stand_in_request *r = copy_request(req);
    struct stand_in_exchange *x = pj_alloc(1, sizeof *x);

    x->server = s;
    x->req = req;
    s->handle(s->ctx, r, x);
    record(
        s,
        r); /* what the answer needs is sent from the loop, so whoever saw the answer also sees the record */
}

/* ---- answering ---- */

void stand_in_add_header(struct stand_in_exchange *x, const char *name, const char *value)
{
    evhttp_add_header(evhttp_request_get_output_headers(x->req), name, value);
}

void stand_in_reply(struct stand_in_exchange *x, int status, const char *type, const void *body,
                    size_t n)
{
    if (x->muted) {
        stand_in_hold(x, NULL, NULL);
        return;
    }
    if (type)
        stand_in_add_header(x, "Content-Type", type);
    if (n > 0)
        evbuffer_add(evhttp_request_get_output_buffer(x->req), body, n);
    evhttp_send_reply(x->req, status, "stand-in", NULL);
    free(x);
}

void stand_in_reply_text(struct stand_in_exchange *x, int status, const char *type,
                         const char *text)
{
    stand_in_reply(x, status, type, text, strlen(text));
}

void stand_in_stream_begin(struct stand_in_exchange *x, int status, const char *type)
{
    stand_in_add_header(x, "Content-Type", type);
    evhttp_send_reply_start(x->req, status, "stand-in");
}

void stand_in_stream_piece(struct stand_in_exchange *x, const char *text)
{
    struct evbuffer *piece = evbuffer_new();

    evbuffer_add(piece, text, strlen(text));
    evhttp_send_reply_chunk(x->req, piece);
    evbuffer_free(piece);
}

void stand_in_stream_end(struct stand_in_exchange *x)
{
    evhttp_send_reply_end(x->req);
    free(x);
}

/* What was said goes out before the end: evhttp would write it only once it is back in its loop. */
static void write_pending(struct evhttp_connection *conn)
{
    struct bufferevent *bev = evhttp_connection_get_bufferevent(conn);
    struct evbuffer_iovec pieces[32];
    int n = evbuffer_peek(bufferevent_get_output(bev), -1, NULL, pieces, PJ_COUNT_OF(pieces));

    if (n > (int)PJ_COUNT_OF(pieces))
        n = PJ_COUNT_OF(pieces);
    if (n > 0)
        (void)!writev(bufferevent_getfd(bev), (const struct iovec *)pieces, n);
}

void stand_in_cut(struct stand_in_exchange *x)
{
    struct evhttp_connection *conn = evhttp_request_get_connection(x->req);

    write_pending(conn);
    /* The connection owns the request and frees it. */
    evhttp_connection_free(conn);
    free(x);
}

/* ---- holding ---- */

static void unlink_held(struct stand_in_exchange *x)
{
    struct stand_in_exchange **at = &x->server->held;

    while (*at && *at != x)
        at = &(*at)->next;
    if (*at)
        *at = x->next;
}

static void on_peer_gone(struct evhttp_connection *conn, void *arg)
{
    struct stand_in_exchange *x = arg;
    struct stand_in *s = x->server;

    (void)conn;
    unlink_held(x);
    /* evhttp takes an unanswered request off a connection that the peer closed, and leaves it to us. */
    if (!evhttp_request_get_connection(x->req))
        evhttp_request_free(x->req);
    free(x->arg);
    free(x);
    pthread_mutex_lock(&s->lock);
    s->abandoned++;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

void stand_in_mute(struct stand_in_exchange *x)
{
    x->muted = true;
}

void stand_in_hold(struct stand_in_exchange *x, void (*resume)(struct stand_in_exchange *, void *),
                   void *arg)
{
    if (resume && x->server->released) {
        resume(x, arg);
        free(arg);
        return;
    }
    x->resume = resume;
    x->arg = arg;
    x->next = x->server->held;
    x->server->held = x;
    struct evhttp_connection *conn = evhttp_request_get_connection(x->req);
    evhttp_connection_set_closecb(conn, on_peer_gone, x);
    /* evhttp stops reading after a body; only a reader learns that the peer has gone. */
    bufferevent_enable(evhttp_connection_get_bufferevent(conn), EV_READ);
}

static void release_held(struct stand_in *s)
{
    struct stand_in_exchange *x = s->held;

    s->released = true;
    s->held = NULL;
    while (x) {
        struct stand_in_exchange *next = x->next;
        void *arg = x->arg;

        if (x->resume) {
            evhttp_connection_set_closecb(evhttp_request_get_connection(x->req), NULL, NULL);
            x->resume(x, arg);
            free(arg);
        } else {
            x->next = s->held;
            s->held = x;
        }
        x = next;
    }
}

/* ---- the thread ---- */

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
    struct stand_in *s = arg;
    eventfd_t n;

    (void)what;
    (void)eventfd_read(fd, &n);
    pthread_mutex_lock(&s->lock);
    unsigned commands = s->commands;
    s->commands = 0;
    pthread_mutex_unlock(&s->lock);
    if (commands & CMD_RELEASE)
        release_held(s);
    if (commands & CMD_STOP)
        event_base_loopbreak(s->base);
}

static void *serve(void *arg)
{
    struct stand_in *s = arg;

    event_base_dispatch(s->base);
    return NULL;
}

static void command(struct stand_in *s, enum command c)
{
    pthread_mutex_lock(&s->lock);
    s->commands |= (unsigned)c;
    pthread_mutex_unlock(&s->lock);
    if (eventfd_write(s->wake_fd, 1) < 0)
        die("eventfd_write");
}

void stand_in_release(struct stand_in *s)
{
    command(s, CMD_RELEASE);
}

static void listen_on(struct stand_in *s, uint16_t port)
{
    struct evhttp_bound_socket *bound = evhttp_bind_socket_with_handle(s->http, "127.0.0.1", port);
    struct sockaddr_in at;
    socklen_t n = sizeof at;

    if (!bound)
        die("bind");
    if (getsockname(evhttp_bound_socket_get_fd(bound), (struct sockaddr *)&at, &n) < 0)
        die("getsockname");
    s->port = ntohs(at.sin_port);
    snprintf(s->url, sizeof s->url, "http://127.0.0.1:%u", (unsigned)s->port);
}

struct stand_in *stand_in_start(uint16_t port, stand_in_handler *handle, void *ctx)
{
    struct stand_in *s = pj_alloc(1, sizeof *s);
    pthread_condattr_t attr;

    signal(SIGPIPE, SIG_IGN); /* a client that went away is part of the play */
    s->handle = handle;
    s->ctx = ctx;
    pthread_mutex_init(&s->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&s->changed, &attr);
    pthread_condattr_destroy(&attr);
    s->base = event_base_new();
    s->http = evhttp_new(s->base);
    evhttp_set_allowed_methods(s->http, EVHTTP_REQ_GET | EVHTTP_REQ_POST | EVHTTP_REQ_HEAD |
                                            EVHTTP_REQ_PUT | EVHTTP_REQ_DELETE | EVHTTP_REQ_PATCH);
    evhttp_set_max_body_size(s->http, BODY_MAX);
    evhttp_set_gencb(s->http, on_request, s);
    listen_on(s, port);
    s->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (s->wake_fd < 0)
        die("eventfd");
    s->wake = event_new(s->base, s->wake_fd, EV_READ | EV_PERSIST, on_wake, s);
    event_add(s->wake, NULL);
    if (pthread_create(&s->thread, NULL, serve, s) != 0)
        die("pthread_create");
    return s;
}

void stand_in_stop(struct stand_in *s)
{
    if (!s)
        return;
    command(s, CMD_STOP);
    pthread_join(s->thread, NULL);
    for (struct stand_in_exchange *x = s->held, *next; x; x = next) {
        next = x->next;
        evhttp_connection_set_closecb(evhttp_request_get_connection(x->req), NULL, NULL);
        free(x->arg);
        free(x);
    }
    event_free(s->wake);
    evhttp_free(s->http);
    event_base_free(s->base);
    close(s->wake_fd);
    for (size_t i = 0; i < s->count; i++)
        free_request(s->requests[i]);
    free(s->requests);
    pthread_cond_destroy(&s->changed);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

const char *stand_in_url(const struct stand_in *s)
{
    return s->url;
}

uint16_t stand_in_port(const struct stand_in *s)
{
    return s->port;
}

/* ---- waiting and looking, from the test's thread ---- */

static bool wait_for(struct stand_in *s, const size_t *number, size_t wanted, int deadline_ms)
{
    struct timespec until;
    int rc = 0;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += deadline_ms / 1000;
    until.tv_nsec += (long)(deadline_ms % 1000) * 1000000L;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000L;
    }
    pthread_mutex_lock(&s->lock);
    while (*number < wanted && rc == 0)
        rc = pthread_cond_timedwait(&s->changed, &s->lock, &until);
    bool reached = *number >= wanted;
    pthread_mutex_unlock(&s->lock);
    return reached;
}

bool stand_in_wait(struct stand_in *s, size_t count, int deadline_ms)
{
    return wait_for(s, &s->count, count, deadline_ms);
}

bool stand_in_wait_abandoned(struct stand_in *s, size_t count, int deadline_ms)
{
    return wait_for(s, &s->abandoned, count, deadline_ms);
}

size_t stand_in_count(struct stand_in *s)
{
    pthread_mutex_lock(&s->lock);
    size_t n = s->count;
    pthread_mutex_unlock(&s->lock);
    return n;
}

const struct stand_in_request *stand_in_request_at(struct stand_in *s, size_t i)
{
    pthread_mutex_lock(&s->lock);
    const struct stand_in_request *r = i < s->count ? s->requests[i] : NULL;
    pthread_mutex_unlock(&s->lock);
    return r;
}
