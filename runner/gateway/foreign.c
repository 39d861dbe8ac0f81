/* foreign.c - the gateway's second face: connections of other agents, one request each (`Connection: close`), carried out one
 * after the other. */
#include "runner/gateway/foreign.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/json/codec.h"

#define CONNS_MAX 16
#define WAITING_MAX ((size_t)48 << 20) /* of all requests that are not whole yet */
#define IDLE_MS ((int64_t)60 * 1000)
#define WRITE_STALL_MS ((int64_t)30 * 1000)
#define TICK_MS 1000

struct conn {
    int fd; /* -1: free */
    struct pj_str in;
    int64_t seen_ms;
    bool continued; /* 100 Continue was sent */
};

struct desk {
    struct gateway *gw;
    const struct pj_pump *pump;
    struct conn conn[CONNS_MAX];
};

static void drop(struct conn *c)
{
    pj_fd_close(&c->fd);
    pj_str_release(&c->in);
}

/* Write all, serving the pump. The peer going away is not an error of ours. */
static int put(struct desk *d, struct conn *c, const char *bytes, size_t n, struct pj_err *err)
{
    while (n > 0 && c->fd >= 0) {
        ssize_t sent = send(c->fd, bytes, n, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent >= 0) {
            bytes += sent;
            n -= (size_t)sent;
        } else if (errno == EAGAIN) {
            int rc = pj_wire_wait(c->fd, POLLOUT, WRITE_STALL_MS, d->pump, err);
            if (rc < 0)
                return -1;
            if (rc == PJ_NONE)
                pj_fd_close(&c->fd);
        } else if (errno != EINTR) {
            pj_fd_close(&c->fd);
        }
    }
    return 0;
}

static int reply(struct desk *d, struct conn *c, int status, const json_t *doc, struct pj_err *err)
{
    PJ_CLEANUP(pj_freep) char *text = pj_json_text(doc);
    PJ_CLEANUP(pj_freep)
    char *all = pj_asprintf("HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nContent-Length: "
                            "%zu\r\nConnection: close\r\n\r\n%s",
                            status, status < 300 ? "OK" : "Refused", strlen(text), text);
    int rc = put(d, c, all, strlen(all), err);

    if (c->fd >= 0)
        (void)shutdown(c->fd, SHUT_WR);
    return rc;
}

/* An error in the form that both families of clients read. Providers may say the key back in theirs. */
static int refuse(struct desk *d, struct conn *c, int status, const char *code, const char *message,
                  struct pj_err *err)
{
    PJ_CLEANUP(pj_freep) char *masked = gateway_masked(d->gw, message, 2000);
    PJ_CLEANUP(pj_json_decrefp)
    json_t *doc = json_pack("{s:s, s:{s:s, s:s, s:s}}", "type", "error", "error", "type", code,
                            "code", code, "message", masked);

    return reply(d, c, status, doc, err);
}

static int list_models(struct desk *d, struct conn *c, struct pj_err *err)
{
    PJ_CLEANUP(pj_json_decrefp)
    json_t *doc =
        json_pack("{s:s, s:[{s:s, s:s, s:s}]}", "object", "list", "data", "id",
                  d->gw->source->model, "object", "model", "owned_by", d->gw->source->provider);

    return reply(d, c, 200, doc, err);
}

static int count_tokens(struct desk *d, struct conn *c, size_t bytes, struct pj_err *err)
{
    PJ_CLEANUP(pj_json_decrefp)
    json_t *doc =
        json_pack("{s:I}", "input_tokens", (json_int_t)budget_prompt(&d->gw->budget, bytes));

    return reply(d, c, 200, doc, err);
}

/* clang-format off */
static const struct {
    const char *path;
    enum pj_model_api api;
    const char *upstream;
} routes[] = {
    {"/v1/chat/completions", PJ_API_CHAT, "/chat/completions"},
    {"/v1/messages", PJ_API_MESSAGES, "/v1/messages"},
    {"/v1/responses", PJ_API_RESPONSES, "/responses"},
};
/* clang-format on */

/* A place for the answer: the connection it belongs to. */
struct sink {
    struct desk *desk;
    struct conn *conn;
};

static int sink_put(void *ctx, const char *bytes, size_t n, struct pj_err *err)
{
    struct sink *s = ctx;

    if (put(s->desk, s->conn, bytes, n, err) < 0)
        return -1;
    if (s->conn->fd >= 0)
        return 0;
    (void)pj_fail(err, PJ_E_UNAVAILABLE, "the agent hung up before its answer was complete");
    return pj_err_code(err, FOREIGN_GONE);
}

static int forward(struct desk *d, struct conn *c, const struct http_in *in, size_t route,
                   struct pj_err *err)
{
    struct sink sink = {d, c};
    struct foreign_call call = {.request = pj_view_n(pj_str_cstr(&c->in), c->in.len),
                                .in = in,
                                .api = routes[route].api,
                                .upstream = routes[route].upstream,
                                .put = sink_put,
                                .ctx = &sink};
    struct pj_err why, ignored;
    int status = 502, rc = foreign_forward(d->gw, &call, d->pump, &status, &why);

    if (rc == PJ_NONE)
        return refuse(d, c, status, pj_err_code_of(&why), why.message, err);
    if (rc < 0) {
        *err = why;
        if (!call.answered) /* so that the agent can say why it stops */
            (void)!refuse(d, c, why.cls == PJ_E_LIMIT ? 429 : 504, pj_err_code_of(&why),
                          why.message, &ignored);
    }
    if (c->fd >= 0)
        (void)shutdown(c->fd, SHUT_WR);
    return rc;
}

static int handle(struct desk *d, struct conn *c, const struct http_in *in, struct pj_err *err)
{
    if (pj_view_is(in->method, "GET") && pj_view_is(in->path, "/v1/models"))
        return list_models(d, c, err);
    if (!pj_view_is(in->method, "POST"))
        return refuse(d, c, 404, "not_found", "only model calls are served here", err);
    if (pj_view_is(in->path, "/v1/messages/count_tokens"))
        return count_tokens(d, c, in->body.n, err);
    for (size_t i = 0; i < PJ_COUNT_OF(routes); i++) {
        if (pj_view_is(in->path, routes[i].path))
            return forward(d, c, in, i, err);
    }
    return refuse(d, c, 404, "not_found", "there is no such end point; see /v1/models", err);
}

static void accept_one(struct desk *d)
{
    int fd = accept4(d->gw->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    for (size_t i = 0; fd >= 0 && i < CONNS_MAX; i++) {
        if (d->conn[i].fd >= 0)
            continue;
        d->conn[i] = (struct conn){.fd = fd, .seen_ms = pj_mono_ms()};
        pj_str_init(&d->conn[i].in, HTTP_IN_HEAD_MAX + HTTP_IN_BODY_MAX);
        return;
    }
    if (fd >= 0)
        close(fd);
}

static size_t waiting(const struct desk *d)
{
    size_t n = 0;

    for (size_t i = 0; i < CONNS_MAX; i++)
        if (d->conn[i].fd >= 0)
            n += d->conn[i].in.len;
    return n;
}

static int serve_conn(struct desk *d, struct conn *c, struct pj_err *err)
{
    char bytes[65536];
    struct http_in in;
    ssize_t n = recv(c->fd, bytes, sizeof bytes, MSG_DONTWAIT);
    int rc;

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (n <= 0 || pj_str_append(&c->in, bytes, (size_t)n) < 0) {
        drop(c);
        return 0;
    }
    if (waiting(d) > WAITING_MAX) {
        rc = refuse(d, c, 503, "busy", "too much waits to be asked; one request after the other",
                    err);
        drop(c);
        return rc;
    }
    c->seen_ms = pj_mono_ms();
    rc = http_in_parse(pj_view_n(c->in.data, c->in.len), &in);
    if (rc == PJ_NONE) {
        static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
        if (!in.wants_continue || c->continued)
            return 0;
        c->continued = true;
        return put(d, c, go_on, sizeof go_on - 1, err);
    }
    rc = rc == 0 ? handle(d, c, &in, err)
                 : refuse(d, c, rc, "bad_request", "this request is not understood", err);
    drop(c);
    return rc;
}

/* One wait for the listener, all connections and the pump. */
static int wait_once(struct desk *d, struct pj_err *err)
{
    struct pollfd fds[1 + CONNS_MAX + PJ_PUMP_FDS_MAX] = {
        {.fd = d->gw->listen_fd, .events = POLLIN}};
    int wait_ms = TICK_MS, pump_ms = -1;
    int64_t woken_ms;
    size_t n = 0;

    for (size_t i = 0; i < CONNS_MAX; i++)
        fds[1 + i] = (struct pollfd){.fd = d->conn[i].fd, .events = POLLIN};
    if (d->pump)
        n = d->pump->want(d->pump->ctx, fds + 1 + CONNS_MAX, PJ_PUMP_FDS_MAX, &pump_ms);
    if (pump_ms >= 0 && pump_ms < wait_ms)
        wait_ms = pump_ms;
    if (poll(fds, 1 + CONNS_MAX + n, wait_ms) < 0)
        for (size_t i = 0; i < PJ_COUNT_OF(fds); i++)
            fds[i].revents = 0;
    if (d->pump && d->pump->ready(d->pump->ctx, fds + 1 + CONNS_MAX, n, err) < 0)
        return -1;
    woken_ms = pj_mono_ms(); /* who waits while another's call is made is not idle */
    for (size_t i = 0; i < CONNS_MAX; i++) {
        struct conn *c = &d->conn[i];
        if (c->fd >= 0 && fds[1 + i].fd == c->fd && fds[1 + i].revents && serve_conn(d, c, err) < 0)
            return -1;
        if (c->fd >= 0 && woken_ms - c->seen_ms > IDLE_MS)
            drop(c);
    }
    if (fds[0].revents)
        accept_one(d);
    return 0;
}

int gateway_serve_foreign(struct gateway *gw, const struct pj_pump *pump,
                          struct gateway_result *result, struct pj_err *err)
{
    struct desk d = {.gw = gw, .pump = pump};
    int rc = 0;

    memset(result, 0, sizeof *result);
    gw->result = result;
    for (size_t i = 0; i < CONNS_MAX; i++)
        d.conn[i].fd = -1;
    while (rc == 0 && !(gw->config.hooks.over && gw->config.hooks.over(gw->config.hooks.ctx)))
        rc = wait_once(&d, err);
    for (size_t i = 0; i < CONNS_MAX; i++)
        drop(&d.conn[i]);
    result->end = GATEWAY_FINISHED;
    gateway_sum_up(gw, result);
    return rc;
}
