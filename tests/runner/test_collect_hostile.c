/* The collector reads what a hostile box left: real boxes, the attack program of tests/sandbox, the
 * real collector. Whatever of the planted runs on the host makes the marker. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/fs.h"
#include "runner/collect.h"
#include "runner/publish.h"
#include "tests/runner/workspace_fix.h"
#include "tests/sandbox/run_box.h"

static struct workspace_fix fix;
static struct collect_result result;

static void begin(void)
{
    workspace_fix_begin(&fix, NULL, 0);
    workspace_fix_open(&fix);
}

static void end(void)
{
    collect_result_release(&result);
    workspace_fix_end(&fix);
}

TestSuite(collect_hostile, .init = begin, .fini = end);

static int attack(const char *name, const char *arg)
{
    char bind[400];
    struct box_run run;
    int code;

    snprintf(bind, sizeof bind, "%s:/opt/hostile", box_hostile());
    run = BOX(false, "--ro-bind", bind, "--workspace", workspace_tree(fix.ws), "--timeout", "60s",
              "--", "/opt/hostile", name, arg);
    code = run.exit_code;
    cr_expect_eq(code, 0, "%s%s", run.out, run.err);
    box_run_release(&run);
    return code;
}

static bool noted(const char *path)
{
    for (size_t i = 0; i < result.note_count; i++) {
        if (strcmp(result.notes[i].path, path) == 0)
            return true;
    }
    return false;
}

Test(collect_hostile, nothing_of_a_planted_repository_runs)
{
    char marker[300], tree[PJ_SHA_SIZE];
    struct pj_err err = {0};

    if (!box_can(false))
        return;
    snprintf(marker, sizeof marker, "%s/marker", box_home());
    cr_assert_eq(attack("planted_git", marker), 0);
    cr_assert_eq(collect_run(fix.ws, -1, NULL, NULL, &result, &err), 0, "%s", err.message);
    cr_expect_not(result.empty);
    cr_expect_null(strstr(pj_str_cstr(&result.diff), "b/.git/"));
    cr_expect_null(strstr(pj_str_cstr(&result.diff), "nested/.git"));
    cr_expect_not_null(strstr(pj_str_cstr(&result.diff), "b/nested/file"));
    cr_expect_eq(publish_apply(fix.ws, pj_view_n(pj_str_cstr(&result.diff), result.diff.len),
                               result.tree_sha, tree, &err),
                 0, "%s", err.message);
    cr_expect_neq(access(marker, F_OK), 0, "something planted ran on the host");
}

Test(collect_hostile, litter_is_left_out_or_refused_by_name)
{
    struct pj_err err = {0};
    char command[600];

    if (!box_can(false))
        return;
    cr_assert_eq(attack("litter", NULL), 0);
    /* A tree without end passes a bound, which is named. */
    cr_expect_lt(collect_run(fix.ws, -1, NULL, NULL, &result, &err), 0);
    cr_expect_str_eq(err.code, "patch_malformed", "%s: %s", err.code, err.message);
    collect_result_release(&result);
    snprintf(command, sizeof command, "rm -rf '%s/d'", workspace_tree(fix.ws));
    cr_assert_eq(system(command), 0);
    cr_assert_eq(collect_run(fix.ws, -1, NULL, NULL, &result, &err), 0, "%s", err.message);
    cr_expect(noted("pipe"));
    cr_expect(noted("socket"));
    cr_expect(noted("hard-link"));
    cr_expect(noted("link-out"));
    cr_expect(noted("link-up"));
    cr_expect_null(strstr(pj_str_cstr(&result.diff), "root:"), "a link was followed");
}
