#include "runner/gateway/gateway.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "runner/gateway/inner.h"

static int listen_at(const char *path, int mode, int *out, struct pj_err *err)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    PJ_CLEANUP(pj_closep) int fd = -1;

    if (strlen(path) >= sizeof addr.sun_path)
        return pj_fail(err, PJ_E_LIMIT,
                       "the gateway's socket path has %zu bytes, allowed are %zu: %s", strlen(path),
                       sizeof addr.sun_path - 1, path);
    memcpy(addr.sun_path, path, strlen(path) + 1);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return pj_fail_errno(err, errno, "socket");
    (void)unlink(path); /* of an earlier job of this task that was killed */
    /* Before listen() nobody can connect, so the mode is in force in time. */
    if (bind(fd, (const struct sockaddr *)&addr, sizeof addr) < 0 ||
        chmod(path, (mode_t)(mode ? mode : 0600)) < 0 || listen(fd, 16) < 0)
        return pj_fail_errno(err, errno, "gateway socket %s", path);
    *out = fd;
    fd = -1;
    return 0;
}

static void budget_begin(struct gateway *gw)
{
    const struct gateway_config *config = &gw->config;

    gw->budget = (struct budget){
        .max_tokens = config->limits.tokens,
        .max_cost = config->limits.cost_microusd,
        .max_turns = config->limits.turns,
        .deadline_mono_ms = config->limits.deadline_mono_ms,
        .tokens = config->spent.tokens,
        .cost_microusd = config->spent.cost_microusd,
        .turns = config->spent.turns,
        .started_mono_ms = pj_mono_ms(),
    };
}

int gateway_open(const struct gateway_config *config, struct gateway **out, struct pj_err *err)
{
    PJ_CLEANUP(gateway_freep) struct gateway *gw = pj_alloc(1, sizeof *gw);

    gw->config = *config;
    gw->listen_fd = -1;
    pj_link_init(&gw->agent, -1);
    gw->source = &gw->primary;
    if (!config->primary.provider)
        return pj_fail(err, PJ_E_INVALID, "MODEL_PROVIDER is not set");
    if (gateway_source_open(config, &config->primary, &gw->primary, err) < 0)
        return -1;
    if (config->fallback.provider &&
        gateway_source_open(config, &config->fallback, &gw->fallback, err) < 0)
        return pj_err_wrap(err, "MODEL_FALLBACK_PROVIDER");
    gw->http = pj_http_new(config->ca_file);
    gw->quirks = pj_quirks_new();
    gw->kept = pj_history_new();
    budget_begin(gw);
    if (listen_at(config->socket_path, config->socket_mode, &gw->listen_fd, err) < 0)
        return -1;
    *out = gw;
    gw = NULL;
    return 0;
}

void gateway_free(struct gateway *gw)
{
    if (!gw)
        return;
    if (gw->listen_fd >= 0)
        (void)unlink(gw->config.socket_path);
    pj_fd_close(&gw->listen_fd);
    pj_link_release(&gw->agent);
    gateway_source_release(&gw->primary);
    gateway_source_release(&gw->fallback);
    pj_http_free(gw->http);
    pj_quirks_free(gw->quirks);
    pj_history_free(gw->kept);
    free(gw);
}

void gateway_freep(struct gateway **gw)
{
    gateway_free(*gw);
    *gw = NULL;
}
