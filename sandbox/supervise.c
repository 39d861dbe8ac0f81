#include "sandbox/supervise.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>
#include "lib/base/clock.h"
#include "lib/base/fs.h"
#include "sandbox/channel.h"
#include "sandbox/launch.h"
#include "sandbox/pump.h"
#include "sandbox/relay.h"
#include "sandbox/step.h"

/* How long a killed box may take until we say that something in it cannot die. */
#define KILL_GRACE_MS 10000
/* How long a box may go on after we were asked to stop it. */
#define STOP_GRACE_MS 5000
/* How long what was written may take to be read by our reader once time is up. */
#define DRAIN_GRACE_MS 5000

struct supervisor {
    struct plan *plan;
    struct result *result;
    struct launch *box;
    struct relay *relay;
    struct pump in, out, err;
    int reopened[2]; /* our stdout and stderr as descriptions of our own, -1: as they are */
    int timer, signals;
    /* Descriptors to come from process 1; what else it says is read when it has ended. */
    int expected;
    int64_t output_left;
    int64_t started_ms, stop_at_ms, give_up_ms; /* 0: not set */
    bool rang;                                  /* the deadline has passed */
    bool reaped;
};

/* Lower *timeout to what is left until `at_ms`. */
static void wait_until(int *timeout, int64_t at_ms)
{
    int64_t left = at_ms - pj_mono_ms();

    if (left < 0)
        left = 0;
    if (*timeout < 0 || left < *timeout)
        *timeout = (int)left;
}

static int fail(struct supervisor *s, const char *what)
{
    return step_fail(&s->result->err, "start", errno, NULL, "%s", what);
}

/* Our own output without blocking: a new description of the same pipe or terminal, since flags
 * of the old one are shared. */
static int reopen(int fd)
{
    char path[32];
    struct stat st;

    if (fstat(fd, &st) < 0 || !(S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode)))
        return -1;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
}

static void set_up_pumps(struct supervisor *s)
{
    pump_init(&s->in, 0, s->box->in);
    s->in.chunked = true;
    if (fcntl(0, F_GETFD) < 0)
        s->in.eof = true;
    for (int i = 0; i < 2; i++) {
        struct pump *p = i == 0 ? &s->out : &s->err;

        s->reopened[i] = reopen(i + 1);
        pump_init(p, i == 0 ? s->box->out : s->box->err,
                  s->reopened[i] >= 0 ? s->reopened[i] : i + 1);
        p->chunked = s->reopened[i] < 0;
        if (s->plan->spec->output_bytes)
            p->allowed = &s->output_left;
    }
    s->output_left = s->plan->spec->output_bytes;
}

static int start_clock(struct supervisor *s)
{
    int64_t ms = s->plan->spec->timeout_ms;
    struct itimerspec when = {.it_value = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}};

    s->timer = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    if (s->timer < 0 || (ms && timerfd_settime(s->timer, 0, &when, NULL) < 0))
        return fail(s, "cannot set the clock");
    return 0;
}

int supervise_signals(void)
{
    sigset_t set;

    signal(SIGPIPE, SIG_IGN);
    signal(
        SIGTTIN,
        SIG_IGN); /* in the background a terminal has no input for us; it must not stop us either */
    signal(SIGTTOU, SIG_IGN);
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGQUIT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static int catch_signals(struct supervisor *s)
{
    s->signals = supervise_signals();
    return s->signals < 0 ? fail(s, "cannot catch signals") : 0;
}

static void kill_box(struct supervisor *s)
{
    cgroup_kill(&s->box->cgroup);
    syscall(SYS_pidfd_send_signal, s->box->pidfd, SIGKILL, NULL, 0);
    if (!s->give_up_ms)
        s->give_up_ms = pj_mono_ms() + KILL_GRACE_MS;
}

static void hand_tree_on(struct supervisor *s, int fd)
{
    struct channel_msg msg = {.type = CHANNEL_TREE};

    if (channel_send(s->plan->spec->tree_fd, &msg, &fd, 1) < 0)
        step_fail(&s->result->err, "workspace", errno, "give a SOCK_SEQPACKET socket",
                  "cannot send to --tree-fd");
    close(fd);
}

static void hear(struct supervisor *s)
{
    struct channel_msg msg;
    int fds[CHANNEL_FDS_MAX];
    size_t n;
    int rc;

    while ((rc = channel_recv(s->box->channel, &msg, fds, &n)) > 0) {
        switch (msg.type) {
        case CHANNEL_LISTENERS:
            relay_listen(s->relay, fds, n);
            s->expected--;
            break;
        case CHANNEL_TREE:
            if (n == 1)
                hand_tree_on(s, fds[0]);
            s->expected--;
            break;
        case CHANNEL_FAILED:
            s->result->err = msg.err;
            break;
        case CHANNEL_NO_EXEC:
            s->result->exec_errno = msg.value;
            break;
        case CHANNEL_ENDED:
            s->result->ended = true;
            s->result->wait_status = msg.value;
            break;
        case CHANNEL_STARTED:
            launch_let_go(s->box, s->plan);
            s->expected--;
            break;
        case CHANNEL_STANDING: /* heard before the order came */
        case CHANNEL_READY:    /* these two only we say */
        case CHANNEL_ORDER:
            break;
        }
    }
    if (rc < 0)
        pj_fd_close(&s->box->channel);
}

/* Process 1 has said that the command ended, and is on its way out. */
static bool has_ended(struct supervisor *s)
{
    if (s->box->channel >= 0)
        hear(s);
    return s->result->ended;
}

static void heed_signal(struct supervisor *s)
{
    struct signalfd_siginfo info;

    while (read(s->signals, &info, sizeof info) == (ssize_t)sizeof info) {
        unsigned char sig = (unsigned char)info.ssi_signo;

        if (s->stop_at_ms) {
            kill_box(s); /* asked twice */
        } else {
            (void)!write(s->box->life, &sig, 1);
            s->stop_at_ms = pj_mono_ms() + STOP_GRACE_MS;
        }
    }
}

static void reap_box(struct supervisor *s)
{
    struct rusage usage;
    int status;

    if (wait4(s->box->pid, &status, WNOHANG, &usage) != s->box->pid)
        return;
    s->reaped = true;
    s->result->cpu_ms = (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000LL +
                        (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1000;
    s->result->max_rss_bytes = usage.ru_maxrss * 1024LL;
    hear(s);
    if (s->rang || s->stop_at_ms)
        s->give_up_ms = pj_mono_ms() + DRAIN_GRACE_MS;
    else
        s->give_up_ms = 0;
}

static short seen(const struct pollfd *fds, size_t n, int fd)
{
    for (size_t i = 0; fd >= 0 && i < n; i++) {
        if (fds[i].fd == fd && fds[i].revents)
            return fds[i].revents;
    }
    return 0;
}

static void step_output(struct pump *p, int *box_end, const struct pollfd *fds, size_t n)
{
    pump_step(p, seen(fds, n, p->from), seen(fds, n, p->to));
    if ((p->discard || p->eof) && *box_end >= 0) {
        /* Our reader is gone: the box's writers shall get SIGPIPE, as in any pipeline. */
        p->eof = true;
        p->from = -1;
        pj_fd_close(box_end);
    }
}

static void step_input(struct supervisor *s, const struct pollfd *fds, size_t n)
{
    pump_step(&s->in, seen(fds, n, 0), seen(fds, n, s->box->in));
    if (s->in.discard || pump_done(&s->in)) {
        s->in.eof = true;
        s->in.discard = true;
        pj_fd_close(&s->box->in);
    }
}

/* One wait and what it brought. False when all is over. */
static bool turn(struct supervisor *s)
{
    struct pollfd fds[16 + RELAY_POLL_MAX];
    size_t n = 0, relay_at;
    int timeout = -1;

    if (s->box->channel >= 0 && s->expected > 0)
        fds[n++] = (struct pollfd){.fd = s->box->channel, .events = POLLIN};
    if (!s->reaped) {
        fds[n++] = (struct pollfd){.fd = s->box->pidfd, .events = POLLIN};
        if (!s->rang)
            fds[n++] = (struct pollfd){.fd = s->timer, .events = POLLIN};
        n += pump_want(&s->in, fds + n);
    }
    fds[n++] = (struct pollfd){.fd = s->signals, .events = POLLIN};
    n += pump_want(&s->out, fds + n);
    n += pump_want(&s->err, fds + n);
    relay_at = n;
    if (!s->reaped)
        n += relay_want(s->relay, fds + n);
    if (s->give_up_ms)
        wait_until(&timeout, s->give_up_ms);
    if (s->stop_at_ms && !s->reaped && !s->give_up_ms)
        wait_until(&timeout, s->stop_at_ms);
    if (poll(fds, n, timeout) < 0)
        n = relay_at = 0;

    if (s->expected > 0 && seen(fds, n, s->box->channel))
        hear(s);
    if (!s->reaped && !s->rang && seen(fds, n, s->timer)) {
        s->rang = true;
        s->result->timed_out = !has_ended(s);
        kill_box(s);
    }
    if (seen(fds, n, s->signals))
        heed_signal(s);
    if (s->stop_at_ms && !s->reaped && !s->give_up_ms && pj_mono_ms() >= s->stop_at_ms)
        kill_box(s);
    if (!s->reaped)
        step_input(s, fds, n);
    step_output(&s->out, &s->box->out, fds, n);
    step_output(&s->err, &s->box->err, fds, n);
    if (n > relay_at)
        relay_ready(s->relay, fds + relay_at, n - relay_at);
    if (!s->reaped && seen(fds, n, s->box->pidfd))
        reap_box(s);
    if (s->give_up_ms && pj_mono_ms() >= s->give_up_ms)
        return false;
    return !(s->reaped && pump_done(&s->out) && pump_done(&s->err));
}

/* How it ended when process 1 did not say. */
static void judge_silence(struct supervisor *s)
{
    struct result *r = s->result;

    if (!s->reaped)
        step_fail(
            &r->err, "kill", 0,
            "a process in the box waits in the kernel without end; look at the host's storage",
            "the box was killed %d s ago and is not gone", KILL_GRACE_MS / 1000);
    else if (s->stop_at_ms || r->oom_killed) /* killed on request, or by its own memory limit */
        r->ended = true;
    else
        step_fail(&r->err, "init", 0, "look for who killed it: the host's out-of-memory killer?",
                  "process 1 of the box ended without a word");
    if (r->ended)
        r->wait_status = SIGKILL;
}

/* What an overlay leaves in its scratch folder is nearly always this; removing it so costs a
 * third of walking the tree. */
static void remove_usual_scratch(const char *work_dir)
{
    static const char *const usual[] = {"work/incompat/volatile/dirty", "work/incompat/volatile",
                                        "work/incompat", "work"};
    int fd = open(work_dir, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    for (size_t i = 0; fd >= 0 && i < PJ_COUNT_OF(usual); i++) {
        if (unlinkat(fd, usual[i], i == 0 ? 0 : AT_REMOVEDIR) < 0)
            break;
    }
    pj_fd_close(&fd);
    rmdir(work_dir);
}

static void settle(struct supervisor *s)
{
    struct result *r = s->result;
    bool started = s->box->pid > 0;

    r->oom_killed = cgroup_oom_kills(&s->box->cgroup) > 0;
    r->output_bytes = s->out.total + s->err.total;
    r->output_truncated = s->out.truncated || s->err.truncated;
    r->wall_ms = pj_mono_ms() - s->started_ms;
    if (started && !r->ended && !r->exec_errno && !r->err.code[0] && (!r->timed_out || !s->reaped))
        judge_silence(s);
    if (!cgroup_remove(&s->box->cgroup, 2000) && !r->err.code[0] && s->reaped)
        step_fail(&r->err, "cgroup", EBUSY, "remove it by hand; the next start tries again",
                  "a control group is not empty");
    if (s->plan->work_dir && (s->reaped || !started)) {
        struct pj_err failed = {0};

        remove_usual_scratch(s->plan->work_dir);
        if (pj_fs_remove_tree(s->plan->work_dir, &failed) < 0 && !r->err.code[0])
            step_fail(&r->err, "workspace", failed.sys_errno, NULL, "cannot remove %s",
                      s->plan->work_dir);
    }
}

static void release(struct supervisor *s)
{
    relay_free(s->relay);
    pump_release(&s->in);
    pump_release(&s->out);
    pump_release(&s->err);
    pj_fd_close(&s->reopened[0]);
    pj_fd_close(&s->reopened[1]);
    pj_fd_close(&s->timer);
    pj_fd_close(&s->signals);
    launch_let_go(s->box, s->plan);
    launch_release(s->box);
    s->box->pid = 0; /* reaped, or past all help */
}

static void run_to_end(struct supervisor *s)
{
    set_up_pumps(s);
    while (turn(s))
        ;
}

void supervise(struct plan *plan, struct net *net, struct result *result)
{
    struct launch box = LAUNCH_NONE;
    struct supervisor s = {.plan = plan,
                           .result = result,
                           .box = &box,
                           .started_ms = pj_mono_ms(),
                           .reopened = {-1, -1},
                           .timer = -1,
                           .signals = -1};

    s.relay = relay_new(plan->spec, result);
    s.expected = (!net && (plan->spec->gateway_count || plan->spec->allow_count)) +
                 (plan->spec->tree_fd >= 0);
    if (catch_signals(&s) == 0 && start_clock(&s) == 0 &&
        launch_box(s.box, plan, net, &result->err) == 0) {
        if (net) {
            relay_listen(s.relay, net->ears.fds, net->ears.count);
            net->ears.count = 0;
        }
        run_to_end(&s);
    }
    settle(&s);
    release(&s);
}

void supervise_standing(struct plan *plan, struct launch *standing, struct result *result)
{
    const struct spec *spec = plan->spec;
    struct supervisor s = {.plan = plan,
                           .result = result,
                           .box = standing,
                           .started_ms = pj_mono_ms(),
                           .reopened = {-1, -1},
                           .timer = -1,
                           .signals = -1,
                           .expected = 1 + (spec->gateway_count || spec->allow_count) +
                                       (spec->tree_fd >= 0)};

    s.relay = relay_new(spec, result);
    if (catch_signals(&s) < 0 || start_clock(&s) < 0)
        launch_kill(s.box);
    else if (launch_order(s.box, plan, &result->err) == 0)
        run_to_end(&s);
    settle(&s);
    release(&s);
}
