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

void proxy_dial_init(struct proxy_dial *d, int client, const struct spec *spec,
                     struct result *result)
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

/* "host:port" or "[address]:port"; the port may be absent when `fallback` is not 0. */
static bool parse_authority(struct pj_view authority, uint16_t fallback, char host[254],
                            uint16_t *port)
{
    const char *colon = memrchr(authority.p, ':', authority.n);
    size_t n = authority.n;
    int64_t number = fallback;

    if (n && authority.p[n - 1] == ']')
        colon = NULL;
    if (colon) {
        n = (size_t)(colon - authority.p);
        if (pj_parse_i64(pj_view_n(colon + 1, authority.n - n - 1), &number) < 0)
            return false;
    }
    if (number < 1 || number > 65535)
        return false;
    if (n >= 2 && authority.p[0] == '[' && authority.p[n - 1] == ']') {
        authority.p++;
        n -= 2;
    }
    if (n == 0 || n > 253)
        return false;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)authority.p[i];

        if (!isalnum(c) && c != '.' && c != '-' && c != '_' && c != ':')
            return false;
        host[i] = (char)tolower(c);
    }
    host[n] = '\0';
    if (n > 1 && host[n - 1] == '.')
        host[n - 1] = '\0'; /* the root's dot names the same host */
    *port = (uint16_t)number;
    return true;
}

bool proxy_parse_request(const char *head, size_t len, struct proxy_request *out)
{
    const char *end = memchr(head, '\r', len);
    struct pj_view rest = pj_view_n(head, end ? (size_t)(end - head) : 0), method, target,
                   authority;
    size_t n;

    if (!pj_view_cut(&rest, ' ', &method) || !pj_view_cut(&rest, ' ', &target) ||
        (!pj_view_is(rest, "HTTP/1.1") && !pj_view_is(rest, "HTTP/1.0")))
        return false;
    *out = (struct proxy_request){.connect = pj_view_is(method, "CONNECT")};
    if (out->connect)
        return parse_authority(target, 0, out->host, &out->port);
    if (!pj_view_starts(target, "http://"))
        return false;
    authority = pj_view_n(target.p + 7, target.n - 7);
    for (n = 0; n < authority.n && authority.p[n] != '/' && authority.p[n] != '?'; n++)
        ;
    out->method = method;
    out->path = pj_view_n(authority.p + n, authority.n - n);
    out->headers = pj_view_n(end, len - (size_t)(end - head));
    return parse_authority(pj_view_n(authority.p, n), 80, out->host, &out->port);
}

/* The request as the origin wants it: its path alone, and no second request on this connection. */
static int write_origin_form(const struct proxy_request *request, char *buf, size_t size)
{
    struct pj_view rest = request->headers, line;
    struct pj_str out;
    int rc;

    pj_str_init(&out, size);
    pj_str_append(&out, request->method.p, request->method.n);
    pj_str_puts(&out, request->path.n && request->path.p[0] == '/' ? " " : " /");
    pj_str_append(&out, request->path.p, request->path.n);
    pj_str_puts(&out, " HTTP/1.1\r\nConnection: close");
    pj_view_cut(&rest, '\n', &line); /* the end of the request line */
    while (pj_view_cut(&rest, '\n', &line) && line.n > 1) {
        if (strncasecmp(line.p, "connection:", line.n < 11 ? line.n : 11) == 0 ||
            strncasecmp(line.p, "proxy-", line.n < 6 ? line.n : 6) == 0)
            continue;
        pj_str_puts(&out, "\r\n");
        pj_str_append(&out, line.p, line.p[line.n - 1] == '\r' ? line.n - 1 : line.n);
    }
    pj_str_puts(&out, "\r\n\r\n");
    rc = out.full ? -1 : (int)out.len;
    if (rc > 0)
        memcpy(buf, out.data, out.len);
    pj_str_release(&out);
    return rc;
}

struct range {
    const char *network;
    unsigned bits;
    bool is_private; /* opened by --net-allow-private */
    const char *why;
};

/* IANA special-purpose address registries, RFC 6890 and its updates. */
static const struct range ranges4[] = {
    {"0.0.0.0", 8, false, "this host"},
    {"10.0.0.0", 8, true, "private"},
    {"100.64.0.0", 10, true, "carrier's private"},
    {"127.0.0.0", 8, false, "loopback"},
    {"169.254.0.0", 16, false, "link-local, metadata"},
    {"172.16.0.0", 12, true, "private"},
    {"192.0.0.0", 24, false, "protocol assignments"},
    {"192.168.0.0", 16, true, "private"},
    {"198.18.0.0", 15, true, "benchmarks"},
    {"224.0.0.0", 3, false, "multicast and reserved"},
};

static const struct range ranges6[] = {
    {"::", 96, false, "unspecified, loopback, mapped"},
    {"64:ff9b::", 96, false, "an IPv4 address in disguise"},
    {"64:ff9b:1::", 48, false, "an IPv4 address in disguise"},
    {"2002::", 16, false, "an IPv4 address in disguise"},
    {"2001::", 32, false, "an IPv4 address in disguise"},
    {"fc00::", 7, true, "private"},
    {"fe80::", 10, false, "link-local"},
    {"fec0::", 10, true, "site-local"},
    {"ff00::", 8, false, "multicast"},
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

static bool ok_in(const unsigned char *addr, int family, const struct range *ranges, size_t count,
                  bool allow_private)
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

        return ok_in((const unsigned char *)&in->sin_addr, AF_INET, ranges4, PJ_COUNT_OF(ranges4),
                     allow_private);
    }
    if (addr->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)addr;
        struct sockaddr_in mapped = {.sin_family = AF_INET};

        if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
            memcpy(&mapped.sin_addr, in6->sin6_addr.s6_addr + 12, 4);
            return proxy_address_ok((struct sockaddr *)&mapped, allow_private);
        }
        return ok_in(in6->sin6_addr.s6_addr, AF_INET6, ranges6, PJ_COUNT_OF(ranges6),
                     allow_private);
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
static void helper_main(const struct spec *spec, const char *host, uint16_t port,
                        int fd) PJ_NORETURN;
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
        if (c) { /* there is room: it was sized for this */
            c->cmsg_level = SOL_SOCKET;
            c->cmsg_type = SCM_RIGHTS;
            c->cmsg_len = CMSG_LEN(sizeof(int));
            memcpy(CMSG_DATA(c), &sock, sizeof sock);
        }
    }
    sendmsg(fd, &msg, MSG_NOSIGNAL);
    _exit(0);
}

static enum proxy_answer refuse(struct proxy_dial *d, const char *status)
{
    char text[128];
    int n = snprintf(text, sizeof text,
                     "HTTP/1.1 %s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", status);

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
    struct proxy_request request;

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return PROXY_WAIT;
    if (n <= 0)
        return PROXY_ENDED;
    d->len += (size_t)n;
    end = memmem(d->head, d->len, "\r\n\r\n", 4);
    if (!end)
        return d->len == sizeof d->head ? refuse(d, "431 Request Header Fields Too Large")
                                        : PROXY_WAIT;
    d->head_len = (size_t)(end - d->head) + 4;
    if (!proxy_parse_request(d->head, d->head_len, &request))
        return refuse(d, "400 Bad Request");
    if (!is_listed(d->spec, request.host, request.port)) {
        result_refuse(d->result, request.host, request.port);
        return refuse(d, "403 Forbidden");
    }
    return start_helper(d, request.host, request.port);
}

static enum proxy_answer read_helper(struct proxy_dial *d, int *fd)
{
    static const char ok[] = "HTTP/1.1 200 Connection established\r\n\r\n";
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control;
    char answer = DIAL_FAILED;
    struct proxy_request request;
    struct iovec iov = {&answer, 1};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control.bytes,
                         .msg_controllen = sizeof control.bytes};
    ssize_t n = recvmsg(d->helper_fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    struct cmsghdr *c;

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return PROXY_WAIT;
    pj_fd_close(&d->helper_fd);
    waitpid(d->helper, NULL, 0);
    if (!proxy_parse_request(d->head, d->head_len, &request))
        return PROXY_ENDED;
    if (n == 1 && answer == DIAL_REFUSED) {
        result_refuse(d->result, request.host, request.port);
        return refuse(d, "403 Forbidden");
    }
    c = n == 1 && answer == DIAL_OK ? CMSG_FIRSTHDR(&msg) : NULL;
    if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
        return refuse(d, "502 Bad Gateway");
    memcpy(fd, CMSG_DATA(c), sizeof *fd);
    fcntl(*fd, F_SETFL, O_NONBLOCK);
    d->tunnel = request.connect;
    if (d->tunnel && send(d->client, ok, sizeof ok - 1, MSG_NOSIGNAL | MSG_DONTWAIT) !=
                         (ssize_t)(sizeof ok - 1)) {
        pj_fd_close(fd);
        return PROXY_ENDED;
    }
    return PROXY_OPEN;
}

enum proxy_answer proxy_dial_step(struct proxy_dial *d, const struct pollfd *fds, size_t count,
                                  int *fd)
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
    struct proxy_request request;
    size_t n = d->len - d->head_len, head = 0;

    if (!d->tunnel && proxy_parse_request(d->head, d->head_len, &request)) {
        int written = write_origin_form(&request, buf, size - n);

        head = written > 0 ? (size_t)written : 0;
    }
    memcpy(buf + head, d->head + d->head_len, n);
    return head + n;
}
