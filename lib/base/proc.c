#include "lib/base/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "lib/base/mem.h"

#define FDS_MAX 16
/* Child numbers are below this; descriptors on their way are parked above it. */
#define FD_PARK 100

static int park(int fd)
{
    return fcntl(fd, F_DUPFD_CLOEXEC, FD_PARK);
}

/* In the child: put the listed descriptors in place, /dev/null into the free standard ones, close all else. */
static int place_fds(const struct pj_spawn *spec, int *report)
{
    int parked[FDS_MAX], null_fd, i;
    bool standard[3] = {false, false, false};
    unsigned top = 3;
    size_t k;

    *report = park(*report);
    null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    null_fd = null_fd < 0 ? -1 : park(null_fd);
    if (*report < 0 || null_fd < 0)
        return -1;
    for (k = 0; k < spec->fd_count; k++) {
        parked[k] = park(spec->fds[k].parent);
        if (parked[k] < 0)
            return -1;
    }
    for (k = 0; k < spec->fd_count; k++) {
        if (dup2(parked[k], spec->fds[k].child) < 0)
            return -1;
        if (spec->fds[k].child < 3)
            standard[spec->fds[k].child] = true;
        else if ((unsigned)spec->fds[k].child >= top)
            top = (unsigned)spec->fds[k].child + 1;
    }
    for (i = 0; i < 3; i++) {
        if (!standard[i] && dup2(null_fd, i) < 0)
            return -1;
    }
    for (unsigned fd = 3; fd < top; fd++) {
        bool listed = false;

        for (k = 0; k < spec->fd_count; k++)
            listed = listed || (unsigned)spec->fds[k].child == fd;
        if (!listed)
            (void)close((int)fd);
    }
    /* What lies above goes at exec; the report pipe has to live until then. */
    return (int)syscall(SYS_close_range, top, ~0U, 1U << 2 /* CLOSE_RANGE_CLOEXEC */);
}

static void reset_signals(void)
{
    struct sigaction plain = {.sa_handler = SIG_DFL};
    sigset_t none;

    for (int s = 1; s < NSIG; s++)
        (void)sigaction(s, &plain, NULL);
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

PJ_NORETURN static void child_run(const struct pj_spawn *spec, pid_t parent, int report)
{
    char *const no_env[] = {NULL};
    int failed;

    reset_signals();
    if (spec->death_signal) {
        if (prctl(PR_SET_PDEATHSIG, spec->death_signal) < 0)
            goto fail;
        if (getppid() != parent)
            _exit(127);
    }
    if (spec->new_session && setsid() < 0)
        goto fail;
    if (spec->cwd && chdir(spec->cwd) < 0)
        goto fail;
    if (place_fds(spec, &report) < 0)
        goto fail;
    (void)execve(spec->path, spec->argv, spec->envp ? spec->envp : no_env);
fail:
    failed = errno;
    if (write(report, &failed, sizeof(failed)) < 0)
        _exit(126);
    _exit(127);
}

int pj_spawn(const struct pj_spawn *spec, pid_t *pid, int *pidfd, struct pj_err *err)
{
    PJ_CLEANUP(pj_closep) int report_read = -1;
    PJ_CLEANUP(pj_closep) int report_write = -1;
    pid_t parent = getpid(), child;
    int ends[2], failed = 0;
    ssize_t n;

    if (spec->fd_count > FDS_MAX)
        return pj_fail(err, PJ_E_INTERNAL, "%zu descriptors for %s, limit %d", spec->fd_count,
                       spec->path, FDS_MAX);
    if (pipe2(ends, O_CLOEXEC) < 0)
        return pj_fail_errno(err, errno, "pipe for %s", spec->path);
    report_read = ends[0];
    report_write = ends[1];
    child = fork();
    if (child < 0)
        return pj_fail_errno(err, errno, "fork for %s", spec->path);
    if (child == 0)
        child_run(spec, parent, report_write);
    pj_fd_close(&report_write);
    do {
        n = read(report_read, &failed, sizeof(failed));
    } while (n < 0 && errno == EINTR);
    if (n > 0) {
        (void)waitpid(child, NULL, 0);
        return pj_fail_errno(err, failed, "starting %s", spec->path);
    }
    if (pidfd) {
        *pidfd = (int)syscall(SYS_pidfd_open, child, 0);
        if (*pidfd < 0) {
            (void)pj_fail_errno(err, errno, "pidfd_open");
            (void)kill(child, SIGKILL);
            (void)waitpid(child, NULL, 0);
            return -1;
        }
    }
    *pid = child;
    return 0;
}

static char *beside(const char *self, const char *relative, const char *name)
{
    const char *slash = strrchr(self, '/');
    char *path = pj_asprintf("%.*s%s%s", slash ? (int)(slash - self + 1) : 0, self, relative, name);

    if (access(path, X_OK) == 0)
        return path;
    free(path);
    return NULL;
}

static char *in_path(const char *name)
{
    const char *search = getenv("PATH");
    PJ_CLEANUP(pj_freep) char *copy = pj_strdup(search ? search : "/usr/local/bin:/usr/bin:/bin");
    char *rest = copy, *dir;

    while ((dir = strsep(&rest, ":"))) {
        char *path = pj_asprintf("%s/%s", *dir ? dir : ".", name);

        if (access(path, X_OK) == 0)
            return path;
        free(path);
    }
    return NULL;
}

int pj_find_program(const char *name, char **path, struct pj_err *err)
{
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    char *found;

    self[n > 0 ? n : 0] = '\0';
    found = beside(self, "", name);
    if (!found)
        found = beside(self, "../bin/", name);
    if (!found)
        found = in_path(name);
    if (!found) {
        (void)pj_fail(err, PJ_E_NOT_FOUND, "program %s not found beside %s nor in PATH", name,
                      self);
        return pj_err_remedy(err, "install %s, or add its folder to PATH", name);
    }
    *path = found;
    return 0;
}

void pj_forbid_core_files(void)
{
    const struct rlimit none = {1, 1};

    if (setrlimit(RLIMIT_CORE, &none) <
        0) /* a hard limit of 0 is in force: a handler could still start */
        (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}
