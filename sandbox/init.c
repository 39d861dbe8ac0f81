#include "sandbox/init.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>
#include "sandbox/channel.h"
#include "sandbox/step.h"

static void report(int channel, enum channel_type type, int value)
{
    struct channel_msg msg = {.type = type, .value = value};

    channel_send(channel, &msg, NULL, 0);
}

static const char *env_path(char *const *envp)
{
    for (; *envp; envp++) {
        if (strncmp(*envp, "PATH=", 5) == 0)
            return *envp + 5;
    }
    return "/usr/bin:/bin";
}

/* execve with a search along the box's own PATH; returns the errno that says most. */
static int exec_search(char *const *argv, char *const *envp)
{
    const char *path = env_path(envp);
    int best = ENOENT;

    if (argv[0][0] == '\0')
        return ENOENT;
    if (strchr(argv[0], '/')) {
        execve(argv[0], argv, envp);
        return errno;
    }
    while (path) {
        const char *colon = strchrnul(path, ':');
        char file[4096];

        if (snprintf(file, sizeof file, "%.*s/%s", (int)(colon - path), path, argv[0]) < (int)sizeof file) {
            execve(file, argv, envp);
            if (errno != ENOENT && errno != ENOTDIR)
                best = errno;
        }
        path = *colon ? colon + 1 : NULL;
    }
    return best;
}

/* What the child tells init through a pipe that a successful execve closes. */
struct start_failure {
    int exec_errno; /* the command could not be executed */
    struct pj_err err; /* or a step before that failed (code not empty) */
};

static void child(const struct plan *plan, const struct rlimits *limits, int report_fd) PJ_NORETURN;
static void child(const struct plan *plan, const struct rlimits *limits, int report_fd)
{
    struct start_failure failure = {0};
    sigset_t none;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setsid();
    if (chdir(plan->cwd) < 0)
        step_fail(&failure.err, "cwd", errno, "name a directory that exists inside", "--cwd %s", plan->cwd);
    else if (rlimits_apply(limits, &failure.err) == 0)
        failure.exec_errno = exec_search(plan->spec->command, plan->envp);
    (void)!write(report_fd, &failure, sizeof failure);
    _exit(127);
}

static pid_t start(const struct plan *plan, const struct rlimits *limits, int channel)
{
    struct channel_msg msg = {.type = CHANNEL_FAILED};
    struct start_failure failure;
    int fds[2];
    ssize_t n;
    pid_t pid;

    if (pipe2(fds, O_CLOEXEC) < 0 || (pid = fork()) < 0) {
        step_fail(&msg.err, "init", errno, NULL, "cannot start the command");
        channel_send(channel, &msg, NULL, 0);
        _exit(1);
    }
    if (pid == 0) {
        close(fds[0]);
        child(plan, limits, fds[1]);
    }
    close(fds[1]);
    do
        n = read(fds[0], &failure, sizeof failure);
    while (n < 0 && errno == EINTR);
    close(fds[0]);
    if (n == (ssize_t)sizeof failure) {
        if (failure.err.code[0]) {
            msg.err = failure.err;
            channel_send(channel, &msg, NULL, 0);
        } else {
            report(channel, CHANNEL_NO_EXEC, failure.exec_errno);
        }
        _exit(1);
    }
    report(channel, CHANNEL_STARTED, 0);
    return pid;
}

/* Reap all that has ended; the command's own end is the end of everything. */
static void reap(pid_t command, int channel)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        if (pid == command) {
            report(channel, CHANNEL_ENDED, status);
            _exit(0);
        }
    }
}

void init_run(const struct plan *plan, const struct rlimits *limits, int channel, int life)
{
    struct pollfd fds[2] = {{.events = POLLIN}, {.fd = life, .events = POLLIN}};
    sigset_t chld;
    pid_t command;

    sigemptyset(&chld);
    sigaddset(&chld, SIGCHLD);
    sigprocmask(SIG_SETMASK, &chld, NULL);
    fds[0].fd = signalfd(-1, &chld, SFD_CLOEXEC | SFD_NONBLOCK);
    prctl(PR_SET_NAME, "pj-init");
    command = start(plan, limits, channel);
    for (int fd = 0; fd < 3; fd++)
        close(fd); /* else the outer process would never see the end of the output */
    for (;;) {
        struct signalfd_siginfo info;
        unsigned char sig;

        if (poll(fds, 2, -1) < 0)
            continue;
        while (read(fds[0].fd, &info, sizeof info) > 0)
            ;
        reap(command, channel);
        if (fds[1].revents) {
            if (read(life, &sig, 1) != 1)
                _exit(1); /* the outer process is gone: so is the box */
            kill(-command, sig);
        }
    }
}
