/* pj up - a whole installation on this machine, with one Ctrl-C. */
#include "api/cli/up.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>
#include "lib/base/view.h"

#define DEFAULT_PORT 8080

/* Asked before anything starts, so that the answer is one clear line. */
static int port_is_free(int port, struct pj_err *err)
{
    PJ_CLEANUP(pj_closep) int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1;

    if (fd < 0)
        return pj_fail_errno(err, errno, "socket");
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&at, sizeof at) == 0)
        return 0;
    if (errno != EADDRINUSE)
        return pj_fail_errno(err, errno, "port %d", port);
    (void)pj_fail(err, PJ_E_UNAVAILABLE, "port %d of 127.0.0.1 is in use", port);
    return pj_err_remedy(err, "stop what listens there, or choose another one with --port N");
}

static int port_of(const struct cli_args *args, int *port, struct pj_err *err)
{
    const char *text = cli_option_get(args, "port");
    int64_t n = DEFAULT_PORT;

    if (text && (pj_parse_i64(pj_view_of(text), &n) < 0 || n < 1 || n > 65535))
        return pj_fail(err, PJ_E_INVALID, "--port wants a number from 1 to 65535, not %s", text);
    *port = (int)n;
    return 0;
}

static void greet(const struct up_state *s)
{
    (void)printf("Pithy Jaunt " PJ_VERSION " in %s\n", s->dir);
    if (s->replay)
        (void)puts("no model key is set: the shipped replay answers instead of a model");
    else
        (void)printf("model provider: %s\n", s->model);
    (void)fflush(stdout);
}

static void print_address(const struct up_state *s)
{
    (void)printf("address       %s\ntoken         %s\n", s->url, s->token);
    (void)printf("use it        export PJ_URL=%s PJ_TOKEN=$(cat %s/token)\n", s->url, s->dir);
    (void)fflush(stdout);
}

/* Everything between start and stop. Returns an exit code, or -1. */
static int session(struct cli *cli, const struct cli_args *args, struct up_state *s, struct up_watch *w,
                   struct pj_err *err)
{
    bool once = cli_option_get(args, "once") != NULL, sample = !cli_option_get(args, "no-sample");
    int rc = 0;

    if (up_start_all(w, err) < 0)
        return -1;
    cli->client = client_new(s->url, s->token, NULL);
    client_set_pump(cli->client, &w->pump);
    if (sample)
        rc = up_sample_run(cli, s, cli->client, err);
    if (rc < 0)
        return -1;
    print_address(s);
    if (once)
        return rc;
    (void)puts("Ctrl-C ends it");
    (void)fflush(stdout);
    return up_wait(w, err);
}

int cmd_up(struct cli *cli, const struct cli_args *args, struct pj_err *err)
{
    struct up_state state = {.lock_fd = -1};
    struct up_watch watch = {.signal_fd = -1};
    int port, rc;

    if (port_of(args, &port, err) < 0)
        return -1;
    rc = up_state_open(&state, cli_option_get(args, "data"), port, err);
    if (rc == 0)
        rc = port_is_free(port, err);
    if (rc == 0)
        rc = up_watch_init(&watch, &state, err);
    if (rc == 0) {
        greet(&state);
        rc = session(cli, args, &state, &watch, err);
        up_stop_all(&watch);
    }
    if (rc < 0 && err->cls == PJ_E_CANCELLED)
        rc = EXIT_INTERRUPTED;
    client_free(cli->client);
    cli->client = NULL;
    up_watch_release(&watch);
    up_state_close(&state);
    return rc;
}
