/* Identity, other processes, the network, and what survives. */
#include "hostile.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static int status_is(const char *key, const char *want)
{
    char line[256];
    FILE *f = fopen("/proc/self/status", "re");
    int found = 0;

    while (f && fgets(line, sizeof line, f)) {
        if (strncmp(line, key, strlen(key)) == 0)
            found = strstr(line, want) != NULL;
    }
    if (f)
        fclose(f);
    if (!found)
        printf("%s is not %s\n", key, want);
    return found ? 0 : 1;
}

static int capabilities(const char *arg)
{
    static const char *const sets[] = {"CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"};
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct all[2] = {{~0U, ~0U, 0}, {0x1ff, 0x1ff, 0}};
    int bad = 0;

    (void)arg;
    for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++)
        bad |= status_is(sets[i], "0000000000000000");
    bad |= status_is("NoNewPrivs:", "1") | status_is("Seccomp:", "2");
    return bad | refused("capset", syscall(SYS_capset, &head, all), ERRORS(EPERM));
}

static int become_root(const char *arg)
{
    (void)arg;
    return refused("setuid(0)", setuid(0), ERRORS(EINVAL, EPERM)) |
           refused("setgid(0)", setgid(0), ERRORS(EINVAL, EPERM)) |
           refused("setgroups", setgroups(0, NULL), ERRORS(EPERM)) |
           refused("setresuid", setresuid(0, 0, 0), ERRORS(EINVAL, EPERM));
}

static int environment(const char *arg)
{
    static const char *const known[] = {"PATH=", "HOME=/tmp", "TERM=", "LANG="};
    int bad = 0;

    (void)arg;
    for (char **var = environ; *var; var++) {
        int ok = 0;

        for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
            ok |= strncmp(*var, known[i], strlen(known[i])) == 0;
        if (!ok) {
            printf("%s\n", *var);
            bad = 1;
        }
    }
    return bad;
}

/* The secret that the test put into the launcher's environment stands in no file of /proc that
 * we can read. */
static int search_secret(const char *arg)
{
    DIR *proc = opendir("/proc");
    const struct dirent *entry;
    int bad = 0;

    while (proc && arg && (entry = readdir(proc))) {
        static const char *const files[] = {"environ", "cmdline", "maps"};

        for (size_t i = 0; i < 3; i++) {
            char path[300], buf[65536];
            ssize_t n;
            int fd;

            snprintf(path, sizeof path, "/proc/%s/%s", entry->d_name, files[i]);
            fd = open(path, O_RDONLY | O_CLOEXEC);
            n = fd < 0 ? 0 : read(fd, buf, sizeof buf);
            if (fd >= 0)
                close(fd);
            /* Our own command line names it. */
            if (n > 0 && memmem(buf, (size_t)n, arg, strlen(arg)) && i != 1) {
                printf("%s holds the secret\n", path);
                bad = 1;
            }
        }
    }
    if (proc)
        closedir(proc);
    return bad;
}

static int signal_outside(const char *arg)
{
    int bad = 0;

    kill(1, SIGKILL); /* the kernel shields process 1 of a pid namespace from its own members */
    kill(1, SIGSTOP);
    kill(1, SIGTERM);
    if (arg)
        bad |= refused("signal to a process of the host", kill((pid_t)strtol(arg, NULL, 10), 0),
                       ERRORS(ESRCH));
    return bad | (getppid() == 1 && kill(1, 0) == 0 ? 0 : 1);
}

static int limits_of_init(const char *arg)
{
    struct rlimit none = {0, 0};

    (void)arg;
    return refused("prlimit of process 1", syscall(SYS_prlimit64, 1, RLIMIT_NOFILE, &none, NULL),
                   ERRORS(EPERM));
}

static int priority(const char *arg)
{
    struct sched_param param = {.sched_priority = 1};

    (void)arg;
    return refused("SCHED_FIFO", sched_setscheduler(0, SCHED_FIFO, &param), ERRORS(EPERM)) |
           refused("nice", setpriority(PRIO_PROCESS, 0, -20), ERRORS(EACCES, EPERM)) |
           refused("realtime I/O", syscall(SYS_ioprio_set, 1, 0, 1 << 13), ERRORS(EPERM));
}

static int core_dump(const char *arg)
{
    struct rlimit core;
    int status;
    pid_t pid;

    (void)arg;
    if (getrlimit(RLIMIT_CORE, &core) < 0 || core.rlim_max != 0)
        return 1;
    pid = fork();
    if (pid == 0)
        abort();
    waitpid(pid, &status, 0);
    return WCOREDUMP(status) ? 1 : 0;
}

static int connect_to(const char *address, int port, const int *errors)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), bad;

    inet_pton(AF_INET, address, &to.sin_addr);
    bad = refused(address, connect(fd, (struct sockaddr *)&to, sizeof to), errors);
    close(fd);
    return bad;
}

/* `arg` is a port on which the test listens, on the host's loopback. */
static int host_ports(const char *arg)
{
    return connect_to("127.0.0.1", arg ? (int)strtol(arg, NULL, 10) : 22, ERRORS(ECONNREFUSED)) |
           connect_to("127.0.0.1", 6379, ERRORS(ECONNREFUSED));
}

static int world(const char *arg)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(53)};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    (void)arg;
    inet_pton(AF_INET, "8.8.8.8", &to.sin_addr);
    return connect_to("169.254.169.254", 80, ERRORS(ENETUNREACH)) |
           connect_to("10.0.0.1", 80, ERRORS(ENETUNREACH)) |
           connect_to("8.8.8.8", 443, ERRORS(ENETUNREACH)) |
           refused("a datagram", sendto(fd, "x", 1, 0, (struct sockaddr *)&to, sizeof to),
                   ERRORS(ENETUNREACH));
}

static int interfaces(const char *arg)
{
    char line[512];
    FILE *f = fopen("/proc/net/dev", "re");
    int bad = 0, n = 0;

    (void)arg;
    while (f && fgets(line, sizeof line, f)) {
        if (++n <= 2)
            continue; /* headings */
        if (!strstr(line, "lo:")) {
            printf("%s", line);
            bad = 1;
        }
    }
    if (f)
        fclose(f);
    return bad || n < 3;
}

/* `arg` names an abstract socket on which the test listens. */
static int abstract_socket(const char *arg)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    size_t n = arg ? strlen(arg) : 0;

    if (n)
        memcpy(to.sun_path + 1, arg, n);
    return refused("an abstract socket of the host",
                   connect(fd, (struct sockaddr *)&to,
                           (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + n)),
                   ERRORS(ECONNREFUSED, EPERM));
}

/* `arg` is the path of a Unix socket on which the test listens on the host. */
static int path_socket(const char *arg)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (arg)
        memcpy(to.sun_path, arg, strnlen(arg, sizeof to.sun_path - 1));
    return refused("a socket of the host", connect(fd, (struct sockaddr *)&to, sizeof to),
                   ERRORS(ENOENT, EACCES));
}

/* Descriptor numbers at which a launcher's result pipe could have been left. */
static int forge_result(const char *arg)
{
    static const char fake[] = "{\"exitCode\":0,\"forged\":true}\n";
    int bad = 0;

    (void)arg;
    for (int fd = 3; fd < 256; fd++) {
        if (write(fd, fake, sizeof fake - 1) >= 0)
            bad = 1;
    }
    return bad;
}

static int host_processes(const char *arg)
{
    DIR *proc = opendir("/proc");
    const struct dirent *entry;
    int seen = 0;

    (void)arg;
    while (proc && (entry = readdir(proc))) {
        if (entry->d_name[0] >= '0' && entry->d_name[0] <= '9') {
            if (strtol(entry->d_name, NULL, 10) == 1) {
                printf("process 1 is visible\n");
                return 1;
            }
            seen++;
        }
    }
    if (proc)
        closedir(proc);
    if (seen != 1)
        printf("%d processes are visible\n", seen);
    return seen == 1 ? 0 : 1;
}

static int own_filter(const char *arg)
{
    (void)arg;
    /* A second filter of the box's own may narrow, never widen; and no_new_privs cannot be taken
     * back. */
    return refused("PR_SET_NO_NEW_PRIVS off", prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0),
                   ERRORS(EINVAL)) |
           refused("strict mode off", prctl(PR_SET_SECCOMP, 0, NULL, 0, 0), ERRORS(EINVAL));
}

const struct attack attacks_process[] = {
    {"abstract_socket", abstract_socket, "ECONNREFUSED"},
    {"become_root", become_root, "EINVAL or EPERM"},
    {"capabilities", capabilities, "every set is empty"},
    {"core_dump", core_dump, "no core is written"},
    {"environment", environment, "only PATH, HOME, TERM, LANG"},
    {"forge_result", forge_result, "EBADF"},
    {"host_ports", host_ports, "ECONNREFUSED"},
    {"host_processes", host_processes, "only ourselves"},
    {"interfaces", interfaces, "lo alone"},
    {"limits_of_init", limits_of_init, "EPERM"},
    {"own_filter", own_filter, "EINVAL"},
    {"path_socket", path_socket, "ENOENT"},
    {"priority", priority, "EPERM"},
    {"search_secret", search_secret, "nowhere in /proc"},
    {"signal_outside", signal_outside, "ESRCH, process 1 lives"},
    {"world", world, "ENETUNREACH"},
    {0},
};
