#include "sandbox/standing.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "lib/base/fs.h"
#include "lib/base/mem.h"
#include "sandbox/landlock.h"
#include "sandbox/seccomp.h"
#include "sandbox/step.h"
#include "sandbox/userns.h"

/* ---- the attacher ---- */

#define ATTACHER_STACK 65536

/* Sanitizers keep books a thread, which the attacher is not; then it has a copy of our memory. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define ATTACHER_SHARES 0
#else
#define ATTACHER_SHARES CLONE_VM
#endif

struct attacher {
    struct carried *late;
    struct mounts *mounts;
};

static int next_fd(const int *fds, size_t n, size_t *used)
{
    return *used < n ? fds[(*used)++] : -1;
}

/* Root mode: the outer process has cloned them, from the host's tree as it is now. */
static void take_sources(struct plan *plan, const int *fds, size_t n, size_t *used)
{
    for (size_t i = plan->system_count; i < plan->mount_count; i++) {
        struct plan_mount *m = &plan->mounts[i];

        if (m->kind != MOUNT_TMPFS)
            m->fd = next_fd(fds, n, used);
        if (m->kind == MOUNT_OVERLAY)
            m->upper_fd = next_fd(fds, n, used);
    }
}

static int attach_all(struct attacher *a, struct pj_err *err)
{
    struct mounts_idmap idmap = {-1, -1};
    struct plan *plan = &a->late->plan;
    struct channel_msg msg;
    struct net_ears ears;
    int fds[CHANNEL_FDS_MAX];
    size_t n, used = 0;

    box_await(CHANNEL_ORDER, &msg, fds, &n);
    if (msg.has & CHANNEL_WORK_MAP)
        idmap.work_fd = next_fd(fds, n, &used);
    if (msg.has & CHANNEL_BASE_MAP)
        idmap.base_fd = next_fd(fds, n, &used);
    a->mounts->plan = plan;
    umask(0);
    if (plan->root)
        take_sources(plan, fds, n, &used);
    else if (mounts_sources(plan, plan->system_count, a->mounts->host, err) < 0)
        return -1;
    if (mounts_attach(a->mounts, &idmap, err) < 0 ||
        (!plan->root && mounts_leave_host(a->mounts, err) < 0) || mounts_seal(err) < 0 ||
        net_listeners(plan->spec, &ears, err) < 0 ||
        box_hand_out(CHANNEL_LISTENERS, ears.fds, ears.count, err) < 0 ||
        (plan->spec->tree_fd >= 0 && box_hand_out_tree(err) < 0))
        return -1;
    a->late->proxy_port = ears.proxy_port;
    return 0;
}

/* Descriptors are a copy of its own, and go with it. */
static int attacher_main(void *arg)
{
    struct channel_msg msg = {.type = CHANNEL_FAILED};

    if (box_tie_to_parent(&msg.err) < 0 || attach_all(arg, &msg.err) < 0) {
        channel_send(FD_CHANNEL, &msg, NULL, 0);
        return 1;
    }
    return 0;
}

static pid_t start_attacher(struct attacher *a, struct pj_err *err)
{
    static char stack[ATTACHER_STACK] __attribute__((aligned(16)));
    pid_t pid = clone(attacher_main, stack + sizeof stack, ATTACHER_SHARES | SIGCHLD, a);

    /* Kernels before 6.3 let nobody share its memory with a child in another time namespace. */
    if (pid < 0 && errno == EINVAL)
        pid = clone(attacher_main, stack + sizeof stack, SIGCHLD, a);
    if (pid < 0)
        step_fail(err, "start", errno, NULL,
                  "cannot start the process that attaches the work tree");
    return pid;
}

/* ---- process 1 ---- */

static int build_system(struct plan *plan, struct mounts *mounts, struct pj_err *err)
{
    struct ready ready = {.idmap = {-1, -1}, .net_fd = -1};
    struct net *net = NULL;
    int rc = -1;

    if (box_name_host(err) == 0 && (plan->root || net_begin(&net, plan->spec, err) == 0) &&
        mounts_begin(mounts, plan, true, err) == 0 && box_await_ready(&ready, err) == 0 &&
        mounts_uncover(mounts, err) == 0 && net_enter(ready.net_fd, err) == 0 &&
        (!net || box_enter_own_net(net, err) == 0) &&
        (!plan->root || mounts_leave_host(mounts, err) == 0))
        rc = 0;
    if (net)
        waitpid(net->maker, NULL, 0);
    net_release(net);
    pj_fd_close(&ready.net_fd);
    return rc;
}

/* The environment came in memory that is not the heap's; plan_env() wants it there. */
static void own_environment(struct plan *plan)
{
    char **list = pj_alloc(plan->env_count + 1, sizeof *list);

    for (size_t i = 0; i < plan->env_count; i++)
        list[i] = pj_strdup(plan->envp[i]);
    plan->envp = list;
}

static int give_power_up(const struct plan *plan, int *ruleset, struct pj_err *err)
{
    if (userns_enter(plan, err) < 0 || box_tie_to_parent(err) < 0 || seccomp_apply(err) < 0)
        return -1;
    return plan->landlock_abi > 0 ? landlock_begin(plan->landlock_abi, ruleset, err) : 0;
}

int standing_set_up(struct box *box, struct rlimits *rlimits, struct pj_err *err)
{
    const struct channel_msg standing = {.type = CHANNEL_STANDING};
    struct mounts mounts;
    struct attacher attacher = {.late = box->late, .mounts = &mounts};
    int ruleset = -1, status;
    pid_t pid;

    if (build_system(box->plan, &mounts, err) < 0 || (pid = start_attacher(&attacher, err)) < 0)
        return -1;
    /* It has a copy of its own, under the number that it reads here. */
    if (mounts.host >= 0)
        close(mounts.host);
    umask(022);
    if (give_power_up(box->plan, &ruleset, err) < 0)
        return -1;
    if (channel_send(FD_CHANNEL, &standing, NULL, 0) < 0)
        return step_fail(err, "start", errno, NULL, "cannot say that the box stands");
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        _exit(1); /* it has said why, or the outer process is gone */
    box->plan = &box->late->plan;
    *rlimits = box->late->rlimits;
    if (box->late->proxy_port) {
        own_environment(box->plan);
        box_name_proxy(box->plan, box->late->proxy_port);
    }
    if (box_probe_walls(err) < 0)
        return -1;
    return ruleset < 0 ? 0 : landlock_finish(box->plan->landlock_abi, ruleset, err);
}
