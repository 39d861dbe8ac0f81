#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "lib/base/clock.h"
#include "lib/base/fs.h"
#include "lib/base/mem.h"
#include "runner/spawner.h"

/* The spawner runs its own executable, so this test program is the job too, when its second word is `job-play`: it reads from
 * its description a shell script and becomes it, with the outcome descriptor as the script's standard output. */
__attribute__((constructor)) static void play_job(int argc, char **argv)
{
    char script[4096] = "";
    ssize_t n;

    if (argc < 2 || strcmp(argv[1], "job-play") != 0)
        return;
    n = read(SPAWNER_FD_SPEC, script, sizeof(script) - 1);
    if (n <= 0 || dup2(SPAWNER_FD_OUTCOME, 1) < 0 || dup2(SPAWNER_FD_CONTROL, 0) < 0)
        _exit(90);
    (void)close(SPAWNER_FD_OUTCOME);
    (void)execl("/bin/sh", "sh", "-c", script, (char *)NULL);
    _exit(91);
}

#define PLACE 3

struct run {
    struct spawner spawner;
    int outcome, control;
    char dir[64], work[80];
};

static void start(struct run *r)
{
    static char name[] = "test", play[] = "job-play";
    static char *argv[] = {name, play, NULL};
    struct pj_err err;

    (void)snprintf(r->dir, sizeof(r->dir), "/tmp/pj-test-spawner-XXXXXX");
    cr_assert_not_null(mkdtemp(r->dir));
    (void)snprintf(r->work, sizeof(r->work), "%s/work", r->dir);
    cr_assert_eq(mkdir(r->work, 0700), 0);
    cr_assert_eq(spawner_start(argv, -1, &r->spawner, &err), 0);
}

static void job(struct run *r, uint32_t token, const char *script)
{
    int spec[2], outcome[2], control[2];
    struct pj_err err;
    struct spawner_job j = {.token = token, .place = PLACE, .work_dir = r->work};

    cr_assert_eq(pipe2(spec, O_CLOEXEC), 0);
    cr_assert_eq(pipe2(outcome, O_CLOEXEC), 0);
    cr_assert_eq(pipe2(control, O_CLOEXEC), 0);
    cr_assert_eq(pj_write_all(spec[1], script, strlen(script)), 0);
    j.spec = spec[0];
    j.outcome = outcome[1];
    j.control = control[0];
    cr_assert_eq(spawner_run(&r->spawner, &j, &err), 0, "%s", err.message);
    (void)close(spec[0]);
    (void)close(spec[1]);
    (void)close(outcome[1]);
    (void)close(control[0]);
    r->outcome = outcome[0];
    r->control = control[1];
}

static struct spawner_event await(struct run *r)
{
    struct pollfd p = {.fd = r->spawner.fd, .events = POLLIN};
    struct spawner_event ev;
    struct pj_err err;
    int rc;

    while ((rc = spawner_next(&r->spawner, &ev, &err)) == PJ_NONE)
        cr_assert_eq(poll(&p, 1, 20000), 1, "no event");
    cr_assert_eq(rc, 0, "%s", err.message);
    return ev;
}

/* The next line of the job's output: it says what it started. */
static void read_line(struct run *r, char *line, size_t size)
{
    size_t n = 0;

    while (n + 1 < size && read(r->outcome, line + n, 1) == 1 && line[n] != '\n')
        n++;
    line[n] = '\0';
}

static void stop(struct run *r)
{
    struct pj_err err;

    spawner_stop(&r->spawner);
    (void)close(r->outcome);
    (void)close(r->control);
    cr_assert_eq(pj_fs_remove_tree(r->dir, &err), 0);
}

static bool is_gone(long pid)
{
    return kill((pid_t)pid, 0) < 0 && errno == ESRCH;
}

Test(spawner, tells_the_exit_code_and_removes_the_folder)
{
    struct run r;
    struct spawner_event ev;
    char line[100];

    start(&r);
    job(&r, 7, "echo hello; exit 3");
    read_line(&r, line, sizeof(line));
    ev = await(&r);
    cr_assert_str_eq(line, "hello");
    cr_assert_eq(ev.token, 7);
    cr_assert_eq(ev.status, 3);
    cr_assert_not(pj_fs_exists(r.work));
    stop(&r);
}

/* The kernel may choose it when memory runs out. Its job dies with it, and what that had started is not left to itself. */
Test(spawner, a_killed_keeper_leaves_nothing_and_its_job_has_ended)
{
    struct run r;
    struct spawner_event ev;
    char line[100];
    long keeper, orphan;

    start(&r);
    job(&r, 9, "setsid sh -c 'trap \"\" TERM; exec sleep 1000' & echo $PPID $!; wait");
    read_line(&r, line, sizeof(line));
    cr_assert_eq(sscanf(line, "%ld %ld", &keeper, &orphan), 2, "%s", line);
    cr_assert_eq(kill((pid_t)keeper, SIGKILL), 0);
    ev = await(&r);
    cr_expect_eq(ev.token, 9);
    cr_expect_eq(ev.status, 128 + SIGKILL);
    cr_expect(is_gone(orphan), "it goes on by itself");
    job(&r, 10, "exit 4"); /* the spawner goes on, too */
    ev = await(&r);
    cr_expect_eq(ev.token, 10);
    cr_expect_eq(ev.status, 4);
    stop(&r);
}

/* Nobody moves its fence on, as a daemon does that stands still. */
Test(spawner, a_job_whose_fence_is_reached_is_ended_with_all_it_started)
{
    struct run r;
    struct spawner_event ev;
    char line[100];
    long pid;

    start(&r);
    int64_t at = pj_mono_ms() + 300;
    spawner_fence(&r.spawner, PLACE, at);
    job(&r, 1, "trap '' TERM; setsid sleep 1000 & echo $!; wait");
    ev = await(&r);
    cr_expect_geq(pj_mono_ms(), at);
    cr_expect_eq(ev.status, SPAWNER_FENCED);
    read_line(&r, line, sizeof(line));
    if (sscanf(line, "%ld", &pid) ==
        1) /* on a busy machine its time may have come before it began */
        cr_expect(is_gone(pid));
    cr_expect_not(pj_fs_exists(r.work));
    stop(&r);
}

Test(spawner, a_job_whose_fence_is_moved_on_in_time_is_left_alone)
{
    struct run r;
    struct spawner_event ev;
    struct pollfd p;

    start(&r);
    spawner_fence(&r.spawner, PLACE, pj_mono_ms() + 2000);
    spawner_fence(&r.spawner, PLACE + 1, 1); /* another's */
    job(&r, 1, "read order; exit 5");
    spawner_fence(&r.spawner, PLACE, pj_mono_ms() + 600000);
    p = (struct pollfd){.fd = r.spawner.fd, .events = POLLIN};
    cr_expect_eq(poll(&p, 1, 2200), 0, "it was ended");
    cr_assert_eq(write(r.control, "go\n", 3), 3);
    ev = await(&r);
    cr_expect_eq(ev.status, 5);
    stop(&r);
}

Test(spawner, ends_a_job_with_all_its_descendants)
{
    struct run r;
    struct spawner_event ev;
    struct pj_err err;
    char line[100];
    long pids[3];

    start(&r);
    /* An ordinary child, one in a session of its own that ignores signals, and the grandchild of a parent that has left. */
    job(&r, 1,
        "trap '' TERM HUP; (exec sleep 1000) & a=$!; setsid sh -c 'trap \"\" TERM; exec sleep "
        "1000' & b=$!;"
        " c=$( (exec sleep 1000 >/dev/null) & echo $!); echo $a $b $c; wait");
    read_line(&r, line, sizeof(line));
    cr_assert_eq(sscanf(line, "%ld %ld %ld", &pids[0], &pids[1], &pids[2]), 3, "%s", line);
    cr_assert_eq(spawner_kill(&r.spawner, 1, &err), 0);
    ev = await(&r);
    cr_assert_eq(ev.status, 128 + SIGKILL);
    for (size_t i = 0; i < 3; i++)
        cr_assert(is_gone(pids[i]), "descendant %zu lives", i);
    cr_assert_not(pj_fs_exists(r.work));
    stop(&r);
}

Test(spawner, says_ended_only_after_what_the_job_left_is_gone)
{
    struct run r;
    struct spawner_event ev;
    char line[100];
    long pid = 0;

    start(&r);
    job(&r, 1, "setsid sh -c 'exec sleep 1000' & echo $!; exit 0");
    read_line(&r, line, sizeof(line));
    pid = strtol(line, NULL, 10);
    ev = await(&r);
    cr_assert_eq(ev.status, 0);
    cr_assert_gt(pid, 0);
    cr_assert(is_gone(pid));
    stop(&r);
}

Test(spawner, ends_every_job_when_the_daemon_dies)
{
    struct run r;
    int told[2];
    pid_t daemon;
    long pid = 0;
    int st;
    char byte, text[200] = "";

    /* The daemon is a child of this test, killed with no chance to say anything. */
    cr_assert_eq(pipe2(told, O_CLOEXEC), 0);
    daemon = fork();
    if (daemon == 0) {
        char line[100];

        (void)close(told[0]);
        start(&r);
        job(&r, 1, "echo $$; exec sleep 1000");
        read_line(&r, line, sizeof(line));
        (void)dprintf(told[1], "%s %s\n", line, r.dir);
        (void)pause();
        _exit(0);
    }
    (void)close(told[1]);
    {
        FILE *f = fdopen(told[0], "r");

        cr_assert_not_null(f);
        cr_assert_not_null(fgets(text, sizeof(text), f));
        cr_assert_eq(sscanf(text, "%ld %63s", &pid, r.dir), 2);
        cr_assert_eq(kill(daemon, SIGKILL), 0);
        cr_assert_eq(waitpid(daemon, &st, 0), daemon);
        /* The write end is open in spawner and keeper until they have left. */
        cr_assert_eq(fread(&byte, 1, 1, f), 0);
        (void)fclose(f);
    }
    cr_assert(is_gone(pid));
    (void)snprintf(r.work, sizeof(r.work), "%s/work", r.dir);
    cr_assert_not(pj_fs_exists(r.work));
    (void)rmdir(r.dir);
}

/* A limit on descriptors under which the spawner can be started, but has two left for a job's three. */
static void start_with_few_descriptors(struct run *r)
{
    struct rlimit old, few;
    int probe[4];

    for (size_t i = 0; i < PJ_COUNT_OF(probe); i++)
        probe[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
    for (size_t i = 0; i < PJ_COUNT_OF(probe); i++)
        (void)close(probe[i]);
    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
    few = (struct rlimit){.rlim_cur = (rlim_t)probe[3] + 1, .rlim_max = old.rlim_max};
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
    start(r);
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &old), 0);
}

/* What did not get through to the spawner whole is told to have ended: the daemon waits for nothing else. */
Test(spawner, a_job_whose_descriptors_did_not_arrive_has_ended)
{
    struct run r;
    struct spawner_event ev;
    char byte;

    start_with_few_descriptors(&r);
    job(&r, 9, "echo hello");
    ev = await(&r);
    cr_expect_eq(ev.token, 9);
    cr_expect_eq(ev.status, 125);
    cr_expect_eq(read(r.outcome, &byte, 1), 0, "what did arrive was closed");
    stop(&r);
}

Test(spawner, hands_orders_to_the_job)
{
    struct run r;
    struct spawner_event ev;
    char line[100];

    start(&r);
    job(&r, 1, "read order; echo got $order");
    cr_assert_eq(write(r.control, "cancel\n", 7), 7);
    read_line(&r, line, sizeof(line));
    ev = await(&r);
    cr_assert_str_eq(line, "got cancel");
    cr_assert_eq(ev.status, 0);
    stop(&r);
}
