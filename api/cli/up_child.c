/* The children of `pj up`: started with exactly what they need, waited for by their READY, ended in order. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include "api/cli/up.h"
#include "lib/base/clock.h"
#include "lib/base/fs.h"
#include "lib/base/mem.h"
#include "lib/base/proc.h"
#include "lib/base/pump.h"

#define READY_MS 30000
#define LOG_TAIL_MAX (1u << 20)
#define REDIS_ARGS_MAX 24

/* ---- watching ---- */

/* The last line a program wrote: programs of ours say what is wrong in one line. Owned by the caller. */
static char *last_line(const char *path)
{
    PJ_CLEANUP(pj_str_release) struct pj_str text;
    struct pj_err ignored = {0};
    PJ_CLEANUP(pj_closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
    off_t size = fd < 0 ? 0 : lseek(fd, 0, SEEK_END);

    pj_str_init(&text, LOG_TAIL_MAX);
    if (fd < 0 || lseek(fd, size > 4000 ? size - 4000 : 0, SEEK_SET) < 0 ||
        pj_fs_read_fd(fd, &text, &ignored) < 0)
        return pj_strdup("");
    while (text.len > 0 && strchr("\r\n ", text.data[text.len - 1]))
        text.data[--text.len] = '\0';
    const char *start = strrchr(pj_str_cstr(&text), '\n');
    return pj_strdup(start ? start + 1 : pj_str_cstr(&text));
}

/* The child has ended: reap it and say how, with its own words. */
static int report_end(struct up_child *child, struct pj_err *err)
{
    PJ_CLEANUP(pj_freep) char *line = last_line(child->log_path);
    int status = 0;

    while (waitpid(child->pid, &status, 0) < 0 && errno == EINTR)
        ;
    child->pid = 0;
    pj_fd_close(&child->pidfd);
    bool config = WIFEXITED(status) && WEXITSTATUS(status) == PJ_EXIT_CONFIG;
    if (*line)
        (void)pj_fail(err, config ? PJ_E_INVALID : PJ_E_UNAVAILABLE, "%s", line);
    else
        (void)pj_fail(err, PJ_E_UNAVAILABLE, "%s ended with %s %d", child->name,
                      WIFEXITED(status) ? "status" : "signal",
                      WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
    (void)pj_err_code(err, config ? "settings" : "");
    return pj_err_remedy(err, "log: %s", child->log_path);
}

static size_t want(void *ctx, struct pollfd *fds, size_t cap, int *timeout_ms)
{
    struct up_watch *w = ctx;
    size_t n = 0;

    (void)timeout_ms;
    if (cap > 0)
        fds[n++] = (struct pollfd){.fd = w->signal_fd, .events = POLLIN};
    for (size_t i = 0; i < UP_CHILDREN && n < cap; i++)
        if (w->child[i].pid > 0)
            fds[n++] = (struct pollfd){.fd = w->child[i].pidfd, .events = POLLIN};
    return n;
}

static int ready(void *ctx, const struct pollfd *fds, size_t n, struct pj_err *err)
{
    struct up_watch *w = ctx;

    for (size_t k = 0; k < n; k++) {
        if (!fds[k].revents)
            continue;
        if (fds[k].fd == w->signal_fd) {
            struct signalfd_siginfo info;

            if (read(w->signal_fd, &info, sizeof info) == (ssize_t)sizeof info)
                w->interrupted = true;
            if (!w->stopping)
                return pj_fail(err, PJ_E_CANCELLED, "interrupted");
            continue;
        }
        for (size_t i = 0; i < UP_CHILDREN && !w->stopping; i++)
            if (w->child[i].pid > 0 && w->child[i].pidfd == fds[k].fd)
                return report_end(&w->child[i], err);
    }
    return 0;
}

/* One poll of everything; -1 with err as above. */
static int serve(struct up_watch *w, int extra_fd, int timeout_ms, bool *extra_ready,
                 struct pj_err *err)
{
    struct pollfd fds[UP_CHILDREN + 2];
    size_t n = want(w, fds, PJ_COUNT_OF(fds) - 1, &timeout_ms);
    nfds_t total = n;

    *extra_ready = false;
    if (extra_fd >= 0)
        fds[total++] = (struct pollfd){.fd = extra_fd, .events = POLLIN};
    if (poll(fds, total, timeout_ms) < 0 && errno != EINTR)
        return pj_fail_errno(err, errno, "poll");
    *extra_ready = extra_fd >= 0 && fds[n].revents != 0;
    return ready(w, fds, n, err);
}

int up_watch_init(struct up_watch *w, struct up_state *s, struct pj_err *err)
{
    static const char *const names[UP_CHILDREN] = {"redis-server", "pj-api", "pj-runner"};
    sigset_t set;

    *w = (struct up_watch){
        .state = s,
        .signal_fd = -1,
        .pump = {.want = want, .ready = ready},
    };
    w->pump.ctx = w;
    for (size_t i = 0; i < UP_CHILDREN; i++) {
        w->child[i].name = names[i];
        w->child[i].pidfd = -1;
        w->child[i].log_path = pj_asprintf("%s/log/%s.log", s->dir, names[i]);
    }
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGHUP);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGTERM);
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
        return pj_fail_errno(err, errno, "sigprocmask");
    w->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return w->signal_fd < 0 ? pj_fail_errno(err, errno, "signalfd") : 0;
}

void up_watch_release(struct up_watch *w)
{
    for (size_t i = 0; i < UP_CHILDREN; i++)
        free(w->child[i].log_path);
    pj_fd_close(&w->signal_fd);
}

/* ---- starting ---- */

static int notify_socket(const struct up_state *s, char **path, struct pj_err *err)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};

    *path = pj_asprintf("%s/notify", s->dir); /* shorter than redis.sock, whose length was judged */
    memcpy(at.sun_path, *path, strlen(*path) + 1);
    (void)unlink(*path);
    PJ_CLEANUP(pj_closep) int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof at) < 0)
        return pj_fail_errno(err, errno, "%s", *path);
    int out = fd;
    fd = -1;
    return out;
}

static bool says_ready(int fd)
{
    char text[1200];
    ssize_t n = recv(fd, text, sizeof text - 1, 0);

    text[n > 0 ? n : 0] = '\0';
    return strstr(text, "READY=1") != NULL;
}

static int wait_ready(struct up_watch *w, const struct up_child *child, int fd, struct pj_err *err)
{
    int64_t until = pj_mono_ms() + READY_MS;
    bool spoke = false;

    while (pj_mono_ms() < until) {
        if (serve(w, fd, (int)(until - pj_mono_ms()), &spoke, err) < 0)
            return -1;
        if (spoke && says_ready(fd))
            return 0;
    }
    (void)pj_fail(err, PJ_E_TIMEOUT, "%s was not ready within %d s", child->name, READY_MS / 1000);
    return pj_err_remedy(err, "log: %s", child->log_path);
}

static int start_child(struct up_watch *w, int which, const char *path, char *const *argv,
                       int death_signal, struct pj_err *err)
{
    struct up_child *child = &w->child[which];
    PJ_CLEANUP(pj_freep) char *notify = NULL;
    PJ_CLEANUP(pj_closep) int sock = notify_socket(w->state, &notify, err);
    PJ_CLEANUP(pj_freep) char *variable = pj_asprintf("NOTIFY_SOCKET=%s", notify);
    PJ_CLEANUP(pj_closep)
    int log = open(child->log_path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
    char *env[UP_ENV_MAX + 2];

    if (sock < 0)
        return -1;
    if (log < 0)
        return pj_fail_errno(err, errno, "%s", child->log_path);
    memcpy(env, w->state->env, w->state->env_count * sizeof env[0]);
    env[w->state->env_count] = variable;
    env[w->state->env_count + 1] = NULL;
    const struct pj_spawn_fd fds[] = {
        {log, 1},
        {log, 2},
    };
    const struct pj_spawn spec = {.path = path,
                                  .argv = argv,
                                  .envp = env,
                                  .cwd = w->state->dir,
                                  .fds = fds,
                                  .fd_count = PJ_COUNT_OF(fds),
                                  .death_signal = death_signal,
                                  .new_session =
                                      true}; /* Ctrl-C reaches us alone: children end in order */
    if (pj_spawn(&spec, &child->pid, &child->pidfd, err) < 0)
        return pj_err_wrap(err, "%s", child->name);
    int rc = wait_ready(w, child, sock, err);
    (void)unlink(notify);
    return rc;
}

static int start_redis(struct up_watch *w, struct pj_err *err)
{
    PJ_CLEANUP(pj_freep) char *path = NULL;
    PJ_CLEANUP(pj_freep) char *dir = pj_asprintf("%s/redis", w->state->dir);
    const char *const args[] = {"redis-server",
                                "--port",
                                "0",
                                "--unixsocket",
                                w->state->redis_socket,
                                "--unixsocketperm",
                                "700",
                                "--dir",
                                dir,
                                "--appendonly",
                                "yes",
                                "--appendfsync",
                                "everysec",
                                "--maxmemory-policy",
                                "noeviction",
                                "--save",
                                "",
                                "--daemonize",
                                "no",
                                "--supervised",
                                "systemd",
                                NULL};
    char *argv[REDIS_ARGS_MAX];
    size_t n = 0;

    if (pj_find_program("redis-server", &path, err) < 0) {
        (void)pj_fail(err, PJ_E_UNAVAILABLE, "redis-server is not installed");
        return pj_err_remedy(err, "apt-get install redis-server");
    }
    for (; args[n]; n++)
        argv[n] = pj_strdup(args[n]);
    argv[n] = NULL;
    int rc = start_child(w, UP_REDIS, path, argv, SIGTERM, err);
    for (size_t i = 0; i < n; i++)
        free(argv[i]);
    return rc;
}

static int start_own(struct up_watch *w, int which, int death_signal, struct pj_err *err)
{
    PJ_CLEANUP(pj_freep) char *path = NULL;

    if (pj_find_program(w->child[which].name, &path, err) < 0)
        return -1;
    char *const argv[] = {path, NULL};
    return start_child(w, which, path, argv, death_signal, err);
}

int up_start_all(struct up_watch *w, struct pj_err *err)
{
    if (start_redis(w, err) < 0 || start_own(w, UP_API, SIGTERM, err) < 0)
        return -1;
    /* A runner whose parent was killed has nobody to drain for: its boxes die with it. */
    return start_own(w, UP_RUNNER, SIGKILL, err);
}

/* ---- ending ---- */

static void end_child(struct up_watch *w, struct up_child *child)
{
    if (child->pid <= 0)
        return;
    w->interrupted = false;
    (void)kill(child->pid, SIGTERM);
    for (;;) {
        struct pollfd fds[2] = {
            {child->pidfd, POLLIN, 0},
            {w->signal_fd, POLLIN, 0},
        };
        struct signalfd_siginfo info;

        if (poll(fds, 2, -1) < 0 && errno != EINTR)
            break;
        if (fds[0].revents)
            break;
        if (fds[1].revents && read(w->signal_fd, &info, sizeof info) == (ssize_t)sizeof info) {
            /* pj-runner kills its boxes at a second signal; a third ends whatever hangs. */
            (void)kill(child->pid, w->interrupted ? SIGKILL : SIGTERM);
            w->interrupted = true;
        }
    }
    while (waitpid(child->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    child->pid = 0;
    pj_fd_close(&child->pidfd);
}

void up_stop_all(struct up_watch *w)
{
    w->stopping = true;
    end_child(w, &w->child[UP_RUNNER]);
    end_child(w, &w->child[UP_API]);
    end_child(w, &w->child[UP_REDIS]);
}

int up_wait(struct up_watch *w, struct pj_err *err)
{
    bool unused;

    while (serve(w, -1, -1, &unused, err) == 0)
        ;
    return err->cls == PJ_E_CANCELLED ? 0 : -1;
}
