#include "api/helpers.h"

#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/proc.h"

struct helper {
    struct helpers *all;
    struct pj_str question, answer;
    helpers_then *then;
    void *arg;
    pid_t pid;                            /* 0: waits for its turn */
    int pidfd, fd;                        /* our end of its standard input and output */
    struct event *ended, *said, *expired; /* NULL before */
    struct pj_err err;                    /* why it failed, when it did */
    TAILQ_ENTRY(helper) link;
};

TAILQ_HEAD(helper_list, helper);

struct helpers {
    struct event_base *base;
    struct helpers_options options;
    char *path;
    char *env[4];
    struct helper_list waiting, running;
    size_t waiting_n, running_n;
    bool closing;
};

int helpers_new(struct event_base *base, const struct helpers_options *options,
                struct helpers **out, struct pj_err *err)
{
    struct helpers *all = pj_alloc(1, sizeof *all);
    size_t n = 0;

    all->base = base;
    all->options = *options;
    TAILQ_INIT(&all->waiting);
    TAILQ_INIT(&all->running);
    if (pj_find_program(options->program, &all->path, err) < 0) {
        helpers_free(all);
        return pj_err_wrap(err, "%s", options->program);
    }
    if (options->proxy != NULL)
        all->env[n++] = pj_asprintf("HTTPS_PROXY=%s", options->proxy);
    if (options->no_proxy != NULL)
        all->env[n++] = pj_asprintf("NO_PROXY=%s", options->no_proxy);
    *out = all;
    return 0;
}

static void free_event(struct event **event)
{
    if (*event != NULL)
        event_free(*event);
    *event = NULL;
}

static void forget_question(struct helper *h)
{
    if (h->question.data != NULL)
        pj_wipe(h->question.data, h->question.len);
    pj_str_release(&h->question);
}

static void free_helper(struct helper *h)
{
    free_event(&h->ended);
    free_event(&h->said);
    free_event(&h->expired);
    pj_fd_close(&h->pidfd);
    pj_fd_close(&h->fd);
    forget_question(h);
    pj_str_release(&h->answer);
    free(h);
}

static void start_next(struct helpers *all);

/* It has left, or never ran: tell who asked. */
static void finish(struct helper *h)
{
    struct helpers *all = h->all;
    bool failed = h->err.cls != PJ_E_OK;

    if (h->pid != 0) {
        TAILQ_REMOVE(&all->running, h, link);
        all->running_n--;
    } else {
        TAILQ_REMOVE(&all->waiting, h, link);
        all->waiting_n--;
    }
    h->then(h->arg, failed ? pj_view_n("", 0) : pj_view_n(h->answer.data, h->answer.len),
            failed ? &h->err : NULL);
    free_helper(h);
    if (!all->closing)
        start_next(all);
}

/* The first cause counts; what follows is its consequence. */
static void kill_it(struct helper *h)
{
    free_event(&h->said);
    if (kill(h->pid, SIGKILL) < 0 && errno != ESRCH)
        pj_log(PJ_LOG_ERROR, "helper_not_killed", "pid", PJ_I64(h->pid), NULL);
}

static void reap(struct helper *h)
{
    int status = 0;

    while (waitpid(h->pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (h->err.cls == PJ_E_OK && status != 0)
        pj_fail(&h->err, PJ_E_UNAVAILABLE, "%s ended without an answer (%s %d)",
                h->all->options.program, WIFSIGNALED(status) ? "signal" : "status",
                WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    finish(h);
}

/* What it wrote last may still lie in the socket when its end is told. */
static void take_answer(struct helper *h)
{
    char bytes[4096];
    ssize_t n;

    while ((n = recv(h->fd, bytes, sizeof bytes, MSG_DONTWAIT)) > 0) {
        if (pj_str_append(&h->answer, bytes, (size_t)n) < 0) {
            pj_fail(&h->err, PJ_E_UNAVAILABLE, "%s said more than %zu bytes",
                    h->all->options.program, h->all->options.answer_max);
            kill_it(h);
            return;
        }
    }
    if (n == 0) /* the end of the answer; its own end follows */
        free_event(&h->said);
}

static void on_said(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    take_answer(arg);
}

static void on_ended(evutil_socket_t fd, short what, void *arg)
{
    struct helper *h = arg;

    (void)fd;
    (void)what;
    if (h->said != NULL)
        take_answer(h);
    reap(h);
}

static void on_expired(evutil_socket_t fd, short what, void *arg)
{
    struct helper *h = arg;

    (void)fd;
    (void)what;
    pj_fail(&h->err, PJ_E_TIMEOUT,
            h->pid != 0 ? "no answer within %lld s" : "no turn within %lld s",
            (long long)(h->pid != 0 ? h->all->options.run_ms : h->all->options.wait_ms) / 1000);
    if (h->pid != 0)
        kill_it(h); /* on_ended() follows */
    else
        finish(h);
}

static void arm(struct helper *h, int64_t ms)
{
    const struct timeval tv = {ms / 1000, ms % 1000 * 1000};

    if (h->expired == NULL)
        h->expired = evtimer_new(h->all->base, on_expired, h);
    event_add(h->expired, &tv);
}

/* The question is smaller than what a new socket takes at once. */
static int hand_over(struct helper *h)
{
    ssize_t n = send(h->fd, h->question.data, h->question.len, MSG_DONTWAIT | MSG_NOSIGNAL);
    bool whole = n >= 0 && (size_t)n == h->question.len;

    forget_question(h);
    if (!whole || shutdown(h->fd, SHUT_WR) < 0)
        return pj_fail(&h->err, PJ_E_UNAVAILABLE, "%s did not take its question",
                       h->all->options.program);
    return 0;
}

static int start(struct helper *h)
{
    struct helpers *all = h->all;
    char *const argv[] = {all->path, NULL};
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return pj_fail_errno(&h->err, errno, "socket pair of %s", all->options.program);
    const struct pj_spawn_fd fds[] = {
        {pair[1], STDIN_FILENO}, {pair[1], STDOUT_FILENO}, {STDERR_FILENO, STDERR_FILENO}};
    const struct pj_spawn spec = {.path = all->path,
                                  .argv = argv,
                                  .envp = all->env,
                                  .fds = fds,
                                  .fd_count = PJ_COUNT_OF(fds),
                                  .death_signal = SIGKILL,
                                  .new_session = true};
    int rc = pj_spawn(&spec, &h->pid, &h->pidfd, &h->err);
    close(pair[1]);
    h->fd = pair[0];
    if (rc < 0) {
        h->pid = 0;
        return -1;
    }
    return 0;
}

/* True when it runs; else who asked has been told. */
static bool launch(struct helper *h)
{
    struct helpers *all = h->all;

    if (start(h) < 0) {
        pj_log_err(PJ_LOG_ERROR, "helper_not_started", &h->err, NULL, NULL);
        finish(h);
        return false;
    }
    TAILQ_REMOVE(&all->waiting, h, link);
    all->waiting_n--;
    TAILQ_INSERT_TAIL(&all->running, h, link);
    all->running_n++;
    h->ended = event_new(all->base, h->pidfd, EV_READ, on_ended, h);
    h->said = event_new(all->base, h->fd, EV_READ | EV_PERSIST, on_said, h);
    event_add(h->ended, NULL);
    event_add(h->said, NULL);
    arm(h, all->options.run_ms);
    if (hand_over(h) < 0)
        kill_it(h);
    return true;
}

static void start_next(struct helpers *all)
{
    struct helper *h;

    while (all->running_n < HELPERS_RUNNING_MAX && (h = TAILQ_FIRST(&all->waiting)) != NULL)
        if (!launch(h))
            return; /* its end went on from here */
}

bool helpers_ask(struct helpers *all, struct pj_str *question, helpers_then *then, void *arg)
{
    if (all->closing || all->waiting_n >= HELPERS_WAITING_MAX)
        return false;
    struct helper *h = pj_alloc(1, sizeof *h);
    h->all = all;
    h->question = *question;
    pj_str_init(question, question->max);
    pj_str_init(&h->answer, all->options.answer_max);
    h->then = then;
    h->arg = arg;
    h->pidfd = h->fd = -1;
    TAILQ_INSERT_TAIL(&all->waiting, h, link);
    all->waiting_n++;
    if (all->running_n < HELPERS_RUNNING_MAX)
        start_next(all);
    else
        arm(h, all->options.wait_ms);
    return true;
}

void helpers_free(struct helpers *all)
{
    struct helper *h;

    if (all == NULL)
        return;
    all->closing = true;
    while ((h = TAILQ_FIRST(&all->waiting)) != NULL) {
        pj_fail(&h->err, PJ_E_CANCELLED, "the server is stopping");
        finish(h);
    }
    while ((h = TAILQ_FIRST(&all->running)) != NULL) {
        pj_fail(&h->err, PJ_E_CANCELLED, "the server is stopping");
        kill_it(h);
        reap(h);
    }
    for (size_t i = 0; all->env[i] != NULL; i++)
        free(all->env[i]);
    free(all->path);
    free(all);
}
