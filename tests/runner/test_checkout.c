/* Files of a commit that tasks share: written out once, never polluted, made anew when something touched them. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/fs.h"
#include "lib/base/mem.h"
#include "runner/box.h"
#include "runner/checkout.h"
#include "runner/collect.h"
#include "tests/runner/workspace_fix.h"

static struct workspace_fix fix;

static void begin(void)
{
    workspace_fix_begin(&fix, NULL, 0);
}

static void end(void)
{
    workspace_fix_end(&fix);
}

TestSuite(checkout, .init = begin, .fini = end);

/* A workspace of task `n` on `branch` (NULL: the default). */
static struct workspace *open_task(unsigned n, const char *branch)
{
    struct workspace_spec spec = workspace_fix_spec(&fix);
    PJ_CLEANUP(pj_freep) char *task = pj_asprintf("0a1b2c3d4e5f6g7h8i%04u", n);
    struct workspace *ws = NULL;
    struct pj_err err;

    spec.task_id = task;
    spec.base_branch = branch;
    spec.share_from_files = 1;
    cr_assert_eq(workspace_open(&spec, &ws, &err), 0, "%s", err.message);
    return ws;
}

static struct stat shared_stat(const struct workspace *ws, const char *path)
{
    PJ_CLEANUP(pj_freep) char *full = pj_asprintf("%s/%s", workspace_shared(ws), path);
    struct stat st;

    cr_assert_eq(lstat(full, &st), 0, "%s", full);
    return st;
}

static void assert_content(const char *dir, const char *path, const char *content)
{
    PJ_CLEANUP(pj_freep) char *full = pj_asprintf("%s/%s", dir, path);
    PJ_CLEANUP(pj_str_release) struct pj_str text;
    struct pj_err err;

    pj_str_init(&text, 10000);
    cr_assert_eq(pj_fs_read(full, &text, &err), 0, "%s", err.message);
    cr_assert_str_eq(pj_str_cstr(&text), content);
}

Test(checkout, tasks_on_one_commit_share_its_files)
{
    struct workspace *a = open_task(1, NULL);
    struct workspace *b = open_task(2, NULL);

    cr_assert_not_null(workspace_shared(a));
    cr_assert_str_eq(workspace_shared(a), workspace_shared(b));
    cr_assert_str_neq(workspace_tree(a), workspace_tree(b), "each has a layer of its own");
    assert_content(workspace_shared(a), "README.md", "# Sample\n\nA sample.\n");
    ino_t first = shared_stat(a, "README.md").st_ino;
    workspace_close(a);
    workspace_close(b);
    struct workspace *c = open_task(3, NULL);
    cr_assert_eq(shared_stat(c, "README.md").st_ino, first, "written out once");
    workspace_close(c);
}

Test(checkout, small_commits_are_copied_where_only_large_ones_are_shared)
{
    struct workspace_spec spec = workspace_fix_spec(&fix);
    struct pj_err err;

    spec.share_from_files = 5;
    cr_assert_eq(workspace_open(&spec, &fix.ws, &err), 0, "%s", err.message);
    cr_assert_null(workspace_shared(fix.ws));
    assert_content(workspace_tree(fix.ws), "README.md", "# Sample\n\nA sample.\n");
}

static void spoil(const char *path, bool hide_time)
{
    struct stat st;
    int fd = open(path, O_WRONLY | O_CLOEXEC);

    cr_assert_geq(fd, 0);
    cr_assert_eq(fstat(fd, &st), 0);
    cr_assert_eq(pwrite(fd, "X", 1, 0), 1); /* the size stays */
    const struct timespec times[2] = {st.st_atim, st.st_mtim};
    if (hide_time)
        cr_assert_eq(futimens(fd, times), 0);
    close(fd);
}

Test(checkout, one_that_was_touched_is_made_anew)
{
    for (int hide_time = 0; hide_time < 2; hide_time++) {
        struct workspace *ws = open_task(1, NULL);
        PJ_CLEANUP(pj_freep) char *path = pj_asprintf("%s/src/main.c", workspace_shared(ws));
        PJ_CLEANUP(pj_freep) char *more = pj_asprintf("%s/planted", workspace_shared(ws));
        workspace_close(ws);
        spoil(path, hide_time == 1);
        if (hide_time == 0)
            cr_assert_eq(mkdir(more, 0755), 0);
        ws = open_task(2, NULL);
        assert_content(workspace_shared(ws), "src/main.c", "int main(void)\n{\n    return 0;\n}\n");
        cr_assert_neq(access(more, F_OK), 0, "what was planted is gone");
        workspace_close(ws);
    }
}

/* While a task uses a spoiled one it cannot be made anew: the next task gets another. */
Test(checkout, a_spoiled_one_in_use_is_left_to_its_user)
{
    struct workspace *user = open_task(1, NULL);
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf("%s/README.md", workspace_shared(user));

    spoil(path, true);
    struct workspace *next = open_task(2, NULL);
    cr_assert_not_null(workspace_shared(next));
    cr_assert_str_neq(workspace_shared(next), workspace_shared(user));
    assert_content(workspace_shared(next), "README.md", "# Sample\n\nA sample.\n");
    workspace_close(next);
    workspace_close(user);
}

Test(checkout, one_that_was_not_finished_is_made_anew)
{
    struct workspace *ws = open_task(1, NULL);
    PJ_CLEANUP(pj_freep) char *seal = pj_asprintf("%s.seal", workspace_shared(ws));
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf("%s/README.md", workspace_shared(ws));

    workspace_close(ws);
    cr_assert_eq(unlink(seal), 0);
    cr_assert_eq(unlink(path), 0);
    ws = open_task(2, NULL);
    assert_content(workspace_shared(ws), "README.md", "# Sample\n\nA sample.\n");
    workspace_close(ws);
}

Test(checkout, a_repository_has_few_of_them_and_the_next_commit_is_copied)
{
    static const char *const branches[] = {"b0", "b1", "b2", "b3", "b4"};
    struct workspace *ws[CHECKOUT_SLOTS + 1];
    PJ_CLEANUP(pj_freep) char *longest_unused = NULL;

    cr_assert_eq(PJ_COUNT_OF(ws), PJ_COUNT_OF(branches));
    for (unsigned i = 0; i <= CHECKOUT_SLOTS; i++) {
        const struct gitfix_file file = {"which.txt", branches[i], false};
        free(gitfix_commit(fix.remote, branches[i], &file, 1, "more"));
        ws[i] = open_task(i, branches[i]);
        cr_assert_eq(workspace_shared(ws[i]) == NULL, i == CHECKOUT_SLOTS);
    }
    assert_content(workspace_tree(ws[CHECKOUT_SLOTS]), "which.txt", "b4");
    workspace_close(ws[CHECKOUT_SLOTS]);
    longest_unused = pj_strdup(workspace_shared(ws[2]));
    workspace_close(ws[2]);
    ws[2] = open_task(2, "b4");
    cr_assert_str_eq(workspace_shared(ws[2]), longest_unused, "the one nobody uses makes room");
    assert_content(workspace_shared(ws[2]), "which.txt", "b4");
    for (unsigned i = 0; i < CHECKOUT_SLOTS; i++)
        workspace_close(ws[i]);
}

Test(checkout, trimming_spares_what_is_in_use)
{
    struct workspace *ws = open_task(1, NULL);
    PJ_CLEANUP(pj_freep) char *dir = pj_strdup(workspace_shared(ws));
    PJ_CLEANUP(pj_freep) char *seal = pj_asprintf("%s.seal", dir);
    struct pj_err err;

    cr_assert_eq(workspace_cache_trim(fix.state, 0, &err), 0, "%s", err.message);
    assert_content(dir, "README.md", "# Sample\n\nA sample.\n");
    workspace_close(ws);
    cr_assert_eq(workspace_cache_trim(fix.state, 0, &err), 0, "%s", err.message);
    cr_assert_not(pj_fs_exists(dir));
    cr_assert_not(pj_fs_exists(seal));
}

Test(checkout, tasks_that_begin_at_once_make_one)
{
    enum { TASKS = 6 };
    pid_t pids[TASKS];

    for (unsigned i = 0; i < TASKS; i++) {
        pids[i] = fork();
        cr_assert_geq(pids[i], 0);
        if (pids[i] == 0) {
            struct workspace *ws = open_task(i, NULL);
            bool fine = workspace_shared(ws) != NULL;
            workspace_close(ws);
            _exit(fine ? 0 : 1);
        }
    }
    for (unsigned i = 0; i < TASKS; i++) {
        int status = -1;
        cr_assert_eq(waitpid(pids[i], &status, 0), pids[i]);
        cr_expect_eq(status, 0);
    }
    struct workspace *ws = open_task(9, NULL);
    size_t n = strlen(workspace_shared(ws));
    cr_expect_eq(workspace_shared(ws)[n - 1], '0', "no second copy was made: %s",
                 workspace_shared(ws));
    workspace_close(ws);
}

/* ---- through a box ---- */

static void ignore_output(void *ctx, bool error, struct pj_view bytes)
{
    (void)ctx;
    (void)error;
    (void)bytes;
}

/* Run `script` over the shared files; the merged tree's descriptor, or -1 where the host can make no overlay. */
static int run_box(const struct workspace *ws, const char *script)
{
    const char *bin = getenv("PJ_TEST_BIN");
    PJ_CLEANUP(pj_freep)
    char *program = pj_asprintf("%s/pj-sandbox", bin != NULL ? bin : "build/bin");
    const char *const argv[] = {"/bin/sh", "-c", script, NULL};
    const struct box_spec spec = {.program = program,
                                  .workspace = workspace_tree(ws),
                                  .workspace_base = workspace_shared(ws),
                                  .timeout_ms = 60000,
                                  .argv = argv,
                                  .output = ignore_output};
    struct box_result result;
    struct box box;
    struct pj_err err;
    int tree = -1;

    cr_assert_eq(box_start(&spec, &box, &err), 0, "%s", err.message);
    while (!box_is_over(&box)) {
        struct pollfd fds[BOX_FDS];
        size_t n = box_want(&box, fds);
        cr_assert_gt(poll(fds, n, 60000), 0, "the box is silent");
        box_ready(&box, fds, n);
    }
    cr_assert_eq(box_result_get(&box, &result, &err), 0, "%s", err.message);
    if (result.error_step == NULL) {
        cr_assert_eq(result.exit_code, 0);
        cr_assert_eq(box_tree_take(&box, &tree, &err), 0, "%s", err.message);
        cr_assert_lt(box_tree_take(&box, &(int){-1}, &err), 0, "it is given once");
    }
    box_result_release(&result);
    box_release(&box);
    return tree;
}

Test(checkout, the_collector_sees_files_and_layer_as_one_and_the_files_stay_clean)
{
    struct workspace *ws = open_task(1, NULL);
    ino_t first = shared_stat(ws, "src/main.c").st_ino;
    struct collect_result result;
    struct pj_err err;
    int tree = run_box(ws, "echo more >> README.md && rm run.sh && mkdir new && echo n > new/f && "
                           "mv src moved && chmod 644 new/f && ! touch /workspace/../x");

    if (tree < 0) {
        workspace_close(ws);
        cr_skip_test("this host can lay no overlay over a folder");
    }
    cr_assert_eq(collect_run(ws, tree, NULL, NULL, &result, &err), 0, "%s", err.message);
    close(tree);
    cr_expect_eq(result.files, 5U);
    const char *diff = pj_str_cstr(&result.diff);
    cr_expect_not_null(strstr(diff, "+more\n"));
    cr_expect_not_null(strstr(diff, "deleted file mode 100755"));
    cr_expect_not_null(strstr(diff, "+++ b/new/f"));
    cr_expect_not_null(strstr(diff, "+++ b/moved/main.c"), "%s", diff);
    collect_result_release(&result);
    workspace_close(ws);
    struct workspace *next = open_task(2, NULL);
    cr_expect_eq(shared_stat(next, "src/main.c").st_ino, first, "nothing reached the shared files");
    assert_content(workspace_shared(next), "README.md", "# Sample\n\nA sample.\n");
    workspace_close(next);
}

Test(checkout, a_second_box_goes_on_where_the_first_ended)
{
    struct workspace *ws = open_task(1, NULL);
    struct collect_result result;
    struct collect_baseline *baseline = NULL;
    struct pj_err err;
    int tree = run_box(ws, "echo made > by-setup && rm run.sh");

    if (tree < 0) {
        workspace_close(ws);
        cr_skip_test("this host can lay no overlay over a folder");
    }
    cr_assert_eq(collect_baseline_take(ws, tree, NULL, &baseline, &err), 0, "%s", err.message);
    close(tree);
    tree = run_box(ws, "grep -q made by-setup && test ! -e run.sh && echo a > by-agent");
    cr_assert_eq(collect_run(ws, tree, baseline, NULL, &result, &err), 0, "%s", err.message);
    close(tree);
    cr_expect_eq(result.files, 1U, "%s", pj_str_cstr(&result.diff));
    cr_expect_not_null(strstr(pj_str_cstr(&result.diff), "+++ b/by-agent"));
    collect_result_release(&result);
    collect_baseline_free(baseline);
    workspace_close(ws);
}

Test(checkout, a_host_without_overlays_gets_a_copy_instead)
{
    struct workspace *ws = open_task(1, NULL);
    struct pj_err err;

    cr_assert_eq(workspace_unshare(ws, NULL, &err), 0, "%s", err.message);
    cr_assert_null(workspace_shared(ws));
    assert_content(workspace_tree(ws), "README.md", "# Sample\n\nA sample.\n");
    workspace_close(ws);
}
