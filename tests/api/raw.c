#include "tests/api/raw.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/base/view.h"

int raw_connect(const char *base)
{
    struct sockaddr_in sin = {.sin_family = AF_INET};
    const char *port = strrchr(base, ':');
    int64_t number = 0;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    cr_assert_eq(pj_parse_i64(pj_view_of(port + 1), &number), 0);
    sin.sin_port = htons((uint16_t)number);
    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    cr_assert_eq(connect(fd, (const struct sockaddr *)&sin, sizeof sin), 0);
    return fd;
}

/* A server that has refused may close while we still send. */
void raw_send(int fd, const char *bytes, size_t n)
{
    while (n > 0) {
        ssize_t sent = send(fd, bytes, n, MSG_NOSIGNAL);
        if (sent < 0)
            return;
        bytes += sent;
        n -= (size_t)sent;
    }
}

char *raw_read(int fd, int deadline_ms, int *closed)
{
    int64_t until = pj_mono_ms() + deadline_ms;
    struct pj_str out;
    char bytes[65536];

    pj_str_init(&out, 64 << 20);
    *closed = 0;
    for (;;) {
        struct pollfd p = {fd, POLLIN, 0};
        int64_t left = until - pj_mono_ms();
        if (left <= 0 || poll(&p, 1, (int)left) <= 0)
            break;
        ssize_t n = read(fd, bytes, sizeof bytes);
        if (n <= 0) {
            *closed = n == 0 || errno == ECONNRESET;
            break;
        }
        pj_str_append(&out, bytes, (size_t)n);
    }
    return pj_str_take(&out);
}

char *raw_exchange(const char *base, const char *bytes, size_t n)
{
    int fd = raw_connect(base), closed;

    raw_send(fd, bytes, n);
    shutdown(fd, SHUT_WR);
    char *text = raw_read(fd, 10000, &closed);
    close(fd);
    return text;
}

int raw_get(const char *base, const char *token, const char *path)
{
    PJ_CLEANUP(pj_freep)
    char *request = pj_asprintf("GET /api/v1/%s HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer "
                                "%s\r\n\r\n",
                                path, token);
    int fd = raw_connect(base);

    raw_send(fd, request, strlen(request));
    return fd;
}

int raw_status(const char *text)
{
    int64_t status;

    if (strncmp(text, "HTTP/1.1 ", 9) != 0 || pj_parse_i64(pj_view_n(text + 9, 3), &status) < 0)
        return 0;
    return (int)status;
}
