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
#include "sandbox/channel.h"
#include "sandbox/init.h"
#include "sandbox/landlock.h"
#include "sandbox/net.h"
#include "sandbox/seccomp.h"
#include "sandbox/step.h"
#include "sandbox/userns.h"
#include "sandbox/weaken.h"

extern char **environ;

/* Where process 1 keeps its descriptors; everything above is closed. */
enum { FD_CHANNEL = 3, FD_LIFE, FD_LOCK, FD_WORK_MAP, FD_BASE_MAP, FD_FIRST_CLOSED };

/* Die with the outer process, also when it died before we said so. Cleared by the kernel at each
 * change of identity. */
static int tie_to_parent(int life, struct pj_err *err)
{
    struct pollfd fd = {.fd = life};

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
    const int keep[] = {box->std[0], box->std[1],  box->std[2],        box->channel,
                        box->life,   box->lock_fd, box->idmap.work_fd, box->idmap.base_fd};
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

static int open_gateways(const struct box *box, struct pj_err *err)
{
    struct channel_msg msg = {.type = CHANNEL_LISTENERS};
    struct plan *plan = box->plan;
    const struct spec *spec = plan->spec;
    int fds[SPEC_GATEWAYS_MAX + 1];
    size_t n = 0;

    if (net_loopback_up(err) < 0)
        return -1;
    for (size_t i = 0; i < spec->gateway_count; i++) {
        uint16_t port = spec->gateways[i].port;

        if (net_listen(&port, &fds[n], err) < 0)
            return -1;
        n++;
    }
    if (spec->allow_count) {
        static const char *const names[] = {"HTTP_PROXY", "HTTPS_PROXY", "http_proxy",
                                            "https_proxy"};
        uint16_t port = 0;
        char url[64];

        if (net_listen(&port, &fds[n], err) < 0)
            return -1;
        n++;
        snprintf(url, sizeof url, "http://127.0.0.1:%u", (unsigned)port);
        for (size_t i = 0; i < PJ_COUNT_OF(names); i++)
            plan_env(plan, names[i], url);
        plan_env(plan, "NO_PROXY", "127.0.0.1,localhost");
        plan_env(plan, "no_proxy", "127.0.0.1,localhost");
    }
    if (n && channel_send(FD_CHANNEL, &msg, fds, n) < 0)
        return step_fail(err, "net", errno, NULL, "cannot hand the listening sockets out");
    for (size_t i = 0; i < n; i++)
        close(fds[i]);
    return 0;
}

static int hand_out_tree(struct pj_err *err)
{
    struct channel_msg msg = {.type = CHANNEL_TREE};
    int fd = open("/workspace", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return step_fail(err, "workspace", errno, "give --workspace or --workspace-base",
                         "--tree-fd: no work tree");
    if (channel_send(FD_CHANNEL, &msg, &fd, 1) < 0)
        return step_fail(err, "workspace", errno, NULL, "cannot hand the work tree out");
    close(fd);
    return 0;
}

/* The proof that the covers hold, made with the box's own identity: one of these being writable
 * means that the host is (bubblewrap, started by root, failed here: issue "core_pattern" in
 * README.md). */
static int probe_walls(struct pj_err *err)
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

static int set_up(const struct box *box, struct pj_err *err)
{
    struct plan *plan = box->plan;
    struct mounts_idmap idmap = {box->idmap.work_fd < 0 ? -1 : FD_WORK_MAP,
                                 box->idmap.base_fd < 0 ? -1 : FD_BASE_MAP};

    if (cgroup_join(box->cgroup, box->born_in_group) < 0)
        return step_fail(err, "cgroup", errno, NULL, "cannot join the control group");
    if (settle_descriptors(box, err) < 0 || tie_to_parent(FD_LIFE, err) < 0)
        return -1;
    forget_caller();
    if (!plan->root) {
        prctl(PR_SET_DUMPABLE, 1, 0, 0, 0); /* our own /proc/self/uid_map */
        if (userns_map_first(plan, err) < 0)
            return -1;
        prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    }
    if (unshare(CLONE_NEWCGROUP | CLONE_NEWTIME) < 0)
        return step_fail(err, "namespaces", errno,
                         "use a kernel from 5.6 on with cgroup and time namespaces",
                         "cgroup and time namespaces");
    if (sethostname("pj", 2) < 0 || setdomainname("", 0) < 0)
        return step_fail(err, "namespaces", errno, NULL, "cannot set the host name");
    if (open_gateways(box, err) < 0 || mounts_apply(plan, &idmap, err) < 0)
        return -1;
    if (plan->spec->tree_fd >= 0 && hand_out_tree(err) < 0)
        return -1;
    if (userns_enter(plan, err) < 0 || tie_to_parent(FD_LIFE, err) < 0 || probe_walls(err) < 0)
        return -1;
    close(FD_WORK_MAP);
    close(FD_BASE_MAP);
    if (plan->landlock_abi > 0 && landlock_apply(plan->landlock_abi, err) < 0)
        return -1;
    return seccomp_apply(err);
}

void box_main(const struct box *box)
{
    struct channel_msg msg = {.type = CHANNEL_FAILED};

    if (set_up(box, &msg.err) < 0) {
        /* Before settle_descriptors() the channel has its old number. */
        if (channel_send(FD_CHANNEL, &msg, NULL, 0) < 0)
            channel_send(box->channel, &msg, NULL, 0);
        _exit(1);
    }
    init_run(box->plan, &box->rlimits, FD_CHANNEL, FD_LIFE);
}
