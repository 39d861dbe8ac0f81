#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "lib/base/mem.h"
#include "lib/json/codec.h"
#include "runner/agent/agent.h"

#define SEND_TIMEOUT_MS ((int64_t)120 * 1000)
#define LINE_MAX_BYTES 16384

/* "127.0.0.1:8100", or "unix:/path" where the box is none. */
int agent_connect(struct agent *a, const char *gateway, struct pj_err *err)
{
    struct sockaddr_in in = {.sin_family = AF_INET};
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    const char *colon = strrchr(gateway, ':');
    bool is_unix = strncmp(gateway, "unix:", 5) == 0;
    char host[64];
    int64_t port = 0;
    int fd;

    if (is_unix) {
        if (strlen(gateway + 5) >= sizeof un.sun_path)
            return pj_fail(err, PJ_E_INVALID, "--gateway: the socket's path is too long");
        memcpy(un.sun_path, gateway + 5, strlen(gateway + 5) + 1);
    } else {
        if (!colon || (size_t)(colon - gateway) >= sizeof host ||
            pj_parse_i64(pj_view_of(colon + 1), &port) < 0 || port < 1 || port > 65535)
            return pj_fail(err, PJ_E_INVALID, "--gateway %s is not ADDRESS:PORT", gateway);
        memcpy(host, gateway, (size_t)(colon - gateway));
        host[colon - gateway] = '\0';
        in.sin_port = htons((uint16_t)port);
        if (inet_pton(AF_INET, host, &in.sin_addr) != 1)
            return pj_fail(err, PJ_E_INVALID, "--gateway %s does not start with an IPv4 address",
                           gateway);
    }
    fd = socket(is_unix ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return pj_fail_errno(err, errno, "socket");
    if ((is_unix ? connect(fd, (const struct sockaddr *)&un, sizeof un)
                 : connect(fd, (const struct sockaddr *)&in, sizeof in)) < 0) {
        int saved = errno;
        close(fd);
        return pj_fail_errno(err, saved, "connecting to the gateway at %s", gateway);
    }
    pj_link_release(&a->link);
    pj_link_init(&a->link, fd);
    return 0;
}

int agent_send(struct agent *a, const json_t *frame, struct pj_err *err)
{
    PJ_CLEANUP(pj_freep) char *text = pj_json_text(frame);

    return pj_link_send(&a->link, pj_view_of(text), SEND_TIMEOUT_MS, NULL, err);
}

int agent_recv(struct agent *a, json_t **frame, struct pj_err *err)
{
    struct pj_view payload;
    int rc = pj_link_recv(&a->link, &payload, -1, NULL, err);

    if (rc == PJ_NONE)
        return pj_fail(err, PJ_E_UNAVAILABLE, "the gateway closed the connection");
    if (rc < 0)
        return -1;
    return pj_json_parse(payload, frame, err);
}

static json_t *clean_string(const char *text, size_t n)
{
    struct pj_str clean;
    json_t *out;

    pj_str_init(&clean, n * 3 + 1);
    (void)pj_utf8_append_clean(&clean, pj_view_n(text, n));
    out = json_stringn(pj_str_cstr(&clean), clean.len);
    pj_str_release(&clean);
    return out;
}

void agent_log(struct agent *a, const char *entry, const char *message, json_t *data_taken)
{
    size_t n = strlen(message);
    PJ_CLEANUP(pj_json_decrefp)
    json_t *frame = json_pack("{s:s, s:s, s:o}", "type", "log", "entry", entry, "message",
                              clean_string(message, n < LINE_MAX_BYTES ? n : LINE_MAX_BYTES));
    struct pj_err ignored;

    if (data_taken)
        json_object_set_new(frame, "data", data_taken);
    if (a->link.fd >= 0)
        (void)!agent_send(a, frame, &ignored);
}

void agent_log_lines(struct agent *a, const char *stream, const json_t *lines)
{
    PJ_CLEANUP(pj_json_decrefp)
    json_t *frame = json_pack("{s:s, s:s, s:O}", "type", "lines", "stream", stream, "lines", lines);
    struct pj_err ignored;

    if (a->link.fd >= 0 && json_array_size(lines) > 0)
        (void)!agent_send(a, frame, &ignored);
}
