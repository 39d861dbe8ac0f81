#include "tests/runner/disk_stage.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "lib/base/clock.h"
#include "lib/base/fs.h"

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

void disk_stage_watch(struct disk_stage *t, int64_t bytes, int64_t files)
{
    static const int64_t before[DISK_KINDS] = {0};
    const int64_t grant[DISK_KINDS] = {bytes, files};

    disk_watch_begin(&t->watch, t->tree, before, grant);
}

void disk_stage_open(struct disk_stage *t, int files)
{
    *t = (struct disk_stage){.dir = "/var/tmp/pj-disk-XXXXXX"};
    cr_assert_not_null(mkdtemp(t->dir));
    (void)snprintf(t->tree, sizeof(t->tree), "%s/tree", t->dir);
    cr_assert_eq(mkdir(t->tree, 0755), 0);
    fill(t->tree, files);
}

/* `work` goes on for ever, in a process below one that does nothing. */
void disk_stage_box(struct disk_stage *t, void (*work)(const struct disk_stage *t))
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
        (void)close(from[1]); /* so that a box that dies is heard */
        for (;;)
            pause();
    }
    (void)close(to[0]);
    (void)close(from[1]);
    t->say = to[1];
    t->hear = from[0];
    cr_assert_eq(read(t->hear, &t->box, sizeof(t->box)), sizeof(t->box));
}

void disk_stage_close(struct disk_stage *t)
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

char disk_stage_state(pid_t pid)
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

enum disk_state disk_stage_look(struct disk_stage *t, bool (*done)(struct disk_stage *t))
{
    int64_t until = pj_mono_us() + DISK_SOON_US;
    enum disk_state state = DISK_FINE;

    while (state == DISK_FINE && (done == NULL || !done(t))) {
        cr_assert_lt(pj_mono_us(), until, "nothing came of it");
        (void)poll(NULL, 0, disk_watch_timeout_ms(&t->watch));
        state = disk_watch_look(&t->watch, t->top);
    }
    return state;
}

/* Answers as long as it runs. */
void disk_stage_answer(const struct disk_stage *t)
{
    char byte;

    while (read(t->hear, &byte, 1) == 1)
        (void)!write(t->say, &byte, 1);
    _exit(0);
}
