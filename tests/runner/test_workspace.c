#include <criterion/criterion.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/fs.h"
#include "lib/base/mem.h"
#include "lib/git/mirror.h"
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

TestSuite(workspace, .init = begin, .fini = end);

static char *read_tree_file(const char *path)
{
    struct pj_str text;
    struct pj_err err;
    char *full = fix_path(&fix, path);

    pj_str_init(&text, 1 << 20);
    cr_assert_eq(pj_fs_read(full, &text, &err), 0, "%s", err.message);
    free(full);
    return pj_str_take(&text);
}

Test(workspace, checks_out_the_tip_without_a_git_folder)
{
    struct stat st;

    workspace_fix_open(&fix);
    char *readme = read_tree_file("README.md");
    char *tip = gitfix_rev(fix.remote, "refs/heads/main");
    char *run = fix_path(&fix, "run.sh");
    char *git = fix_path(&fix, ".git");

    cr_assert_str_eq(readme, "# Sample\n\nA sample.\n");
    cr_assert_str_eq(workspace_base_sha(fix.ws), tip);
    cr_assert_str_eq(workspace_base_branch(fix.ws), "main");
    cr_assert_str_eq(workspace_task_branch_tip(fix.ws), "");
    cr_assert_eq(stat(run, &st), 0);
    cr_assert_eq(st.st_mode & 0777, 0755);
    cr_assert_eq(lstat(git, &st), -1);
    free(readme);
    free(tip);
    free(run);
    free(git);
}

Test(workspace, stays_at_the_pinned_commit_when_the_branch_moves_on)
{
    static const struct gitfix_file change[] = {{"README.md", "moved\n", false}};
    struct workspace_spec spec = workspace_fix_spec(&fix);
    struct pj_err err;
    char *first = gitfix_rev(fix.remote, "refs/heads/main");
    char *second = gitfix_commit(fix.remote, "main", change, 1, "second");

    spec.pinned_sha = first;
    cr_assert_eq(workspace_open(&spec, &fix.ws, &err), 0, "%s", err.message);
    cr_assert_str_eq(workspace_base_sha(fix.ws), first);
    workspace_close(fix.ws);
    spec.pinned_sha = NULL;
    cr_assert_eq(workspace_open(&spec, &fix.ws, &err), 0, "%s", err.message);
    cr_assert_str_eq(workspace_base_sha(fix.ws), second);
    free(first);
    free(second);
}

Test(workspace, closing_leaves_the_mirror_and_nothing_of_the_task)
{
    workspace_fix_open(&fix);
    char *dir = pj_strdup(workspace_dir(fix.ws));
    workspace_close(fix.ws);
    fix.ws = NULL;
    cr_assert_not(pj_fs_exists(dir));
    free(dir);
    char *cache = pj_asprintf("%s/cache", fix.state);
    cr_assert(pj_fs_exists(cache));
    free(cache);
}

Test(workspace, a_remote_that_is_gone_is_repository_unavailable)
{
    struct workspace_spec spec = workspace_fix_spec(&fix);
    struct pj_err err;

    cr_assert_eq(pj_fs_remove_tree(fix.remote, &err), 0);
    cr_assert_eq(workspace_open(&spec, &fix.ws, &err), -1);
    cr_assert_str_eq(err.code, "repository_unavailable");
    cr_assert_neq(err.remedy[0], '\0');
    cr_assert_eq(err.cls, PJ_E_NOT_FOUND, "%s", err.message);
}

Test(workspace, a_branch_that_is_missing_is_named)
{
    struct workspace_spec spec = workspace_fix_spec(&fix);
    struct pj_err err;

    spec.base_branch = "nowhere";
    cr_assert_eq(workspace_open(&spec, &fix.ws, &err), -1);
    cr_assert_str_eq(err.code, "repository_unavailable");
    cr_assert_not_null(strstr(err.message, "nowhere"), "%s", err.message);
}

/* The one mirror in the cache; owned by the caller. */
static char *only_mirror(void)
{
    glob_t found;
    char *pattern = pj_asprintf("%s/cache/*.git", fix.state);

    cr_assert_eq(glob(pattern, 0, NULL, &found), 0);
    cr_assert_eq(found.gl_pathc, 1);
    char *path = pj_strdup(found.gl_pathv[0]);
    globfree(&found);
    free(pattern);
    return path;
}

Test(workspace, a_damaged_mirror_is_made_anew)
{
    struct pj_err err;

    workspace_fix_open(&fix);
    workspace_close(fix.ws);
    fix.ws = NULL;
    char *mirror = only_mirror();
    char *head = pj_asprintf("%s/HEAD", mirror);
    cr_assert_eq(pj_fs_write_atomic(head, "", 0, 0600, &err), 0, "%s", err.message);
    workspace_fix_open(&fix);
    free(head);
    free(mirror);
}

Test(workspace, a_mirror_that_lost_objects_is_made_anew)
{
    workspace_fix_open(&fix);
    workspace_close(fix.ws);
    fix.ws = NULL;
    char *mirror = only_mirror();
    /* The commit is all that is left. */
    char *tip = gitfix_rev(fix.remote, "refs/heads/main");
    glob_t found;
    char *pattern = pj_asprintf("%s/objects/pack/*", mirror);
    char *commit = gitfix_run(fix.remote, NULL, "cat-file", "commit", tip, NULL);
    cr_assert_eq(glob(pattern, 0, NULL, &found), 0);
    for (size_t i = 0; i < found.gl_pathc; i++)
        cr_assert_eq(unlink(found.gl_pathv[i]), 0);
    globfree(&found);
    char *stored = gitfix_run(mirror, commit, "hash-object", "-t", "commit", "-w", "--literally",
                              "--stdin", NULL);
    cr_assert_not_null(stored);
    cr_assert_eq(strncmp(stored, tip, 40), 0);
    workspace_fix_open(&fix);
    char *readme = read_tree_file("README.md");
    cr_assert_str_eq(readme, "# Sample\n\nA sample.\n");
    free(readme);
    free(stored);
    free(commit);
    free(pattern);
    free(tip);
    free(mirror);
}

Test(workspace, the_mirror_never_holds_address_or_credential)
{
    workspace_fix_open(&fix);
    char *mirror = only_mirror();
    char *config = gitfix_run(mirror, NULL, "config", "--local", "--list", NULL);
    cr_assert_not_null(config);
    cr_assert_null(strstr(config, "url"), "%s", config);
    cr_assert_null(strstr(config, fix.remote), "%s", config);
    free(config);
    free(mirror);
}

static bool is_other(void *ctx, const char *task_id)
{
    return strcmp(task_id, ctx) == 0;
}

Test(workspace, sweeps_what_no_live_task_owns)
{
    char live[] = "9a1b2c3d4e5f6g7h8i9j0k";
    struct pj_err err;
    char *kept = pj_asprintf("%s/work/%s", fix.state, live);

    workspace_fix_open(&fix);
    char *dir = pj_strdup(workspace_dir(fix.ws));
    cr_assert_eq(pj_fs_mkdirs(kept, 0700, &err), 0);
    cr_assert_eq(workspace_sweep(fix.state, is_other, live, &err), 1, "%s", err.message);
    cr_assert(pj_fs_exists(kept));
    cr_assert_not(pj_fs_exists(dir));
    free(kept);
    free(dir);
}

Test(workspace, trims_mirrors_nobody_uses)
{
    struct pj_err err;
    char *cache = pj_asprintf("%s/cache", fix.state);

    workspace_fix_open(&fix);
    cr_assert_eq(workspace_cache_trim(fix.state, 0, &err), 0, "%s", err.message);
    /* In use: its objects are still there. */
    struct pj_str text;
    pj_str_init(&text, 1000);
    cr_assert_eq(workspace_base_file(fix.ws, "README.md", &text, &err), 0, "%s", err.message);
    pj_str_release(&text);
    workspace_close(fix.ws);
    fix.ws = NULL;
    cr_assert_eq(workspace_cache_trim(fix.state, 0, &err), 0, "%s", err.message);
    workspace_fix_open(&fix);
    free(cache);
}

/* As many fetches as it takes, then one pack that has everything, and work goes on. */
Test(workspace, a_mirror_that_fetches_have_scattered_is_packed_anew)
{
    glob_t found = {0};
    size_t packs = 0, loose = 0;
    struct pj_err err;

    for (unsigned i = 0; i <= WORKSPACE_PACKS_MAX; i++) {
        char content[20];
        (void)snprintf(content, sizeof(content), "%u\n", i);
        const struct gitfix_file file = {"counter.txt", content, false};
        free(gitfix_commit(fix.remote, "main", &file, 1, "more"));
        workspace_fix_open(&fix);
        if (i == WORKSPACE_PACKS_MAX)
            cr_assert_eq(workspace_cache_repack(fix.state, &err), 0, "not while it is in use");
        workspace_close(fix.ws);
        fix.ws = NULL;
    }
    PJ_CLEANUP(pj_freep) char *pattern = pj_asprintf("%s/cache/*.git", fix.state);
    cr_assert_eq(glob(pattern, 0, NULL, &found), 0);
    pj_mirror_count(found.gl_pathv[0], &packs, &loose);
    cr_assert_gt(packs + loose, (size_t)WORKSPACE_PACKS_MAX);
    cr_assert_eq(workspace_cache_repack(fix.state, &err), 1, "%s", err.message);
    pj_mirror_count(found.gl_pathv[0], &packs, &loose);
    cr_assert_eq(packs, 1U);
    cr_assert_eq(loose, 0U);
    cr_assert_eq(workspace_cache_repack(fix.state, &err), 0, "once is enough");
    char *fsck = gitfix_run(found.gl_pathv[0], NULL, "fsck", "--full", NULL);
    cr_assert_not_null(fsck);
    free(fsck);
    workspace_fix_open(&fix);
    char *text = read_tree_file("counter.txt");
    cr_assert_str_eq(text, "40\n");
    free(text);
    globfree(&found);
}

Test(workspace, reads_files_of_the_base_commit_not_of_the_tree)
{
    struct pj_str text;
    struct pj_err err;
    struct workspace_survey survey;

    workspace_fix_open(&fix);
    fix_write(&fix, "README.md", "changed by the agent\n");
    pj_str_init(&text, 1000);
    cr_assert_eq(workspace_base_file(fix.ws, "README.md", &text, &err), 0, "%s", err.message);
    cr_assert_str_eq(pj_str_cstr(&text), "# Sample\n\nA sample.\n");
    cr_assert_eq(workspace_base_file(fix.ws, "AGENTS.md", &text, &err), PJ_NONE);
    cr_assert_eq(workspace_survey(fix.ws, &survey, &err), 0);
    cr_assert_eq(survey.files, 4);
    cr_assert_eq(survey.bytes, 81);
    pj_str_release(&text);
}

/* Open a workspace in a child process, `round` times. */
static pid_t open_in_child(const char *task_id, int rounds)
{
    pid_t pid = fork();

    cr_assert_geq(pid, 0);
    if (pid > 0)
        return pid;
    for (int i = 0; i < rounds; i++) {
        struct workspace_spec spec = workspace_fix_spec(&fix);
        struct workspace *ws = NULL;
        struct pj_err err;
        spec.task_id = task_id;
        if (workspace_open(&spec, &ws, &err) < 0)
            _exit(1);
        workspace_close(ws);
    }
    _exit(0);
}

Test(workspace, r10_1_two_jobs_share_a_mirror_and_nothing_else)
{
    static const char *const ids[] = {"0a1b2c3d4e5f6g7h8i9j01", "0a1b2c3d4e5f6g7h8i9j02",
                                      "0a1b2c3d4e5f6g7h8i9j03"};
    static const struct gitfix_file change[] = {{"README.md", "moved\n", false}};
    pid_t pids[PJ_COUNT_OF(ids)];
    int status = 0;

    for (size_t i = 0; i < PJ_COUNT_OF(ids); i++)
        pids[i] = open_in_child(ids[i], 8);
    for (int i = 0; i < 4; i++)
        free(gitfix_commit(fix.remote, "main", change, 1, "meanwhile"));
    for (size_t i = 0; i < PJ_COUNT_OF(ids); i++) {
        cr_assert_eq(waitpid(pids[i], &status, 0), pids[i]);
        cr_assert_eq(status, 0, "%x", (unsigned)status);
    }
}
