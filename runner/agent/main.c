/* pj-agent: the built-in coding agent, inside the box. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "lib/base/mem.h"
#include "lib/json/codec.h"
#include "runner/agent/agent.h"
#include "runner/agent/replay.h"

#ifdef __SANITIZE_ADDRESS__
/* The leak check traces the process, which the box forbids. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "detect_leaks=0";
}
#endif

struct options {
    const char *gateway, *workspace, *replay;
    bool check;
};

static void help(FILE *to)
{
    (void)fputs("usage: pj-agent --gateway ADDRESS:PORT [--workspace DIR]\n"
                "       pj-agent replay FILE [--workspace DIR]\n\n"
                "The coding agent of Pithy Jaunt. It is started inside the box of a task and talks "
                "to nothing but the\n"
                "model gateway outside. With replay it carries out the calls of a recorded "
                "trajectory again, without a model.\n\n"
                "  --gateway ADDRESS:PORT  where the gateway is reached, e.g. 127.0.0.1:8100; or "
                "unix:/path\n"
                "  --workspace DIR         the work tree (default /workspace)\n"
                "  --check-config          check the options and leave\n"
                "  --help  --version\n",
                to);
}

/* 0 to go on; otherwise the exit code + 1. */
static int parse(int argc, char **argv, struct options *o)
{
    /* clang-format off */
    static const struct option longs[] = {
        {"gateway", required_argument, NULL, 'g'}, {"workspace", required_argument, NULL, 'w'},
        {"check-config", no_argument, NULL, 'c'},  {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'v'},       {NULL, 0, NULL, 0},
    };
    /* clang-format on */
    int c;

    while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        switch (c) {
        case 'g':
            o->gateway = optarg;
            break;
        case 'w':
            o->workspace = optarg;
            break;
        case 'c':
            o->check = true;
            break;
        case 'h':
            help(stdout);
            return 1;
        case 'v':
            (void)printf("pj-agent %s\n", PJ_VERSION);
            return 1;
        default:
            help(stderr);
            return PJ_EXIT_CONFIG + 1;
        }
    }
    if (optind + 2 == argc && strcmp(argv[optind], "replay") == 0 && !o->gateway) {
        o->replay = argv[optind + 1];
        return 0;
    }
    if (optind == argc && o->gateway)
        return 0;
    (void)fprintf(stderr,
                  optind < argc ? "pj-agent: unexpected argument: %s\n"
                                : "pj-agent: --gateway is missing%s\n",
                  optind < argc ? argv[optind] : "; give ADDRESS:PORT of the model gateway");
    return PJ_EXIT_CONFIG + 1;
}

static int open_workspace(struct agent *a, struct pj_err *err)
{
    a->root_fd = open(a->workspace, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return a->root_fd < 0 ? pj_fail_errno(err, errno, "--workspace %s", a->workspace) : 0;
}

static int hello(struct agent *a, struct pj_err *err)
{
    PJ_CLEANUP(pj_json_decrefp)
    json_t *frame = json_pack("{s:s, s:s}", "type", "hello", "version", PJ_VERSION);

    if (agent_send(a, frame, err) < 0 || agent_recv(a, &a->task, err) < 0)
        return -1;
    if (strcmp(pj_json_str(a->task, "type", ""), "task") != 0)
        return pj_fail(err, PJ_E_PROTOCOL, "the gateway gave no task");
    return 0;
}

static int work(struct agent *a, const struct options *o, struct pj_err *err)
{
    if (o->replay)
        return agent_replay(a, o->replay, err);
    if (agent_connect(a, o->gateway, err) < 0 || hello(a, err) < 0)
        return -1;
    if (agent_context(a, err) < 0) {
        struct pj_err why = *err;
        return agent_give_up(a, "repository_analysis", why.message, err);
    }
    return agent_loop(a, err);
}

static void release(struct agent *a)
{
    pj_link_release(&a->link);
    pj_fd_close(&a->root_fd);
    json_decref(a->task);
    json_decref(a->messages);
    json_decref(a->tools);
    free(a->system);
}

int main(int argc, char **argv)
{
    struct options options = {.workspace = "/workspace"};
    struct agent a = {.root_fd = -1, .link = {.fd = -1}};
    struct pj_err err;
    int rc = parse(argc, argv, &options);

    if (rc != 0)
        return rc - 1;
    (void)signal(SIGPIPE, SIG_IGN);
    a.workspace = options.workspace;
    rc = open_workspace(&a, &err);
    if (rc == 0 && options.check) {
        (void)puts("ok");
        release(&a);
        return 0;
    }
    if (rc == 0)
        rc = work(&a, &options, &err);
    if (rc < 0)
        (void)fprintf(stderr, "pj-agent: %s\n", err.message);
    release(&a);
    return rc < 0 ? 1 : 0;
}
