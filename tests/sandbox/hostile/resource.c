/* Filling things up. Each must meet a limit of the box, not of the host. */
#include "hostile.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static int fill(const char *dir)
{
    static char block[1 << 20];
    char path[256];
    long long total = 0;
    ssize_t n;
    int fd;

    snprintf(path, sizeof path, "%s/fill", dir);
    fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    memset(block, 'x', sizeof block);
    while ((n = write(fd, block, sizeof block)) > 0) {
        total += n;
        if (total > 1LL << 31) {
            printf("%s took %lld bytes\n", dir, total);
            return 1;
        }
    }
    n = errno;
    close(fd);
    unlink(path);
    return n == ENOSPC || n == EDQUOT ? 0 : 1;
}

static int tmp_fill(const char *arg)
{
    (void)arg;
    return fill("/tmp") | fill("/dev/shm");
}

static int work_fill(const char *arg)
{
    (void)arg;
    return fill("/workspace");
}

static int inode_fill(const char *arg)
{
    char path[64];

    (void)arg;
    for (int i = 0; i < 2000000; i++) {
        int fd;

        snprintf(path, sizeof path, "/tmp/i%d", i);
        fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
        if (fd < 0)
            return errno == ENOSPC ? 0 : 1;
        close(fd);
    }
    printf("2,000,000 files\n");
    return 1;
}

static int descriptor_fill(const char *arg)
{
    struct rlimit limit;
    int n = 0;

    (void)arg;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    while (open("/dev/null", O_RDONLY | O_CLOEXEC) >= 0) {
        if (++n > 200000) {
            printf("%d descriptors\n", n);
            return 1;
        }
    }
    return errno == EMFILE ? 0 : 1;
}

static int inotify_fill(const char *arg)
{
    int n = 0;

    (void)arg;
    while (inotify_init1(IN_CLOEXEC) >= 0) {
        if (++n > 100000)
            return 1;
    }
    return errno == EMFILE ? 0 : 1;
}

static int process_fill(const char *arg)
{
    long max = arg ? strtol(arg, NULL, 10) : 64;
    long n = 0;

    for (;;) {
        pid_t pid = fork();

        if (pid == 0) {
            pause();
            _exit(0);
        }
        if (pid < 0)
            break;
        if (++n > max) {
            printf("%ld processes with a limit of %ld\n", n, max);
            return 1;
        }
    }
    return errno == EAGAIN ? 0 : 1;
}

static int locked_memory(const char *arg)
{
    size_t n = 64 << 20;
    void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    (void)arg;
    return refused("mlock of 64 MiB", mlock(p, n), ERRORS(ENOMEM, EPERM, EAGAIN));
}

/* Grandchildren whose parents are gone belong to process 1: it must reap them all. */
static int zombie_flood(const char *arg)
{
    (void)arg;
    for (int i = 0; i < 3000; i++) {
        pid_t pid = fork();

        if (pid == 0) {
            if (fork() == 0)
                _exit(0);
            _exit(0);
        }
        if (pid < 0)
            return 1;
        waitpid(pid, NULL, 0);
    }
    for (int tries = 0; tries < 5000; tries++) {
        DIR *proc = opendir("/proc");
        const struct dirent *entry;
        int n = 0;

        while (proc && (entry = readdir(proc)))
            n += entry->d_name[0] >= '0' && entry->d_name[0] <= '9';
        if (proc)
            closedir(proc);
        if (n <= 1)
            return 0;
        usleep(1000);
    }
    printf("zombies are left\n");
    return 1;
}

/* Ends while processes live on that do all they can to stay; the test looks at how fast the box
 * is gone. */
static int survivors(const char *arg)
{
    (void)arg;
    for (int i = 0; i < 20; i++) {
        if (fork() == 0) {
            sigset_t all;

            setsid();
            if (fork() != 0)
                _exit(0);
            sigfillset(&all);
            sigprocmask(SIG_SETMASK, &all, NULL);
            for (int sig = 1; sig < NSIG; sig++)
                signal(sig, SIG_IGN);
            if (i % 2)
                raise(SIGSTOP);
            for (;;)
                pause();
        }
    }
    return 0;
}

static int memory_bomb(const char *arg)
{
    size_t step = 8 << 20;

    (void)arg;
    for (int i = 0; i < 4096; i++) {
        char *p = mmap(NULL, step, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

        if (p == MAP_FAILED)
            return 0;
        memset(p, 1, step);
    }
    return 1;
}

static int fork_bomb(const char *arg)
{
    (void)arg;
    for (;;) {
        pid_t pid = fork();

        if (pid > 0 && getppid() == 1)
            signal(SIGCHLD, SIG_IGN);
    }
    return 1;
}

/* For measuring: a static program that does nothing. */
static int nothing(const char *arg)
{
    (void)arg;
    return 0;
}

const struct attack attacks_resource[] = {
    {"descriptor_fill", descriptor_fill, "EMFILE"},
    {"fork_bomb", fork_bomb, "killed whole by the deadline"},
    {"inode_fill", inode_fill, "ENOSPC"},
    {"inotify_fill", inotify_fill, "EMFILE"},
    {"locked_memory", locked_memory, "ENOMEM"},
    {"memory_bomb", memory_bomb, "killed by its own limit, or no more memory"},
    {"nothing", nothing, "nothing"},
    {"process_fill", process_fill, "EAGAIN"},
    {"survivors", survivors, "gone with the command"},
    {"tmp_fill", tmp_fill, "ENOSPC"},
    {"work_fill", work_fill, "ENOSPC"},
    {"zombie_flood", zombie_flood, "all reaped"},
    {0},
};
