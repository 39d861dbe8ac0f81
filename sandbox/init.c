#include "sandbox/init.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
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

        if (snprintf(file, sizeof file, "%.*s/%s", (int)(colon - path), path, argv[0]) <
            (int)sizeof file) {
            execve(file, argv, envp);
            if (errno != ENOENT && errno != ENOTDIR)
                best = errno;
        }
        path = *colon ? colon + 1 : NULL;
    }
    return best;
}

#define CHILD_STACK 65536

/* The child shares our memory until its execve, so this is both its orders and its answer. */
struct launch {
    const struct plan *plan;
    const struct rlimits *limits;
    int exec_errno;    /* out: the command could not be executed */
    struct pj_err err; /* out: or a step before that failed (code not empty) */
};

static int child(void *arg)
{
    struct launch *l = arg;
    sigset_t none;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setsid();
    if (chdir(l->plan->cwd) < 0)
        step_fail(&l->err, "cwd", errno, "name a directory that exists inside", "--cwd %s",
                  l->plan->cwd);
    else if (rlimits_apply(l->limits, &l->err) == 0)
        l->exec_errno = exec_search(l->plan->spec->command, l->plan->envp);
    return 127; /* to clone(), which ends the process: sanitizers do not know this stack */
}

/* As vfork: nothing is copied, and we go on when the command's program runs or has failed to. An older kernel (Debian 12's 6.1) shares
 * no memory with a child whose time namespace is another: there it gets a copy, and only its orders and answer are shared. */
static pid_t clone_command(struct launch **l)
{
    static char stack[CHILD_STACK] __attribute__((aligned(16)));
    pid_t pid = clone(child, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD, *l);
    struct launch *shared;

    if (pid >= 0 || errno != EINVAL)
        return pid;
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        return -1;
    *shared = **l;
    *l = shared; /* as long as process 1 lives */
    return clone(child, stack + sizeof stack, CLONE_VFORK | SIGCHLD, shared);
}

static pid_t start(const struct plan *plan, const struct rlimits *limits, int channel)
{
    struct channel_msg msg = {.type = CHANNEL_FAILED};
    struct launch own = {.plan = plan, .limits = limits}, *l = &own;
    pid_t pid = clone_command(&l);

    if (pid < 0) {
        step_fail(&msg.err, "init", errno, NULL, "cannot start the command");
        channel_send(channel, &msg, NULL, 0);
        _exit(1);
    }
    if (l->err.code[0]) {
        msg.err = l->err;
        channel_send(channel, &msg, NULL, 0);
        _exit(1);
    }
    if (l->exec_errno) {
        report(channel, CHANNEL_NO_EXEC, l->exec_errno);
        _exit(1);
    }
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

void init_run(const struct plan *plan, const struct rlimits *limits, int channel, int life,
              bool tell)
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
    if (tell)
        report(channel, CHANNEL_STARTED, 0);
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
