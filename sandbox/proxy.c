#include "sandbox/proxy.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include "lib/base/cleanup.h"
#include "lib/base/view.h"

#define DIAL_SECONDS 20

void proxy_dial_init(struct proxy_dial *d, int client, const struct spec *spec, struct result *result)
{
    *d = (struct proxy_dial){.client = client, .spec = spec, .result = result, .helper_fd = -1};
}

void proxy_dial_release(struct proxy_dial *d)
{
    if (d->helper_fd >= 0) {
        kill(d->helper, SIGKILL);
        waitpid(d->helper, NULL, 0);
    }
    pj_fd_close(&d->helper_fd);
}

size_t proxy_dial_want(const struct proxy_dial *d, struct pollfd *fds)
{
    fds[0] = (struct pollfd){.fd = d->helper_fd >= 0 ? d->helper_fd : d->client, .events = POLLIN};
    return 1;
}

bool proxy_parse_connect(const char *head, size_t len, char host[254], uint16_t *port)
{
    struct pj_view line = pj_view_n(head, len), rest, target;
    int64_t number;
    const char *end = memchr(head, '\r', len), *colon;
    size_t n;

    if (!end)
        return false;
    line.n = (size_t)(end - head);
    if (!pj_view_starts(line, "CONNECT "))
        return false;
    rest = pj_view_n(line.p + 8, line.n - 8);
    if (!pj_view_cut(&rest, ' ', &target) || (!pj_view_is(rest, "HTTP/1.1") && !pj_view_is(rest, "HTTP/1.0")))
        return false;
    colon = memrchr(target.p, ':', target.n);
    if (!colon || pj_parse_i64(pj_view_n(colon + 1, target.n - (size_t)(colon + 1 - target.p)), &number) < 0 || number < 1 ||
        number > 65535)
        return false;
    n = (size_t)(colon - target.p);
    if (n >= 2 && target.p[0] == '[' && target.p[n - 1] == ']') {
        target.p++;
        n -= 2;
    }
    if (n == 0 || n > 253)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (!isalnum((unsigned char)target.p[i]) && !strchr(".-_:", target.p[i]))
            return false;
        host[i] = (char)tolower((unsigned char)target.p[i]);
    }
    host[n] = '\0';
    if (n > 1 && host[n - 1] == '.')
        host[n - 1] = '\0'; /* the root's dot names the same host */
    *port = (uint16_t)number;
    return true;
}

struct range {
    const char *network;
    unsigned bits;
    bool is_private; /* opened by --net-allow-private */
    const char *why;
};

/* IANA special-purpose address registries, RFC 6890 and its updates. */
static const struct range ranges4[] = {
    {"0.0.0.0",         8,  false, "this host"             },
    {"10.0.0.0",        8,  true,  "private"               },
    {"100.64.0.0",      10, true,  "carrier's private"     },
    {"127.0.0.0",       8,  false, "loopback"              },
    {"169.254.0.0",     16, false, "link-local, metadata"  },
    {"172.16.0.0",      12, true,  "private"               },
    {"192.0.0.0",       24, false, "protocol assignments"  },
    {"192.168.0.0",     16, true,  "private"               },
    {"198.18.0.0",      15, true,  "benchmarks"            },
    {"224.0.0.0",       3,  false, "multicast and reserved"},
};

static const struct range ranges6[] = {
    {"::",          96, false, "unspecified, loopback, mapped"},
    {"64:ff9b::",   96, false, "an IPv4 address in disguise"  },
    {"64:ff9b:1::", 48, false, "an IPv4 address in disguise"  },
    {"2002::",      16, false, "an IPv4 address in disguise"  },
    {"2001::",      32, false, "an IPv4 address in disguise"  },
    {"fc00::",      7,  true,  "private"                      },
    {"fe80::",      10, false, "link-local"                   },
    {"fec0::",      10, true,  "site-local"                   },
    {"ff00::",      8,  false, "multicast"                    },
};

static bool within(const unsigned char *addr, const unsigned char *net, unsigned bits)
{
    for (unsigned i = 0; i < bits; i++) {
        unsigned shift = 7 - i % 8;

        if (((addr[i / 8] ^ net[i / 8]) >> shift) & 1)
            return false;
    }
    return true;
}

static bool ok_in(const unsigned char *addr, int family, const struct range *ranges, size_t count, bool allow_private)
{
    unsigned char net[16];

    for (size_t i = 0; i < count; i++) {
        inet_pton(family, ranges[i].network, net);
        if (within(addr, net, ranges[i].bits))
            return ranges[i].is_private && allow_private;
    }
    return true;
}

bool proxy_address_ok(const struct sockaddr *addr, bool allow_private)
{
    if (addr->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)addr;

        return ok_in((const unsigned char *)&in->sin_addr, AF_INET, ranges4, PJ_COUNT_OF(ranges4), allow_private);
    }
    if (addr->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)addr;
        struct sockaddr_in mapped = {.sin_family = AF_INET};

        if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
            memcpy(&mapped.sin_addr, in6->sin6_addr.s6_addr + 12, 4);
            return proxy_address_ok((struct sockaddr *)&mapped, allow_private);
        }
        return ok_in(in6->sin6_addr.s6_addr, AF_INET6, ranges6, PJ_COUNT_OF(ranges6), allow_private);
    }
    return false;
}

static bool is_listed(const struct spec *spec, const char *host, uint16_t port)
{
    for (size_t i = 0; i < spec->allow_count; i++) {
        if (spec->allows[i].port == port && strcasecmp(spec->allows[i].host, host) == 0)
            return true;
    }
    return false;
}

enum { DIAL_OK, DIAL_REFUSED, DIAL_FAILED };

/* Helper process: resolve, judge, connect, send the socket or one byte that says why not. */
static void helper_main(const struct spec *spec, const char *host, uint16_t port, int fd) PJ_NORETURN;
static void helper_main(const struct spec *spec, const char *host, uint16_t port, int fd)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
    unsigned char raw[16];
    bool literal = inet_pton(AF_INET, host, raw) == 1 || inet_pton(AF_INET6, host, raw) == 1;
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = {0};
    char service[8], answer = DIAL_FAILED;
    struct iovec iov = {&answer, 1};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    int sock = -1;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGALRM, SIG_DFL);
    alarm(DIAL_SECONDS);
    snprintf(service, sizeof service, "%u", (unsigned)port);
    if (getaddrinfo(host, service, &hints, &list) == 0) {
        answer = DIAL_REFUSED;
        for (const struct addrinfo *a = list; a && sock < 0; a = a->ai_next) {
            if (!literal && !proxy_address_ok(a->ai_addr, spec->allow_private))
                continue;
            answer = DIAL_FAILED;
            sock = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
            if (sock >= 0 && connect(sock, a->ai_addr, a->ai_addrlen) < 0)
                pj_fd_close(&sock);
        }
    }
    if (sock >= 0) {
        struct cmsghdr *c;

        answer = DIAL_OK;
        msg.msg_control = control.bytes;
        msg.msg_controllen = sizeof control.bytes;
        c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(c), &sock, sizeof sock);
    }
    sendmsg(fd, &msg, MSG_NOSIGNAL);
    _exit(0);
}

static enum proxy_answer refuse(struct proxy_dial *d, const char *status)
{
    char text[128];
    int n = snprintf(text, sizeof text, "HTTP/1.1 %s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", status);

    (void)!send(d->client, text, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT);
    shutdown(d->client, SHUT_RDWR);
    return PROXY_ENDED;
}

static enum proxy_answer start_helper(struct proxy_dial *d, const char *host, uint16_t port)
{
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return refuse(d, "503 Service Unavailable");
    d->helper = fork();
    if (d->helper == 0) {
        close(pair[0]);
        helper_main(d->spec, host, port, pair[1]);
    }
    close(pair[1]);
    if (d->helper < 0) {
        close(pair[0]);
        return refuse(d, "503 Service Unavailable");
    }
    d->helper_fd = pair[0];
    return PROXY_WAIT;
}

static enum proxy_answer read_head(struct proxy_dial *d)
{
    ssize_t n = recv(d->client, d->head + d->len, sizeof d->head - d->len, MSG_DONTWAIT);
    const char *end;
    char host[254];
    uint16_t port;

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return PROXY_WAIT;
    if (n <= 0)
        return PROXY_ENDED;
    d->len += (size_t)n;
    end = memmem(d->head, d->len, "\r\n\r\n", 4);
    if (!end)
        return d->len == sizeof d->head ? refuse(d, "431 Request Header Fields Too Large") : PROXY_WAIT;
    d->head_len = (size_t)(end - d->head) + 4;
    if (!proxy_parse_connect(d->head, d->head_len, host, &port))
        return refuse(d, "405 Method Not Allowed");
    if (!is_listed(d->spec, host, port)) {
        result_refuse(d->result, host, port);
        return refuse(d, "403 Forbidden");
    }
    return start_helper(d, host, port);
}

static enum proxy_answer read_helper(struct proxy_dial *d, int *fd)
{
    static const char ok[] = "HTTP/1.1 200 Connection established\r\n\r\n";
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control;
    char answer = DIAL_FAILED, host[254];
    struct iovec iov = {&answer, 1};
    struct msghdr msg = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
    ssize_t n = recvmsg(d->helper_fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    struct cmsghdr *c;
    uint16_t port;

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return PROXY_WAIT;
    pj_fd_close(&d->helper_fd);
    waitpid(d->helper, NULL, 0);
    if (n == 1 && answer == DIAL_REFUSED) {
        if (proxy_parse_connect(d->head, d->head_len, host, &port))
            result_refuse(d->result, host, port);
        return refuse(d, "403 Forbidden");
    }
    c = n == 1 && answer == DIAL_OK ? CMSG_FIRSTHDR(&msg) : NULL;
    if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
        return refuse(d, "502 Bad Gateway");
    memcpy(fd, CMSG_DATA(c), sizeof *fd);
    fcntl(*fd, F_SETFL, O_NONBLOCK);
    if (send(d->client, ok, sizeof ok - 1, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)(sizeof ok - 1)) {
        pj_fd_close(fd);
        return PROXY_ENDED;
    }
    return PROXY_OPEN;
}

enum proxy_answer proxy_dial_step(struct proxy_dial *d, const struct pollfd *fds, size_t count, int *fd)
{
    int waiting = d->helper_fd >= 0 ? d->helper_fd : d->client;

    for (size_t i = 0; i < count; i++) {
        if (fds[i].fd == waiting && fds[i].revents)
            return d->helper_fd >= 0 ? read_helper(d, fd) : read_head(d);
    }
    return PROXY_WAIT;
}

size_t proxy_dial_rest(const struct proxy_dial *d, char *buf, size_t size)
{
    size_t n = d->len - d->head_len;

    if (n > size)
        n = size;
    memcpy(buf, d->head + d->head_len, n);
    return n;
}
