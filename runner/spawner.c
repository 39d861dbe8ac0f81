#include "runner/spawner.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include "lib/base/fs.h"
#include "runner/keeper.h"

enum message_kind { MESSAGE_RUN = 1, MESSAGE_KILL, MESSAGE_ENDED };

struct message {
    uint32_t kind, token, place;
    int32_t status;
    char work_dir[PATH_MAX];
};
/* A message travels only as far as its text. */
#define MESSAGE_HEAD offsetof(struct message, work_dir)

struct keeper {
    enum {
        KEEPER_NONE,
        KEEPER_ALIVE,
        KEEPER_LOST
    } state; /* lost: killed; its orphans are being ended */
    pid_t pid;
    uint32_t token;
    int status;
};

struct spawner_fences {
    _Atomic int64_t at_ms[SPAWNER_PLACES]; /* 0: none */
};

struct server {
    int sock, chld, keep_fd;
    const struct spawner_fences *fences;
    char *const *argv;
    struct keeper keepers[SPAWNER_PLACES];
    sigset_t signals;
};

/* ---- the spawner: starts keepers, tells of their ends ---- */

static int tell_ended(const struct server *s, uint32_t token, int status)
{
    struct message m = {.kind = MESSAGE_ENDED, .token = token, .status = status};

    return send(s->sock, &m, MESSAGE_HEAD, MSG_NOSIGNAL) < 0 ? -1 : 0;
}

static struct keeper *find_pid(struct server *s, pid_t pid)
{
    for (size_t i = 0; i < SPAWNER_PLACES; i++)
        if (s->keepers[i].state == KEEPER_ALIVE && s->keepers[i].pid == pid)
            return &s->keepers[i];
    return NULL;
}

static struct keeper *find_token(struct server *s, uint32_t token)
{
    for (size_t i = 0; i < SPAWNER_PLACES; i++)
        if (s->keepers[i].state == KEEPER_ALIVE && s->keepers[i].token == token)
            return &s->keepers[i];
    return NULL;
}

static struct keeper *find_free(struct server *s)
{
    for (size_t i = 0; i < SPAWNER_PLACES; i++)
        if (s->keepers[i].state == KEEPER_NONE)
            return &s->keepers[i];
    return NULL;
}

static void run(struct server *s, const struct message *m, const int fds[KEEPER_FDS])
{
    struct keeper *k = m->place < SPAWNER_PLACES ? find_free(s) : NULL;
    pid_t self = getpid();
    pid_t pid = k == NULL ? -1 : fork();

    if (pid == 0) {
        (void)close(s->sock);
        (void)close(s->chld);
        keeper_main(&(struct keeper_job){.spawner = self,
                                         .argv = s->argv,
                                         .fds = {fds[0], fds[1], fds[2]},
                                         .work_dir = m->work_dir,
                                         .signals = &s->signals,
                                         .fence = &s->fences->at_ms[m->place]});
    }
    if (k == NULL || pid < 0)
        (void)tell_ended(s, m->token, 125);
    else
        *k = (struct keeper){.state = KEEPER_ALIVE, .pid = pid, .token = m->token};
    for (size_t i = 0; i < KEEPER_FDS; i++)
        (void)close(fds[i]);
}

/* Start what the message names, or say that it has ended: one who is told nothing waits for ever. Descriptors may be missing when we
 * are out of them. */
static void run_or_tell(struct server *s, const struct message *m, const struct msghdr *msg)
{
    const struct cmsghdr *c = CMSG_FIRSTHDR(msg);
    int fds[KEEPER_FDS];
    size_t n = c != NULL && c->cmsg_type == SCM_RIGHTS && c->cmsg_len > CMSG_LEN(0)
                   ? (c->cmsg_len - CMSG_LEN(0)) / sizeof(*fds)
                   : 0;

    n = n < KEEPER_FDS ? n : KEEPER_FDS;
    if (n > 0)
        memcpy(fds, CMSG_DATA(c), n * sizeof(*fds));
    if (n == KEEPER_FDS) {
        run(s, m, fds);
        return;
    }
    for (size_t i = 0; i < n; i++)
        (void)close(fds[i]);
    (void)tell_ended(s, m->token, 125);
}

/* One message with its descriptors. -1: the daemon is gone. */
static int serve_message(struct server *s)
{
    struct message m = {0};
    union {
        struct cmsghdr head;
        char space[CMSG_SPACE(KEEPER_FDS * sizeof(int))];
    } control = {0};
    struct iovec iov = {.iov_base = &m, .iov_len = sizeof(m) - 1};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control.space,
                         .msg_controllen = CMSG_LEN(KEEPER_FDS * sizeof(int))};
    ssize_t n = recvmsg(s->sock, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    struct keeper *k;

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (n < (ssize_t)MESSAGE_HEAD)
        return -1;
    if (m.kind == MESSAGE_RUN) {
        run_or_tell(s, &m, &msg);
    } else if (m.kind == MESSAGE_KILL && (k = find_token(s, m.token)) != NULL) {
        (void)kill(k->pid, SIGTERM);
    }
    return 0;
}

static bool is_keeper(void *ctx, pid_t pid)
{
    return find_pid(ctx, pid) != NULL;
}

static void forget(struct server *s, struct keeper *k)
{
    (void)tell_ended(s, k->token, k->status);
    k->state = KEEPER_NONE;
}

/* Whatever else is our child has lost its keeper, which somebody killed. Until none of that is left no such job has ended. */
static void end_orphans(struct server *s)
{
    if (keeper_kill_children(is_keeper, s) > 0)
        return; /* their ends are told to us */
    for (size_t i = 0; i < SPAWNER_PLACES; i++)
        if (s->keepers[i].state == KEEPER_LOST)
            forget(s, &s->keepers[i]);
}

/* Keepers that ended, and what they left when they were killed. */
static void serve_children(struct server *s)
{
    struct signalfd_siginfo info;
    bool lost = false;
    int st;
    pid_t pid;

    while (read(s->chld, &info, sizeof(info)) > 0)
        ;
    while ((pid = waitpid(-1, &st, WNOHANG)) > 0) {
        struct keeper *k = find_pid(s, pid);

        if (k == NULL)
            continue;
        k->status = WIFEXITED(st) ? WEXITSTATUS(st) : 128 + WTERMSIG(st);
        if (WIFEXITED(st))
            forget(s, k);
        else
            k->state = KEEPER_LOST;
    }
    for (size_t i = 0; i < SPAWNER_PLACES; i++)
        lost = lost || s->keepers[i].state == KEEPER_LOST;
    if (lost)
        end_orphans(s);
}

static void end_all(struct server *s)
{
    for (size_t i = 0; i < SPAWNER_PLACES; i++)
        if (s->keepers[i].state == KEEPER_ALIVE)
            (void)kill(s->keepers[i].pid, SIGTERM);
    for (;;) {
        (void)keeper_kill_children(is_keeper, s);
        pid_t pid = waitpid(-1, NULL, 0);
        struct keeper *k = pid > 0 ? find_pid(s, pid) : NULL;

        if (pid < 0 && errno == ECHILD)
            return;
        if (k != NULL)
            k->state = KEEPER_NONE;
    }
}

PJ_NORETURN static void server_main(int sock, int keep_fd, const struct spawner_fences *fences,
                                    char *const *argv)
{
    static struct server s; /* with its table of keepers, too large for a stack */

    (void)prctl(PR_SET_NAME, "pj-spawner");
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
    (void)setsid();
    (void)unsetenv("NOTIFY_SOCKET"); /* only the daemon tells how it is doing */
    s.sock = sock;
    s.keep_fd = keep_fd;
    s.fences = fences;
    s.argv = argv;
    (void)sigemptyset(&s.signals);
    (void)sigaddset(&s.signals, SIGCHLD);
    (void)sigaddset(&s.signals, SIGTERM);
    (void)sigprocmask(SIG_BLOCK, &s.signals, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    s.chld = signalfd(-1, &s.signals, SFD_CLOEXEC | SFD_NONBLOCK);
    for (;;) {
        struct pollfd p[] = {{.fd = sock, .events = POLLIN}, {.fd = s.chld, .events = POLLIN}};

        if (poll(p, PJ_COUNT_OF(p), -1) < 0 && errno != EINTR)
            break;
        if (p[1].revents != 0)
            serve_children(&s);
        if (p[0].revents != 0 && serve_message(&s) < 0)
            break;
    }
    end_all(&s);
    _exit(0);
}

/* ---- the daemon's side ---- */

int spawner_start(char *const *argv, int keep_fd, struct spawner *out, struct pj_err *err)
{
    struct spawner_fences *fences =
        mmap(NULL, sizeof(*fences), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int pair[2] = {-1, -1};
    pid_t pid = -1;

    if (fences == MAP_FAILED)
        return pj_fail_errno(err, errno, "memory shared with the spawner");
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0 &&
        fcntl(pair[0], F_SETFL, O_NONBLOCK) == 0)
        pid = fork();
    if (pid < 0) {
        (void)pj_fail_errno(err, errno, "start of the spawner");
        pj_fd_close(&pair[0]);
        pj_fd_close(&pair[1]);
        (void)munmap(fences, sizeof(*fences));
        return -1;
    }
    if (pid == 0) {
        (void)close(pair[0]);
        server_main(pair[1], keep_fd, fences, argv);
    }
    (void)close(pair[1]);
    *out = (struct spawner){.pid = pid, .fd = pair[0], .fences = fences};
    return 0;
}

void spawner_fence(struct spawner *s, unsigned place, int64_t at_ms)
{
    if (place < SPAWNER_PLACES)
        atomic_store(&s->fences->at_ms[place], at_ms);
}

int spawner_run(struct spawner *s, const struct spawner_job *job, struct pj_err *err)
{
    struct message m = {.kind = MESSAGE_RUN, .token = job->token, .place = job->place};
    const int fds[KEEPER_FDS] = {job->spec, job->outcome, job->control};
    union {
        struct cmsghdr head;
        char space[CMSG_SPACE(sizeof(fds))];
    } control = {0};
    size_t dir_n = job->work_dir == NULL ? 0 : strlen(job->work_dir);
    struct iovec iov = {.iov_base = &m, .iov_len = MESSAGE_HEAD + dir_n};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control.space,
                         .msg_controllen = sizeof(control.space)};
    struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

    if (dir_n >= sizeof(m.work_dir))
        return pj_fail(err, PJ_E_LIMIT, "path of the work folder has %zu bytes", dir_n);
    if (dir_n > 0)
        memcpy(m.work_dir, job->work_dir, dir_n);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(fds));
    memcpy(CMSG_DATA(c), fds, sizeof(fds));
    if (sendmsg(s->fd, &msg, MSG_NOSIGNAL) < 0)
        return pj_fail_errno(err, errno, "start of a job");
    return 0;
}

int spawner_kill(struct spawner *s, uint32_t token, struct pj_err *err)
{
    struct message m = {.kind = MESSAGE_KILL, .token = token};

    if (send(s->fd, &m, MESSAGE_HEAD, MSG_NOSIGNAL) < 0)
        return pj_fail_errno(err, errno, "kill of a job");
    return 0;
}

int spawner_next(struct spawner *s, struct spawner_event *ev, struct pj_err *err)
{
    struct message m = {0};
    ssize_t n = recv(s->fd, &m, sizeof(m), MSG_DONTWAIT);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return PJ_NONE;
    if (n < (ssize_t)MESSAGE_HEAD || m.kind != MESSAGE_ENDED)
        return pj_fail(err, PJ_E_UNAVAILABLE, "the spawner is gone");
    *ev = (struct spawner_event){.token = m.token, .status = m.status};
    return 0;
}

void spawner_stop(struct spawner *s)
{
    if (s->pid <= 0)
        return;
    pj_fd_close(&s->fd);
    while (waitpid(s->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    s->pid = 0;
    (void)munmap(s->fences, sizeof(*s->fences));
    s->fences = NULL;
}
