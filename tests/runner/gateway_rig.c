#include "tests/runner/gateway_rig.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include "lib/base/fs.h"
#include "lib/base/mem.h"
#include "lib/base/proc.h"
#include "lib/json/codec.h"
#include "tests/support/model_server.h"

#define AGENT_LEAVES_MS 60000

static void on_event(void *ctx, const char *stream, const char *type, const char *message,
                     const json_t *data)
{
    struct rig *rig = ctx;
    char *text = data ? pj_json_text(data) : NULL;

    (void)pj_str_putf(&rig->events, "%s %s %s %s\n", stream, type, message, text ? text : "");
    free(text);
}

static int on_usage(void *ctx, const struct gateway_call *call, struct pj_err *err)
{
    struct rig *rig = ctx;

    (void)err;
    rig->calls++;
    rig->last = *call;
    return 0;
}

static int on_finish(void *ctx, const char *summary, const char *reason, char **feedback,
                     struct pj_err *err)
{
    struct rig *rig = ctx;

    (void)summary;
    (void)reason;
    (void)err;
    if (rig->finishes++ >= rig->finish_refusals)
        return 0;
    *feedback = pj_strdup("make test: 1 test failed");
    return PJ_NONE;
}

static void on_trajectory(void *ctx, const char *line)
{
    struct rig *rig = ctx;

    (void)pj_str_putf(&rig->trajectory, "%s\n", line);
}

static int on_diff(void *ctx, const char *diff, const char *summary, char **feedback,
                   struct pj_err *err)
{
    struct rig *rig = ctx;

    pj_str_set(&rig->diff, diff);
    return on_finish(ctx, summary, NULL, feedback, err);
}

void rig_init(struct rig *rig, const char *provider, const char *base_url)
{
    memset(rig, 0, sizeof *rig);
    strcpy(rig->dir, "/tmp/pj-rig-XXXXXX"); // NOLINT: a literal into its own size
    cr_assert_not_null(mkdtemp(rig->dir));
    (void)snprintf(rig->tree, sizeof rig->tree, "%s/tree", rig->dir);
    (void)snprintf(rig->socket, sizeof rig->socket, "%s/gateway", rig->dir);
    cr_assert_eq(mkdir(rig->tree, 0755), 0);
    pj_str_init(&rig->events, (size_t)8 << 20);
    pj_str_init(&rig->trajectory, (size_t)8 << 20);
    cr_assert_eq(pj_prices_load(NULL, &rig->prices, &rig->err), 0);
    rig->redact = pj_redact_new();
    pj_redact_add(rig->redact, MODEL_SERVER_KEY);
    /* clang-format off */
    rig->config = (struct gateway_config){
        .socket_path = rig->socket,
        .primary = {.provider = provider, .model = "test-model", .base_url = base_url, .api_key = MODEL_SERVER_KEY},
        .prices = rig->prices,
        .limits = {.cost_microusd = -1},
        .retry_base_ms = 10,
        .redact = rig->redact,
        .task = {.id = "0123456789abcdef0123ab", .title = "Say hello", .description = "greet.txt must say hello."},
        .hooks = {.ctx = rig, .event = on_event, .usage = on_usage, .finish = on_finish, .diff = on_diff, .trajectory = on_trajectory},
    };
    /* clang-format on */
}

void rig_release(struct rig *rig)
{
    struct pj_err err;

    gateway_result_release(&rig->result);
    free(rig->diff);
    pj_prices_free(rig->prices);
    pj_redact_free(rig->redact);
    pj_str_release(&rig->events);
    pj_str_release(&rig->trajectory);
    cr_expect_eq(pj_fs_remove_tree(rig->dir, &err), 0);
}

void rig_file(struct rig *rig, const char *path, const char *text)
{
    PJ_CLEANUP(pj_freep) char *full = pj_asprintf("%s/%s", rig->tree, path);
    PJ_CLEANUP(pj_freep) char *dir = pj_strndup(full, (size_t)(strrchr(full, '/') - full));
    struct pj_err err;
    FILE *f;

    cr_assert_eq(pj_fs_mkdirs(dir, 0755, &err), 0);
    f = fopen(full, "we"); /* without the fsync of an atomic write: thousands are made */
    cr_assert_not_null(f);
    cr_assert_geq(fputs(text, f), 0);
    cr_assert_eq(fclose(f), 0);
}

char *rig_text(const struct rig *rig, const char *path)
{
    PJ_CLEANUP(pj_freep) char *full = pj_asprintf("%s/%s", rig->tree, path);
    PJ_CLEANUP(pj_str_release) struct pj_str text;
    struct pj_err err;

    pj_str_init(&text, (size_t)1 << 20);
    return pj_fs_read(full, &text, &err) < 0 ? NULL : pj_str_take(&text);
}

/* pj-agent with one option or verb, and the tree. */
static void start_agent(struct rig *rig, char *how, char *what)
{
    const char *bin = getenv("PJ_TEST_BIN");
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf("%s/pj-agent", bin ? bin : "build/bin");
    PJ_CLEANUP(pj_freep) char *workspace = pj_asprintf("--workspace=%s", rig->tree);
    char home[] = "PATH=/usr/bin:/bin";
    char without[] = "/usr/bin/setpriv", bounding[] = "--bounding-set=-all",
         inherited[] = "--inh-caps=-all";
    char *argv[] = {without, bounding, inherited, path, workspace, how, what, NULL},
         *envp[] = {home, NULL};
    struct pj_spawn_fd fds[] = {{2, 1}, {2, 2}};
    struct pj_spawn spec = {.path = rig->plain_root ? without : path,
                            .argv = rig->plain_root ? argv : argv + 3,
                            .envp = envp,
                            .fds = fds,
                            .fd_count = 2,
                            .death_signal = SIGKILL};

    cr_assert_eq(pj_spawn(&spec, &rig->agent, &rig->agent_fd, &rig->err), 0, "%s",
                 rig->err.message);
}

/* It leaves when its gateway is gone; one that does not is a failure, and no reason to wait for ever. */
static int end_agent(struct rig *rig)
{
    struct pollfd gone = {.fd = rig->agent_fd, .events = POLLIN};
    int status;

    if (poll(&gone, 1, AGENT_LEAVES_MS) == 0) {
        (void)kill(rig->agent, SIGKILL);
        cr_expect(false, "pj-agent stays when its gateway is gone");
    }
    pj_fd_close(&rig->agent_fd);
    while (waitpid(rig->agent, &status, 0) < 0 && errno == EINTR)
        ;
    return status;
}

int rig_replay(struct rig *rig, char *file)
{
    char verb[] = "replay";

    start_agent(rig, verb, file);
    return end_agent(rig);
}

int rig_run(struct rig *rig)
{
    PJ_CLEANUP(gateway_freep) struct gateway *gw = NULL;
    PJ_CLEANUP(pj_freep) char *gateway = pj_asprintf("--gateway=unix:%s", rig->socket);
    int rc, status;

    if (gateway_open(&rig->config, &gw, &rig->err) < 0)
        return -1;
    start_agent(rig, gateway, NULL);
    rc = gateway_serve(gw, NULL, &rig->result, &rig->err);
    if (rc < 0)
        (void)kill(rig->agent, SIGKILL); /* as the end of the box would */
    status = end_agent(rig);
    if (rc == 0)
        cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the agent ended with status %x",
                  (unsigned)status);
    return rc;
}

void rig_knock(const struct rig *rig)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    cr_assert_geq(fd, 0);
    (void)snprintf(addr.sun_path, sizeof addr.sun_path, "%s", rig->socket);
    (void)!connect(fd, (const struct sockaddr *)&addr, sizeof addr);
    close(fd);
}

bool rig_saw(const struct rig *rig, const char *text)
{
    return strstr(pj_str_cstr(&rig->events), text) != NULL;
}
