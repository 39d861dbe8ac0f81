#include "runner/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>
#include "lib/base/clock.h"
#include "lib/base/fs.h"
#include "lib/base/log.h"
#include "lib/base/proc.h"
#include "lib/base/view.h"
#include "runner/spawner.h"

size_t keeper_kill_children(bool (*is_spared)(void *ctx, pid_t pid), void *ctx)
{
    PJ_CLEANUP(pj_closep) int fd = open("/proc/thread-self/children", O_RDONLY | O_CLOEXEC);
    struct pj_str text;
    struct pj_view rest, word;
    struct pj_err err;
    size_t count = 0;
    int64_t pid;

    if (fd < 0)
        return 0;
    pj_str_init(&text, 1 << 20);
    if (pj_fs_read_fd(fd, &text, &err) == 0) {
        rest = pj_view_n(text.data, text.len);
        while (pj_view_cut(&rest, ' ', &word))
            if (pj_parse_i64(word, &pid) == 0 && pid > 1 &&
                (is_spared == NULL || !is_spared(ctx, (pid_t)pid)))
                count += kill((pid_t)pid, SIGKILL) == 0;
    }
    pj_str_release(&text);
    return count;
}

/* Reap what has ended. True while the job itself lives. */
static bool reap(pid_t job, bool alive, int *status)
{
    for (;;) {
        int st;
        pid_t pid = waitpid(-1, &st, WNOHANG);

        if (pid <= 0)
            return alive;
        if (pid == job) {
            alive = false;
            *status = WIFEXITED(st) ? WEXITSTATUS(st) : 128 + WTERMSIG(st);
        }
    }
}

/* What a keeper waits for: signals, and the time of its job's fence. */
struct watch {
    int signals, timer;
    const _Atomic int64_t *fence;
};

/* Ring when the fence is due. Where none can be set the daemon's own guard is what there is. */
static void set_timer(const struct watch *w)
{
    int64_t at = atomic_load(w->fence);
    const struct itimerspec when = {
        .it_value = {.tv_sec = at / 1000, .tv_nsec = at % 1000 * 1000000}};

    (void)timerfd_settime(w->timer, TFD_TIMER_ABSTIME, &when, NULL);
}

static bool is_fenced(const struct watch *w)
{
    int64_t at = atomic_load(w->fence);
    uint64_t times;

    if (read(w->timer, &times, sizeof(times)) < 0)
        return false;
    if (at != 0 && pj_mono_ms() >= at)
        return true;
    set_timer(w); /* it was moved on */
    return false;
}

/* True when we are asked to end the job. */
static bool take_signals(const struct watch *w)
{
    struct signalfd_siginfo info;
    bool asked = false;

    while (read(w->signals, &info, sizeof(info)) == (ssize_t)sizeof(info))
        asked = asked || info.ssi_signo == SIGTERM;
    return asked;
}

static int keep(const struct watch *w, pid_t job)
{
    int status = 0;
    bool alive = true, fenced = false;

    set_timer(w);
    while (alive) {
        struct pollfd p[] = {{.fd = w->signals, .events = POLLIN},
                             {.fd = w->timer, .events = POLLIN}};

        if (poll(p, PJ_COUNT_OF(p), -1) < 0 && errno != EINTR)
            (void)kill(job, SIGKILL);
        if (take_signals(w))
            (void)kill(job, SIGKILL);
        if (!fenced && is_fenced(w)) {
            fenced = true;
            (void)kill(job, SIGKILL);
        }
        alive = reap(job, alive, &status);
    }
    /* Killing a parent hands us its children, so again until there are none. */
    for (;;) {
        (void)keeper_kill_children(NULL, NULL);
        if (waitpid(-1, NULL, 0) < 0 && errno == ECHILD)
            return fenced ? SPAWNER_FENCED : status;
    }
}

void keeper_main(const struct keeper_job *k)
{
    const struct pj_spawn_fd map[] = {
        {STDERR_FILENO, STDERR_FILENO},
        {k->fds[0], SPAWNER_FD_SPEC},
        {k->fds[1], SPAWNER_FD_OUTCOME},
        {k->fds[2], SPAWNER_FD_CONTROL},
    };
    struct pj_spawn spec = {
        .path = "/proc/self/exe",
        .argv = k->argv,
        .envp = environ,
        .fds = map,
        .fd_count = PJ_COUNT_OF(map),
        .death_signal = SIGKILL,
        .new_session = true,
    };
    const struct watch watch = {
        .signals = signalfd(-1, k->signals, SFD_CLOEXEC | SFD_NONBLOCK),
        .timer = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK),
        .fence = k->fence,
    };
    struct pj_err err = {0};
    pid_t job;
    int status;

    (void)prctl(PR_SET_NAME, "pj-keeper");
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != k->spawner)
        _exit(125);
    if (watch.signals < 0 || watch.timer < 0) {
        (void)pj_fail_errno(&err, errno, "clock of a keeper");
        pj_log_err(PJ_LOG_ERROR, "job_not_started", &err, NULL, NULL);
        _exit(125);
    }
    if (pj_spawn(&spec, &job, NULL, &err) < 0) {
        pj_log_err(PJ_LOG_ERROR, "job_not_started", &err, NULL, NULL);
        _exit(125);
    }
    for (size_t i = 0; i < KEEPER_FDS; i++)
        (void)close(k->fds[i]);
    status = keep(&watch, job);
    if (k->work_dir[0] != '\0' && pj_fs_remove_tree(k->work_dir, &err) < 0)
        pj_log_err(PJ_LOG_ERROR, "folder_not_removed", &err, "folder", k->work_dir);
    _exit(status & 0xff);
}
