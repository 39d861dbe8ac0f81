#include "sandbox/rules.h"

#include <errno.h>
#include <linux/sched.h>
#include <seccomp.h>

#define ALLOW(call, why)                                                                           \
    {                                                                                              \
        SCMP_SYS(call), #call, RULE_ALLOW, why                                                     \
    }
#define EPERM_(call, why)                                                                          \
    {                                                                                              \
        SCMP_SYS(call), #call, RULE_EPERM, why                                                     \
    }

/* What is not here answers ENOSYS; among those on purpose: clone3 and openat2 (their arguments lie in memory, where no filter
 * sees them; every libc falls back), fchmodat2 (set-id bits; falls back to fchmodat), and whatever is newer than this table. */
/* clang-format off */
const struct rule_call rule_calls[] = {
    ALLOW(accept, "sockets; families are filtered below, the network namespace is empty"),
    ALLOW(accept4, "sockets; families are filtered below, the network namespace is empty"),
    ALLOW(access, "files by path or descriptor"),
    EPERM_(acct, "the host itself"),
    EPERM_(add_key, "keys are shared beyond namespaces (CVE-2016-0728)"),
    EPERM_(adjtimex, "the host's clock"),
    ALLOW(alarm, "clocks, read and waited for"),
    ALLOW(arch_prctl, "threads"),
    ALLOW(bind, "sockets; families are filtered below, the network namespace is empty"),
    EPERM_(bpf, "loads code into the kernel"),
    ALLOW(brk, "memory"),
    ALLOW(capget, "capabilities: can only be read, none are left"),
    ALLOW(capset, "capabilities: can only be read, none are left"),
    ALLOW(chdir, "files by path or descriptor"),
    ALLOW(chmod, "modes and owners; set-id bits are refused below"),
    ALLOW(chown, "modes and owners; set-id bits are refused below"),
    EPERM_(chroot, "another root directory"),
    EPERM_(clock_adjtime, "the host's clock"),
    ALLOW(clock_getres, "clocks, read and waited for"),
    ALLOW(clock_gettime, "clocks, read and waited for"),
    ALLOW(clock_nanosleep, "clocks, read and waited for"),
    EPERM_(clock_settime, "the host's clock"),
    ALLOW(clone, "processes; namespaces are refused below"),
    ALLOW(close, "files by path or descriptor"),
    ALLOW(close_range, "files by path or descriptor"),
    ALLOW(connect, "sockets; families are filtered below, the network namespace is empty"),
    ALLOW(copy_file_range, "copying between descriptors"),
    ALLOW(creat, "files by path or descriptor"),
    EPERM_(delete_module, "loads code into the kernel"),
    ALLOW(dup, "files by path or descriptor"),
    ALLOW(dup2, "files by path or descriptor"),
    ALLOW(dup3, "files by path or descriptor"),
    ALLOW(epoll_create, "waiting for descriptors"),
    ALLOW(epoll_create1, "waiting for descriptors"),
    ALLOW(epoll_ctl, "waiting for descriptors"),
    ALLOW(epoll_pwait, "waiting for descriptors"),
    ALLOW(epoll_pwait2, "waiting for descriptors"),
    ALLOW(epoll_wait, "waiting for descriptors"),
    ALLOW(eventfd, "events as descriptors"),
    ALLOW(eventfd2, "events as descriptors"),
    ALLOW(execve, "processes; namespaces are refused below"),
    ALLOW(execveat, "processes; namespaces are refused below"),
    ALLOW(exit, "processes; namespaces are refused below"),
    ALLOW(exit_group, "processes; namespaces are refused below"),
    ALLOW(faccessat, "files by path or descriptor"),
    ALLOW(faccessat2, "files by path or descriptor"),
    ALLOW(fadvise64, "files by path or descriptor"),
    ALLOW(fallocate, "files by path or descriptor"),
    EPERM_(fanotify_init, "watches whole file systems"),
    EPERM_(fanotify_mark, "watches whole file systems"),
    ALLOW(fchdir, "files by path or descriptor"),
    ALLOW(fchmod, "modes and owners; set-id bits are refused below"),
    ALLOW(fchmodat, "modes and owners; set-id bits are refused below"),
    ALLOW(fchown, "modes and owners; set-id bits are refused below"),
    ALLOW(fchownat, "modes and owners; set-id bits are refused below"),
    ALLOW(fcntl, "files by path or descriptor"),
    ALLOW(fdatasync, "files by path or descriptor"),
    ALLOW(fgetxattr, "extended attributes; privileged ones need capabilities"),
    EPERM_(finit_module, "loads code into the kernel"),
    ALLOW(flistxattr, "extended attributes; privileged ones need capabilities"),
    ALLOW(flock, "files by path or descriptor"),
    ALLOW(fork, "processes; namespaces are refused below"),
    ALLOW(fremovexattr, "extended attributes; privileged ones need capabilities"),
    EPERM_(fsconfig, "mounts (CVE-2022-0185 starts at fsconfig)"),
    ALLOW(fsetxattr, "extended attributes; privileged ones need capabilities"),
    EPERM_(fsmount, "mounts (CVE-2022-0185 starts at fsconfig)"),
    EPERM_(fsopen, "mounts (CVE-2022-0185 starts at fsconfig)"),
    EPERM_(fspick, "mounts (CVE-2022-0185 starts at fsconfig)"),
    ALLOW(fstat, "files by path or descriptor"),
    ALLOW(fstatfs, "files by path or descriptor"),
    ALLOW(fsync, "files by path or descriptor"),
    ALLOW(ftruncate, "files by path or descriptor"),
    ALLOW(futex, "threads"),
    ALLOW(futex_waitv, "threads"),
    ALLOW(futimesat, "times of files"),
    ALLOW(get_mempolicy, "memory"),
    ALLOW(get_robust_list, "threads"),
    ALLOW(get_thread_area, "threads"),
    ALLOW(getcpu, "scheduling; raising priority needs a capability"),
    ALLOW(getcwd, "files by path or descriptor"),
    ALLOW(getdents, "files by path or descriptor"),
    ALLOW(getdents64, "files by path or descriptor"),
    ALLOW(getegid, "who am I"),
    ALLOW(geteuid, "who am I"),
    ALLOW(getgid, "who am I"),
    ALLOW(getgroups, "who am I"),
    ALLOW(getitimer, "clocks, read and waited for"),
    ALLOW(getpeername, "sockets; families are filtered below, the network namespace is empty"),
    ALLOW(getpgid, "who am I"),
    ALLOW(getpgrp, "who am I"),
    ALLOW(getpid, "who am I"),
    ALLOW(getppid, "who am I"),
    ALLOW(getpriority, "scheduling; raising priority needs a capability"),
    ALLOW(getrandom, "random numbers"),
    ALLOW(getresgid, "who am I"),
    ALLOW(getresuid, "who am I"),
    ALLOW(getrlimit, "limits, which only go down"),
    ALLOW(getrusage, "limits, which only go down"),
    ALLOW(getsid, "who am I"),
    ALLOW(getsockname, "sockets; families are filtered below, the network namespace is empty"),
    ALLOW(getsockopt, "sockets; families are filtered below, the network namespace is empty"),
    ALLOW(gettid, "threads"),
    ALLOW(gettimeofday, "clocks, read and waited for"),
    ALLOW(getuid, "who am I"),
    ALLOW(getxattr, "extended attributes; privileged ones need capabilities"),
    EPERM_(init_module, "loads code into the kernel"),
    ALLOW(inotify_add_watch, "events as descriptors"),
    ALLOW(inotify_init, "events as descriptors"),
    ALLOW(inotify_init1, "events as descriptors"),
    ALLOW(inotify_rm_watch, "events as descriptors"),
    ALLOW(io_cancel, "asynchronous file I/O of the old kind"),
    ALLOW(io_destroy, "asynchronous file I/O of the old kind"),
    ALLOW(io_getevents, "asynchronous file I/O of the old kind"),
    ALLOW(io_pgetevents, "asynchronous file I/O of the old kind"),
    ALLOW(io_setup, "asynchronous file I/O of the old kind"),
    ALLOW(io_submit, "asynchronous file I/O of the old kind"),
    EPERM_(io_uring_enter, "a second system-call door past this filter"),
    EPERM_(io_uring_register, "a second system-call door past this filter"),
    EPERM_(io_uring_setup, "a second system-call door past this filter"),
    ALLOW(ioctl, "device control; terminal injection is refused below"),
    EPERM_(ioperm, "the host itself"),
    EPERM_(iopl, "the host itself"),
    ALLOW(ioprio_get, "scheduling; raising priority needs a capability"),
    ALLOW(ioprio_set, "scheduling; raising priority needs a capability"),
    EPERM_(kcmp, "another process's memory or descriptors"),
    EPERM_(kexec_file_load, "loads code into the kernel"),
    EPERM_(kexec_load, "loads code into the kernel"),
    EPERM_(keyctl, "keys are shared beyond namespaces (CVE-2016-0728)"),
    ALLOW(kill, "signals; the pid namespace bounds them"),
    ALLOW(landlock_add_rule, "restricting oneself further"),
    ALLOW(landlock_create_ruleset, "restricting oneself further"),
    ALLOW(landlock_restrict_self, "restricting oneself further"),
    ALLOW(lchown, "modes and owners; set-id bits are refused below"),
    ALLOW(lgetxattr, "extended attributes; privileged ones need capabilities"),
    ALLOW(link, "links"),
    ALLOW(linkat, "links"),
    ALLOW(listen, "sockets; families are filtered below, the network namespace is empty"),
    ALLOW(listxattr, "extended attributes; privileged ones need capabilities"),
    ALLOW(llistxattr, "extended attributes; privileged ones need capabilities"),
    EPERM_(lookup_dcookie, "kernel internals"),
    ALLOW(lremovexattr, "extended attributes; privileged ones need capabilities"),
    ALLOW(lseek, "files by path or descriptor"),
    ALLOW(lsetxattr, "extended attributes; privileged ones need capabilities"),
    ALLOW(lstat, "files by path or descriptor"),
    ALLOW(madvise, "memory"),
    ALLOW(mbind, "memory"),
    ALLOW(membarrier, "memory"),
    ALLOW(memfd_create, "memory"),
    ALLOW(migrate_pages, "memory"),
    ALLOW(mincore, "memory"),
    ALLOW(mkdir, "files by path or descriptor"),
    ALLOW(mkdirat, "files by path or descriptor"),
    ALLOW(mknod, "modes and owners; set-id bits are refused below"),
    ALLOW(mknodat, "modes and owners; set-id bits are refused below"),
    ALLOW(mlock, "memory"),
    ALLOW(mlock2, "memory"),
    ALLOW(mlockall, "memory"),
    ALLOW(mmap, "memory"),
    EPERM_(mount, "mounts (CVE-2022-0185 starts at fsconfig)"),
    EPERM_(mount_setattr, "mounts (CVE-2022-0185 starts at fsconfig)"),
    EPERM_(move_mount, "mounts (CVE-2022-0185 starts at fsconfig)"),
    EPERM_(move_pages, "pages of other processes"),
    ALLOW(mprotect, "memory"),
    ALLOW(mq_getsetattr, "POSIX message queues, in our IPC namespace"),
    ALLOW(mq_notify, "POSIX message queues, in our IPC namespace"),
    ALLOW(mq_open, "POSIX message queues, in our IPC namespace"),
    ALLOW(mq_timedreceive, "POSIX message queues, in our IPC namespace"),
    ALLOW(mq_timedsend, "POSIX message queues, in our IPC namespace"),
    ALLOW(mq_unlink, "POSIX message queues, in our IPC namespace"),
    ALLOW(mremap, "memory"),
    ALLOW(msgctl, "System V memory and messages, in our IPC namespace"),
    ALLOW(msgget, "System V memory and messages, in our IPC namespace"),
    ALLOW(msgrcv, "System V memory and messages, in our IPC namespace"),
    ALLOW(msgsnd, "System V memory and messages, in our IPC namespace"),
    ALLOW(msync, "memory"),
    ALLOW(munlock, "memory"),
    ALLOW(munlockall, "memory"),
    ALLOW(munmap, "memory"),
    EPERM_(name_to_handle_at, "files by inode number, past every path check"),
    ALLOW(nanosleep, "clocks, read and waited for"),
    ALLOW(newfstatat, "files by path or descriptor"),
    ALLOW(open, "files by path or descriptor"),
    EPERM_(open_by_handle_at, "files by inode number, past every path check"),
    EPERM_(open_tree, "mounts (CVE-2022-0185 starts at fsconfig)"),
    ALLOW(openat, "files by path or descriptor"),
    ALLOW(pause, "signals; the pid namespace bounds them"),
    EPERM_(perf_event_open, "counts what other processes do"),
    ALLOW(personality, "process settings; the dangerous ones are refused below"),
    EPERM_(pidfd_getfd, "another process's memory or descriptors"),
    ALLOW(pidfd_open, "signals; the pid namespace bounds them"),
    ALLOW(pidfd_send_signal, "signals; the pid namespace bounds them"),
    ALLOW(pipe, "pipes"),
    ALLOW(pipe2, "pipes"),
    EPERM_(pivot_root, "mounts (CVE-2022-0185 starts at fsconfig)"),
    ALLOW(pkey_alloc, "memory"),
    ALLOW(pkey_free, "memory"),
    ALLOW(pkey_mprotect, "memory"),
    ALLOW(poll, "waiting for descriptors"),
    ALLOW(ppoll, "waiting for descriptors"),
    ALLOW(prctl, "process settings; the dangerous ones are refused below"),
    ALLOW(pread64, "files by path or descriptor"),
    ALLOW(preadv, "files by path or descriptor"),
    ALLOW(preadv2, "files by path or descriptor"),
    ALLOW(prlimit64, "limits, which only go down"),
    EPERM_(process_madvise, "another process's memory or descriptors"),
    EPERM_(process_mrelease, "another process's memory or descriptors"),
    EPERM_(process_vm_readv, "another process's memory or descriptors"),
    EPERM_(process_vm_writev, "another process's memory or descriptors"),
    ALLOW(pselect6, "waiting for descriptors"),
    ALLOW(ptrace, "one's own processes, for debuggers and leak checkers; process 1 is not dumpable, nobody else is there"),
    ALLOW(pwrite64, "files by path or descriptor"),
    ALLOW(pwritev, "files by path or descriptor"),
    ALLOW(pwritev2, "files by path or descriptor"),
    EPERM_(quotactl, "the host itself"),
    EPERM_(quotactl_fd, "the host itself"),
    ALLOW(read, "files by path or descriptor"),
    ALLOW(readahead, "files by path or descriptor"),
    ALLOW(readlink, "files by path or descriptor"),
    ALLOW(readlinkat, "files by path or descriptor"),
    ALLOW(readv, "files by path or descriptor"),
    EPERM_(reboot, "the host itself"),
    ALLOW(recvfrom, "sockets; families are filtered below, the network namespace is empty"),
    ALLOW(recvmmsg, "sockets; families are filtered below, the network namespace is empty"),
    ALLOW(recvmsg, "sockets; families are filtered below, the network namespace is empty"),
    ALLOW(remap_file_pages, "memory"),
    ALLOW(removexattr, "extended attributes; privileged ones need capabilities"),
    ALLOW(rename, "files by path or descriptor"),
    ALLOW(renameat, "files by path or descriptor"),
    ALLOW(renameat2, "files by path or descriptor"),
    EPERM_(request_key, "keys are shared beyond namespaces (CVE-2016-0728)"),
    ALLOW(restart_syscall, "signals; the pid namespace bounds them"),
    ALLOW(rmdir, "files by path or descriptor"),
    ALLOW(rseq, "threads"),
    ALLOW(rt_sigaction, "signals; the pid namespace bounds them"),
    ALLOW(rt_sigpending, "signals; the pid namespace bounds them"),
    ALLOW(rt_sigprocmask, "signals; the pid namespace bounds them"),
    ALLOW(rt_sigqueueinfo, "signals; the pid namespace bounds them"),
    ALLOW(rt_sigreturn, "signals; the pid namespace bounds them"),
    ALLOW(rt_sigsuspend, "signals; the pid namespace bounds them"),
    ALLOW(rt_sigtimedwait, "signals; the pid namespace bounds them"),
    ALLOW(rt_tgsigqueueinfo, "signals; the pid namespace bounds them"),
    ALLOW(sched_get_priority_max, "scheduling; raising priority needs a capability"),
    ALLOW(sched_get_priority_min, "scheduling; raising priority needs a capability"),
    ALLOW(sched_getaffinity, "scheduling; raising priority needs a capability"),
    ALLOW(sched_getattr, "scheduling; raising priority needs a capability"),
    ALLOW(sched_getparam, "scheduling; raising priority needs a capability"),
    ALLOW(sched_getscheduler, "scheduling; raising priority needs a capability"),
    ALLOW(sched_rr_get_interval, "scheduling; raising priority needs a capability"),
    ALLOW(sched_setaffinity, "scheduling; raising priority needs a capability"),
    ALLOW(sched_setattr, "scheduling; raising priority needs a capability"),
    ALLOW(sched_setparam, "scheduling; raising priority needs a capability"),
    ALLOW(sched_setscheduler, "scheduling; raising priority needs a capability"),
    ALLOW(sched_yield, "scheduling; raising priority needs a capability"),
    ALLOW(seccomp, "restricting oneself further"),
    ALLOW(select, "waiting for descriptors"),
    ALLOW(semctl, "System V memory and messages, in our IPC namespace"),
    ALLOW(semget, "System V memory and messages, in our IPC namespace"),
    ALLOW(semop, "System V memory and messages, in our IPC namespace"),
    ALLOW(semtimedop, "System V memory and messages, in our IPC namespace"),
    ALLOW(sendfile, "copying between descriptors"),
    ALLOW(sendmmsg, "sockets; families are filtered below, the network namespace is empty"),
    ALLOW(sendmsg, "sockets; families are filtered below, the network namespace is empty"),
    ALLOW(sendto, "sockets; families are filtered below, the network namespace is empty"),
    ALLOW(set_mempolicy, "memory"),
    ALLOW(set_mempolicy_home_node, "memory"),
    ALLOW(set_robust_list, "threads"),
    ALLOW(set_thread_area, "threads"),
    ALLOW(set_tid_address, "threads"),
    EPERM_(setdomainname, "the host's name"),
    ALLOW(setfsgid, "changing to the only id there is"),
    ALLOW(setfsuid, "changing to the only id there is"),
    ALLOW(setgid, "changing to the only id there is"),
    ALLOW(setgroups, "changing to the only id there is"),
    EPERM_(sethostname, "the host's name"),
    ALLOW(setitimer, "clocks, read and waited for"),
    EPERM_(setns, "namespaces: the kernel's largest attack surface"),
    ALLOW(setpgid, "sessions and groups"),
    ALLOW(setpriority, "scheduling; raising priority needs a capability"),
    ALLOW(setregid, "changing to the only id there is"),
    ALLOW(setresgid, "changing to the only id there is"),
    ALLOW(setresuid, "changing to the only id there is"),
    ALLOW(setreuid, "changing to the only id there is"),
    ALLOW(setrlimit, "limits, which only go down"),
    ALLOW(setsid, "sessions and groups"),
    ALLOW(setsockopt, "sockets; families are filtered below, the network namespace is empty"),
    EPERM_(settimeofday, "the host's clock"),
    ALLOW(setuid, "changing to the only id there is"),
    ALLOW(setxattr, "extended attributes; privileged ones need capabilities"),
    ALLOW(shmat, "System V memory and messages, in our IPC namespace"),
    ALLOW(shmctl, "System V memory and messages, in our IPC namespace"),
    ALLOW(shmdt, "System V memory and messages, in our IPC namespace"),
    ALLOW(shmget, "System V memory and messages, in our IPC namespace"),
    ALLOW(shutdown, "sockets; families are filtered below, the network namespace is empty"),
    ALLOW(sigaltstack, "signals; the pid namespace bounds them"),
    ALLOW(signalfd, "events as descriptors"),
    ALLOW(signalfd4, "events as descriptors"),
    ALLOW(socket, "sockets; families are filtered below, the network namespace is empty"),
    ALLOW(socketpair, "sockets; families are filtered below, the network namespace is empty"),
    ALLOW(splice, "copying between descriptors"),
    ALLOW(stat, "files by path or descriptor"),
    ALLOW(statfs, "files by path or descriptor"),
    ALLOW(statx, "files by path or descriptor"),
    EPERM_(swapoff, "the host itself"),
    EPERM_(swapon, "the host itself"),
    ALLOW(symlink, "links"),
    ALLOW(symlinkat, "links"),
    ALLOW(sync, "files by path or descriptor"),
    ALLOW(sync_file_range, "files by path or descriptor"),
    ALLOW(syncfs, "files by path or descriptor"),
    ALLOW(sysinfo, "what system is this"),
    EPERM_(syslog, "the kernel's log"),
    ALLOW(tee, "copying between descriptors"),
    ALLOW(tgkill, "signals; the pid namespace bounds them"),
    ALLOW(time, "clocks, read and waited for"),
    ALLOW(timer_create, "clocks, read and waited for"),
    ALLOW(timer_delete, "clocks, read and waited for"),
    ALLOW(timer_getoverrun, "clocks, read and waited for"),
    ALLOW(timer_gettime, "clocks, read and waited for"),
    ALLOW(timer_settime, "clocks, read and waited for"),
    ALLOW(timerfd_create, "events as descriptors"),
    ALLOW(timerfd_gettime, "events as descriptors"),
    ALLOW(timerfd_settime, "events as descriptors"),
    ALLOW(times, "clocks, read and waited for"),
    ALLOW(tkill, "signals; the pid namespace bounds them"),
    ALLOW(truncate, "files by path or descriptor"),
    ALLOW(umask, "files by path or descriptor"),
    EPERM_(umount2, "mounts (CVE-2022-0185 starts at fsconfig)"),
    ALLOW(uname, "what system is this"),
    ALLOW(unlink, "files by path or descriptor"),
    ALLOW(unlinkat, "files by path or descriptor"),
    EPERM_(unshare, "namespaces: the kernel's largest attack surface"),
    EPERM_(userfaultfd, "stops the kernel in the middle of a copy"),
    ALLOW(utime, "times of files"),
    ALLOW(utimensat, "times of files"),
    ALLOW(utimes, "times of files"),
    ALLOW(vfork, "processes; namespaces are refused below"),
    EPERM_(vhangup, "the host itself"),
    ALLOW(vmsplice, "copying between descriptors"),
    ALLOW(wait4, "processes; namespaces are refused below"),
    ALLOW(waitid, "processes; namespaces are refused below"),
    ALLOW(write, "files by path or descriptor"),
    ALLOW(writev, "files by path or descriptor"),
};
/* clang-format on */
const size_t rule_call_count = sizeof rule_calls / sizeof rule_calls[0];

#define LOW32 0xffffffffULL
/* The low 32 bits of argument `n` are exactly `v`. */
#define IS(n, v)                                                                                   \
    {                                                                                              \
        RULE_MASKED, n, LOW32, (v)                                                                 \
    }
/* Argument `n` has all the bits `v`. */
#define HAS(n, v)                                                                                  \
    {                                                                                              \
        RULE_MASKED, n, (v), (v)                                                                   \
    }
/* Under `m`, argument `n` is `v`. */
#define UNDER(n, m, v)                                                                             \
    {                                                                                              \
        RULE_MASKED, n, (m), (v)                                                                   \
    }
#define ABOVE(n, v)                                                                                \
    {                                                                                              \
        RULE_ABOVE, n, 0, (v)                                                                      \
    }
#define NO_MORE                                                                                    \
    {                                                                                              \
        RULE_ANY, 0, 0, 0                                                                          \
    }

#define REFUSE(call, e, first, second, why)                                                        \
    {                                                                                              \
        SCMP_SYS(call), #call, e, first, second, why                                               \
    }

#define SUID 04000ULL
#define SGID 02000ULL
#define WHY_SUID "a set-id file in the work tree would be its owner's on the host"
#define SET_ID(call, arg)                                                                          \
    REFUSE(call, EPERM, HAS(arg, SUID), NO_MORE, WHY_SUID),                                        \
        REFUSE(call, EPERM, HAS(arg, SGID), NO_MORE, WHY_SUID)
/* The mode counts only when the call may create; O_TMPFILE is its own bit on top of O_DIRECTORY. */
#define CREAT_BIT 0100ULL
#define TMPFILE_BIT 020000000ULL
#define SET_ID_OPEN(call, flags, mode)                                                             \
    REFUSE(call, EPERM, HAS(flags, CREAT_BIT), HAS(mode, SUID), WHY_SUID),                         \
        REFUSE(call, EPERM, HAS(flags, CREAT_BIT), HAS(mode, SGID), WHY_SUID),                     \
        REFUSE(call, EPERM, HAS(flags, TMPFILE_BIT), HAS(mode, SUID), WHY_SUID),                   \
        REFUSE(call, EPERM, HAS(flags, TMPFILE_BIT), HAS(mode, SGID), WHY_SUID)

#define FORMAT 0170000ULL
#define WHY_NODE "a device node would be the host's device"
#define NO_NODE(call, arg)                                                                         \
    REFUSE(call, EPERM, UNDER(arg, FORMAT, 0020000), NO_MORE, WHY_NODE),                           \
        REFUSE(call, EPERM, UNDER(arg, FORMAT, 0060000), NO_MORE, WHY_NODE)

#define NO_CLONE(flag)                                                                             \
    REFUSE(clone, EPERM, HAS(0, (unsigned)(flag)), NO_MORE,                                        \
           "namespaces: the kernel's largest attack surface")
#define NO_IOCTL(number, why) REFUSE(ioctl, EPERM, IS(1, number), NO_MORE, why)
#define NO_PRCTL(number, why) REFUSE(prctl, EPERM, IS(0, number), NO_MORE, why)
#define NO_FAMILY(call, number)                                                                    \
    REFUSE(call, EAFNOSUPPORT, IS(0, number), NO_MORE, "a socket family nobody needs here")
/* 0xffffffff asks; anything with the top bit clear sets, and so does no value a libc would pass with it set. */
#define NO_PERSONALITY(bit)                                                                        \
    REFUSE(personality, EPERM, UNDER(0, 0x80000000ULL | (bit), (bit)), NO_MORE,                    \
           "turns off address randomisation or the like")

/* clang-format off */
const struct rule_argument rule_arguments[] = {
    SET_ID(chmod, 1),
    NO_CLONE(CLONE_NEWCGROUP),
    NO_CLONE(CLONE_NEWIPC),
    NO_CLONE(CLONE_NEWNET),
    NO_CLONE(CLONE_NEWNS),
    NO_CLONE(CLONE_NEWPID),
    NO_CLONE(CLONE_NEWUSER),
    NO_CLONE(CLONE_NEWUTS),
    SET_ID(creat, 1),
    SET_ID(fchmod, 1),
    SET_ID(fchmodat, 2),
    NO_IOCTL(0x5412, "TIOCSTI types into a terminal (CVE-2017-5226)"),
    NO_IOCTL(0x541c, "TIOCLINUX pastes into a console"),
    NO_IOCTL(0x541d, "TIOCCONS takes the console's output"),
    NO_IOCTL(0x5423, "TIOCSETD loads line disciplines"),
    NO_IOCTL(0x40086602, "FS_IOC_SETFLAGS makes files that cannot be removed"),
    NO_IOCTL(0x401c5820, "FS_IOC_FSSETXATTR leaves a project quota"),
    NO_IOCTL(0x40806685, "FS_IOC_ENABLE_VERITY makes files that cannot be changed"),
    SET_ID(mknod, 1),
    NO_NODE(mknod, 1),
    SET_ID(mknodat, 2),
    NO_NODE(mknodat, 2),
    SET_ID_OPEN(open, 1, 2),
    SET_ID_OPEN(openat, 2, 3),
    NO_PERSONALITY(0x0040000ULL), /* ADDR_NO_RANDOMIZE */
    NO_PERSONALITY(0x0080000ULL), /* FDPIC_FUNCPTRS */
    NO_PERSONALITY(0x0100000ULL), /* MMAP_PAGE_ZERO */
    NO_PERSONALITY(0x0200000ULL), /* ADDR_COMPAT_LAYOUT */
    NO_PERSONALITY(0x0400000ULL), /* READ_IMPLIES_EXEC */
    NO_PERSONALITY(0x0800000ULL), /* ADDR_LIMIT_32BIT */
    NO_PERSONALITY(0x8000000ULL), /* ADDR_LIMIT_3GB */
    REFUSE(personality, EPERM, UNDER(0, 0xc0000000ULL, 0x80000000ULL), NO_MORE, "only the question has the top bits set"),
    NO_PRCTL(35, "PR_SET_MM rewrites a process's own map"),
    NO_PRCTL(33, "PR_MCE_KILL changes how memory errors kill"),
    NO_PRCTL(59, "PR_SET_SYSCALL_USER_DISPATCH reroutes system calls"),
    NO_PRCTL(62, "PR_SCHED_CORE groups processes on cores"),
    NO_PRCTL(0x59616d61, "PR_SET_PTRACER lets others trace"),
    REFUSE(prlimit64, EPERM, ABOVE(0, 0), NO_MORE, "limits of another process"),
    REFUSE(socket, EAFNOSUPPORT, ABOVE(0, 16), NO_MORE, "families above netlink: packet, vsock, alg, xdp, bluetooth, …"),
    NO_FAMILY(socket, 0),
    NO_FAMILY(socket, 3),
    NO_FAMILY(socket, 4),
    NO_FAMILY(socket, 5),
    NO_FAMILY(socket, 6),
    NO_FAMILY(socket, 7),
    NO_FAMILY(socket, 8),
    NO_FAMILY(socket, 9),
    NO_FAMILY(socket, 11),
    NO_FAMILY(socket, 12),
    NO_FAMILY(socket, 13),
    NO_FAMILY(socket, 14),
    NO_FAMILY(socket, 15),
    REFUSE(socket, EPROTONOSUPPORT, IS(0, 16), ABOVE(2, 0), "netlink other than route"),
    REFUSE(socketpair, EAFNOSUPPORT, ABOVE(0, 1), NO_MORE, "only Unix sockets come in pairs"),
};
/* clang-format on */
const size_t rule_argument_count = sizeof rule_arguments / sizeof rule_arguments[0];
