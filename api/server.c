#include "api/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/listener.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include "api/cidr.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/view.h"

#define TICK_MS 250

/* Milliseconds, in the order of enum conn_deadline. */
static const int64_t deadline_ms[DEADLINE_COUNT] = {0, 5000, 30000, 30000, 30000, 1000, 15000};

struct address_count {
    char address[64];
    size_t count;
};

struct server {
    struct api *api;
    struct event_base *base;
    struct evconnlistener *listener;
    struct event *tick;
    struct event *resume; /* after EMFILE */
    struct server_options options;
    char address[160];
    char socket_path[108];
    bool draining;
    size_t count;
    struct conn_list all;
    struct conn_list due[DEADLINE_COUNT];
    struct address_count *counts; /* addresses with a connection, unordered */
    size_t counts_n, counts_cap;
};

struct api *server_api(const struct server *server)
{
    return server->api;
}

struct event_base *server_base(const struct server *server)
{
    return server->base;
}

bool server_draining(const struct server *server)
{
    return server->draining;
}

bool server_metrics_only(const struct server *server)
{
    return server->options.metrics_only;
}

const struct cidr_list *server_trusted(const struct server *server)
{
    return server->options.trusted;
}

const char *server_address(const struct server *server)
{
    return server->address;
}

size_t server_connections(const struct server *server)
{
    return server->count;
}

static bool is_counted(const struct server *server, const char *peer)
{
    return server->options.max_per_address > 0 && strcmp(peer, "unix") != 0 &&
           strncmp(peer, "127.", 4) != 0 && strcmp(peer, "::1") != 0 &&
           !cidr_list_has(server->options.trusted, peer);
}

static struct address_count *find_count(struct server *server, const char *peer)
{
    char party[64];

    cidr_party(peer, party);
    for (size_t i = 0; i < server->counts_n; i++)
        if (strcmp(server->counts[i].address, party) == 0)
            return &server->counts[i];
    return NULL;
}

void server_add(struct server *server, struct conn *conn)
{
    server->count++;
    TAILQ_INSERT_TAIL(&server->all, conn, all);
    if (!is_counted(server, conn->peer))
        return;
    struct address_count *c = find_count(server, conn->peer);
    if (c == NULL) {
        if (server->counts_n == server->counts_cap) {
            server->counts_cap = server->counts_cap > 0 ? 2 * server->counts_cap : 16;
            server->counts = pj_realloc(server->counts, server->counts_cap, sizeof *server->counts);
        }
        c = &server->counts[server->counts_n++];
        memset(c, 0, sizeof *c);
        cidr_party(conn->peer, c->address);
    }
    c->count++;
}

void server_remove(struct server *server, struct conn *conn)
{
    server_deadline(server, conn, DEADLINE_NONE);
    TAILQ_REMOVE(&server->all, conn, all);
    server->count--;
    struct address_count *c =
        is_counted(server, conn->peer) ? find_count(server, conn->peer) : NULL;
    if (c != NULL && --c->count == 0)
        *c = server->counts[--server->counts_n];
}

void server_deadline(struct server *server, struct conn *conn, enum conn_deadline kind)
{
    if (conn->kind != DEADLINE_NONE)
        TAILQ_REMOVE(&server->due[conn->kind], conn, by_deadline);
    conn->kind = kind;
    if (kind == DEADLINE_NONE)
        return;
    conn->deadline_ms = pj_mono_ms() + deadline_ms[kind];
    TAILQ_INSERT_TAIL(&server->due[kind], conn, by_deadline);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    struct server *server = arg;
    struct conn *conn;
    int64_t now = pj_mono_ms();

    (void)fd;
    (void)what;
    for (int kind = DEADLINE_HEAD; kind < DEADLINE_COUNT; kind++)
        while ((conn = TAILQ_FIRST(&server->due[kind])) != NULL && conn->deadline_ms <= now) {
            server_deadline(server, conn, DEADLINE_NONE);
            conn_expired(conn);
        }
}

static void peer_name(const struct sockaddr *sa, char *out, size_t cap)
{
    if (sa->sa_family == AF_UNIX ||
        getnameinfo(
            sa, sa->sa_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6),
            out, (socklen_t)cap, NULL, 0, NI_NUMERICHOST) != 0)
        snprintf(out, cap, "unix");
    if (strncmp(out, "::ffff:", 7) == 0)
        memmove(out, out + 7, strlen(out + 7) + 1);
}

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *sa,
                      int len, void *arg)
{
    static const char busy[] =
        "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n"
        "Connection: close\r\n\r\n";
    struct server *server = arg;
    char peer[64] = "";
    int one = 1;

    (void)listener;
    (void)len;
    peer_name(sa, peer, sizeof peer);
    const struct address_count *c = is_counted(server, peer) ? find_count(server, peer) : NULL;
    if (server->count >= server->options.max_connections ||
        (c != NULL && c->count >= server->options.max_per_address)) {
        if (send(fd, busy, sizeof busy - 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
            pj_log(PJ_LOG_DEBUG, "connection_refused", "peer", peer, NULL);
        close(fd);
        return;
    }
    if (sa->sa_family != AF_UNIX && setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) < 0)
        pj_log(PJ_LOG_DEBUG, "socket_option", "detail", strerror(errno), NULL);
    conn_new(server, fd, peer, cidr_list_has(server->options.trusted, peer));
}

static void on_resume(evutil_socket_t fd, short what, void *arg)
{
    struct server *server = arg;

    (void)fd;
    (void)what;
    if (server->listener != NULL)
        evconnlistener_enable(server->listener);
}

static void on_accept_error(struct evconnlistener *listener, void *arg)
{
    struct server *server = arg;
    struct timeval pause = {0, 100000};

    pj_log(PJ_LOG_WARN, "accept_failed", "detail", strerror(EVUTIL_SOCKET_ERROR()), NULL);
    evconnlistener_disable(listener);
    evtimer_add(server->resume, &pause);
}

static int unix_path(const char *path, struct sockaddr_un *sun, const char *setting,
                     struct pj_err *err)
{
    sun->sun_family = AF_UNIX;
    if (strlen(path) == 0 || strlen(path) >= sizeof sun->sun_path)
        return pj_fail(err, PJ_E_INVALID, "%s: a Unix socket path has 1 to %zu bytes", setting,
                       sizeof sun->sun_path - 1);
    memcpy(sun->sun_path, path, strlen(path) + 1);
    return 0;
}

/* A socket file that nobody listens on is left over from a process that was killed. */
static int unix_address(const char *path, struct sockaddr_un *sun, const char *setting,
                        struct pj_err *err)
{
    struct stat st;

    if (unix_path(path, sun, setting, err) < 0)
        return -1;
    if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode)) {
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        bool alive = fd >= 0 && connect(fd, (const struct sockaddr *)sun, sizeof *sun) == 0;
        pj_fd_close(&fd);
        if (!alive && unlink(path) < 0)
            return pj_fail_errno(err, errno, "%s: cannot remove the stale socket %s", setting,
                                 path);
    }
    return 0;
}

static int tcp_address(const char *text, struct sockaddr_storage *out, socklen_t *len,
                       const char *setting, struct pj_err *err)
{
    const char *colon = strrchr(text, ':');
    char host[128];
    size_t n = colon != NULL ? (size_t)(colon - text) : 0;

    if (colon == NULL || n >= sizeof host)
        return pj_fail(err, PJ_E_INVALID, "%s: '%s' is no host:port", setting, text);
    int64_t port;
    if (pj_parse_i64(pj_view_of(colon + 1), &port) < 0 || port < 0 || port > 65535)
        return pj_fail(err, PJ_E_INVALID, "%s: '%s' has no port from 0 to 65535", setting, text);
    bool bracket = n >= 2 && text[0] == '[' && text[n - 1] == ']';
    memcpy(host, text + (bracket ? 1 : 0), n);
    host[bracket ? n - 2 : n] = '\0';
    struct addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM},
                    *list = NULL;
    int rc = getaddrinfo(host[0] != '\0' && strcmp(host, "*") != 0 ? host : NULL, colon + 1, &hints,
                         &list);
    if (rc != 0)
        return pj_fail(err, PJ_E_INVALID, "%s: cannot use '%s': %s", setting, text,
                       gai_strerror(rc));
    memcpy(out, list->ai_addr, list->ai_addrlen);
    *len = list->ai_addrlen;
    freeaddrinfo(list);
    return 0;
}

int server_address_check(const char *listen, const char *setting, struct pj_err *err)
{
    struct sockaddr_storage ss;
    struct sockaddr_un sun = {0};
    socklen_t len;

    if (strncmp(listen, "unix:", 5) == 0)
        return unix_path(listen + 5, &sun, setting, err);
    if (tcp_address(listen, &ss, &len, setting, err) < 0)
        return pj_err_remedy(err, "set %s to host:port, say 127.0.0.1:8080, or unix:/path",
                             setting);
    return 0;
}

static void note_address(struct server *server)
{
    struct sockaddr_storage ss;
    socklen_t len = sizeof ss;
    char host[64], port[8];

    if (server->socket_path[0] != '\0') {
        snprintf(server->address, sizeof server->address, "unix:%s", server->socket_path);
        return;
    }
    if (getsockname(evconnlistener_get_fd(server->listener), (struct sockaddr *)&ss, &len) == 0 &&
        getnameinfo((struct sockaddr *)&ss, len, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) == 0)
        snprintf(server->address, sizeof server->address,
                 strchr(host, ':') != NULL ? "[%s]:%s" : "%s:%s", host, port);
}

static int start_listening(struct server *server, struct pj_err *err)
{
    const char *text = server->options.listen;
    struct sockaddr_storage ss = {0};
    socklen_t len = sizeof(struct sockaddr_un);

    if (strncmp(text, "unix:", 5) == 0) {
        if (unix_address(text + 5, (struct sockaddr_un *)&ss, server->options.setting, err) < 0)
            return -1;
        snprintf(server->socket_path, sizeof server->socket_path, "%s", text + 5);
    } else if (tcp_address(text, &ss, &len, server->options.setting, err) < 0) {
        return -1;
    }
    server->listener =
        evconnlistener_new_bind(server->base, on_accept, server,
                                LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE,
                                1024, (struct sockaddr *)&ss, (int)len);
    if (server->listener == NULL) {
        int saved = errno;
        server->socket_path[0] = '\0';
        pj_fail_errno(err, saved, "%s: cannot listen on %s", server->options.setting, text);
        return pj_err_remedy(
            err,
            saved == EADDRINUSE
                ? "another program has this address: stop it, or set %s to a free one"
                : "set %s to an address of this host that you may listen on",
            server->options.setting);
    }
    evconnlistener_set_error_cb(server->listener, on_accept_error);
    note_address(server);
    return 0;
}

int server_new(struct api *api, struct event_base *base, const struct server_options *options,
               struct server **out, struct pj_err *err)
{
    struct server *server = pj_alloc(1, sizeof *server);
    struct timeval tick = {0, TICK_MS * 1000};

    server->api = api;
    server->base = base;
    server->options = *options;
    TAILQ_INIT(&server->all);
    for (int i = 0; i < DEADLINE_COUNT; i++)
        TAILQ_INIT(&server->due[i]);
    server->tick = event_new(base, -1, EV_PERSIST, on_tick, server);
    server->resume = evtimer_new(base, on_resume, server);
    if (start_listening(server, err) < 0) {
        server_free(server);
        return -1;
    }
    event_add(server->tick, &tick);
    *out = server;
    return 0;
}

static void stop_listening(struct server *server)
{
    if (server->listener == NULL)
        return;
    evconnlistener_free(server->listener);
    server->listener = NULL;
    if (server->socket_path[0] != '\0' && unlink(server->socket_path) < 0 && errno != ENOENT)
        pj_log(PJ_LOG_WARN, "socket_left", "path", server->socket_path, "detail", strerror(errno),
               NULL);
}

void server_drain(struct server *server)
{
    struct conn *conn, *next;

    server->draining = true;
    stop_listening(server);
    for (conn = TAILQ_FIRST(&server->all); conn != NULL; conn = next) {
        next = TAILQ_NEXT(conn, all);
        conn->close_after = true;
        if (conn->state == CONN_HEAD && conn->in.len == 0)
            conn_close(conn);
        else if (conn->state == CONN_STREAM && conn->beats)
            conn_stream_end(
                conn); /* the client comes back with Last-Event-ID, to another process */
    }
}

void server_free(struct server *server)
{
    struct conn *conn;

    if (server == NULL)
        return;
    stop_listening(server);
    while ((conn = TAILQ_FIRST(&server->all)) != NULL)
        conn_close(conn);
    event_free(server->tick);
    event_free(server->resume);
    free(server->counts);
    free(server);
}
