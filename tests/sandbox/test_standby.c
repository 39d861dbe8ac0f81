/* Boxes that are built ahead of need: used, unused, ordered wrongly, left alone in each state. That an ordered box is a box
 * like any other is shown by all other cases, which run a second time on such ones (PJ_TEST_BOX_STANDBY). */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "lib/base/clock.h"
#include "tests/sandbox/order_box.h"
#include "tests/sandbox/run_box.h"

#define NOBODY 65534
#define STAND_MS 60000

struct standing {
    pid_t pid;
    int socket;
    int out; /* its standard output and error */
};

/* `early` follows --standby 3. In the process that owns the other end, which may be killed. */
static struct standing stand(bool user, const char *const *early)
{
    struct standing s;
    int pair[2], out[2];

    box_home();
    cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    cr_assert_eq(pipe2(out, O_CLOEXEC), 0);
    s = (struct standing){.socket = pair[0], .out = out[0]};
    s.pid = fork();
    if (s.pid == 0) {
        int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
        const char *argv[32] = {"pj-sandbox", "--standby", "3"};
        char program[300];

        for (size_t i = 0; early && early[i] && i < 28; i++)
            argv[3 + i] = early[i];
        snprintf(program, sizeof program, "%s/pj-sandbox", box_home());
        if (dup2(null_fd, 0) < 0 || dup2(out[1], 1) < 0 || dup2(out[1], 2) < 0 ||
            dup2(pair[1], 3) < 0)
            _exit(97);
        if (user && geteuid() == 0 &&
            (setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 ||
             setresuid(NOBODY, NOBODY, NOBODY) < 0))
            _exit(99);
        execv(program, (char *const *)(uintptr_t)argv);
        _exit(98);
    }
    close(pair[1]);
    close(out[1]);
    return s;
}

static struct standing stand_ready(bool user, const char *const *early)
{
    struct standing s = stand(user, early);

    cr_assert(order_await_ready(s.socket, STAND_MS), "it does not stand");
    return s;
}

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

/* All it says, its exit code; reaped and closed. */
static int end_of(struct standing *s, char *text, size_t size)
{
    size_t used = 0;
    int status = -1;
    ssize_t n;

    while (used + 1 < size && (n = read(s->out, text + used, size - 1 - used)) > 0)
        used += (size_t)n;
    text[used] = '\0';
    cr_assert_eq(waitpid(s->pid, &status, 0), s->pid);
    close(s->socket);
    close(s->out);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* Control groups, as their maker named them. */
static int groups_of(pid_t pid)
{
    char command[160];
    int n = 0;
    FILE *f;

    snprintf(command, sizeof command,
             "find /sys/fs/cgroup -maxdepth 7 -type d -name 'pj-sandbox.%d.*' 2>/dev/null",
             (int)pid);
    f = popen(command, "re");
    for (char line[700]; f && fgets(line, sizeof line, f);)
        n++;
    if (f)
        pclose(f);
    return n;
}

static void expect_no_children(const char *what)
{
    int64_t end = pj_mono_ms() + 10000;
    siginfo_t info;

    /* We are the subreaper: what outlives its parent becomes ours. */
    while (pj_mono_ms() < end) {
        memset(&info, 0, sizeof info);
        if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG) < 0 && errno == ECHILD)
            return;
        if (info.si_pid == 0)
            poll(NULL, 0, 1);
    }
    cr_assert_fail("%s: something runs on", what);
}

Test(standby, unused_ends_well_and_leaves_nothing)
{
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    for (int user = 0; user < 2; user++) {
        struct standing s;
        char text[2000];

        if (!box_can(user))
            continue;
        s = stand_ready(user, WORDS("--memory", "64M", "--pids", "20"));
        shutdown(s.socket, SHUT_RDWR);
        cr_expect_eq(end_of(&s, text, sizeof text), 0, "%s", text);
        cr_expect_str_eq(text, "");
        cr_expect_eq(groups_of(s.pid), 0);
        s = stand_ready(user, NULL);
        kill(s.pid, SIGTERM);
        cr_expect_eq(end_of(&s, text, sizeof text), 0, "%s", text);
        cr_expect_eq(groups_of(s.pid), 0);
        expect_no_children("unused");
    }
}

Test(standby, takes_one_order_and_no_other)
{
    for (int user = 0; user < 2; user++) {
        struct standing s;
        char text[2000];

        if (!box_can(user))
            continue;
        s = stand_ready(user, WORDS("--env", "EARLY=1"));
        cr_expect(
            order_send(s.socket, "", NULL,
                       WORDS("--env", "LATE=2", "--", "sh", "-c", "echo $EARLY$LATE; exit 7")));
        /* Nobody listens there any more, whether the first is still on its way or not. */
        while (order_send(s.socket, "", NULL, WORDS("--", "echo", "second")))
            poll(&(struct pollfd){.fd = s.socket, .events = POLLIN}, 1, 10000);
        cr_expect_eq(end_of(&s, text, sizeof text), 7, "%s", text);
        cr_expect_str_eq(text, "12\n");
    }
}

Test(standby, orders_that_make_no_sense_are_refused_by_name)
{
    char big[70000];
    const struct {
        const char *letters, *words[8], *says;
    } rows[] = {
        {"", {"--", NULL}, "no command"},
        {"", {"--memroy", "1M", "--", "true", NULL}, "unknown option --memroy"},
        {"", {"--result-fd", "1", "--", "true", NULL}, "descriptors come with it"},
        {"", {"--tree-fd", "1", "--", "true", NULL}, "descriptors come with it"},
        {"", {"--standby", "1", "--", "true", NULL}, "come with the order"},
        {"", {"--plan", "--", "true", NULL}, "a command and its options"},
        {"oo", {"--", "true", NULL}, "letters of ioert"},
        {"x", {"--", "true", NULL}, "letters of ioert"},
        {"ioertx", {"--", "true", NULL}, "5 descriptors"},
        {"", {"--workspace", "/nowhere/at/all", "--", "true", NULL}, "--workspace /nowhere/at/all"},
    };

    memset(big, 'x', sizeof big);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct standing s = stand_ready(false, NULL);
        char text[4000];

        cr_assert(
            order_send(s.socket, rows[i].letters, (const int[]){0, 0, 0, 0, 0, 0}, rows[i].words));
        cr_expect_eq(end_of(&s, text, sizeof text), 125, "row %zu", i);
        cr_expect(strstr(text, rows[i].says), "row %zu: %s", i, text);
        cr_expect_eq(groups_of(s.pid), 0);
    }
    for (int i = 0; i < 2; i++) {
        struct standing s = stand_ready(false, NULL);
        char text[4000];

        /* No NUL at the end, and more than the bound. */
        cr_assert_gt(send(s.socket, big, i ? sizeof big : 100, MSG_NOSIGNAL), 0);
        cr_expect_eq(end_of(&s, text, sizeof text), 125);
        cr_expect(strstr(text, "at most 65536 bytes"), "%s", text);
    }
}

/* What is ordered is what is had, also when something else was built. */
Test(standby, what_does_not_fit_is_built_anew)
{
    const char *rootfs = box_dir("rootfs", false);
    char path[400], text[4000];
    struct standing s;

    s = stand_ready(false, WORDS("--tmp-size", "64M"));
    cr_expect(order_send(s.socket, "", NULL,
                         WORDS("--tmp-size", "1M", "--", "sh", "-c",
                               "head -c 2M /dev/zero > /tmp/f 2>/dev/null || echo full")));
    cr_expect_eq(end_of(&s, text, sizeof text), 0, "%s", text);
    cr_expect_str_eq(text, "full\n");

    s = stand_ready(false, NULL);
    cr_expect(
        order_send(s.socket, "", NULL,
                   WORDS("--pids", "5", "--", "sh", "-c",
                         "for i in 1 2 3 4 5 6 7 8; do sleep 100 & done 2>/dev/null; exit 0")));
    cr_expect_neq(end_of(&s, text, sizeof text), 0, "%s", text);

    snprintf(path, sizeof path, "%s/bin", rootfs);
    cr_assert_eq(mkdir(path, 0755), 0);
    snprintf(path, sizeof path, "cp %s %s/bin/only", box_hostile(), rootfs);
    cr_assert_eq(system(path), 0);
    s = stand_ready(false, NULL);
    cr_expect(
        order_send(s.socket, "", NULL, WORDS("--rootfs", rootfs, "--", "/bin/only", "nothing")));
    cr_expect_eq(end_of(&s, text, sizeof text), 0, "%s", text);

    /* The system named ahead is another one when the order comes. */
    s = stand_ready(false, WORDS("--rootfs", rootfs));
    snprintf(path, sizeof path, "rm -r %s/bin && mkdir %s/bin && cp %s %s/bin/other", rootfs,
             rootfs, box_hostile(), rootfs);
    cr_assert_eq(system(path), 0);
    cr_expect(order_send(s.socket, "", NULL, WORDS("--", "/bin/other", "nothing")));
    cr_expect_eq(end_of(&s, text, sizeof text), 0, "%s", text);
}

/* In a child with mounts of its own; 0 when all is as it should be, else a line of this file. */
static int with_own_mounts(int (*fn)(const char *dir), const char *dir)
{
    int status = -1;
    pid_t pid = fork();

    if (pid == 0) {
        if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_SHARED, NULL) < 0)
            _exit(1);
        _exit(fn(dir));
    }
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -status;
}

#define CHECK(what)                                                                                \
    do {                                                                                           \
        if (!(what))                                                                               \
            return __LINE__ % 251 + 2;                                                             \
    } while (0)

static int mount_after(const char *dir)
{
    char text[4000], bind[500];

    snprintf(bind, sizeof bind, "%s:/opt/tree", dir);
    for (int user = 0; user < 2; user++) {
        struct standing s = stand(user, NULL);

        CHECK(order_await_ready(s.socket, STAND_MS));
        CHECK(mount("late", "/usr/share", "tmpfs", 0, NULL) == 0);
        CHECK(mkdir("/usr/share/seen", 0755) == 0);
        CHECK(mount("late", dir, "tmpfs", 0, "mode=0755") == 0);
        snprintf(text, sizeof text, "%s/inside", dir);
        CHECK(mkdir(text, 0755) == 0);
        CHECK(order_send(s.socket, "", NULL,
                         WORDS("--ro-bind", bind, "--", "ls", "/usr/share", "/opt/tree")));
        CHECK(end_of(&s, text, sizeof text) == 0);
        CHECK(strcmp(text, "/opt/tree:\ninside\n\n/usr/share:\nseen\n") == 0);
        CHECK(umount("/usr/share") == 0 && umount(dir) == 0);
    }
    return 0;
}

Test(standby, a_mount_of_the_host_that_came_since_is_seen)
{
    if (geteuid() != 0 || !box_can(false) || !box_can(true)) {
        fprintf(stderr, "SKIPPED: only root mounts\n");
        return;
    }
    cr_expect_eq(with_own_mounts(mount_after, box_dir("late", false)), 0);
}

/* Does a process of the box still hold something that is mounted from "held"? */
static bool holds(pid_t outer)
{
    pid_t inside[8];
    size_t n = box_descendants(outer, inside, 8);
    bool found = false;

    for (size_t i = 0; i < n; i++) {
        char path[64], line[4096];
        FILE *f;

        snprintf(path, sizeof path, "/proc/%d/mountinfo", (int)inside[i]);
        f = fopen(path, "re");
        while (f && fgets(line, sizeof line, f))
            found = found || strstr(line, " - tmpfs held ");
        if (f)
            fclose(f);
    }
    return found || n == 0;
}

static int unmount_meanwhile(const char *dir)
{
    char text[4000];

    for (int user = 0; user < 2; user++) {
        struct standing s;

        CHECK(mount("held", dir, "tmpfs", 0, NULL) == 0);
        s = stand(user, NULL);
        CHECK(order_await_ready(s.socket, STAND_MS));
        CHECK(umount(dir) == 0);
        CHECK(!holds(s.pid));
        CHECK(order_send(s.socket, "", NULL, WORDS("--", "echo", "fine")));
        CHECK(end_of(&s, text, sizeof text) == 0);
        CHECK(strcmp(text, "fine\n") == 0);
    }
    return 0;
}

Test(standby, what_the_host_unmounts_is_not_held)
{
    if (geteuid() != 0 || !box_can(false) || !box_can(true)) {
        fprintf(stderr, "SKIPPED: only root mounts\n");
        return;
    }
    cr_expect_eq(with_own_mounts(unmount_meanwhile, box_dir("held", false)), 0);
}

/* Whoever ordered, or might have, is gone: at a random moment of the building, while it stands, after the order. */
Test(standby, a_caller_killed_in_any_state_leaves_nothing)
{
    int rounds = getenv("PJ_TEST_LONG") ? 200 : 30;
    unsigned seed = (unsigned)getpid();

    prctl(PR_SET_CHILD_SUBREAPER, 1);
    for (int i = 0; i < rounds; i++) {
        const struct timespec moment = {.tv_nsec = (long)(rand_r(&seed) % 8000000)};
        bool user = i % 2 && box_can(true);
        int state = i / 2 % 3, told[2], status;
        pid_t caller, box = 0;

        cr_assert_eq(pipe2(told, O_CLOEXEC), 0);
        caller = fork();
        if (caller == 0) {
            struct standing s = stand(user, WORDS("--memory", "64M"));

            if (state > 0)
                order_await_ready(s.socket, STAND_MS);
            if (state > 1)
                order_send(s.socket, "", NULL, WORDS("--", "sleep", "5"));
            /* Its box after the order is as any other's: the caller's end reaches it by a signal. */
            if (write(told[1], &s.pid, sizeof s.pid) > 0)
                pause();
            _exit(1);
        }
        close(told[1]);
        cr_assert_eq(read(told[0], &box, sizeof box), (ssize_t)sizeof box);
        close(told[0]);
        /* A moment is what is tested here, so time passes on purpose. */
        clock_nanosleep(CLOCK_MONOTONIC, 0, &moment, NULL);
        kill(caller, SIGKILL);
        cr_assert_eq(waitpid(caller, &status, 0), caller);
        if (state > 1)
            kill(box, SIGKILL);
        expect_no_children("caller killed");
        if (state < 2)
            cr_expect_eq(groups_of(box), 0, "state %d", state);
    }
}

/* The box itself is killed while it stands: the caller hears of it. */
Test(standby, a_standing_box_that_is_killed_says_so)
{
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    for (int user = 0; user < 2; user++) {
        struct standing s;
        pid_t inside[8];
        char text[4000];

        if (!box_can(user))
            continue;
        s = stand_ready(user, NULL);
        cr_assert_geq(box_descendants(s.pid, inside, 8), 1U);
        kill(inside[0], SIGKILL);
        cr_expect_eq(end_of(&s, text, sizeof text), 125);
        cr_expect(strstr(text, "the box that stood by is gone"), "%s", text);
        cr_expect_eq(groups_of(s.pid), 0);
        expect_no_children("killed inside");
    }
}

/* An order that was on its way when the box died is carried out by another. */
Test(standby, an_order_to_a_box_that_has_died_gets_a_new_one)
{
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    for (int user = 0; user < 2; user++) {
        struct standing s;
        pid_t inside[8];
        siginfo_t info;
        char text[4000];

        if (!box_can(user))
            continue;
        s = stand_ready(user, NULL);
        cr_assert_geq(box_descendants(s.pid, inside, 8), 1U);
        cr_assert_eq(kill(s.pid, SIGSTOP), 0);
        cr_assert_eq(waitid(P_PID, (id_t)s.pid, &info, WSTOPPED), 0);
        struct pollfd dead = {.fd = (int)syscall(SYS_pidfd_open, inside[0], 0), .events = POLLIN};
        cr_assert_geq(dead.fd, 0);
        cr_assert_eq(kill(inside[0], SIGKILL), 0);
        cr_assert_eq(poll(&dead, 1, 10000), 1);
        close(dead.fd);
        cr_assert(order_send(s.socket, "o", (const int[]){1}, WORDS("--", "true")));
        cr_assert_eq(kill(s.pid, SIGCONT), 0);
        cr_expect_eq(end_of(&s, text, sizeof text), 0, "user %d: %s", user, text);
        cr_expect_eq(groups_of(s.pid), 0);
        expect_no_children("died before the order");
    }
}

/* One that carries all that an order can carry: ports, a proxy, a tree, a result. */
Test(standby, an_order_brings_everything_with_it)
{
    for (int user = 0; user < 2; user++) {
        const char *work = box_dir("work", user), *base = box_dir("base", user);
        int result[2], tree[2], fds[2];
        char text[4000], json[8000] = "", bind[400];
        struct standing s;
        ssize_t n;

        if (!box_can(user))
            continue;
        cr_assert_eq(pipe2(result, O_CLOEXEC), 0);
        cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, tree), 0);
        fds[0] = result[1];
        fds[1] = tree[1];
        snprintf(bind, sizeof bind, "%s:/opt/bound", box_hostile());
        s = stand_ready(user, WORDS("--memory", "64M"));
        cr_assert(order_send(s.socket, "rt", fds,
                             WORDS("--workspace", work, "--workspace-base", base, "--gateway",
                                   "/nowhere:8100", "--net-allow", "example.org", "--env",
                                   "HTTP_PROXY=mine", "--ro-bind", bind, "--cwd", "/tmp",
                                   "--timeout", "20s", "--", "sh", "-c",
                                   "case $HTTP_PROXY in http://127.0.0.1:*) echo proxy;; esac; "
                                   "pwd; echo x > /workspace/f; "
                                   "test -x /opt/bound && echo bound")));
        close(result[1]);
        close(tree[1]);
        cr_expect_eq(end_of(&s, text, sizeof text), 0, "%s", text);
        cr_expect_str_eq(text, "proxy\n/tmp\nbound\n");
        n = read(result[0], json, sizeof json - 1);
        cr_expect(n > 0 && strstr(json, "\"exitCode\":0") && strstr(json, "\"seccomp\""), "%s",
                  json);
        cr_expect_gt(recv(tree[0], text, sizeof text, 0), 0);
        snprintf(text, sizeof text, "%s/f", work);
        cr_expect_eq(access(text, F_OK), 0);
        close(result[0]);
        close(tree[0]);
    }
}
