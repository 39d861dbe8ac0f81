/* helper.c - the daemon's one helper process, `pj-runner outbox`: started with it, started again when it dies, gone with it. */
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/proc.h"
#include "runner/daemon.h"

#define AGAIN_MS 5000
#define LEAVE_MS 10000 /* for what it is delivering */

struct helper {
    struct daemon *daemon;
    char *const *argv;
    pid_t pid;
    int pidfd, input; /* the write end of its standard input: closed, it leaves */
    struct event *ended, *again;
};

static void start(struct helper *h);

static void reap(struct helper *h)
{
    int st = 0;

    while (waitpid(h->pid, &st, 0) < 0 && errno == EINTR)
        ;
    h->pid = 0;
    event_free(h->ended);
    h->ended = NULL;
    pj_fd_close(&h->pidfd);
    pj_fd_close(&h->input);
}

static void on_ended(evutil_socket_t fd, short what, void *arg)
{
    struct helper *h = arg;
    struct timeval tv = {.tv_sec = AGAIN_MS / 1000};

    (void)fd;
    (void)what;
    reap(h);
    pj_log(PJ_LOG_WARN, "outbox_ended", "detail", "it is started again", NULL);
    (void)event_add(h->again, &tv);
}

static void on_again(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    start(arg);
}

/* The environment without the address for readiness, which is the daemon's alone. */
static char **environment(void)
{
    size_t n = 0, kept = 0;
    char **out;

    while (environ[n] != NULL)
        n++;
    out = pj_alloc(n + 1, sizeof(*out));
    for (size_t i = 0; i < n; i++)
        if (strncmp(environ[i], "NOTIFY_SOCKET=", 14) != 0)
            out[kept++] = environ[i];
    return out;
}

static int spawn(struct helper *h, struct pj_err *err)
{
    int pair[2];
    char **env;
    struct pj_spawn_fd fds[] = {{-1, STDIN_FILENO}, {STDERR_FILENO, STDERR_FILENO}};
    struct pj_spawn spec = {
        .path = "/proc/self/exe",
        .argv = h->argv,
        .fds = fds,
        .fd_count = PJ_COUNT_OF(fds),
        .death_signal = SIGKILL,
        .new_session = true,
    };
    int rc;

    if (pipe2(pair, O_CLOEXEC) < 0)
        return pj_fail_errno(err, errno, "pipe of the outbox");
    env = environment();
    spec.envp = env;
    fds[0].parent = pair[0];
    rc = pj_spawn(&spec, &h->pid, &h->pidfd, err);
    free(env);
    (void)close(pair[0]);
    h->input = pair[1];
    if (rc < 0)
        pj_fd_close(&h->input);
    return rc;
}

static void start(struct helper *h)
{
    struct timeval tv = {.tv_sec = AGAIN_MS / 1000};
    struct pj_err err;

    if (spawn(h, &err) < 0) {
        h->pid = 0;
        pj_log_err(PJ_LOG_ERROR, "outbox_not_started", &err, NULL, NULL);
        (void)event_add(h->again, &tv);
        return;
    }
    h->ended = event_new(h->daemon->base, h->pidfd, EV_READ, on_ended, h);
    (void)event_add(h->ended, NULL);
}

struct helper *helper_new(struct daemon *d, char *const *argv)
{
    struct helper *h = pj_alloc(1, sizeof(*h));

    *h = (struct helper){.daemon = d, .argv = argv, .pidfd = -1, .input = -1};
    h->again = event_new(d->base, -1, 0, on_again, h);
    start(h);
    return h;
}

void helper_free(struct helper *h)
{
    if (h == NULL)
        return;
    if (h->pid != 0) {
        struct pollfd p = {.fd = h->pidfd, .events = POLLIN};

        /* What it is delivering would be delivered again by another, were it killed. A further signal is somebody in a hurry. */
        pj_fd_close(&h->input);
        if (poll(&p, 1, LEAVE_MS) <= 0)
            (void)kill(h->pid, SIGKILL);
        reap(h);
    }
    event_free(h->again);
    free(h);
}
