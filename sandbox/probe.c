#include "sandbox/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/openat2.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include "sandbox/calls.h"
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "lib/base/fs.h"
#include "sandbox/cgroup.h"
#include "sandbox/jsonw.h"
#include "sandbox/landlock.h"
#include "sandbox/userns.h"

bool probe_is_privileged(void)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {{0}};

    return geteuid() == 0 && syscall(SYS_capget, &head, data) == 0 &&
           (data[0].effective & (1U << CAP_SYS_ADMIN));
}

/* What a gate's test found. */
struct finding {
    int sys_errno;    /* 0: open */
    const char *what; /* the call that failed */
    char note[120];   /* said also when open */
};

/* The content of a sysctl file without its newline, or NULL. */
static const char *sysctl(const char *name, char *buf, size_t size)
{
    char path[128];
    int fd;
    ssize_t n;

    snprintf(path, sizeof path, "/proc/sys/%s", name);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    n = read(fd, buf, size - 1);
    close(fd);
    if (n <= 0)
        return NULL;
    buf[n] = '\0';
    buf[strcspn(buf, "\n")] = '\0';
    return buf;
}

/* Run `fn` in a child made with `flags`, given who we were before; its exit status is an errno,
 * 0 when all went well. */
static int in_child(unsigned long flags, int (*fn)(const struct plan *))
{
    const struct plan outside = {
        .root = probe_is_privileged(), .host_uid = getuid(), .host_gid = getgid()};
    pid_t pid = (pid_t)syscall(SYS_clone, flags | SIGCHLD, NULL, NULL, NULL, NULL);
    int status;

    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        _exit(fn ? fn(&outside) : 0);
    }
    if (pid < 0)
        return errno;
    if (waitpid(pid, &status, 0) < 0)
        return errno;
    return WIFEXITED(status) ? WEXITSTATUS(status) : EINTR;
}

static unsigned long with_user(unsigned long flags)
{
    return probe_is_privileged() ? flags : flags | CLONE_NEWUSER;
}

static void gate_userns(struct finding *f)
{
    f->what = "clone(CLONE_NEWUSER)";
    f->sys_errno = in_child(CLONE_NEWUSER, NULL);
}

static int map_first(const struct plan *outside)
{
    struct pj_err err = {0};

    return userns_map_first(outside, &err) < 0 ? err.sys_errno : 0;
}

static int try_self_map(const struct plan *outside)
{
    return unshare(CLONE_NEWUSER) < 0 ? errno : map_first(outside);
}

static void gate_uid_map(struct finding *f)
{
    f->what = "write of /proc/self/uid_map";
    f->sys_errno = in_child(0, try_self_map);
}

static void gate_identity(struct finding *f)
{
    f->what = "a host uid that owns nothing";
    f->sys_errno =
        !(probe_is_privileged() && userns_can_lease()) && userns_is_host_root() ? EPERM : 0;
}

static void gate_namespaces(struct finding *f)
{
    f->what = "clone of mount, pid, net, ipc and uts namespaces";
    f->sys_errno = in_child(
        with_user(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS), NULL);
}

static int try_time(const struct plan *outside)
{
    (void)outside;
    return unshare(CLONE_NEWTIME | CLONE_NEWCGROUP) < 0 ? errno : 0;
}

static void gate_time(struct finding *f)
{
    f->what = "unshare of cgroup and time namespaces";
    f->sys_errno = in_child(with_user(CLONE_NEWNS), try_time);
}

static int new_mount(const char *type)
{
    int fs, fd;

    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return errno;
    fs = fsopen(type, FSOPEN_CLOEXEC);
    if (fs < 0 || fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
        return errno;
    fd = fsmount(fs, FSMOUNT_CLOEXEC, 0);
    return fd < 0 ? errno : 0;
}

static int try_mount(const struct plan *outside)
{
    int fd;

    (void)outside;
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return errno;
    fd = open_tree(AT_FDCWD, "/usr", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
    return fd < 0 ? errno : new_mount("tmpfs");
}

static void gate_mount(struct finding *f)
{
    f->what = "mount, open_tree, fsopen";
    f->sys_errno = in_child(with_user(CLONE_NEWNS), try_mount);
}

static int try_proc(const struct plan *outside)
{
    (void)outside;
    return new_mount("proc");
}

static void gate_proc(struct finding *f)
{
    f->what = "a new /proc";
    f->sys_errno = in_child(with_user(CLONE_NEWNS | CLONE_NEWPID), try_proc);
}

static int try_overlay(void)
{
    int fs, fd;

    if (mount("pj", "/tmp", "tmpfs", 0, NULL) < 0 || mkdir("/tmp/l", 0755) < 0 ||
        mkdir("/tmp/u", 0755) < 0 || mkdir("/tmp/w", 0755) < 0)
        return errno;
    fs = fsopen("overlay", FSOPEN_CLOEXEC);
    if (fs < 0 || fsconfig(fs, FSCONFIG_SET_STRING, "lowerdir", "/tmp/l", 0) < 0 ||
        fsconfig(fs, FSCONFIG_SET_STRING, "upperdir", "/tmp/u", 0) < 0 ||
        fsconfig(fs, FSCONFIG_SET_STRING, "workdir", "/tmp/w", 0) < 0 ||
        fsconfig(fs, FSCONFIG_SET_FLAG, "userxattr", NULL, 0) < 0 ||
        fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
        return errno;
    fd = fsmount(fs, FSMOUNT_CLOEXEC, 0);
    return fd < 0 ? errno : 0;
}

static int try_overlay_private(const struct plan *outside)
{
    /* In a user namespace only an id that exists can own files. */
    if (!outside->root && map_first(outside) != 0)
        return EPERM;
    return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ? errno : try_overlay();
}

static void gate_overlay(struct finding *f)
{
    f->what = "an overlay";
    f->sys_errno = in_child(with_user(CLONE_NEWNS), try_overlay_private);
}

static void gate_seccomp(struct finding *f)
{
    unsigned action = 0x80000000U; /* SECCOMP_RET_KILL_PROCESS */

    f->what = "seccomp(SECCOMP_GET_ACTION_AVAIL)";
    f->sys_errno = syscall(SYS_seccomp, 2, 0, &action) < 0 ? errno : 0;
}

static void gate_landlock(struct finding *f)
{
    int abi = landlock_abi();

    f->what = "landlock_create_ruleset";
    f->sys_errno = abi > 0 ? 0 : ENOSYS;
    if (abi > 0)
        snprintf(f->note, sizeof f->note, "ABI %d", abi);
}

static void gate_cgroup(struct finding *f)
{
    const struct cgroup_limits limits = {64 << 20, 64, 1000};
    struct cgroup cg;

    cgroup_begin(&cg, &limits);
    cgroup_limit(&cg, &limits);
    f->what = "a control group with limits";
    f->sys_errno = cg.memory_kept && cg.pids_kept && cg.cpu_kept ? 0 : EACCES;
    snprintf(f->note, sizeof f->note, "memory by %s, pids by %s, cpu by %s, kill by %s",
             cg.memory_kept ? cg.memory_kept : "rlimit", cg.pids_kept ? cg.pids_kept : "rlimit",
             cg.cpu_kept ? cg.cpu_kept : "rlimit",
             cg.kill_dir ? "cgroup.kill" : "the pid namespace");
    cgroup_remove(&cg, 100);
}

struct gate {
    const char *name;
    bool needed; /* no box without it */
    void (*test)(struct finding *f);
    const char *cause, *remedy;
};

/* clang-format off */
static const struct gate gates[] = {
    {"user-namespaces", true, gate_userns, "user namespaces are turned off, used up, or forbidden by an outer container's filter",
     "sysctl -w user.max_user_namespaces=15000; Debian: kernel.unprivileged_userns_clone=1; Docker: --security-opt "
     "seccomp=unconfined or a profile that allows clone and unshare"},
    {"uid-map", true, gate_uid_map,
     "AppArmor lets user namespaces be made but not used (Ubuntu 24.04), or /proc is not writable",
     "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0, or an AppArmor profile for pj-sandbox with `userns,`"},
    {"identity", true, gate_identity, "root without CAP_SYS_ADMIN, or alone in its user namespace: the box's user would be root on the host",
     "run pj-sandbox as an ordinary user, or give root CAP_SYS_ADMIN and a range of uids"},
    {"namespaces", true, gate_namespaces, "an outer container's filter forbids new namespaces",
     "Docker: --cap-add SYS_ADMIN --cap-add NET_ADMIN --security-opt seccomp=unconfined; podman: as an ordinary user it works as it is"},
    {"time-namespace", true, gate_time, "the kernel lacks cgroup or time namespaces", "use a kernel from 5.6 on"},
    {"mount", true, gate_mount, "an outer container's filter or AppArmor profile forbids mount",
     "Docker: --cap-add SYS_ADMIN --cap-add NET_ADMIN --security-opt apparmor=unconfined; kernel from 5.12 on"},
    {"proc", true, gate_proc, "an outer container masks parts of /proc, so the kernel gives no fresh one",
     "Docker: --security-opt systempaths=unconfined; podman: --security-opt unmask=ALL; Kubernetes: procMount: Unmasked"},
    {"seccomp", true, gate_seccomp, "the kernel has no system-call filters", "use a kernel with CONFIG_SECCOMP_FILTER=y"},
    {"landlock", false, gate_landlock, "the kernel has no Landlock, or it is not in the lsm= list",
     "boot with landlock in lsm=; the box works without it, with one wall less"},
    {"overlay", false, gate_overlay, "no overlay in a user namespace", "kernel from 5.11 on; else give a copy as --workspace"},
    {"cgroup", false, gate_cgroup, "no control group may be made here: none is delegated, or the hierarchy is read-only",
     "run under a delegated unit (systemd-run --user --scope -p Delegate=yes pj-sandbox …); else rlimits stand in"},
};
/* clang-format on */

static void print_sysctls(struct pj_str *out)
{
    static const char *const names[] = {"kernel/apparmor_restrict_unprivileged_userns",
                                        "kernel/unprivileged_userns_clone",
                                        "user/max_user_namespaces", "dev/tty/legacy_tiocsti"};
    char value[64];

    jsonw_key(out, "sysctls");
    pj_str_putc(out, '{');
    for (size_t i = 0; i < PJ_COUNT_OF(names); i++)
        jsonw_member_string(out, names[i], sysctl(names[i], value, sizeof value));
    pj_str_putc(out, '}');
}

static void print_gate(const struct gate *g, const struct finding *f, struct pj_str *out)
{
    jsonw_comma(out);
    pj_str_putc(out, '{');
    jsonw_member_string(out, "name", g->name);
    jsonw_member_bool(out, "open", f->sys_errno == 0);
    jsonw_member_bool(out, "needed", g->needed);
    jsonw_member_limit(out, "errno", f->sys_errno);
    jsonw_member_string(out, "tried", f->what);
    jsonw_member_string(out, "note", f->note[0] ? f->note : NULL);
    jsonw_member_string(out, "cause", f->sys_errno ? g->cause : NULL);
    jsonw_member_string(out, "remedy", f->sys_errno ? g->remedy : NULL);
    pj_str_putc(out, '}');
}

static void tell_gate(const struct gate *g, const struct finding *f, struct pj_str *out)
{
    pj_str_putf(out, "%-16s %s%s%s\n", g->name,
                f->sys_errno == 0 ? "open"
                : g->needed       ? "CLOSED"
                                  : "closed",
                f->note[0] ? "  " : "", f->note);
    if (f->sys_errno)
        pj_str_putf(out, "  %s: %s\n  cause:  %s\n  remedy: %s\n", f->what, strerror(f->sys_errno),
                    g->cause, g->remedy);
}

bool probe_report(struct pj_str *out, bool for_people)
{
    bool ok = true;

    if (!for_people) {
        pj_str_putc(out, '{');
        jsonw_member_string(out, "mode", probe_is_privileged() ? "root" : "user");
        print_sysctls(out);
        jsonw_key(out, "gates");
        pj_str_putc(out, '[');
    }
    for (size_t i = 0; i < PJ_COUNT_OF(gates); i++) {
        struct finding f = {0};

        gates[i].test(&f);
        ok = ok && (f.sys_errno == 0 || !gates[i].needed);
        if (for_people)
            tell_gate(&gates[i], &f, out);
        else
            print_gate(&gates[i], &f, out);
    }
    if (for_people) {
        pj_str_puts(out,
                    ok ? "A box can be had on this host.\n" : "No box can be had on this host.\n");
    } else {
        pj_str_putc(out, ']');
        jsonw_member_bool(out, "ok", ok);
        pj_str_puts(out, "}\n");
    }
    return ok;
}
