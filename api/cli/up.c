/* pj up - a whole installation on this machine, with one Ctrl-C. */

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>
#include "api/cli/table.h"
#include "api/cli/up.h"
#include "lib/base/view.h"
#include "lib/json/codec.h"

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

static void say(const struct cli *cli, const char *line)
{
    if (cli->json)
        return;
    (void)puts(line);
    (void)fflush(stdout);
}

static void greet(const struct cli *cli, const struct up_state *s)
{
    if (cli->json)
        return;
    (void)printf("Pithy Jaunt " PJ_VERSION " in %s\n", s->dir);
    if (s->replay)
        (void)puts("no model key is set: the shipped replay answers instead of a model");
    else
        (void)printf("model provider: %s\n", s->model);
    (void)fflush(stdout);
}

/* What happened, and how to go on. */
static void print_result(const struct cli *cli, const struct up_state *s, json_t *result)
{
    static const struct table_column fields[] = {
        {"task", "id", 0},
        {"status", "status", 0},
        {"branch", "branch", 0},
        {"commit", "commitSha", 0},
        {"subject", "subject", 0},
        {"remote", "remote", 0},
        {"see it", "see", 0},
        {"error", "error.code", 0},
        {"detail", "error.detail", 0},
        {"remedy", "error.remedy", 0},
        {"note", "note", 0},
        {"address", "address", 0},
        {"token", "token", 0},
        {"use it", "use", 0},
    };

    if (s->replay)
        json_object_set_new(
            result, "note",
            json_string("a replay answered; set OPENAI_API_KEY or ANTHROPIC_API_KEY for a model"));
    json_object_set_new(result, "address", json_string(s->url));
    json_object_set_new(result, "token", json_string(s->token));
    json_object_set_new(result, "use",
                        json_sprintf("export PJ_URL=%s PJ_TOKEN=$(cat %s/token)", s->url, s->dir));
    if (!cli->json)
        (void)putchar('\n');
    table_record(cli, fields, PJ_COUNT_OF(fields), result);
    (void)fflush(stdout);
}

/* Everything between start and stop. Returns an exit code, or -1. */
static int session(struct cli *cli, const struct cli_args *args, struct up_state *s,
                   struct up_watch *w, struct pj_err *err)
{
    bool once = cli_option_get(args, "once") != NULL, sample = !cli_option_get(args, "no-sample");
    PJ_CLEANUP(pj_json_decrefp) json_t *result = json_object();
    int rc = 0;

    if (up_start_all(w, err) < 0)
        return -1;
    cli->client = client_new(s->url, s->token, NULL);
    client_set_pump(cli->client, &w->pump);
    if (sample)
        rc = up_sample_run(cli, s, cli->client, result, err);
    if (rc < 0)
        return -1;
    print_result(cli, s, result);
    if (once)
        return rc;
    say(cli, "Ctrl-C ends it");
    return up_wait(w, err);
}

int cmd_up(struct cli *cli, const struct cli_args *args, struct pj_err *err)
{
    struct up_state state = {.lock_fd = -1};
    struct up_watch watch = {.signal_fd = -1};
    int port = DEFAULT_PORT, rc;

    if (port_of(args, &port, err) < 0)
        return -1;
    rc = up_state_open(&state, cli_option_get(args, "data"), port, err);
    if (rc == 0)
        rc = port_is_free(port, err);
    if (rc == 0)
        rc = up_watch_init(&watch, &state, err);
    if (rc == 0) {
        greet(cli, &state);
        rc = session(cli, args, &state, &watch, err);
        if (watch.interrupted)
            say(cli, "draining; once more ends running tasks at once");
        up_stop_all(&watch);
        if (rc >= 0 || err->cls == PJ_E_CANCELLED)
            say(cli, "stopped");
    }
    if (rc < 0 && err->cls == PJ_E_CANCELLED)
        rc = EXIT_INTERRUPTED;
    client_free(cli->client);
    cli->client = NULL;
    up_watch_release(&watch);
    up_state_close(&state);
    return rc;
}
