#include "sandbox/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "lib/base/fs.h"
#include "lib/base/mem.h"
#include "sandbox/box.h"
#include "sandbox/channel.h"
#include "sandbox/mounts.h"
#include "sandbox/step.h"
#include "sandbox/userns.h"
#include "sandbox/weaken.h"

static struct cgroup_limits limits_of(const struct spec *spec)
{
    return (struct cgroup_limits){spec->memory_bytes, spec->pids, spec->cpu_milli};
}

/* Cgroups first, rlimits for what they do not keep; what keeps what is told in
 * `isolation`. */
static void add_rlimits(const struct launch *l, struct plan *plan, struct rlimits *rlimits)
{
    const struct spec *spec = plan->spec;

    *rlimits = (struct rlimits){.pids = spec->pids ? spec->pids + 1 : 0};
    if (l->cgroup.kill_dir)
        plan_isolates(plan, "cgroup.kill");
    if (spec->memory_bytes) {
        plan_isolates(plan, "memory:%s", l->cgroup.memory_kept ? l->cgroup.memory_kept : "rlimit");
        if (!l->cgroup.memory_kept)
            rlimits->memory_bytes = spec->memory_bytes;
    }
    if (spec->pids)
        plan_isolates(plan, "pids:%s", l->cgroup.pids_kept ? l->cgroup.pids_kept : "rlimit");
    if (spec->cpu_milli) {
        plan_isolates(plan, "cpu:%s",
                      l->cgroup.cpu_kept ? l->cgroup.cpu_kept
                      : spec->timeout_ms ? "rlimit"
                                         : "none");
        /* Without a cgroup a share cannot be kept, but what the share would come to by the
         * deadline can. */
        if (!l->cgroup.cpu_kept && spec->timeout_ms)
            rlimits->cpu_seconds = spec->timeout_ms * spec->cpu_milli / 1000000 + 1;
    }
}

/* A pipe whose inside end belongs to the box's user, so that /dev/stdout can be opened again
 * inside. */
static int make_pipe(const struct plan *plan, bool inside_reads, int *inside, int *outside)
{
    int fds[2];

    if (pipe2(fds, O_CLOEXEC) < 0)
        return -1;
    *inside = inside_reads ? fds[0] : fds[1];
    *outside = inside_reads ? fds[1] : fds[0];
    if (plan->root && fchown(*inside, plan->host_uid, plan->host_gid) < 0)
        return -1;
    return fcntl(*outside, F_SETFL, O_NONBLOCK);
}

static int prepare_work_dir(const struct plan *plan, struct pj_err *err)
{
    if (!plan->work_dir)
        return 0;
    if (pj_fs_remove_tree(plan->work_dir, err) < 0 || mkdir(plan->work_dir, 0700) < 0 ||
        (plan->root && chown(plan->work_dir, plan->work_owner.uid, plan->work_owner.gid) < 0))
        return step_fail(err, "workspace", errno, "make the folder that holds --workspace writable",
                         "cannot make overlay's scratch folder %s", plan->work_dir);
    return 0;
}

static bool same_owner(const struct plan_owner *a, const struct plan_owner *b)
{
    return a->uid == b->uid && a->gid == b->gid;
}

static int idmap_of(const struct launch *l, const struct plan *plan, const struct plan_owner *owner,
                    int *fd, pid_t *helper, struct pj_err *err)
{
    if (l->home_map < 0 || !same_owner(owner, &l->home))
        return userns_idmap(plan, owner, fd, helper, err);
    *fd = fcntl(l->home_map, F_DUPFD_CLOEXEC, 3);
    return *fd < 0 ? step_fail(err, "workspace", errno, NULL, "dup") : 0;
}

static int prepare_idmaps(struct launch *l, const struct plan *plan, struct mounts_idmap *idmap,
                          struct pj_err *err)
{
    const struct spec *spec = plan->spec;

    if (!plan->root)
        return 0;
    if (spec->workspace &&
        idmap_of(l, plan, &plan->work_owner, &idmap->work_fd, &l->helpers[0], err) < 0)
        return -1;
    if (!spec->workspace_base)
        return 0;
    if (spec->workspace && same_owner(&plan->base_owner, &plan->work_owner)) {
        idmap->base_fd = fcntl(idmap->work_fd, F_DUPFD_CLOEXEC, 3);
        return idmap->base_fd < 0 ? step_fail(err, "workspace", errno, NULL, "dup") : 0;
    }
    return idmap_of(l, plan, &plan->base_owner, &idmap->base_fd, &l->helpers[1], err);
}

/* Born into its v2 group, process 1 spares the kernel a migration, which waits for a grace
 * period of several milliseconds. An outer container's filter may hide clone3: then it joins by
 * itself. */
static pid_t clone_box(struct launch *l, unsigned long flags)
{
    struct clone_args args = {
        .flags = flags, .pidfd = (uint64_t)(uintptr_t)&l->pidfd, .exit_signal = SIGCHLD};
    int group = cgroup_birth_fd(&l->cgroup);
    pid_t pid = -1;

    if (group >= 0) {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = (unsigned)group;
        l->born_in_group = true;
        pid = (pid_t)syscall(SYS_clone3, &args, sizeof args);
    }
    if (pid < 0) {
        l->born_in_group = false;
        pid = (pid_t)syscall(SYS_clone, flags | SIGCHLD, NULL, &l->pidfd, NULL, NULL);
    }
    return pid;
}

static int start_process(struct launch *l, struct box *box, struct pj_err *err)
{
    int channel[2], life[2];
    unsigned long flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_PIDFD;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channel) < 0 ||
        pipe2(life, O_CLOEXEC) < 0)
        return step_fail(err, "start", errno, NULL, "cannot make the channels");
    if (make_pipe(box->plan, true, &box->std[0], &l->in) < 0 ||
        make_pipe(box->plan, false, &box->std[1], &l->out) < 0 ||
        make_pipe(box->plan, false, &box->std[2], &l->err) < 0)
        return step_fail(err, "start", errno, NULL, "cannot make the pipes");
    box->channel = channel[1];
    box->life = life[0];
    if (!box->plan->root)
        flags |= CLONE_NEWUSER;
    if (weakened("ipc"))
        flags &= ~(unsigned long)CLONE_NEWIPC;
    l->pid = clone_box(l, flags);
    if (l->pid == 0) {
        close(life[1]);
        box_main(box);
    }
    if (l->pid < 0)
        return step_fail(err, "namespaces", errno,
                         "pj-sandbox --check says which gate of this host is closed",
                         "cannot make the namespaces");
    l->channel = channel[0];
    l->life = life[1];
    for (int i = 0; i < 3; i++)
        close(box->std[i]);
    close(channel[1]);
    close(life[0]);
    return 0;
}

static void add_fd(struct channel_msg *msg, unsigned what, int fd, int *fds, size_t *n)
{
    if (fd >= 0) {
        msg->has |= what;
        fds[(*n)++] = fd;
    }
}

/* What process 1 waits for while it builds what needs none of it. */
static int prepare(struct launch *l, struct plan *plan, struct net *net, struct pj_err *err)
{
    struct channel_msg msg = {.type = CHANNEL_READY};
    const struct cgroup_limits limits = limits_of(plan->spec);
    struct mounts_idmap idmap = {-1, -1};
    int fds[3 + CGROUP_DIRS_MAX], rc = -1;
    size_t n = 0;

    if (prepare_work_dir(plan, err) == 0 && prepare_idmaps(l, plan, &idmap, err) == 0) {
        cgroup_limit(&l->cgroup, &limits);
        add_rlimits(l, plan, &msg.rlimits);
        add_fd(&msg, CHANNEL_WORK_MAP, idmap.work_fd, fds, &n);
        add_fd(&msg, CHANNEL_BASE_MAP, idmap.base_fd, fds, &n);
        if (net && net_await(net, err) < 0)
            goto out;
        add_fd(&msg, CHANNEL_NET, net ? net->ns_fd : -1, fds, &n);
        msg.value = net ? net->ears.proxy_port : 0;
        n += cgroup_join_fds(&l->cgroup, l->born_in_group, fds + n);
        rc = channel_send(l->channel, &msg, fds, n);
        if (rc < 0 && errno == EPIPE)
            rc = 0; /* process 1 has failed, and said why */
        if (rc < 0)
            step_fail(err, "start", errno, NULL, "cannot tell process 1 that all is ready");
    }
out:
    pj_fd_close(&idmap.work_fd);
    pj_fd_close(&idmap.base_fd);
    return rc;
}

void launch_kill(struct launch *l)
{
    cgroup_kill(&l->cgroup);
    kill(l->pid, SIGKILL);
    waitpid(l->pid, NULL, 0);
    l->pid = 0;
}

static int launch(struct launch *l, struct plan *plan, struct net *net, struct pj_err *err)
{
    const struct cgroup_limits limits = limits_of(plan->spec);
    struct box box = {.plan = plan, .late = l->late};

    if (plan->root && userns_lease(plan, &l->lock_fd, err) < 0)
        return -1;
    box.lock_fd = l->lock_fd;
    cgroup_begin(&l->cgroup, &limits);
    if (start_process(l, &box, err) < 0)
        return -1;
    if (prepare(l, plan, net, err) < 0) {
        launch_kill(l);
        return -1;
    }
    cgroup_sweep(&l->cgroup);
    return 0;
}

int launch_box(struct launch *l, struct plan *plan, struct net *net, struct pj_err *err)
{
    *l = (struct launch)LAUNCH_NONE;
    return launch(l, plan, net, err);
}

int launch_standing(struct launch *l, struct plan *plan, struct net *net, struct pj_err *err)
{
    *l = (struct launch)LAUNCH_NONE;
    l->late = carry_new();
    if (!l->late)
        return step_fail(err, "start", errno, NULL, "no memory to hand an order over");
    if (launch(l, plan, net, err) < 0)
        return -1;
    l->home = (struct plan_owner){getuid(), getgid()};
    if (!plan->root)
        return 0;
    if (userns_idmap(plan, &l->home, &l->home_map, &l->helpers[0], err) < 0) {
        launch_kill(l);
        return -1;
    }
    waitpid(l->helpers[0], NULL, 0);
    l->helpers[0] = 0;
    return 0;
}

/* In the order in which the attacher takes them. */
static size_t add_sources(const struct plan *plan, int *fds, size_t n)
{
    for (size_t i = plan->system_count; i < plan->mount_count; i++) {
        const struct plan_mount *m = &plan->mounts[i];

        if (m->fd >= 0)
            fds[n++] = m->fd;
        if (m->upper_fd >= 0)
            fds[n++] = m->upper_fd;
    }
    return n;
}

/* As root we clone them; as an ordinary user the attacher does, which has neither our folder nor our root: it gets paths without links. */
static int find_sources(struct plan *plan, struct pj_err *err)
{
    char real[PATH_MAX];

    if (plan->root)
        return mounts_sources(plan, plan->system_count, AT_FDCWD, err);
    for (size_t i = plan->system_count; i < plan->mount_count; i++) {
        struct plan_mount *m = &plan->mounts[i];

        if (m->src && !realpath(m->src, real))
            return step_fail(err, "mounts", errno, NULL, "cannot find %s", m->src);
        if (m->src)
            pj_str_set(&m->src, real);
    }
    return 0;
}

static int send_order(struct launch *l, struct plan *plan, struct pj_err *err)
{
    struct channel_msg msg = {.type = CHANNEL_ORDER};
    struct mounts_idmap idmap = {-1, -1};
    int fds[CHANNEL_FDS_MAX], rc = -1;
    size_t n = 0;

    l->let_go = plan->root;
    add_rlimits(l, plan, &l->late->rlimits);
    if (prepare_work_dir(plan, err) == 0 && prepare_idmaps(l, plan, &idmap, err) == 0 &&
        find_sources(plan, err) == 0 && carry_plan(l->late, plan, err) == 0) {
        add_fd(&msg, CHANNEL_WORK_MAP, idmap.work_fd, fds, &n);
        add_fd(&msg, CHANNEL_BASE_MAP, idmap.base_fd, fds, &n);
        n = add_sources(plan, fds, n);
        rc = channel_send(l->channel, &msg, fds, n);
        if (rc < 0)
            step_fail(err, "start", errno, NULL, "cannot pass the order on");
    }
    pj_fd_close(&idmap.work_fd);
    pj_fd_close(&idmap.base_fd);
    return rc;
}

int launch_order(struct launch *l, struct plan *plan, struct pj_err *err)
{
    if (send_order(l, plan, err) == 0)
        return 0;
    launch_kill(l);
    return -1;
}

void launch_let_go(struct launch *l, struct plan *plan)
{
    for (size_t i = plan->system_count; l->let_go && i < plan->mount_count; i++) {
        pj_fd_close(&plan->mounts[i].fd);
        pj_fd_close(&plan->mounts[i].upper_fd);
    }
    l->let_go = false;
}

void launch_release(struct launch *l)
{
    int *fds[] = {&l->pidfd, &l->channel, &l->life,    &l->in,
                  &l->out,   &l->err,     &l->lock_fd, &l->home_map};

    for (size_t i = 0; i < PJ_COUNT_OF(fds); i++)
        pj_fd_close(fds[i]);
    for (size_t i = 0; i < PJ_COUNT_OF(l->helpers); i++) {
        if (l->helpers[i] > 0)
            waitpid(l->helpers[i], NULL, 0);
    }
    carry_free(l->late);
    l->late = NULL;
}
