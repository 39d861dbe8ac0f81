#include <criterion/criterion.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>

#include "lib/base/fs.h"
#include "lib/base/mem.h"
#include "runner/collect.h"
#include "runner/publish.h"
#include "tests/runner/workspace_fix.h"
#include "tests/support/forge_server.h"

static struct workspace_fix fix;
static struct forge_server *forge;

static void begin(void)
{
    workspace_fix_begin(&fix, NULL, 0);
}

static void end(void)
{
    if (forge != NULL)
        forge_server_stop(forge);
    workspace_fix_end(&fix);
}

TestSuite(publish, .init = begin, .fini = end);

/* Change a file, collect, apply, commit. */
static void make_commit(const char *text, char commit[PJ_SHA_SIZE])
{
    struct publish_commit_spec spec = {
        .task_id = FIX_TASK, .title = "Greet  the\nuser", .date_ms = 1700000000000};
    struct collect_result result;
    char tree[PJ_SHA_SIZE];
    struct pj_err err;

    fix_write(&fix, "README.md", text);
    cr_assert_eq(collect_run(fix.ws, -1, NULL, NULL, &result, &err), 0, "%s", err.message);
    cr_assert_eq(publish_apply(fix.ws, pj_view_n(pj_str_cstr(&result.diff), result.diff.len),
                               result.tree_sha, tree, &err),
                 0, "%s", err.message);
    cr_assert_eq(publish_commit(fix.ws, &spec, tree, commit, &err), 0, "%s", err.message);
    collect_result_release(&result);
}

static int push(const char *url, const char *commit, const char *recorded, const char *token,
                struct publish_push_result *out, struct pj_err *err)
{
    struct pj_credential credential = {.token = token};
    struct publish_push_spec spec = {.task_id = FIX_TASK,
                                     .commit_sha = commit,
                                     .recorded_tips = recorded,
                                     .url = url,
                                     .retry_base_ms = 1};

    spec.net.credential = &credential;
    spec.net.timeout_ms = 20000;
    return publish_push(fix.ws, &spec, out, err);
}

Test(publish, r3_1_the_branch_has_the_commit_with_the_change)
{
    struct publish_push_result out;
    struct pj_err err;
    char commit[PJ_SHA_SIZE];

    workspace_fix_open(&fix);
    make_commit("# Hello\n", commit);
    cr_assert_eq(push(fix.remote, commit, NULL, NULL, &out, &err), 0, "%s", err.message);
    cr_assert_not(out.already_there);
    cr_assert_str_eq(out.branch, "pj/" FIX_TASK);
    char *tip = gitfix_rev(fix.remote, "refs/heads/pj/" FIX_TASK);
    char *subject = gitfix_subject(fix.remote, "refs/heads/pj/" FIX_TASK);
    char *text = gitfix_show(fix.remote, "refs/heads/pj/" FIX_TASK ":README.md");
    char *fsck = gitfix_run(fix.remote, NULL, "fsck", "--full", "--strict", NULL);
    cr_assert_str_eq(tip, commit);
    cr_assert_str_eq(subject, "Pithy Jaunt: Greet the user");
    cr_assert_str_eq(text, "# Hello\n");
    cr_assert_not_null(fsck);
    free(tip);
    free(subject);
    free(text);
    free(fsck);
}

Test(publish, the_same_commit_again_is_success)
{
    struct publish_push_result out;
    struct pj_err err;
    char first[PJ_SHA_SIZE];
    char second[PJ_SHA_SIZE];

    workspace_fix_open(&fix);
    make_commit("# Hello\n", first);
    cr_assert_eq(push(fix.remote, first, NULL, NULL, &out, &err), 0, "%s", err.message);
    workspace_close(fix.ws);
    workspace_fix_open(&fix);
    cr_assert_str_eq(workspace_task_branch_tip(fix.ws), first);
    make_commit("# Hello\n", second);
    cr_assert_str_eq(first, second);
    cr_assert_eq(push(fix.remote, second, NULL, NULL, &out, &err), 0, "%s", err.message);
    cr_assert(out.already_there);
}

Test(publish, r3_1_a_strangers_commit_is_never_overwritten)
{
    static const struct gitfix_file theirs[] = {
        {"theirs.txt", "mine!\n", false},
    };
    struct publish_push_result out;
    struct pj_err err;
    char commit[PJ_SHA_SIZE];

    workspace_fix_open(&fix);
    make_commit("# Hello\n", commit);
    char *stranger = gitfix_commit(fix.remote, "pj/" FIX_TASK, theirs, 1, "a stranger's");
    cr_assert_eq(push(fix.remote, commit, NULL, NULL, &out, &err), -1);
    cr_assert_str_eq(err.code, "push_conflict");
    cr_assert_not_null(strstr(err.message, stranger), "%s", err.message);
    char *tip = gitfix_rev(fix.remote, "refs/heads/pj/" FIX_TASK);
    cr_assert_str_eq(tip, stranger);
    free(tip);
    free(stranger);
}

Test(publish, a_recorded_tip_may_be_replaced)
{
    struct publish_push_result out;
    struct pj_err err;
    char first[PJ_SHA_SIZE];
    char second[PJ_SHA_SIZE];

    workspace_fix_open(&fix);
    make_commit("# Hello\n", first);
    cr_assert_eq(push(fix.remote, first, NULL, NULL, &out, &err), 0, "%s", err.message);
    make_commit("# Hello again\n", second);
    cr_assert_eq(push(fix.remote, second, first, NULL, &out, &err), 0, "%s", err.message);
    char *tip = gitfix_rev(fix.remote, "refs/heads/pj/" FIX_TASK);
    cr_assert_str_eq(tip, second);
    free(tip);
}

Test(publish, a_further_round_adds_a_commit_to_the_same_branch)
{
    static const struct gitfix_file theirs[] = {
        {"review.txt", "a reviewer's own commit\n", false},
    };
    struct workspace_spec spec = workspace_fix_spec(&fix);
    struct publish_push_result out;
    struct pj_err err;
    char first[PJ_SHA_SIZE];
    char second[PJ_SHA_SIZE];

    workspace_fix_open(&fix);
    make_commit("# Hello\n", first);
    cr_assert_eq(push(fix.remote, first, NULL, NULL, &out, &err), 0, "%s", err.message);
    workspace_close(fix.ws);
    fix.ws = NULL;
    char *reviewed = gitfix_commit(fix.remote, "pj/" FIX_TASK, theirs, 1, "reviewed");

    spec.start_at_task_branch = true;
    cr_assert_eq(workspace_open(&spec, &fix.ws, &err), 0, "%s", err.message);
    cr_assert_str_eq(workspace_base_sha(fix.ws), reviewed);
    cr_assert_str_eq(workspace_base_branch(fix.ws), "main");
    make_commit("# Hello again\n", second);
    cr_assert_eq(push(fix.remote, second, first, NULL, &out, &err), 0, "%s", err.message);
    char *count = gitfix_run(fix.remote, NULL, "rev-list", "--count", "main..pj/" FIX_TASK, NULL);
    cr_assert_str_eq(count, "3\n");
    free(count);
    free(reviewed);
}

Test(publish, a_further_round_needs_the_branch)
{
    struct workspace_spec spec = workspace_fix_spec(&fix);
    struct pj_err err;

    spec.start_at_task_branch = true;
    cr_assert_eq(workspace_open(&spec, &fix.ws, &err), -1);
    cr_assert_str_eq(err.code, "pr_failed");
    cr_assert_not_null(strstr(err.message, "gone"), "%s", err.message);
}

static char *start_forge(void)
{
    char *remotes = pj_asprintf("%s/remotes", fix.root);

    forge = forge_server_start(remotes);
    free(remotes);
    return forge_server_repo_url(forge, "o/r");
}

static void open_over_http(const char *url, const char *token)
{
    struct workspace_spec spec = workspace_fix_spec(&fix);
    struct pj_credential credential = {.token = token};
    struct pj_err err;

    spec.url = url;
    spec.net.credential = &credential;
    spec.net.timeout_ms = 20000;
    cr_assert_eq(workspace_open(&spec, &fix.ws, &err), 0, "%s", err.message);
}

Test(publish, over_smart_http_with_a_token)
{
    struct publish_push_result out;
    struct pj_err err;
    char commit[PJ_SHA_SIZE];
    char *url = start_forge();

    open_over_http(url, FORGE_TOKEN);
    make_commit("# Hello\n", commit);
    cr_assert_eq(push(url, commit, NULL, FORGE_TOKEN, &out, &err), 0, "%s", err.message);
    cr_assert_not(out.already_there);
    cr_assert_eq(push(url, commit, NULL, FORGE_TOKEN, &out, &err), 0, "%s", err.message);
    cr_assert(out.already_there);
    char *tip = gitfix_rev(fix.remote, "refs/heads/pj/" FIX_TASK);
    cr_assert_str_eq(tip, commit);
    free(tip);
    /* The next fetch finds it, and what else was pushed meanwhile. */
    workspace_close(fix.ws);
    open_over_http(url, FORGE_TOKEN);
    cr_assert_str_eq(workspace_task_branch_tip(fix.ws), commit);
    free(url);
}

Test(publish, over_smart_http_a_strangers_commit_is_never_overwritten)
{
    static const struct gitfix_file theirs[] = {
        {"theirs.txt", "mine!\n", false},
    };
    struct publish_push_result out;
    struct pj_err err;
    char commit[PJ_SHA_SIZE];
    char *url = start_forge();

    open_over_http(url, FORGE_TOKEN);
    make_commit("# Hello\n", commit);
    char *stranger = gitfix_commit(fix.remote, "pj/" FIX_TASK, theirs, 1, "a stranger's");
    cr_assert_eq(push(url, commit, NULL, FORGE_TOKEN, &out, &err), -1);
    cr_assert_str_eq(err.code, "push_conflict", "%s", err.message);
    cr_assert_eq(push(url, commit, stranger, FORGE_TOKEN, &out, &err), 0, "%s", err.message);
    free(stranger);
    free(url);
}

Test(publish, a_branch_in_the_way_is_push_conflict)
{
    struct publish_push_result out;
    struct pj_err err;
    char commit[PJ_SHA_SIZE];
    char *url = start_forge();

    free(gitfix_commit(fix.remote, "pj", NULL, 0, "a branch called pj"));
    open_over_http(url, FORGE_TOKEN);
    make_commit("# Hello\n", commit);
    cr_assert_eq(push(url, commit, NULL, FORGE_TOKEN, &out, &err), -1);
    cr_expect_str_eq(err.code, "push_conflict", "%s", err.message);
    cr_assert_eq(push(fix.remote, commit, NULL, NULL, &out, &err), -1);
    cr_expect_str_eq(err.code, "push_conflict", "%s", err.message);
    free(url);
}

Test(publish, a_path_that_is_read_only_says_so)
{
    struct publish_push_result out;
    struct pj_err err;
    char commit[PJ_SHA_SIZE];

    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        cr_skip_test("needs a mount namespace");
    workspace_fix_open(&fix);
    make_commit("# Hello\n", commit);
    cr_assert_eq(mount(fix.remote, fix.remote, NULL, MS_BIND, NULL), 0);
    cr_assert_eq(mount(NULL, fix.remote, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL), 0);
    cr_assert_eq(push(fix.remote, commit, NULL, NULL, &out, &err), -1);
    cr_expect_str_eq(err.code, "repository_unavailable", "%s", err.message);
    cr_expect_not_null(strstr(err.remedy, "writable"), "%s", err.remedy);
    cr_assert_eq(umount(fix.remote), 0);
}

Test(publish, a_repository_that_is_not_bare_takes_the_branch)
{
    struct publish_push_result out;
    struct pj_err err;
    char commit[PJ_SHA_SIZE];
    PJ_CLEANUP(pj_freep) char *clone = pj_asprintf("%s/a: clone", fix.root);
    struct workspace_spec spec = workspace_fix_spec(&fix);

    char *made = gitfix_run(fix.remote, NULL, "clone", "-q", fix.remote, clone, NULL);
    cr_assert_not_null(made);
    free(made);
    spec.url = clone;
    cr_assert_eq(workspace_open(&spec, &fix.ws, &err), 0, "%s", err.message);
    make_commit("# Hello\n", commit);
    cr_assert_eq(push(clone, commit, NULL, NULL, &out, &err), 0, "%s", err.message);
    PJ_CLEANUP(pj_freep) char *git = pj_asprintf("%s/.git", clone);
    char *tip = gitfix_rev(git, "refs/heads/pj/" FIX_TASK);
    cr_assert_str_eq(tip, commit);
    free(tip);
}

Test(publish, r8_2_a_refused_credential_is_github_auth)
{
    struct publish_push_result out;
    struct pj_err err;
    char commit[PJ_SHA_SIZE];
    char *url = start_forge();

    open_over_http(url, FORGE_TOKEN);
    make_commit("# Hello\n", commit);
    cr_assert_eq(push(url, commit, NULL, "wrong-token-wrong-token", &out, &err), -1);
    cr_assert_str_eq(err.code, "github_auth", "%s", err.message);
    cr_assert_null(strstr(err.message, "wrong-token"));
    cr_assert_eq(push(url, commit, NULL, NULL, &out, &err), -1);
    cr_assert_str_eq(err.code, "github_auth", "%s", err.message);
    free(url);
}

Test(publish, r8_2_a_service_error_is_tried_three_times_more)
{
    struct publish_push_result out;
    struct pj_err err;
    char commit[PJ_SHA_SIZE];
    char second[PJ_SHA_SIZE];
    char *url = start_forge();

    open_over_http(url, FORGE_TOKEN);
    make_commit("# Hello\n", commit);
    forge_server_fail(forge, NULL, "info/refs", 3, 503, NULL, NULL);
    cr_assert_eq(push(url, commit, NULL, FORGE_TOKEN, &out, &err), 0, "%s", err.message);
    make_commit("# Hello once more\n", second);
    forge_server_fail(forge, NULL, "info/refs", 4, 503, NULL, NULL);
    cr_assert_eq(push(url, second, commit, FORGE_TOKEN, &out, &err), -1);
    cr_assert_str_eq(err.code, "github_service", "%s", err.message);
    free(url);
}

Test(publish, r8_2_a_forbidden_push_is_github_permission)
{
    struct publish_push_result out;
    struct pj_err err;
    char commit[PJ_SHA_SIZE];
    char *url = start_forge();

    open_over_http(url, FORGE_TOKEN);
    make_commit("# Hello\n", commit);
    forge_server_fail(forge, NULL, "info/refs", 1, 403, NULL, NULL);
    cr_assert_eq(push(url, commit, NULL, FORGE_TOKEN, &out, &err), -1);
    cr_assert_str_eq(err.code, "github_permission", "%s", err.message);
    free(url);
}

Test(publish, r3_2_a_hunk_that_does_not_fit_is_patch_conflict)
{
    static const char diff[] =
        "diff --git a/README.md b/README.md\n--- a/README.md\n+++ b/README.md\n@@ -1,3 +1,3 @@\n"
        "-# Another\n+# Hello\n \n A sample.\n";
    char tree[PJ_SHA_SIZE];
    struct pj_err err;

    workspace_fix_open(&fix);
    cr_assert_eq(publish_apply(fix.ws, pj_view_of(diff), NULL, tree, &err), -1);
    cr_assert_str_eq(err.code, "patch_conflict");
    cr_assert_not_null(strstr(err.message, "README.md"), "%s", err.message);
}

Test(publish, subjects_are_one_line_of_bounded_length)
{
    struct pj_str out;
    char *longer = pj_alloc(1000, 1);

    for (size_t i = 0; i + 2 < 999; i += 2)
        memcpy(longer + i, "\xC3\xA4", 2);
    pj_str_init(&out, 1000);
    publish_subject("  a\tb\r\nc\x01  ", &out);
    cr_assert_str_eq(pj_str_cstr(&out), "Pithy Jaunt: a b c");
    publish_subject(longer, &out);
    cr_assert_leq(out.len, 250);
    cr_assert(pj_utf8_valid(pj_view_n(out.data, out.len)));
    publish_subject("bad \xFF byte", &out);
    cr_assert(pj_utf8_valid(pj_view_n(out.data, out.len)));
    pj_str_release(&out);
    free(longer);
}
