/* The watch over what a box writes: whom it stops, whom it lets go on, and that a look is short. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "lib/base/fs.h"
#include "tests/runner/disk_stage.h"

static void write_for_ever(const struct disk_stage *t)
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
static void map_for_ever(const struct disk_stage *t)
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

static void make_files_for_ever(const struct disk_stage *t)
{
    char path[96];

    for (int i = 0;; i++) {
        (void)snprintf(path, sizeof(path), "%s/empty-%d", t->tree, i);
        int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
        if (fd >= 0)
            (void)close(fd);
    }
}

Test(disk, who_outgrows_the_bound_stands_still_from_before_it_was_measured)
{
    struct disk_stage t;
    struct stat then, now;
    char path[96];

    disk_stage_open(&t, 20000);
    disk_stage_watch(&t, 4 << 20, 1000000);
    disk_stage_box(&t, write_for_ever);
    (void)snprintf(path, sizeof(path), "%s/big", t.tree);
    cr_expect_eq(disk_stage_look(&t, NULL), DISK_OUTGROWN);
    cr_assert_eq(stat(path, &then), 0);
    cr_expect_eq(disk_stage_state(t.box), 'T', "it went on to write");
    cr_expect_neq(disk_stage_state(t.top), 'T', "what began the box is to end it");
    cr_expect_gt(t.watch.known[DISK_BYTES], 4 << 20);
    disk_watch_end(&t.watch);
    cr_expect_eq(disk_stage_state(t.box), 'T', "it is to be killed as it stands");
    cr_assert_eq(stat(path, &now), 0);
    cr_expect_eq(then.st_size, now.st_size);
    disk_stage_close(&t);
}

Test(disk, a_file_that_is_only_mapped_counts_too)
{
    struct disk_stage t;

    disk_stage_open(&t, 0);
    disk_stage_watch(&t, 16 << 20, 1000000);
    disk_stage_box(&t, map_for_ever);
    cr_expect_eq(disk_stage_look(&t, NULL), DISK_OUTGROWN);
    cr_expect_eq(disk_stage_state(t.box), 'T');
    disk_stage_close(&t);
}

Test(disk, many_empty_files_are_bounded_too)
{
    struct disk_stage t;

    disk_stage_open(&t, 0);
    disk_stage_watch(&t, INT64_C(1) << 40, 3000);
    disk_stage_box(&t, make_files_for_ever);
    cr_expect_eq(disk_stage_look(&t, NULL), DISK_CROWDED);
    cr_expect_gt(t.watch.known[DISK_FILES], 3000);
    cr_expect_eq(disk_stage_state(t.box), 'T');
    disk_stage_close(&t);
}

static bool was_held(struct disk_stage *t)
{
    return t->watch.held != NULL;
}

static bool goes_on(struct disk_stage *t)
{
    return t->watch.held == NULL && t->watch.walk == NULL;
}

/* A neighbour's bytes make the tree be measured, and no more. */
Test(disk, a_box_that_is_held_for_what_others_wrote_goes_on)
{
    static char bytes[8 << 20] = {1};
    struct disk_stage t;
    char path[64], byte = 'x';

    disk_stage_open(&t, 30000);
    disk_stage_watch(&t, 16 << 20, 1000000);
    disk_stage_box(&t, disk_stage_answer);
    (void)snprintf(path, sizeof(path), "%s/others", t.dir);
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
    for (int i = 0; i < 4; i++)
        cr_assert_eq(pj_write_all(fd, bytes, sizeof(bytes)), 0);
    (void)close(fd);
    cr_expect_eq(disk_stage_look(&t, was_held), DISK_FINE);
    cr_expect_eq(disk_stage_state(t.box), 'T');
    cr_expect_eq(disk_stage_look(&t, goes_on), DISK_FINE);
    cr_assert_eq(write(t.say, &byte, 1), 1);
    cr_expect_eq(read(t.hear, &byte, 1), 1, "it stands for ever");
    disk_stage_close(&t);
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
    struct disk_stage t;
    int64_t whole, longest = 0, sum[DISK_KINDS];
    const char *more = getenv("PJ_TEST_DISK_FILES");
    int files = more != NULL ? (int)strtol(more, NULL, 10) : 60000;
    int64_t entries = files + (files + 999) / 1000;
    unsigned looks = 0;

    disk_stage_open(&t, files);
    disk_stage_watch(&t, INT64_C(1) << 40, INT64_C(1) << 40);
    whole = cpu_us();
    struct disk_walk *walk = disk_walk_new(t.watch.dir, enough);
    cr_expect(disk_walk_step(walk, DISK_SOON_US));
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
    disk_stage_close(&t);
}
