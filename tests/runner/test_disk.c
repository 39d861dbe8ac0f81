/* The watch over what a box writes: whom it stops, whom it lets go on, and that a look is short. Files without a name are found wherever in a
 * box's tree of processes they are held, and each is counted once. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "lib/base/clock.h"
#include "lib/base/fs.h"
#include "lib/base/mem.h"
#include "runner/disk.h"
#include "runner/family.h"

#define SOON_US ((int64_t)60 * 1000 * 1000)

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

/* ---- the watch ---- */

struct stage {
    char dir[32]; /* what is watched, below it as "tree" */
    char tree[48];
    pid_t top, box; /* what began the box, and the box's only process */
    int say, hear;
    struct disk_watch watch;
};

#define LINKS_MAX 60000 /* ext4 has 65000 */

/* Names of one file: made at once, and no work for who gives out inodes. */
static void fill(const char *tree, int files)
{
    char first[96] = "", path[96];

    for (int i = 0; i < files; i++) {
        (void)snprintf(path, sizeof(path), "%s/%d", tree, i / 1000);
        if (i % 1000 == 0)
            cr_assert_eq(mkdir(path, 0755), 0);
        (void)snprintf(path, sizeof(path), "%s/%d/%d", tree, i / 1000, i);
        if (i % LINKS_MAX != 0) {
            cr_assert_eq(link(first, path), 0);
            continue;
        }
        memcpy(first, path, sizeof(first));
        int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
        cr_assert_geq(fd, 0);
        (void)close(fd);
    }
}

static void watch(struct stage *t, int64_t bytes, int64_t files)
{
    static const int64_t before[DISK_KINDS] = {0};
    const int64_t grant[DISK_KINDS] = {bytes, files};

    disk_watch_begin(&t->watch, t->tree, before, grant);
}

static void prepare(struct stage *t, int files)
{
    *t = (struct stage){.dir = "/var/tmp/pj-disk-XXXXXX"};
    cr_assert_not_null(mkdtemp(t->dir));
    (void)snprintf(t->tree, sizeof(t->tree), "%s/tree", t->dir);
    cr_assert_eq(mkdir(t->tree, 0755), 0);
    fill(t->tree, files);
}

/* `work` goes on for ever, in a process below one that does nothing. */
static void start_box(struct stage *t, void (*work)(const struct stage *t))
{
    int to[2], from[2];

    cr_assert(pipe2(to, O_CLOEXEC) == 0 && pipe2(from, O_CLOEXEC) == 0);
    t->top = fork();
    if (t->top == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        t->say = from[1];
        t->hear = to[0];
        if (fork() == 0) {
            (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
            pid_t self = getpid();
            (void)!write(from[1], &self, sizeof(self));
            work(t);
        }
        for (;;)
            pause();
    }
    (void)close(to[0]);
    (void)close(from[1]);
    t->say = to[1];
    t->hear = from[0];
    cr_assert_eq(read(t->hear, &t->box, sizeof(t->box)), sizeof(t->box));
}

static void end(struct stage *t)
{
    struct pj_err err;

    disk_watch_end(&t->watch);
    if (t->top != 0) {
        (void)kill(t->box, SIGKILL);
        (void)kill(t->top, SIGKILL);
        (void)waitpid(t->top, NULL, 0);
        (void)close(t->say);
        (void)close(t->hear);
    }
    cr_expect_eq(pj_fs_remove_tree(t->dir, &err), 0, "%s", err.message);
}

static char state_of(pid_t pid)
{
    char path[64], text[256];
    const char *after;

    (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    FILE *f = fopen(path, "re");
    cr_assert_not_null(f);
    size_t n = fread(text, 1, sizeof(text) - 1, f);
    text[n] = '\0';
    (void)fclose(f);
    after = strrchr(text, ')');
    cr_assert_not_null(after);
    return after[2];
}

static enum disk_state look_until(struct stage *t, bool (*done)(struct stage *t))
{
    int64_t until = pj_mono_us() + SOON_US;
    enum disk_state state = DISK_FINE;

    while (state == DISK_FINE && (done == NULL || !done(t))) {
        cr_assert_lt(pj_mono_us(), until, "nothing came of it");
        (void)poll(NULL, 0, disk_watch_timeout_ms(&t->watch));
        state = disk_watch_look(&t->watch, t->top);
    }
    return state;
}

static void write_for_ever(const struct stage *t)
{
    static char bytes[65536] = {1};
    char path[96];

    (void)snprintf(path, sizeof(path), "%s/big", t->tree);
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
    for (;;)
        if (write(fd, bytes, sizeof(bytes)) < 0)
            pause();
}

/* Neither a name nor a descriptor is left of them: each is held by one page that is mapped. */
static void map_for_ever(const struct stage *t)
{
    static char bytes[1 << 20] = {1};
    char path[96];

    for (int i = 0; i < 64; i++) {
        (void)snprintf(path, sizeof(path), "%s/mapped", t->tree);
        int fd = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0644);
        if (pj_write_all(fd, bytes, sizeof(bytes)) < 0 || fsync(fd) < 0 ||
            mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED)
            _exit(1);
        (void)close(fd);
        (void)unlink(path);
    }
    for (;;)
        pause();
}

/* As many descriptors as it may have, of one file. */
static void open_for_ever(const struct stage *t)
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

/* Descriptors of its own for one thread, which holds what has no name. */
static void *hide(void *arg)
{
    const struct stage *t = arg;

    (void)unshare(CLONE_FILES);
    (void)!write(t->say, hold() ? "!" : "?", 1);
    for (;;)
        pause();
    return NULL;
}

static void hide_for_ever(const struct stage *t)
{
    pthread_t thread;

    (void)pthread_create(&thread, NULL, hide, (void *)(uintptr_t)t);
    for (;;)
        pause();
}

/* One that is on its way to itself. */
static void send_for_ever(const struct stage *t)
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
static void *count(void *arg)
{
    const struct stage *t = arg;
    pid_t self = gettid();

    (void)!write(t->say, &self, sizeof(self));
    for (;;)
        ;
    return NULL;
}

static void go_on_without_the_first(const struct stage *t)
{
    pthread_t thread;

    (void)pthread_create(&thread, NULL, count, (void *)(uintptr_t)t);
    pthread_exit(NULL);
}

static void make_files_for_ever(const struct stage *t)
{
    char path[96];

    for (int i = 0;; i++) {
        (void)snprintf(path, sizeof(path), "%s/empty-%d", t->tree, i);
        int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
        if (fd >= 0)
            (void)close(fd);
    }
}

/* Answers as long as it runs. */
static void answer_for_ever(const struct stage *t)
{
    char byte;

    while (read(t->hear, &byte, 1) == 1)
        (void)!write(t->say, &byte, 1);
    _exit(0);
}

Test(disk, who_outgrows_the_bound_stands_still_from_before_it_was_measured)
{
    struct stage t;
    struct stat then, now;
    char path[96];

    prepare(&t, 20000);
    watch(&t, 4 << 20, 1000000);
    start_box(&t, write_for_ever);
    (void)snprintf(path, sizeof(path), "%s/big", t.tree);
    cr_expect_eq(look_until(&t, NULL), DISK_OUTGROWN);
    cr_assert_eq(stat(path, &then), 0);
    cr_expect_eq(state_of(t.box), 'T', "it went on to write");
    cr_expect_neq(state_of(t.top), 'T', "what began the box is to end it");
    cr_expect_gt(t.watch.known[DISK_BYTES], 4 << 20);
    disk_watch_end(&t.watch);
    cr_expect_eq(state_of(t.box), 'T', "it is to be killed as it stands");
    cr_assert_eq(stat(path, &now), 0);
    cr_expect_eq(then.st_size, now.st_size);
    end(&t);
}

Test(disk, a_file_that_is_only_mapped_counts_too)
{
    struct stage t;

    prepare(&t, 0);
    watch(&t, 16 << 20, 1000000);
    start_box(&t, map_for_ever);
    cr_expect_eq(look_until(&t, NULL), DISK_OUTGROWN);
    cr_expect_eq(state_of(t.box), 'T');
    end(&t);
}

Test(disk, descriptors_without_end_are_not_all_looked_at)
{
    struct rlimit limit;
    struct stage t;
    int64_t bytes;
    char byte;

    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max < 4096 ? limit.rlim_max : 4096;
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    if (limit.rlim_cur < 4096)
        cr_skip_test("too few descriptors are allowed here");
    prepare(&t, 0);
    start_box(&t, open_for_ever);
    for (int i = 0; i < 20; i++)
        cr_assert_eq(read(t.hear, &byte, 1), 1);
    cr_expect_not(disk_unnamed(t.top, 0, &bytes), "it looked at 80000 of them");
    end(&t);
}

Test(disk, what_a_thread_holds_by_itself_and_what_is_on_its_way_are_found)
{
    void (*const all[])(const struct stage *) = {hide_for_ever, send_for_ever};

    for (size_t i = 0; i < PJ_COUNT_OF(all); i++) {
        struct stage t;
        int64_t bytes = 0;
        char byte;

        prepare(&t, 0);
        start_box(&t, all[i]);
        cr_assert_eq(read(t.hear, &byte, 1), 1);
        if (byte == '!') { /* else /var/tmp has no files without a name */
            bool complete = disk_unnamed(t.top, 0, &bytes);

            cr_expect(!complete || bytes >= EACH, "case %zu: %lld bytes", i, (long long)bytes);
        }
        end(&t);
    }
}

Test(disk, a_process_is_held_whose_first_thread_has_ended)
{
    struct stage t;
    char path[96], text[256] = "";
    pid_t thread;

    prepare(&t, 0);
    start_box(&t, go_on_without_the_first);
    cr_assert_eq(read(t.hear, &thread, sizeof(thread)), sizeof(thread));
    struct held *held = family_hold(t.top);
    (void)snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", (int)t.box, (int)thread);
    FILE *f = fopen(path, "re");
    cr_assert_not_null(f);
    cr_assert_not_null(fgets(text, sizeof(text), f));
    (void)fclose(f);
    cr_expect_eq(strrchr(text, ')')[2], 'T', "%s", text);
    family_let_go(held);
    end(&t);
}

Test(disk, many_empty_files_are_bounded_too)
{
    struct stage t;

    prepare(&t, 0);
    watch(&t, INT64_C(1) << 40, 3000);
    start_box(&t, make_files_for_ever);
    cr_expect_eq(look_until(&t, NULL), DISK_CROWDED);
    cr_expect_gt(t.watch.known[DISK_FILES], 3000);
    cr_expect_eq(state_of(t.box), 'T');
    end(&t);
}

static bool was_held(struct stage *t)
{
    return t->watch.held != NULL;
}

static bool goes_on(struct stage *t)
{
    return t->watch.held == NULL && t->watch.walk == NULL;
}

/* A neighbour's bytes make the tree be measured, and no more. */
Test(disk, a_box_that_is_held_for_what_others_wrote_goes_on)
{
    static char bytes[8 << 20] = {1};
    struct stage t;
    char path[64], byte = 'x';

    prepare(&t, 30000);
    watch(&t, 16 << 20, 1000000);
    start_box(&t, answer_for_ever);
    (void)snprintf(path, sizeof(path), "%s/others", t.dir);
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
    for (int i = 0; i < 4; i++)
        cr_assert_eq(pj_write_all(fd, bytes, sizeof(bytes)), 0);
    (void)close(fd);
    cr_expect_eq(look_until(&t, was_held), DISK_FINE);
    cr_expect_eq(state_of(t.box), 'T');
    cr_expect_eq(look_until(&t, goes_on), DISK_FINE);
    cr_assert_eq(write(t.say, &byte, 1), 1);
    cr_expect_eq(read(t.hear, &byte, 1), 1, "it stands for ever");
    end(&t);
}

Test(disk, what_a_box_has_stopped_itself_is_not_let_go_on)
{
    struct stage t = {0};
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
        answer_for_ever(&t);
    }
    struct held *held = family_hold(getpid());
    cr_expect_eq(state_of(other), 'T');
    family_let_go(held);
    cr_assert_eq(write(to[1], &byte, 1), 1);
    cr_expect_eq(read(from[0], &byte, 1), 1);
    cr_expect_eq(state_of(stopped), 'T');
    (void)kill(stopped, SIGKILL);
    (void)close(to[1]);
    while (wait(NULL) > 0)
        ;
    (void)close(to[0]);
    (void)close(from[0]);
    (void)close(from[1]);
}

static int64_t cpu_us(void)
{
    struct timespec ts;

    cr_assert_eq(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts), 0);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* In processor time: how long another process had it does not count. PJ_TEST_DISK_FILES=1000000 tells the figures of a large tree. */
Test(disk, a_look_is_a_small_part_of_a_measurement)
{
    static const int64_t enough[DISK_KINDS] = {INT64_MAX, INT64_MAX};
    struct stage t;
    int64_t whole, longest = 0, sum[DISK_KINDS];
    const char *more = getenv("PJ_TEST_DISK_FILES");
    int files = more != NULL ? (int)strtol(more, NULL, 10) : 60000;
    int64_t entries = files + (files + 999) / 1000;
    unsigned looks = 0;

    prepare(&t, files);
    watch(&t, INT64_C(1) << 40, INT64_C(1) << 40);
    whole = cpu_us();
    struct disk_walk *walk = disk_walk_new(t.watch.dir, enough);
    cr_expect(disk_walk_step(walk, SOON_US));
    cr_expect(disk_walk_sum(walk, sum));
    cr_expect_eq(sum[DISK_FILES], entries);
    disk_walk_free(walk);
    whole = cpu_us() - whole;
    while (t.watch.known[DISK_FILES] == 0) {
        (void)poll(NULL, 0, disk_watch_timeout_ms(&t.watch));
        int64_t begin = cpu_us();
        cr_expect_eq(disk_watch_look(&t.watch, getpid()), DISK_FINE);
        int64_t took = cpu_us() - begin;
        longest = took > longest ? took : longest;
        looks++;
    }
    cr_expect_eq(t.watch.known[DISK_FILES], entries);
    cr_expect_lt(longest, whole / 2, "%lld of %lld us in %u looks", (long long)longest,
                 (long long)whole, looks);
    if (more != NULL)
        fprintf(stderr, "%d files: measured in %lld ms, in looks of %lld ms at most\n", files,
                (long long)whole / 1000, (long long)longest / 1000);
    end(&t);
}
