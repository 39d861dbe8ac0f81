/* proxy.h - the filtering proxy of --net-allow: reads one request (CONNECT, or one for an http://
 * address), judges its host, dials it.
 *
 * Only what the caller listed passes; a name must resolve to public addresses (or private ones
 * with --net-allow-private), never to loopback, link-local or multicast ones, so that a name
 * cannot be pointed at the host or a metadata service. An address that the caller listed as such
 * is taken at its word. Resolving and connecting happen in a short-lived helper process, so that
 * a slow name server holds nothing up; the address that was judged is the one that is dialled. */
#ifndef SANDBOX_PROXY_H
#define SANDBOX_PROXY_H

#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "lib/base/view.h"
#include "sandbox/result.h"
#include "sandbox/spec.h"

#define PROXY_HEAD_MAX 8192

enum proxy_answer { PROXY_WAIT, PROXY_OPEN, PROXY_ENDED };

struct proxy_request {
    bool connect;
    char host[254]; /* lower case, without brackets */
    uint16_t port;
    struct pj_view method, path, headers; /* of a plain request, borrowed; path may be empty */
};

struct proxy_dial {
    int client; /* borrowed */
    const struct spec *spec;
    struct result *result;
    char head[PROXY_HEAD_MAX];
    size_t len, head_len; /* bytes read; bytes of the request, 0 while incomplete */
    int helper_fd;        /* -1: none */
    pid_t helper;
    bool tunnel; /* once open: CONNECT, else a plain request that is passed on */
};

void proxy_dial_init(struct proxy_dial *d, int client, const struct spec *spec,
                     struct result *result);
void proxy_dial_release(struct proxy_dial *d);
size_t proxy_dial_want(const struct proxy_dial *d, struct pollfd *fds);
/* PROXY_OPEN: *fd is connected (the caller's, non-blocking) and the client was told so.
 * PROXY_ENDED: the client was told no. */
enum proxy_answer proxy_dial_step(struct proxy_dial *d, const struct pollfd *fds, size_t count,
                                  int *fd);
/* What the origin is sent first: a plain request in origin form, then whatever followed the
 * client's head. `size` is at least twice PROXY_HEAD_MAX and a bit; returns the count. */
size_t proxy_dial_rest(const struct proxy_dial *d, char *buf, size_t size);

/* Parse the complete head of a request. False when it is neither CONNECT host:port nor METHOD
 * http://host[:port]/…. */
bool proxy_parse_request(const char *head, size_t len, struct proxy_request *out);
/* May a name's address be dialled? */
bool proxy_address_ok(const struct sockaddr *addr, bool allow_private);

#endif
