/* What a box holds and no walk over its tree sees: files without a name, in whatever way they are held, wherever in its tree of processes; and
 * processes that might go on while the others are held. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "lib/base/fs.h"
#include "lib/base/mem.h"
#include "runner/family.h"
#include "tests/runner/disk_stage.h"

#define DEPTH 40
#define EACH (64 * 1024)

static bool hold(void)
{
    static char bytes[EACH] = {1};
    int fd = open("/var/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    return fd >= 0 && pj_write_all(fd, bytes, sizeof(bytes)) == 0 && fsync(fd) == 0 && dup(fd) >= 0;
}

/* A chain of processes, each the child of the one before; the last says that all stand. */
static void grow(int depth, int told)
{
    do {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (!hold())
            _exit(1);
    } while (--depth > 0 && fork() == 0);
    if (depth == 0)
        (void)!write(told, "!", 1);
    for (;;)
        pause();
}

static pid_t chain(int depth)
{
    int told[2];
    char byte = 0;
    pid_t pid;

    cr_assert_eq(pipe2(told, O_CLOEXEC), 0);
    pid = fork();
    if (pid == 0)
        grow(depth, told[1]);
    close(told[1]);
    cr_assert_eq(read(told[0], &byte, 1), 1, "no file without a name could be made");
    close(told[0]);
    return pid;
}

/* All that there is. */
static int64_t unnamed(pid_t root)
{
    int64_t bytes = -1;

    cr_expect(disk_unnamed(root, 0, &bytes));
    return bytes;
}

Test(disk, files_without_a_name_are_found_in_a_whole_tree_and_counted_once)
{
    struct stat st;
    int probe = open("/var/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    cr_assert_eq(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    if (probe < 0 || fstat(probe, &st) < 0)
        cr_skip_test("/var/tmp has no files without a name");
    close(probe);
    pid_t long_one = chain(DEPTH), other = chain(1);

    /* As the others in memory: then the runner does not count them, and neither can this. */
    int64_t one = unnamed(other);
    if (one == 0)
        cr_skip_test("/var/tmp is in memory");
    cr_expect_geq(one, EACH);
    cr_expect_eq(unnamed(long_one), DEPTH * one, "%lld", (long long)unnamed(long_one));
    (void)kill(long_one, SIGKILL);
    (void)kill(other, SIGKILL);
    while (wait(NULL) > 0)
        ;
    cr_expect_eq(unnamed(long_one), 0, "a process that is gone holds nothing");
}

/* As many descriptors as it may have, of one file. */
static void open_for_ever(const struct disk_stage *t)
{
    for (int i = 0; i < 20; i++)
        if (fork() == 0) {
            (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
            while (dup(t->hear) >= 0)
                ;
            (void)!write(t->say, "!", 1);
            for (;;)
                pause();
        }
    for (;;)
        pause();
}

/* A second thread in a process that was forked and not executed: made without a library that takes memory, for another thread of the
 * test's may have held the lock of the memory when it was forked. Both threads share what a library keeps for each. */
static void begin_thread(int (*work)(void *), const struct disk_stage *t)
{
    static _Alignas(64) char stack[256 * 1024];

    if (clone(work, stack + sizeof(stack),
              CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM,
              (void *)(uintptr_t)t) < 0)
        _exit(1);
}

/* Descriptors of its own for one thread, which holds what has no name. */
static int hide(void *arg)
{
    const struct disk_stage *t = arg;

    (void)unshare(CLONE_FILES);
    (void)!write(t->say, hold() ? "!" : "?", 1);
    for (;;)
        pause();
    return 0;
}

static void hide_for_ever(const struct disk_stage *t)
{
    begin_thread(hide, t);
    for (;;)
        pause();
}

/* One that is on its way to itself. */
static void send_for_ever(const struct disk_stage *t)
{
    int pair[2], fd = open(t->tree, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    union {
        struct cmsghdr head;
        char space[CMSG_SPACE(sizeof(int))];
    } control = {.head = {.cmsg_level = SOL_SOCKET,
                          .cmsg_type = SCM_RIGHTS,
                          .cmsg_len = CMSG_LEN(sizeof(int))}};
    char byte = 'x';
    struct iovec part = {.iov_base = &byte, .iov_len = 1};
    const struct msghdr msg = {.msg_iov = &part,
                               .msg_iovlen = 1,
                               .msg_control = control.space,
                               .msg_controllen = sizeof(control.space)};

    memcpy(CMSG_DATA(&control.head), &fd, sizeof(fd));
    bool sent = fd >= 0 && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0 &&
                sendmsg(pair[0], &msg, 0) == 1;
    (void)close(fd);
    (void)!write(t->say, sent ? "!" : "?", 1);
    for (;;)
        pause();
}

/* The first thread is a zombie soon, and the process goes on. */
static int count(void *arg)
{
    const struct disk_stage *t = arg;
    pid_t self = gettid();

    (void)!write(t->say, &self, sizeof(self));
    for (;;)
        ;
    return 0;
}

static void go_on_without_the_first(const struct disk_stage *t)
{
    begin_thread(count, t);
    (void)syscall(SYS_exit, 0);
}

Test(disk, descriptors_without_end_are_not_all_looked_at)
{
    struct rlimit limit;
    struct disk_stage t;
    int64_t bytes;
    char byte;

    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max < 4096 ? limit.rlim_max : 4096;
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    if (limit.rlim_cur < 4096)
        cr_skip_test("too few descriptors are allowed here");
    disk_stage_open(&t, 0);
    disk_stage_box(&t, open_for_ever);
    for (int i = 0; i < 20; i++)
        cr_assert_eq(read(t.hear, &byte, 1), 1);
    cr_expect_not(disk_unnamed(t.top, 0, &bytes), "it looked at 80000 of them");
    disk_stage_close(&t);
}

Test(disk, what_a_thread_holds_by_itself_and_what_is_on_its_way_are_found)
{
    void (*const all[])(const struct disk_stage *) = {hide_for_ever, send_for_ever};

    for (size_t i = 0; i < PJ_COUNT_OF(all); i++) {
        struct disk_stage t;
        int64_t bytes = 0;
        char byte;

        disk_stage_open(&t, 0);
        disk_stage_box(&t, all[i]);
        cr_assert_eq(read(t.hear, &byte, 1), 1);
        if (byte == '!') { /* else /var/tmp has no files without a name */
            bool complete = disk_unnamed(t.top, 0, &bytes);

            cr_expect(!complete || bytes >= EACH, "case %zu: %lld bytes", i, (long long)bytes);
        }
        disk_stage_close(&t);
    }
}

Test(disk, a_process_is_held_whose_first_thread_has_ended)
{
    struct disk_stage t;
    char path[96], text[256] = "";
    pid_t thread;

    disk_stage_open(&t, 0);
    disk_stage_box(&t, go_on_without_the_first);
    cr_assert_eq(read(t.hear, &thread, sizeof(thread)), sizeof(thread));
    struct held *held = family_hold(t.top);
    (void)snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", (int)t.box, (int)thread);
    FILE *f = fopen(path, "re");
    cr_assert_not_null(f);
    cr_assert_not_null(fgets(text, sizeof(text), f));
    (void)fclose(f);
    cr_expect_eq(strrchr(text, ')')[2], 'T', "%s", text);
    family_let_go(held);
    disk_stage_close(&t);
}

Test(disk, what_a_box_has_stopped_itself_is_not_let_go_on)
{
    struct disk_stage t = {0};
    int to[2], from[2];
    char byte = 'x';
    pid_t stopped = fork(), other;

    if (stopped == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)raise(SIGSTOP);
        _exit(0);
    }
    cr_assert_eq(waitpid(stopped, NULL, WUNTRACED), stopped);
    cr_assert(pipe2(to, O_CLOEXEC) == 0 && pipe2(from, O_CLOEXEC) == 0);
    t.hear = to[0];
    t.say = from[1];
    other = fork();
    if (other == 0) {
        (void)close(to[1]);
        disk_stage_answer(&t);
    }
    struct held *held = family_hold(getpid());
    cr_expect_eq(disk_stage_state(other), 'T');
    family_let_go(held);
    cr_assert_eq(write(to[1], &byte, 1), 1);
    cr_expect_eq(read(from[0], &byte, 1), 1);
    cr_expect_eq(disk_stage_state(stopped), 'T');
    (void)kill(stopped, SIGKILL);
    (void)close(to[1]);
    while (wait(NULL) > 0)
        ;
    (void)close(to[0]);
    (void)close(from[0]);
    (void)close(from[1]);
}

/* Held are processes, not who their parents are: one whose parent ends meanwhile is another's child when all go on. */
Test(disk, who_lost_his_parent_while_he_was_held_goes_on)
{
    struct disk_stage t = {0};
    int to[2], from[2];
    char byte = 'x';

    cr_assert_eq(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    cr_assert(pipe2(to, O_CLOEXEC) == 0 && pipe2(from, O_CLOEXEC) == 0);
    t.hear = to[0];
    t.say = from[1];
    pid_t parent = fork();
    if (parent == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        pid_t child = fork();
        if (child == 0) {
            (void)close(to[1]);
            disk_stage_answer(&t);
        }
        (void)!write(from[1], &child, sizeof(child));
        for (;;)
            pause();
    }
    pid_t child = 0;
    cr_assert_eq(read(from[0], &child, sizeof(child)), sizeof(child));
    struct held *held = family_hold(getpid());
    cr_expect_eq(disk_stage_state(child), 'T');
    (void)kill(parent, SIGKILL);
    cr_assert_eq(waitpid(parent, NULL, 0), parent);
    family_let_go(held);
    cr_assert_eq(write(to[1], &byte, 1), 1);
    struct pollfd p = {.fd = from[0], .events = POLLIN};
    cr_expect_eq(poll(&p, 1, 30000), 1, "it stands still for ever");
    (void)kill(child, SIGKILL);
    (void)waitpid(child, NULL, 0);
}
