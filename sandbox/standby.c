#include "sandbox/standby.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "lib/base/fs.h"
#include "lib/base/mem.h"
#include "sandbox/channel.h"
#include "sandbox/launch.h"
#include "sandbox/order.h"
#include "sandbox/probe.h"
#include "sandbox/run.h"
#include "sandbox/step.h"
#include "sandbox/supervise.h"

#define NAME "--standby"
#define GROUPS_WAIT_MS 2000

struct standby {
    struct spec base; /* what was said at the start, without what only an order decides */
    struct plan plan; /* of the system alone */
    struct launch box;
    int socket, signals;
    int mount_table; /* of the host: poll(2) tells when it has changed since */
};

/* ---- words ---- */

static bool is_name(const char *word)
{
    const size_t n = sizeof NAME - 1;

    return strncmp(word, NAME, n) == 0 && (word[n] == '\0' || word[n] == '=');
}

char **standby_words(int argc, char **argv)
{
    char **copy;
    size_t n = 0;
    int at = 1;

    while (at < argc && !is_name(argv[at]))
        at++;
    if (at >= argc)
        return NULL;
    copy = pj_alloc((size_t)argc + 1, sizeof *copy);
    for (int i = 0; i < argc; i++) {
        if (i == at)
            i += strchr(argv[i], '=') ? 0 : 1;
        else
            copy[n++] = pj_strdup(argv[i]);
    }
    return copy;
}

/* The whole command line; the words stay whose they were. */
static char **join(char **early, const struct order *order, int *count)
{
    char **all;
    size_t n = 0;

    while (early[n])
        n++;
    all = pj_alloc(n + order->count + 1, sizeof *all);
    memcpy(all, early, n * sizeof *all);
    if (order->count)
        memcpy(all + n, order->words, order->count * sizeof *all);
    *count = (int)(n + order->count);
    return all;
}

/* ---- the box that stands ---- */

static int open_all(struct standby *s, struct pj_err *err)
{
    s->signals = supervise_signals();
    s->mount_table = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
    if (s->signals < 0 || s->mount_table < 0 || fcntl(s->socket, F_SETFD, FD_CLOEXEC) < 0)
        return step_fail(err, "start", 0, NULL, "cannot watch for signals and mounts");
    return 0;
}

static int build(struct standby *s, struct pj_err *err)
{
    struct net *net = NULL;
    int rc = -1;

    if (open_all(s, err) == 0 && (!probe_is_privileged() || net_begin(&net, &s->base, err) == 0) &&
        plan_make(&s->plan, &s->base, err) == 0) {
        plan_identify(&s->plan);
        rc = launch_standing(&s->box, &s->plan, s->plan.root ? net : NULL, err);
    }
    if (net)
        waitpid(net->maker, NULL, 0);
    net_release(net);
    return rc;
}

/* Wait for word from inside. -1 with err when it will not stand; 0 when nobody wants it any more, or 1. */
static int await_standing(struct standby *s, struct pj_err *err)
{
    struct pollfd fds[3] = {{.fd = s->box.channel, .events = POLLIN},
                            {.fd = s->socket},
                            {.fd = s->signals, .events = POLLIN}};
    struct channel_msg msg;
    int passed[CHANNEL_FDS_MAX], rc = 0;
    size_t n;

    while (rc == 0) {
        if (poll(fds, 3, -1) > 0 && (fds[1].revents || fds[2].revents))
            return 0;
        if (fds[0].revents)
            rc = channel_recv(s->box.channel, &msg, passed, &n);
    }
    if (rc > 0 && msg.type == CHANNEL_FAILED)
        *err = msg.err;
    else if (rc < 0 || msg.type != CHANNEL_STANDING)
        step_fail(err, "init", 0, NULL, "process 1 of the box ended without a word");
    return err->code[0] ? -1 : 1;
}

/* As above, for the order. */
static int await_order(struct standby *s, struct order *order, struct pj_err *err)
{
    struct pollfd fds[3] = {{.fd = s->socket, .events = POLLIN},
                            {.fd = s->box.pidfd, .events = POLLIN},
                            {.fd = s->signals, .events = POLLIN}};

    for (;;) {
        if (poll(fds, 3, -1) <= 0)
            continue;
        /* An order first: a signal that came after it is meant for the box that it makes. */
        if (fds[0].revents)
            return order_recv(s->socket, order, err);
        if (fds[2].revents)
            return 0;
        if (fds[1].revents)
            return step_fail(err, "init", 0,
                             "look for who killed it: the host's out-of-memory killer?",
                             "the box that stood by is gone");
    }
}

static void release(struct standby *s)
{
    if (s->box.pid > 0)
        launch_kill(&s->box);
    cgroup_remove(&s->box.cgroup, GROUPS_WAIT_MS);
    launch_release(&s->box);
    plan_release(&s->plan);
    pj_fd_close(&s->signals);
    pj_fd_close(&s->mount_table);
    pj_fd_close(&s->socket);
}

/* ---- the order ---- */

static bool same_limits(const struct spec *a, const struct spec *b)
{
    return a->memory_bytes == b->memory_bytes && a->pids == b->pids && a->cpu_milli == b->cpu_milli;
}

/* Would what stands be built the same now? */
static bool fits(const struct standby *s, struct plan *plan)
{
    struct pollfd changed[] = {{.fd = s->mount_table, .events = POLLPRI},
                               {.fd = s->box.pidfd, .events = POLLIN}}; /* it may be dead by now */

    plan_identify(plan);
    return same_limits(&s->base, plan->spec) && plan_same_system(&s->plan, plan) &&
           poll(changed, 2, 0) == 0;
}

/* As if they had been ours from the start. */
static int take_descriptors(struct order *order, struct spec *spec, struct pj_err *err)
{
    if (spec->result_fd >= 0 || spec->tree_fd >= 0 || spec->standby_fd >= 0)
        return pj_fail(err, PJ_E_INVALID,
                       "order: descriptors come with it, not by --result-fd, --tree-fd, --standby");
    for (int i = ORDER_IN; i <= ORDER_ERR; i++) {
        if (order->fds[i] >= 0 && dup2(order->fds[i], i) < 0)
            return pj_fail(err, PJ_E_INVALID, "order: descriptor %d cannot be used", i);
    }
    spec->result_fd = order->fds[ORDER_RESULT];
    spec->tree_fd = order->fds[ORDER_TREE];
    return 0;
}

static int carry_out(struct standby *s, const struct spec *spec)
{
    static struct plan plan; /* large, and zero as it is */
    struct result result = {0};

    if (plan_make(&plan, spec, &result.err) == 0) {
        if (!fits(s, &plan)) {
            release(s);
            plan_release(&plan);
            return run_box(spec);
        }
        plan.host_uid = s->plan.host_uid;
        plan.host_gid = s->plan.host_gid;
        supervise_standing(&plan, &s->box, &result);
    }
    return run_report(&plan, spec, &result);
}

static int obey(struct standby *s, char **words, struct order *order)
{
    struct spec spec;
    struct pj_err err = {0};
    int argc, code = EXIT_SANDBOX;
    char **argv = join(words, order, &argc);

    pj_fd_close(&s->socket); /* it was for one order */
    if (spec_parse(&spec, argc, argv, &err) == 0 && take_descriptors(order, &spec, &err) == 0 &&
        (spec.action == SPEC_RUN ||
         pj_fail(&err, PJ_E_INVALID, "order: a command and its options, nothing else") == 0))
        code = carry_out(s, &spec);
    else
        run_complain(&err);
    free(argv);
    return code;
}

int standby_run(const struct spec *early, char **words)
{
    static struct standby s = {.box = LAUNCH_NONE, .signals = -1, .mount_table = -1};
    struct order order = {.fds = {-1, -1, -1, -1, -1}};
    struct pj_err err = {0};
    int code = 0, rc;

    s.base = *early;
    s.base.workspace = s.base.workspace_base = NULL;
    s.base.disk_bytes = 0;
    s.base.bind_count = s.base.gateway_count = s.base.allow_count = 0;
    s.socket = early->standby_fd;
    rc = build(&s, &err);
    if (rc == 0)
        rc = await_standing(&s, &err);
    if (rc > 0)
        rc = order_say_ready(s.socket) == 0 ? await_order(&s, &order, &err) : 0;
    if (rc > 0) {
        code = obey(&s, words, &order);
    } else if (rc < 0) {
        run_complain(&err);
        code = EXIT_SANDBOX;
    }
    release(&s);
    order_release(&order);
    return code;
}
