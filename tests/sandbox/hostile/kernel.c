/* Doors of the kernel that the filter closes. */
#include "hostile.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define TIOCSTI_ 0x5412L
#define TIOCLINUX_ 0x541cL

static int tiocsti(const char *arg)
{
    char c = '\n';

    (void)arg;
    return refused("TIOCSTI", syscall(SYS_ioctl, 0, TIOCSTI_, &c), ERRORS(EPERM));
}

static int tiocsti_high_bits(const char *arg)
{
    char c = '\n';

    (void)arg;
    return refused("TIOCSTI", syscall(SYS_ioctl, 0, TIOCSTI_ | 1L << 32, &c), ERRORS(EPERM));
}

static int tioclinux(const char *arg)
{
    char c = 3;

    (void)arg;
    return refused("TIOCLINUX", syscall(SYS_ioctl, 0, TIOCLINUX_, &c), ERRORS(EPERM)) |
           refused("TIOCLINUX, high bits", syscall(SYS_ioctl, 0, TIOCLINUX_ | 1L << 32, &c),
                   ERRORS(EPERM));
}

static int unshare_each(const char *arg)
{
    static const int flags[] = {CLONE_NEWUSER,   CLONE_NEWNS,  CLONE_NEWPID,
                                CLONE_NEWNET,    CLONE_NEWIPC, CLONE_NEWUTS,
                                CLONE_NEWCGROUP, 0x80 /* CLONE_NEWTIME */};
    int bad = 0;

    (void)arg;
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++)
        bad |= refused("unshare", syscall(SYS_unshare, flags[i]), ERRORS(EPERM));
    return bad;
}

static int clone_namespaces(const char *arg)
{
    static const unsigned long flags[] = {CLONE_NEWUSER, CLONE_NEWNS,  CLONE_NEWPID,   CLONE_NEWNET,
                                          CLONE_NEWIPC,  CLONE_NEWUTS, CLONE_NEWCGROUP};
    int bad = 0;

    (void)arg;
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        long pid = syscall(SYS_clone, CLONE_NEWUSER | flags[i] | SIGCHLD, 0, 0, 0, 0);

        if (pid == 0)
            _exit(0);
        bad |= refused("clone", pid, ERRORS(EPERM));
    }
    return bad;
}

static void *thread_main(void *arg)
{
    return arg;
}

static int clone3_absent(const char *arg)
{
    struct clone_args args = {.flags = CLONE_NEWUSER, .exit_signal = SIGCHLD};
    pthread_t thread;

    (void)arg;
    if (refused("clone3", syscall(SYS_clone3, &args, sizeof args), ERRORS(ENOSYS)))
        return 1;
    if (pthread_create(&thread, NULL, thread_main, NULL) != 0) {
        printf("threads do not fall back\n");
        return 1;
    }
    pthread_join(thread, NULL);
    return 0;
}

static int mount_family(const char *arg)
{
    int bad = 0;

    (void)arg;
    bad |= refused("setns", syscall(SYS_setns, 0, 0), ERRORS(EPERM));
    bad |= refused("mount", mount("none", "/tmp", "tmpfs", 0, NULL), ERRORS(EPERM));
    bad |= refused("remount", mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND, NULL), ERRORS(EPERM));
    bad |= refused("umount2", umount2("/proc/sys", MNT_DETACH), ERRORS(EPERM));
    bad |= refused("pivot_root", syscall(SYS_pivot_root, "/tmp", "/tmp"), ERRORS(EPERM));
    bad |= refused("chroot", chroot("/tmp"), ERRORS(EPERM));
    bad |= refused("fsopen", syscall(SYS_fsopen, "ext4", 0), ERRORS(EPERM));
    bad |= refused("fsconfig", syscall(SYS_fsconfig, 0, 0, 0, 0, 0), ERRORS(EPERM));
    bad |= refused("open_tree", syscall(SYS_open_tree, -100, "/", 1), ERRORS(EPERM));
    bad |= refused("move_mount", syscall(SYS_move_mount, -100, "/tmp", -100, "/tmp", 0),
                   ERRORS(EPERM));
    bad |=
        refused("mount_setattr", syscall(SYS_mount_setattr, -100, "/", 0, NULL, 0), ERRORS(EPERM));
    return bad;
}

static int bpf_door(const char *arg)
{
    (void)arg;
    return refused("bpf", syscall(SYS_bpf, 0, NULL, 0), ERRORS(EPERM));
}

static int perf_door(const char *arg)
{
    (void)arg;
    return refused("perf_event_open", syscall(SYS_perf_event_open, NULL, 0, -1, -1, 0),
                   ERRORS(EPERM));
}

static int io_uring_door(const char *arg)
{
    char params[120] = {0};

    (void)arg;
    return refused("io_uring_setup", syscall(SYS_io_uring_setup, 8, params), ERRORS(EPERM));
}

static int userfaultfd_door(const char *arg)
{
    (void)arg;
    return refused("userfaultfd", syscall(SYS_userfaultfd, 1), ERRORS(EPERM));
}

static int keys_door(const char *arg)
{
    (void)arg;
    return refused("keyctl", syscall(SYS_keyctl, 0, -3, 1), ERRORS(EPERM)) |
           refused("add_key", syscall(SYS_add_key, "user", "x", "x", 1L, -3L), ERRORS(EPERM)) |
           refused("request_key", syscall(SYS_request_key, "user", "x", NULL, -3L), ERRORS(EPERM));
}

static int ptrace_door(const char *arg)
{
    (void)arg;
    /* Seizing first: it does not stop process 1, should it succeed. */
    return refused("PTRACE_SEIZE of process 1", ptrace(PTRACE_SEIZE, 1, NULL, NULL),
                   ERRORS(EPERM)) ||
           refused("PTRACE_ATTACH to process 1", ptrace(PTRACE_ATTACH, 1, NULL, NULL),
                   ERRORS(EPERM));
}

static int other_memory(const char *arg)
{
    char buf[8];
    struct iovec local = {buf, sizeof buf}, remote = {(void *)0x1000, sizeof buf};
    int bad = 0;

    (void)arg;
    bad |=
        refused("process_vm_readv", process_vm_readv(1, &local, 1, &remote, 1, 0), ERRORS(EPERM));
    bad |=
        refused("process_vm_writev", process_vm_writev(1, &local, 1, &remote, 1, 0), ERRORS(EPERM));
    bad |= refused("pidfd_getfd", syscall(SYS_pidfd_getfd, 0, 0, 0), ERRORS(EPERM));
    bad |= refused("kcmp", syscall(SYS_kcmp, 1, getpid(), 0, 0, 0), ERRORS(EPERM));
    return bad;
}

static int kernel_code(const char *arg)
{
    int bad = 0;

    (void)arg;
    bad |= refused("init_module", syscall(SYS_init_module, NULL, 0, ""), ERRORS(EPERM));
    bad |= refused("finit_module", syscall(SYS_finit_module, 0, "", 0), ERRORS(EPERM));
    bad |= refused("delete_module", syscall(SYS_delete_module, "x", 0), ERRORS(EPERM));
    bad |= refused("kexec_load", syscall(SYS_kexec_load, 0, 0, NULL, 0), ERRORS(EPERM));
    bad |= refused("kexec_file_load", syscall(SYS_kexec_file_load, 0, 0, 0, "", 0), ERRORS(EPERM));
    return bad;
}

static int host_switches(const char *arg)
{
    int bad = 0;

    (void)arg;
    bad |= refused("reboot", syscall(SYS_reboot, 0xfee1dead, 0x28121969, 0, NULL), ERRORS(EPERM));
    bad |= refused("swapon", syscall(SYS_swapon, "/tmp/x", 0), ERRORS(EPERM));
    bad |= refused("acct", syscall(SYS_acct, "/tmp/x"), ERRORS(EPERM));
    bad |= refused("quotactl", syscall(SYS_quotactl, 0, NULL, 0, NULL), ERRORS(EPERM));
    bad |= refused("syslog", syscall(SYS_syslog, 3, NULL, 0), ERRORS(EPERM));
#ifdef SYS_iopl
    bad |= refused("iopl", syscall(SYS_iopl, 3), ERRORS(EPERM));
    bad |= refused("ioperm", syscall(SYS_ioperm, 0x70, 2, 1), ERRORS(EPERM));
#endif
    return bad;
}

static int host_clock(const char *arg)
{
    struct timespec now;
    struct timeval tv = {.tv_sec = 1};
    struct timex tx = {.modes = ADJ_OFFSET};

    (void)arg;
    clock_gettime(CLOCK_REALTIME, &now);
    return refused("clock_settime", syscall(SYS_clock_settime, CLOCK_REALTIME, &now),
                   ERRORS(EPERM)) |
           refused("settimeofday", syscall(SYS_settimeofday, &tv, NULL), ERRORS(EPERM)) |
           refused("adjtimex", syscall(SYS_adjtimex, &tx), ERRORS(EPERM));
}

static int host_name(const char *arg)
{
    (void)arg;
    return refused("sethostname", sethostname("x", 1), ERRORS(EPERM)) |
           refused("setdomainname", setdomainname("x", 1), ERRORS(EPERM));
}

static int file_handles(const char *arg)
{
    char handle[64] = {8};
    int mount_id;

    (void)arg;
    return refused("name_to_handle_at",
                   syscall(SYS_name_to_handle_at, -100, "/", handle, &mount_id, 0), ERRORS(EPERM)) |
           refused("open_by_handle_at", syscall(SYS_open_by_handle_at, 0, handle, 0),
                   ERRORS(EPERM)) |
           refused("fanotify_init", syscall(SYS_fanotify_init, 0, 0), ERRORS(EPERM));
}

#ifdef __x86_64__
static void call_x32(void)
{
    syscall(0x40000000L | SYS_getpid);
}

static void call_int80(void)
{
    long rc;

    __asm__ volatile("int $0x80" : "=a"(rc) : "a"(20L) : "memory"); /* getpid of i386 */
}
#endif

static int x32_abi(const char *arg)
{
    (void)arg;
#ifdef __x86_64__
    if (!killed_by_policy(call_x32)) {
        printf("an x32 call was let through\n");
        return 1;
    }
#endif
    return 0;
}

static int i386_abi(const char *arg)
{
    (void)arg;
#ifdef __x86_64__
    if (!killed_by_policy(call_int80)) {
        printf("int 0x80 was let through\n");
        return 1;
    }
#endif
    return 0;
}

static int personality_bits(const char *arg)
{
    (void)arg;
    if (syscall(SYS_personality, 0xffffffffUL) < 0) {
        printf("asking is refused too\n");
        return 1;
    }
    return refused("ADDR_NO_RANDOMIZE", syscall(SYS_personality, 0x0040000UL), ERRORS(EPERM)) |
           refused("READ_IMPLIES_EXEC", syscall(SYS_personality, 0x0400000UL), ERRORS(EPERM)) |
           refused("with the top bit", syscall(SYS_personality, 0x80040000UL), ERRORS(EPERM)) |
           refused("with high bits", syscall(SYS_personality, 0x100040000UL), ERRORS(EPERM));
}

static int socket_families(const char *arg)
{
    int bad = 0;

    (void)arg;
    for (int family = 0; family < 50; family++) {
        if (family == AF_UNIX || family == AF_INET || family == AF_INET6 || family == AF_NETLINK)
            continue;
        bad |= refused("socket", socket(family, SOCK_DGRAM, 0), ERRORS(EAFNOSUPPORT));
    }
    for (int protocol = 1; protocol < 24; protocol++)
        bad |= refused("netlink", socket(AF_NETLINK, SOCK_RAW, protocol), ERRORS(EPROTONOSUPPORT));
    return bad;
}

static int raw_sockets(const char *arg)
{
    (void)arg;
    return refused("raw", socket(AF_INET, SOCK_RAW, 1), ERRORS(EPERM)) |
           refused("raw6", socket(AF_INET6, SOCK_RAW, 58), ERRORS(EPERM)) |
           refused("packet", socket(AF_INET, SOCK_PACKET, 0), ERRORS(EPERM, EAFNOSUPPORT, EINVAL));
}

static int prctl_doors(const char *arg)
{
    (void)arg;
    return refused("PR_SET_MM", prctl(PR_SET_MM, PR_SET_MM_BRK, 0, 0, 0), ERRORS(EPERM)) |
           refused("PR_SET_PTRACER", prctl(PR_SET_PTRACER, -1L, 0, 0, 0), ERRORS(EPERM)) |
           refused("PR_CAP_AMBIENT_RAISE", prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 0, 0, 0),
                   ERRORS(EPERM)) |
           refused("PR_SET_SECUREBITS", prctl(PR_SET_SECUREBITS, 0, 0, 0, 0), ERRORS(EPERM));
}

static int newer_calls(const char *arg)
{
    int bad = 0;

    (void)arg;
    for (long nr = 463; nr < 600; nr++)
        bad |= refused("a call from the future", syscall(nr, 0, 0, 0, 0), ERRORS(ENOSYS));
    return bad;
}

const struct attack attacks_kernel[] = {
    {"bpf", bpf_door, "EPERM"},
    {"clone3", clone3_absent, "ENOSYS, threads fall back"},
    {"clone_namespaces", clone_namespaces, "EPERM for every namespace"},
    {"file_handles", file_handles, "EPERM"},
    {"host_clock", host_clock, "EPERM"},
    {"host_name", host_name, "EPERM"},
    {"host_switches", host_switches, "EPERM"},
    {"i386_abi", i386_abi, "killed by SIGSYS"},
    {"io_uring", io_uring_door, "EPERM"},
    {"kernel_code", kernel_code, "EPERM"},
    {"keys", keys_door, "EPERM"},
    {"mount_family", mount_family, "EPERM"},
    {"newer_calls", newer_calls, "ENOSYS"},
    {"other_memory", other_memory, "EPERM"},
    {"perf", perf_door, "EPERM"},
    {"personality", personality_bits, "EPERM, asking is fine"},
    {"prctl", prctl_doors, "EPERM"},
    {"ptrace", ptrace_door, "EPERM"},
    {"raw_sockets", raw_sockets, "EPERM"},
    {"socket_families", socket_families, "EAFNOSUPPORT, EPROTONOSUPPORT"},
    {"tioclinux", tioclinux, "EPERM"},
    {"tiocsti", tiocsti, "EPERM, not ENOTTY"},
    {"tiocsti_high_bits", tiocsti_high_bits, "EPERM, not ENOTTY"},
    {"unshare", unshare_each, "EPERM for every namespace"},
    {"userfaultfd", userfaultfd_door, "EPERM"},
    {"x32_abi", x32_abi, "killed by SIGSYS"},
    {0},
};
