#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "lib/base/fs.h"
#include "lib/base/mem.h"
#include "runner/box.h"

struct seen {
    struct pj_str out, err;
    int ends;
};

static void output(void *ctx, bool error, struct pj_view bytes)
{
    struct seen *seen = ctx;

    if (bytes.n == 0)
        seen->ends++;
    else
        (void)pj_str_append(error ? &seen->err : &seen->out, bytes.p, bytes.n);
}

static char *program(void)
{
    const char *bin = getenv("PJ_TEST_BIN");

    return pj_asprintf("%s/pj-sandbox", bin != NULL ? bin : "build/bin");
}

static void serve(struct box *box)
{
    while (!box_is_over(box)) {
        struct pollfd fds[BOX_FDS];
        size_t n = box_want(box, fds);

        cr_assert_gt(poll(fds, n, 30000), 0, "the box is silent");
        box_ready(box, fds, n);
    }
}

static void run_with(const char *const *argv, int64_t timeout_ms, struct box_ahead *ahead,
                     struct seen *seen, struct box_result *result)
{
    PJ_CLEANUP(pj_freep) char *path = program();
    char dir[] = "/tmp/pj-test-box-XXXXXX";
    struct box_spec spec = {.program = path,
                            .workspace = dir,
                            .timeout_ms = timeout_ms,
                            .argv = argv,
                            .ahead = ahead,
                            .output = output,
                            .ctx = seen};
    struct box box;
    struct pj_err err;

    *seen = (struct seen){0};
    pj_str_init(&seen->out, 1 << 20);
    pj_str_init(&seen->err, 1 << 20);
    cr_assert_not_null(mkdtemp(dir));
    cr_assert_eq(box_start(&spec, &box, &err), 0, "%s", err.message);
    serve(&box);
    cr_assert_eq(box_result_get(&box, result, &err), 0, "%s; stderr: %s", err.message,
                 pj_str_cstr(&seen->err));
    box_release(&box);
    cr_assert_eq(pj_fs_remove_tree(dir, &err), 0);
}

static void run(const char *const *argv, int64_t timeout_ms, struct seen *seen,
                struct box_result *result)
{
    run_with(argv, timeout_ms, NULL, seen, result);
}

static void release(struct seen *seen, struct box_result *result)
{
    pj_str_release(&seen->out);
    pj_str_release(&seen->err);
    box_result_release(result);
}

Test(box, runs_a_command_and_tells_its_end)
{
    const char *const argv[] = {"/bin/sh", "-c", "echo to out; echo to err >&2; pwd; exit 5", NULL};
    struct seen seen;
    struct box_result result;

    run(argv, 20000, &seen, &result);
    cr_assert_eq(result.exit_code, 5);
    cr_assert_null(result.error_step, "%s: %s", result.error_step, result.error_remedy);
    cr_assert_str_eq(pj_str_cstr(&seen.out), "to out\n/workspace\n");
    cr_assert_str_eq(pj_str_cstr(&seen.err), "to err\n");
    cr_assert_eq(seen.ends, 2);
    cr_assert_not(result.timed_out);
    release(&seen, &result);
}

Test(box, ends_at_its_time_limit)
{
    const char *const argv[] = {"/bin/sh", "-c", "exec sleep 1000", NULL};
    struct seen seen;
    struct box_result result;

    run(argv, 300, &seen, &result);
    cr_assert(result.timed_out);
    cr_assert_eq(result.exit_code, 124);
    release(&seen, &result);
}

Test(box, is_dead_after_a_stop_and_still_reports)
{
    const char *const argv[] = {
        "/bin/sh", "-c", "trap '' TERM INT; echo started; while :; do sleep 1000; done", NULL};
    PJ_CLEANUP(pj_freep) char *path = program();
    char dir[] = "/tmp/pj-test-box-XXXXXX";
    struct seen seen = {0};
    struct box_spec spec = {.program = path,
                            .workspace = dir,
                            .timeout_ms = 60000,
                            .argv = argv,
                            .output = output,
                            .ctx = &seen};
    struct box_result result;
    struct box box;
    struct pj_err err;
    bool stopped = false;

    pj_str_init(&seen.out, 1 << 20);
    pj_str_init(&seen.err, 1 << 20);
    cr_assert_not_null(mkdtemp(dir));
    cr_assert_eq(box_start(&spec, &box, &err), 0, "%s", err.message);
    while (!box_is_over(&box)) {
        struct pollfd fds[BOX_FDS];
        size_t n = box_want(&box, fds);

        cr_assert_gt(poll(fds, n, 30000), 0);
        box_ready(&box, fds, n);
        if (!stopped && strcmp(pj_str_cstr(&seen.out), "started\n") == 0) {
            stopped = true;
            box_stop(&box);
        }
    }
    cr_assert_eq(box_result_get(&box, &result, &err), 0, "%s", err.message);
    cr_assert_eq(result.exit_code, 128 + SIGKILL);
    box_release(&box);
    cr_assert_eq(pj_fs_remove_tree(dir, &err), 0);
    release(&seen, &result);
}

Test(box, is_dead_after_a_kill_and_says_so)
{
    const char *const argv[] = {"/bin/sh", "-c", "echo started; exec sleep 1000", NULL};
    PJ_CLEANUP(pj_freep) char *path = program();
    char dir[] = "/tmp/pj-test-box-XXXXXX";
    struct seen seen = {0};
    struct box_spec spec = {.program = path,
                            .workspace = dir,
                            .timeout_ms = 60000,
                            .argv = argv,
                            .output = output,
                            .ctx = &seen};
    struct box_result result;
    struct box box;
    struct pj_err err;

    pj_str_init(&seen.out, 1 << 20);
    pj_str_init(&seen.err, 1 << 20);
    cr_assert_not_null(mkdtemp(dir));
    cr_assert_eq(box_start(&spec, &box, &err), 0, "%s", err.message);
    while (strcmp(pj_str_cstr(&seen.out), "started\n") != 0) {
        struct pollfd fds[BOX_FDS];
        size_t n = box_want(&box, fds);

        cr_assert_gt(poll(fds, n, 30000), 0);
        box_ready(&box, fds, n);
        cr_assert_not(box_is_over(&box), "%s", pj_str_cstr(&seen.err));
    }
    box_kill(&box);
    serve(&box); /* ends only when all holders of its output are gone */
    cr_assert_lt(box_result_get(&box, &result, &err), 0);
    release(&seen, &result);
    box_release(&box);
    cr_assert_eq(pj_fs_remove_tree(dir, &err), 0);
}

/* ---- built ahead ---- */

static struct box_ahead begin_ahead(void)
{
    PJ_CLEANUP(pj_freep) char *path = program();
    const struct box_ahead_spec spec = {
        .program = path, .of = "test", .memory_bytes = 64 << 20, .pids = 20};
    struct box_ahead ahead = {0};
    struct pj_err err;

    cr_assert_eq(box_ahead_start(&spec, &ahead, &err), 0, "%s", err.message);
    return ahead;
}

/* The pid that was in box_ahead is the box's: no other was started. */
Test(box, one_built_ahead_is_used_and_is_like_any_other)
{
    const char *const argv[] = {"/bin/sh", "-c", "echo to out; echo to err >&2; pwd; exit 5", NULL};
    PJ_CLEANUP(pj_freep) char *path = program();
    char dir[] = "/tmp/pj-test-box-XXXXXX";
    struct box_ahead ahead = begin_ahead();
    struct seen seen = {0};
    struct box_spec spec = {.program = path,
                            .workspace = dir,
                            .timeout_ms = 20000,
                            .memory_bytes = 64 << 20,
                            .pids = 20,
                            .argv = argv,
                            .ahead = &ahead,
                            .output = output,
                            .ctx = &seen};
    struct box_result result;
    struct box box;
    struct pj_err err;
    pid_t pid = ahead.pid;

    pj_str_init(&seen.out, 1 << 20);
    pj_str_init(&seen.err, 1 << 20);
    cr_assert_not_null(mkdtemp(dir));
    cr_assert_eq(box_start(&spec, &box, &err), 0, "%s", err.message);
    cr_assert_eq(box.pid, pid);
    cr_assert_eq(ahead.pid, 0);
    serve(&box);
    cr_assert_eq(box_result_get(&box, &result, &err), 0, "%s", err.message);
    cr_assert_eq(result.exit_code, 5);
    cr_assert_str_eq(pj_str_cstr(&seen.out), "to out\n/workspace\n");
    cr_assert_str_eq(pj_str_cstr(&seen.err), "to err\n");
    cr_assert_eq(seen.ends, 2);
    box_release(&box);
    cr_assert_eq(pj_fs_remove_tree(dir, &err), 0);
    release(&seen, &result);
}

Test(box, one_built_ahead_that_is_lost_is_replaced)
{
    const char *const argv[] = {"/bin/sh", "-c", "echo here; exit 6", NULL};

    /* Killed, or never one of ours. */
    for (int i = 0; i < 2; i++) {
        const struct box_ahead_spec strange = {.program = "/bin/true", .of = "test"};
        struct box_ahead ahead = {0};
        struct seen seen;
        struct box_result result;
        struct pj_err err;

        if (i == 0) {
            ahead = begin_ahead();
            kill(ahead.pid, SIGKILL);
        } else {
            cr_assert_eq(box_ahead_start(&strange, &ahead, &err), 0, "%s", err.message);
        }
        run_with(argv, 20000, &ahead, &seen, &result);
        cr_assert_eq(result.exit_code, 6);
        cr_assert_str_eq(pj_str_cstr(&seen.out), "here\n");
        cr_assert_eq(ahead.pid, 0);
        release(&seen, &result);
    }
}

Test(box, one_built_ahead_and_not_needed_ends)
{
    struct box_ahead ahead = begin_ahead();

    box_ahead_end(&ahead);
    cr_assert_eq(ahead.pid, 0);
    cr_assert_eq(waitpid(-1, NULL, WNOHANG), -1, "a process is left");
    box_ahead_end(&ahead); /* none is fine */
}

Test(box, one_built_ahead_dies_with_its_owner)
{
    struct pollfd p = {.events = POLLIN};
    int told[2];
    pid_t owner, box = 0;

    cr_assert_eq(pipe(told), 0);
    owner = fork();
    if (owner == 0) {
        struct box_ahead ahead = begin_ahead();

        poll(&(struct pollfd){.fd = ahead.socket, .events = POLLIN}, 1, 30000);
        if (write(told[1], &ahead.pid, sizeof ahead.pid) > 0)
            pause();
        _exit(1);
    }
    cr_assert_eq(read(told[0], &box, sizeof box), (ssize_t)sizeof box);
    p.fd = pidfd_open(box, 0);
    cr_assert_geq(p.fd, 0);
    kill(owner, SIGKILL);
    cr_assert_eq(waitpid(owner, NULL, 0), owner);
    cr_assert_eq(poll(&p, 1, 10000), 1, "it outlives its owner");
    close(p.fd);
    close(told[0]);
    close(told[1]);
}

Test(box, says_what_cannot_be_started)
{
    const char *const argv[] = {"/bin/true", NULL};
    struct box_spec spec = {
        .program = "/nowhere/pj-sandbox", .workspace = "/tmp", .timeout_ms = 1000, .argv = argv};
    struct box box;
    struct pj_err err;

    cr_assert_lt(box_start(&spec, &box, &err), 0);
    cr_assert_str_eq(err.code, "sandbox_unavailable");
}
