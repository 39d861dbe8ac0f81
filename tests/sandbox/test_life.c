/* From start to nothing left: the outer process killed at any moment, many boxes, boxes side by
 * side. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "lib/base/clock.h"
#include "tests/sandbox/run_box.h"

/* PJ_TEST_LONG=1 runs the full counts of the project's promise; without it a tenth, for every
 * day. */
static int count(int full)
{
    return getenv("PJ_TEST_LONG") ? full : full / 10;
}

static int lines_with(const char *path, const char *word)
{
    char line[4096];
    FILE *f = fopen(path, "re");
    int n = 0;

    while (f && fgets(line, sizeof line, f))
        n += !word || strstr(line, word) != NULL;
    if (f)
        fclose(f);
    return n;
}

/* The boxes that a case started; other cases and other people run theirs at the same time. */
struct started {
    pid_t pids[2048];
    size_t count;
};

static void remember(struct started *s, pid_t pid)
{
    if (s->count < sizeof s->pids / sizeof s->pids[0])
        s->pids[s->count++] = pid;
}

static bool is_ours(const struct started *s, pid_t pid)
{
    for (size_t i = 0; i < s->count; i++) {
        if (s->pids[i] == pid)
            return true;
    }
    return false;
}

/* Control groups of ours beneath `dir`. */
static int groups_left(const struct started *s, const char *dir, int depth)
{
    DIR *d = opendir(dir);
    const struct dirent *e;
    int n = 0;

    while (d && (e = readdir(d))) {
        char sub[600];

        if (e->d_name[0] == '.' || e->d_type != DT_DIR)
            continue;
        if (strncmp(e->d_name, "pj-sandbox.", 11) == 0)
            n += is_ours(s, (pid_t)strtol(e->d_name + 11, NULL, 10));
        else if (depth > 0 && snprintf(sub, sizeof sub, "%s/%s", dir, e->d_name) < (int)sizeof sub)
            n += groups_left(s, sub, depth - 1);
    }
    if (d)
        closedir(d);
    return n;
}

static int open_descriptors(void)
{
    DIR *d = opendir("/proc/self/fd");
    int n = 0;

    while (d && readdir(d))
        n++;
    if (d)
        closedir(d);
    return n;
}

/* Nothing of the boxes is left on this host: no mount, no control group, no child of ours. */
static void expect_nothing_left(const struct started *s, const char *what)
{
    int status;

    cr_expect_eq(lines_with("/proc/self/mountinfo", "pj-root"), 0, "%s: a mount is left", what);
    cr_expect_eq(lines_with("/proc/self/mountinfo", box_home()), 0, "%s: a mount is left", what);
    cr_expect_eq(groups_left(s, "/sys/fs/cgroup", 6), 0, "%s: a control group is left", what);
    cr_expect(waitpid(-1, &status, WNOHANG) < 0 && errno == ECHILD, "%s: a process is left", what);
}

/* Wait until the process behind `fd` is gone. */
static bool gone(int pidfd, int ms)
{
    struct pollfd p = {.fd = pidfd, .events = POLLIN};

    return poll(&p, 1, ms) == 1;
}

Test(life, killing_the_outer_process_kills_everything)
{
    const char *const args[] = {
        "--memory", "256M", "--",
        "sh",       "-c",   "trap '' TERM; setsid sleep 1000 & echo ready; sleep 1000",
        NULL};

    for (int user = 0; user < 2; user++) {
        pid_t inside[16];
        int fds[16], out;
        char buf[16];
        pid_t pid;
        size_t n;

        if (!box_can(user))
            continue;
        pid = box_start(user, args, &out);
        cr_assert_gt(read(out, buf, sizeof buf), 0);
        n = box_descendants(pid, inside, 16);
        cr_assert_geq(n, 2U, "%zu processes found", n);
        for (size_t i = 0; i < n; i++)
            fds[i] = (int)syscall(SYS_pidfd_open, inside[i], 0);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        for (size_t i = 0; i < n; i++) {
            cr_expect(fds[i] < 0 || gone(fds[i], 10000), "process %d lives on", (int)inside[i]);
            close(fds[i]);
        }
        close(out);
    }
}

/* Killed at a random moment of the first 12 ms: a start takes about four. */
Test(life, killed_in_any_phase_nothing_runs_on)
{
    const char *const args[] = {"--memory", "64M", "--pids", "50", "--", "sleep", "1000", NULL};
    int rounds = count(200);
    struct started started = {0};
    struct box_run sweep;
    unsigned seed = (unsigned)getpid();

    prctl(PR_SET_CHILD_SUBREAPER, 1);
    for (int i = 0; i < rounds; i++) {
        struct timespec wait = {.tv_nsec = (long)(rand_r(&seed) % 12000000)};
        int out, status;
        pid_t pid = box_start(i % 2 && box_can(true), args, &out);
        int64_t end;

        remember(&started, pid);
        /* A moment is what is tested here, so time passes on purpose. */
        clock_nanosleep(CLOCK_MONOTONIC, 0, &wait, NULL);
        kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
        close(out);
        /* What outlived it would become our child; wait until there is none. */
        for (end = pj_mono_ms() + 10000; pj_mono_ms() < end;) {
            siginfo_t info = {0};

            if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG) < 0 && errno == ECHILD)
                break;
            if (info.si_pid == 0)
                poll(NULL, 0, 1);
        }
        cr_assert(waitpid(-1, &status, WNOHANG) < 0 && errno == ECHILD,
                  "round %d: something runs on", i);
    }
    /* The next start sweeps the groups that nobody removed. */
    sweep = BOX(false, "--memory", "64M", "--pids", "50", "--", "true");
    cr_expect_eq(sweep.exit_code, 0);
    box_run_release(&sweep);
    expect_nothing_left(&started, "killed");
}

Test(life, many_in_a_row_leave_nothing)
{
    struct started started = {0};
    int fds_before;

    box_can(false);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    fds_before = open_descriptors();
    for (int i = 0; i < count(1000); i++) {
        struct box_run run =
            BOX(i % 2 && box_can(true), "--memory", "64M", "--pids", "20", "--", "true");

        remember(&started, run.pid);
        cr_assert_eq(run.exit_code, 0, "round %d: %s", i, run.err);
        box_run_release(&run);
    }
    cr_expect_eq(open_descriptors(), fds_before);
    expect_nothing_left(&started, "in a row");
}

Test(life, many_at_once_do_not_meet)
{
    const char *const args[] = {
        "--memory",
        "64M",
        "--pids",
        "20",
        "--timeout",
        "120s",
        "--",
        "sh",
        "-c",
        "test -z \"$(ls -A /tmp)\" && echo $$ > /tmp/mine && ls /proc | grep -c '^[0-9]'; cat",
        NULL};
    enum { MAX = 100 };
    int n = count(MAX) < 20 ? 20 : MAX, out[MAX];
    pid_t pids[MAX];
    struct started started = {0};

    prctl(PR_SET_CHILD_SUBREAPER, 1);
    for (int i = 0; i < n; i++) {
        pids[i] = box_start(i % 2 && box_can(true), args, &out[i]);
        remember(&started, pids[i]);
    }
    for (int i = 0; i < n; i++) {
        char buf[64] = "";
        int status;

        /* What sh, ls and grep see is themselves. */
        cr_expect_gt(read(out[i], buf, sizeof buf - 1), 0);
        cr_expect(strtol(buf, NULL, 10) <= 4, "box %d sees %s processes", i, buf);
        cr_expect_eq(waitpid(pids[i], &status, 0), pids[i]);
        cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        close(out[i]);
    }
    expect_nothing_left(&started, "at once");
}

Test(life, two_boxes_share_no_name_no_memory_no_files)
{
    const char *const first[] = {
        "--", "python3", "-c",
        "import signal,socket\ns=socket.socket(socket.AF_UNIX); s.bind('\\0pj-meet'); "
        "s.listen()\n"
        "open('/dev/shm/meet','w').write('x'); open('/tmp/meet','w').write('x')\n"
        "print('ready',flush=True); signal.pause()",
        NULL};
    char buf[16];
    struct box_run run;
    int out;
    pid_t pid;

    if (system("command -v python3 >/dev/null") != 0) {
        fprintf(stderr, "SKIPPED: this host has no python3\n");
        return;
    }
    pid = box_start(false, first, &out);
    cr_assert_gt(read(out, buf, sizeof buf), 0);
    run = BOX(false, "--", "python3", "-c",
              "import socket,os\ns=socket.socket(socket.AF_UNIX)\n"
              "try:\n s.connect('\\0pj-meet'); print('met')\nexcept ConnectionRefusedError: "
              "print('refused')\n"
              "print(os.path.exists('/dev/shm/meet') or os.path.exists('/tmp/meet'))");
    cr_expect_str_eq(run.out, "refused\nFalse\n", "%s", run.err);
    box_run_release(&run);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    close(out);
}
