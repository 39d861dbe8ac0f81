/* Files: the host's, the system's, the kernel's, and what a work tree could be made to carry
 * out. */
#include "hostile.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static int writable_sysctls;

static int try_sysctl(const char *path, const struct stat *st, int flag, struct FTW *at)
{
    (void)st;
    (void)at;
    if (flag == FTW_F && closed_path(path, O_WRONLY))
        writable_sysctls++;
    return 0;
}

static int proc_sys(const char *arg)
{
    (void)arg;
    nftw("/proc/sys", try_sysctl, 16, FTW_PHYS);
    return closed_path("/proc/sys/kernel/core_pattern", O_WRONLY) |
           closed_path("/proc/sysrq-trigger", O_WRONLY) | (writable_sysctls ? 1 : 0);
}

static int has_content(const char *path)
{
    char byte;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t n = fd < 0 ? 0 : read(fd, &byte, 1);

    if (fd >= 0)
        close(fd);
    if (n > 0)
        printf("%s can be read\n", path);
    return n > 0;
}

static int kernel_files(const char *arg)
{
    static const char *const files[] = {
        "/proc/kcore",      "/proc/kallsyms",  "/proc/keys",        "/proc/key-users",
        "/proc/timer_list", "/proc/kmsg",      "/proc/vmallocinfo", "/proc/sched_debug",
        "/proc/kpagecount", "/proc/kpageflags"};
    int bad = 0;

    (void)arg;
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        bad |= has_content(files[i]);
    return bad;
}

static int process_one(const char *arg)
{
    static const char *const files[] = {
        "root/etc/shadow", "cwd",    "exe", "environ", "mem", "maps", "fd/0", "fd/3",
        "ns/user",         "cmdline"};
    char path[64];
    int bad = 0;

    (void)arg;
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        snprintf(path, sizeof path, "/proc/1/%s", files[i]);
        bad |= closed_path(path, O_RDONLY);
        bad |= closed_path(path, O_WRONLY);
    }
    return bad;
}

static int host_devices(const char *arg)
{
    static const char *const files[] = {
        "/dev/kvm",   "/dev/mem",   "/dev/kmsg",      "/dev/fuse",    "/dev/vda",
        "/dev/sda",   "/dev/vsock", "/dev/tty",       "/dev/tty0",    "/dev/net/tun",
        "/dev/loop0", "/dev/port",  "/dev/vhost-net", "/dev/console", "/dev/hugepages"};
    int bad = 0;

    (void)arg;
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        bad |= closed_path(files[i], O_RDONLY | O_NONBLOCK);
    return bad;
}

static int device_nodes(const char *arg)
{
    static const char *const places[] = {"/tmp/node", "/workspace/node", "/dev/shm/node"};
    int bad = 0;

    (void)arg;
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        bad |= refused("mknod of a block device", mknod(places[i], S_IFBLK | 0600, makedev(254, 0)),
                       ERRORS(EPERM));
        bad |= refused("mknod of a character device",
                       mknod(places[i], S_IFCHR | 0600, makedev(1, 1)), ERRORS(EPERM));
    }
    return bad;
}

static int set_id_bits(const char *arg)
{
    const char *f = "/workspace/f";
    int fd = open(f, O_CREAT | O_RDWR, 0700), bad = 0;
    struct stat st;
    unsigned long how[3] = {O_CREAT | O_WRONLY, 04755, 0};

    (void)arg;
    bad |= refused("chmod u+s", chmod(f, 04755), ERRORS(EPERM));
    bad |= refused("chmod g+s", chmod(f, 02755), ERRORS(EPERM));
    bad |= refused("chmod, high bits", syscall(SYS_chmod, f, 04755UL | 1UL << 32), ERRORS(EPERM));
    bad |= refused("fchmod", fchmod(fd, 06755), ERRORS(EPERM));
    bad |= refused("fchmodat", syscall(SYS_fchmodat, AT_FDCWD, f, 04755), ERRORS(EPERM));
    bad |= refused("fchmodat2", syscall(452, AT_FDCWD, f, 04755, 0), ERRORS(ENOSYS, EPERM));
    bad |= refused("open", syscall(SYS_open, "/workspace/g", O_CREAT | O_WRONLY, 04755),
                   ERRORS(EPERM));
    bad |=
        refused("openat", syscall(SYS_openat, AT_FDCWD, "/workspace/g", O_CREAT | O_WRONLY, 02755),
                ERRORS(EPERM));
    bad |=
        refused("O_TMPFILE", syscall(SYS_openat, AT_FDCWD, "/workspace", O_TMPFILE | O_RDWR, 04755),
                ERRORS(EPERM));
    bad |= refused("creat", syscall(SYS_creat, "/workspace/g", 04755), ERRORS(EPERM));
    bad |= refused("openat2", syscall(SYS_openat2, AT_FDCWD, "/workspace/g", how, sizeof how),
                   ERRORS(ENOSYS));
    bad |= refused("mknod", mknod("/workspace/g", S_IFREG | 04755, 0), ERRORS(EPERM));
    bad |= refused("mknodat", mknodat(AT_FDCWD, "/workspace/g", S_IFREG | 02755, 0), ERRORS(EPERM));
    if (fstat(fd, &st) < 0 || (st.st_mode & 06000)) {
        printf("the file has a set-id bit\n");
        bad = 1;
    }
    return bad;
}

/* The test puts a set-uid copy of this program, owned by the host's owner, into the work tree. */
static int planted_set_uid(const char *arg)
{
    if (!arg) {
        execl("/workspace/planted", "planted", "planted_set_uid", "inner", (char *)NULL);
        printf("cannot execute the planted program\n");
        return 1;
    }
    if (geteuid() != getuid() || geteuid() == 0) {
        printf("effective uid %u\n", geteuid());
        return 1;
    }
    return 0;
}

static int read_only_system(const char *arg)
{
    static const char *const files[] = {
        "/x",           "/usr/x",       "/usr/bin/x", "/etc/x",          "/etc/passwd",
        "/usr/bin/env", "/dev/x",       "/var/x",     "/root/x",         "/opt/x",
        "/run/x",       "/proc/self/x", "/lib/x",     "/etc/ld.so.cache"};
    int bad = 0;

    (void)arg;
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        bad |= closed_path(files[i], O_WRONLY | O_CREAT);
    return bad |
           refused("rename over the work tree", rename("/tmp", "/workspace"),
                   ERRORS(EBUSY, EXDEV, EROFS, EACCES)) |
           refused("rmdir of the work tree", rmdir("/workspace"),
                   ERRORS(EBUSY, EROFS, EACCES, EXDEV)) |
           refused("unlink in /etc", unlink("/etc/passwd"), ERRORS(EROFS, EACCES));
}

static int host_files(const char *arg)
{
    static const char *const files[] = {
        "/etc/shadow", "/etc/machine-id", "/etc/hostname",    "/root/.bashrc", "/home/x",
        "/sys/kernel", "/boot",           "/etc/ssl/private", "/var/lib",      "/etc/resolv.conf"};
    int bad = 0;

    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        bad |= closed_path(files[i], O_RDONLY);
    return bad | (arg ? closed_path(arg, O_RDONLY) : 0); /* a file that the test made on the host */
}

static int control_groups(const char *arg)
{
    (void)arg;
    return closed_path("/sys/fs/cgroup", O_RDONLY) |
           closed_path("/sys/fs/cgroup/release_agent", O_WRONLY) |
           refused("mkdir of a group", mkdir("/sys/fs/cgroup/x", 0755),
                   ERRORS(ENOENT, EROFS, EACCES));
}

static int leaked_descriptors(const char *arg)
{
    int bad = 0;

    (void)arg;
    for (int fd = 3; fd < 2048; fd++) {
        if (fcntl(fd, F_GETFD) >= 0) {
            printf("descriptor %d is open\n", fd);
            bad = 1;
        }
        if (fd < 64) {
            char path[64];

            snprintf(path, sizeof path, "/proc/self/fd/%d/../../etc/shadow", fd);
            bad |= closed_path(path, O_RDONLY);
        }
    }
    return bad;
}

static int outside_cwd(const char *arg)
{
    char cwd[4096];

    (void)arg;
    if (!getcwd(cwd, sizeof cwd) || cwd[0] != '/' || strncmp(cwd, "(unreachable)", 13) == 0) {
        printf("the working directory is outside\n");
        return 1;
    }
    return chdir("../../../../../../../../../..") < 0 || closed_path("etc/shadow", O_RDONLY);
}

static int launcher_binary(const char *arg)
{
    (void)arg;
    return closed_path("/proc/1/exe", O_RDONLY) | closed_path("/proc/1/exe", O_WRONLY) |
           closed_path("/proc/2/exe", O_WRONLY) | closed_path("/opt/hostile", O_WRONLY);
}

static int splice_read_only(const char *arg)
{
    int pipe_fds[2], fd = open("/opt/hostile", O_RDONLY);
    off_t at = 0;

    (void)arg;
    /* The shape of CVE-2022-0847: a page of a read-only file in a pipe, then a write to the
     * pipe. */
    if (pipe(pipe_fds) < 0 || syscall(SYS_splice, fd, &at, pipe_fds[1], NULL, 1L, 0) != 1)
        return 1;
    if (write(pipe_fds[1], "PWNED", 5) != 5)
        return 1;
    {
        char head[4] = "";

        if (pread(fd, head, 4, 0) != 4 || memcmp(head, "\177ELF", 4) != 0) {
            printf("the page of a read-only file was written\n");
            return 1;
        }
    }
    return 0;
}

const struct attack attacks_files[] = {
    {"control_groups", control_groups, "no hierarchy is visible"},
    {"device_nodes", device_nodes, "EPERM"},
    {"host_devices", host_devices, "none can be opened"},
    {"host_files", host_files, "none can be opened"},
    {"kernel_files", kernel_files, "empty or absent"},
    {"launcher_binary", launcher_binary, "cannot be opened"},
    {"leaked_descriptors", leaked_descriptors, "none above 2"},
    {"outside_cwd", outside_cwd, "the working directory is inside"},
    {"planted_set_uid", planted_set_uid, "the effective uid stays"},
    {"proc_sys", proc_sys, "nothing beneath opens for writing"},
    {"process_one", process_one, "nothing of it can be opened"},
    {"read_only_system", read_only_system, "EROFS or EACCES"},
    {"set_id_bits", set_id_bits, "EPERM, and no file has one"},
    {"splice_read_only", splice_read_only, "the page cache keeps its content"},
    {0},
};
