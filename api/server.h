/* server.h - a listener (TCP or Unix socket) and its table of connections: caps, deadlines, drain.
 *
 * One loop, one tick of 250 ms for all deadlines. On EMFILE accepting pauses for 100 ms instead of spinning. */
#ifndef API_SERVER_H
#define API_SERVER_H

#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>
#include "api/conn.h"
#include "lib/base/err.h"

struct api;
struct cidr_list;

struct server_options {
    const char *listen;  /* "host:port", "[v6]:port", "unix:/path" */
    const char *setting; /* its name, for messages */
    size_t max_connections;
    size_t
        max_per_address; /* 0: none; loopback, Unix sockets and trusted proxies are never counted */
    const struct cidr_list *trusted; /* borrowed, may be NULL */
    bool metrics_only;               /* serves /metrics, /livez and /readyz, without a token */
};

struct server;

/* Can `listen` be an address at all? INVALID names the setting. */
int server_address_check(const char *listen, const char *setting, struct pj_err *err) PJ_MUST_CHECK;
int server_new(struct api *api, struct event_base *base, const struct server_options *options,
               struct server **out, struct pj_err *err) PJ_MUST_CHECK;
void server_free(struct server *server);
/* The address that is listened on, with the port the kernel chose when 0 was asked for: "127.0.0.1:8080", "unix:/path". */
const char *server_address(const struct server *server);
/* Stop accepting, close what is idle, tell streams to end. `server_connections() == 0` says that it is done. */
void server_drain(struct server *server);
size_t server_connections(const struct server *server);

/* For conn.c. */
struct api *server_api(const struct server *server);
struct event_base *server_base(const struct server *server);
bool server_draining(const struct server *server);
bool server_metrics_only(const struct server *server);
void server_add(struct server *server, struct conn *conn);
void server_remove(struct server *server, struct conn *conn);
void server_deadline(struct server *server, struct conn *conn, enum conn_deadline kind);
const struct cidr_list *server_trusted(const struct server *server);

#endif
