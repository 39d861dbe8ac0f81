#include "sandbox/box.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "lib/base/fs.h"
#include "sandbox/channel.h"
#include "sandbox/init.h"
#include "sandbox/landlock.h"
#include "sandbox/mounts.h"
#include "sandbox/net.h"
#include "sandbox/seccomp.h"
#include "sandbox/standing.h"
#include "sandbox/step.h"
#include "sandbox/userns.h"
#include "sandbox/weaken.h"

extern char **environ;

int box_tie_to_parent(struct pj_err *err)
{
    struct pollfd fd = {.fd = FD_LIFE};

    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
        return step_fail(err, "init", errno, NULL, "parent-death signal");
    if (poll(&fd, 1, 0) != 0)
        _exit(1);
    return 0;
}

/* Keep what the box's set-up needs at known numbers, close all the rest: nothing of the caller's
 * comes in. */
static int settle_descriptors(const struct box *box, struct pj_err *err)
{
    const int keep[] = {box->std[0],  box->std[1], box->std[2],
                        box->channel, box->life,   box->lock_fd};
    int high[PJ_COUNT_OF(keep)];

    for (size_t i = 0; i < PJ_COUNT_OF(keep); i++) {
        high[i] = keep[i] < 0 ? -1 : fcntl(keep[i], F_DUPFD_CLOEXEC, 64);
        if (keep[i] >= 0 && high[i] < 0)
            return step_fail(err, "descriptors", errno, "raise RLIMIT_NOFILE to 256",
                             "cannot move a descriptor");
    }
    for (size_t i = 0; i < PJ_COUNT_OF(keep); i++) {
        if (high[i] < 0)
            close((int)i);
        else if (i < 3 ? dup2(high[i], (int)i) < 0 : dup3(high[i], (int)i, O_CLOEXEC) < 0)
            return step_fail(err, "descriptors", errno, NULL, "cannot place a descriptor");
    }
    if (!weakened("descriptors") && syscall(SYS_close_range, FD_FIRST_CLOSED, ~0U, 0) < 0)
        return step_fail(err, "descriptors", errno, "use a kernel from 5.9 on", "close_range");
    return 0;
}

/* Handlers, mask, umask, session: as in a process that nobody prepared. The caller's variables
 * leave our memory. */
static void forget_caller(void)
{
    sigset_t none;

    for (int sig = 1; sig < NSIG; sig++)
        signal(sig, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    umask(022);
    setsid();
    for (char **var = environ; *var; var++)
        memset(*var, 0, strlen(*var));
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

void box_name_proxy(struct plan *plan, uint16_t port)
{
    static const char *const names[] = {"HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"};
    char url[64];

    snprintf(url, sizeof url, "http://127.0.0.1:%u", (unsigned)port);
    for (size_t i = 0; i < PJ_COUNT_OF(names); i++)
        plan_env(plan, names[i], url);
    plan_env(plan, "NO_PROXY", "127.0.0.1,localhost");
    plan_env(plan, "no_proxy", "127.0.0.1,localhost");
}

int box_enter_own_net(struct net *net, struct pj_err *err)
{
    return net_await(net, err) < 0 ? -1 : net_enter(net->ns_fd, err);
}

int box_hand_out(enum channel_type type, const int *fds, size_t count, struct pj_err *err)
{
    const struct channel_msg msg = {.type = type};

    if (count && channel_send(FD_CHANNEL, &msg, fds, count) < 0)
        return step_fail(err, type == CHANNEL_TREE ? "workspace" : "net", errno, NULL,
                         "cannot hand out what is served or read outside");
    return 0;
}

/* User mode: the network is our own making, its listening sockets go out. */
static int finish_own_net(struct net *net, struct ready *ready, struct pj_err *err)
{
    if (box_enter_own_net(net, err) < 0)
        return -1;
    ready->proxy_port = net->ears.proxy_port;
    return box_hand_out(CHANNEL_LISTENERS, net->ears.fds, net->ears.count, err);
}

void box_await(enum channel_type type, struct channel_msg *msg, int fds[CHANNEL_FDS_MAX], size_t *n)
{
    struct pollfd waits[2] = {{.fd = FD_CHANNEL, .events = POLLIN}, {.fd = FD_LIFE}};
    int rc = 0;

    /* First wait, then read: errno belongs to somebody else too when the attacher comes this way. */
    while (rc == 0) {
        if (poll(waits, 2, -1) > 0 && waits[1].revents)
            _exit(1);
        if (waits[0].revents)
            rc = channel_recv(FD_CHANNEL, msg, fds, n);
    }
    if (rc < 0 || msg->type != type)
        _exit(1); /* the outer process has given up, and says why itself */
}

int box_await_ready(struct ready *ready, struct pj_err *err)
{
    struct channel_msg msg;
    int fds[CHANNEL_FDS_MAX], rc;
    size_t n, used = 0;

    box_await(CHANNEL_READY, &msg, fds, &n);
    ready->rlimits = msg.rlimits;
    ready->proxy_port = (uint16_t)msg.value;
    if ((msg.has & CHANNEL_WORK_MAP) && used < n)
        ready->idmap.work_fd = fds[used++];
    if ((msg.has & CHANNEL_BASE_MAP) && used < n)
        ready->idmap.base_fd = fds[used++];
    if ((msg.has & CHANNEL_NET) && used < n)
        ready->net_fd = fds[used++];
    rc = 0;
    for (; used < n; used++) {
        if (rc == 0 && write(fds[used], "0", 1) < 0)
            rc = step_fail(err, "cgroup", errno, NULL, "cannot join the control group");
        close(fds[used]);
    }
    /* The groups just joined are what the box sees as the root of all groups. */
    if (rc == 0 && unshare(CLONE_NEWCGROUP | CLONE_NEWTIME) < 0)
        rc = step_fail(err, "namespaces", errno,
                       "use a kernel from 5.6 on with cgroup and time namespaces",
                       "cgroup and time namespaces");
    return rc;
}

int box_hand_out_tree(struct pj_err *err)
{
    int rc, fd = open("/workspace", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return step_fail(err, "workspace", errno, "give --workspace or --workspace-base",
                         "--tree-fd: no work tree");
    rc = box_hand_out(CHANNEL_TREE, &fd, 1, err);
    close(fd);
    return rc;
}

/* The proof that the covers hold, made with the box's own identity: one of these being writable
 * means that the host is (bubblewrap, started by root, failed here: issue "core_pattern" in
 * README.md). */
int box_probe_walls(struct pj_err *err)
{
    static const char *const closed[] = {"/proc/sys/kernel/core_pattern",
                                         "/proc/sys/kernel/modprobe", "/proc/sysrq-trigger",
                                         "/proc/sys/vm/overcommit_memory"};

    for (size_t i = 0; i < PJ_COUNT_OF(closed); i++) {
        int fd = open(closed[i], O_WRONLY | O_CLOEXEC);

        if (fd >= 0)
            return step_fail(err, "probe", 0,
                             "report this: the box would be able to change the host",
                             "%s can be written inside", closed[i]);
    }
    if (mkdir("/.probe", 0700) == 0)
        return step_fail(err, "probe", 0, "report this: the system inside is not read-only",
                         "/ can be written inside");
    return 0;
}

int box_name_host(struct pj_err *err)
{
    /* A container's filter may forbid it (podman's does): then the container's name is seen. */
    if ((sethostname("pj", 2) < 0 || setdomainname("", 0) < 0) && errno != EPERM)
        return step_fail(err, "namespaces", errno, NULL, "cannot set the host name");
    return 0;
}

/* All that takes the privilege that we still have. */
static int build(struct plan *plan, struct rlimits *rlimits, struct pj_err *err)
{
    struct ready ready = {.idmap = {-1, -1}, .net_fd = -1};
    struct mounts mounts;
    struct net *net = NULL;
    int rc = -1;

    if (box_name_host(err) == 0 && (plan->root || net_begin(&net, plan->spec, err) == 0) &&
        mounts_begin(&mounts, plan, false, err) == 0 && box_await_ready(&ready, err) == 0 &&
        mounts_attach(&mounts, &ready.idmap, err) == 0 && mounts_seal(err) == 0 &&
        net_enter(ready.net_fd, err) == 0 && (!net || finish_own_net(net, &ready, err) == 0) &&
        mounts_leave_host(&mounts, err) == 0)
        rc = 0;
    net_release(net); /* init reaps its maker */
    pj_fd_close(&ready.idmap.work_fd);
    pj_fd_close(&ready.idmap.base_fd);
    pj_fd_close(&ready.net_fd);
    *rlimits = ready.rlimits;
    if (ready.proxy_port)
        box_name_proxy(plan, ready.proxy_port);
    if (rc == 0 && plan->spec->tree_fd >= 0)
        rc = box_hand_out_tree(err);
    return rc;
}

static int set_up(struct box *box, struct rlimits *rlimits, struct pj_err *err)
{
    struct plan *plan = box->plan;

    if (settle_descriptors(box, err) < 0 || box_tie_to_parent(err) < 0)
        return -1;
    forget_caller();
    if (!plan->root) {
        prctl(PR_SET_DUMPABLE, 1, 0, 0, 0); /* our own /proc/self/uid_map */
        if (userns_map_first(plan, err) < 0)
            return -1;
        prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    }
    if (box->late)
        return standing_set_up(box, rlimits, err);
    if (build(plan, rlimits, err) < 0 || userns_enter(plan, err) < 0 ||
        box_tie_to_parent(err) < 0 || box_probe_walls(err) < 0)
        return -1;
    if (plan->landlock_abi > 0 && landlock_apply(plan->landlock_abi, err) < 0)
        return -1;
    return seccomp_apply(err);
}

void box_main(struct box *box)
{
    struct channel_msg msg = {.type = CHANNEL_FAILED};
    struct rlimits rlimits = {0};

    if (set_up(box, &rlimits, &msg.err) < 0) {
        /* Before settle_descriptors() the channel has its old number. */
        if (channel_send(FD_CHANNEL, &msg, NULL, 0) < 0)
            channel_send(box->channel, &msg, NULL, 0);
        _exit(1);
    }
    init_run(box->plan, &rlimits, FD_CHANNEL, FD_LIFE, box->late != NULL);
}
