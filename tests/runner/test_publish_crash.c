/* The job process killed between any two steps of publishing, and run again: one branch, one pull request, one comment, the same
 * commit. PJ_CRASH_ROUNDS sets how often each point is tried. */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/mem.h"
#include "lib/json/codec.h"
#include "runner/coderabbit.h"
#include "runner/publish.h"
#include "runner/pull.h"
#include "tests/runner/workspace_fix.h"
#include "tests/support/forge_server.h"

static struct workspace_fix fix;
static struct forge_server *server;
static struct pj_forges *forges;
static char *url;

static void begin(void)
{
    struct pj_err err;

    workspace_fix_begin(&fix, NULL, 0);
    PJ_CLEANUP(pj_freep) char *remotes = pj_asprintf("%s/remotes", fix.root);
    PJ_CLEANUP(pj_freep) char *file = pj_asprintf("%s/forges.json", fix.root);
    server = forge_server_start(remotes);
    url = forge_server_repo_url(server, "o/r");
    forge_server_forges(server, "github", true, file);
    struct pj_forges_spec load = {.file = file};
    cr_assert_eq(pj_forges_load(&load, &forges, &err), 0, "%s", err.message);
}

static void end(void)
{
    pj_forges_free(forges);
    forge_server_stop(server);
    free(url);
    workspace_fix_end(&fix);
}

TestSuite(publish_crash, .init = begin, .fini = end);

/* Everything after the box, as a job does it; dies by SIGKILL once `last_step` steps are done. */
struct run {
    const char *task_id;
    int last_step; /* -1: to the end */
    int step;
    char commit[PJ_SHA_SIZE];
};

static void step_done(struct run *run)
{
    if (run->step++ == run->last_step)
        (void)kill(getpid(), SIGKILL);
}

static int publish(struct run *run, struct workspace *ws, const struct pj_git_net *net,
                   struct pj_err *err)
{
    static const char diff[] =
        "--- a/README.md\n+++ b/README.md\n@@ -1,3 +1,3 @@\n-# Sample\n+# Example\n \n A sample.\n";
    struct publish_commit_spec commit = {
        .task_id = run->task_id, .title = "x", .date_ms = 1700000000000};
    struct publish_push_spec push = {.task_id = run->task_id,
                                     .commit_sha = run->commit,
                                     .url = url,
                                     .retry_base_ms = 1,
                                     .net = *net};
    struct publish_push_result pushed;
    char tree[PJ_SHA_SIZE];
    bool added = false;

    if (publish_apply(ws, pj_view_of(diff), NULL, tree, err) < 0)
        return -1;
    step_done(run);
    if (coderabbit_add(ws, tree, &added, err) < 0 ||
        publish_commit(ws, &commit, tree, run->commit, err) < 0)
        return -1;
    step_done(run);
    if (publish_push(ws, &push, &pushed, err) < 0)
        return -1;
    step_done(run);
    struct pull_forge forge = {
        .forge = pj_forges_get(forges, 0), .token = FORGE_TOKEN, .retry_base_ms = 1};
    struct pull_spec spec = {.owner = "o",
                             .name = "r",
                             .head = pushed.branch,
                             .base = "main",
                             .title = "Pithy Jaunt: x",
                             .body = "The body."};
    struct pull_upstream upstream;
    struct pull_result pull;
    int rc = pull_open(&forge, &spec, &pull, err);
    if (rc == 0) {
        step_done(run);
        rc = pull_comment(&forge, &spec, pull.number, CODERABBIT_COMMENT, &upstream, err);
        step_done(run);
    }
    pull_result_release(&pull);
    return rc;
}

static int whole_run(struct run *run, struct pj_err *err)
{
    struct workspace_spec spec = workspace_fix_spec(&fix);
    struct pj_credential credential = {.token = FORGE_TOKEN};
    struct workspace *ws = NULL;

    spec.task_id = run->task_id;
    spec.url = url;
    spec.net.credential = &credential;
    spec.net.timeout_ms = 20000;
    if (workspace_open(&spec, &ws, err) < 0)
        return -1;
    step_done(run);
    int rc = publish(run, ws, &spec.net, err);
    workspace_close(ws);
    return rc;
}

#define STEPS 6

static void crash_and_run_again(int point, unsigned round)
{
    char task_id[] = "0a1b2c3d4e5f6g7h8i0000";
    struct pj_err err = {0};
    int status = 0;

    task_id[19] = (char)('0' + point);
    task_id[20] = (char)('a' + round / 26);
    task_id[21] = (char)('a' + round % 26);
    pid_t pid = fork();
    cr_assert_geq(pid, 0);
    if (pid == 0) {
        struct run run = {.task_id = task_id, .last_step = point};
        _exit(whole_run(&run, &err) < 0 ? 1 : 0);
    }
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "point %d: ended with %x", point,
              (unsigned)status);
    struct run run = {.task_id = task_id, .last_step = -1};
    cr_assert_eq(whole_run(&run, &err), 0, "point %d: %s", point, err.message);
    PJ_CLEANUP(pj_freep) char *ref = pj_asprintf("refs/heads/pj/%s", task_id);
    char *tip = gitfix_rev(fix.remote, ref);
    cr_assert_str_eq(tip, run.commit);
    free(tip);
}

Test(publish_crash, r3_1_killed_at_any_point_there_is_one_branch_and_one_pull_request)
{
    const char *setting = getenv("PJ_CRASH_ROUNDS");
    uint64_t rounds = 3;
    size_t index = 0;
    const json_t *pull = NULL;

    if (setting != NULL)
        cr_assert_eq(pj_parse_u64(pj_view_of(setting), &rounds), 0);
    for (int point = 0; point < STEPS; point++) {
        for (unsigned round = 0; round < rounds; round++)
            crash_and_run_again(point, round);
    }
    json_t *pulls = forge_server_pulls(server, "o/r");
    cr_assert_eq(json_array_size(pulls), STEPS * rounds);
    json_array_foreach(pulls, index, pull)
    {
        json_t *comments =
            forge_server_comments(server, "o/r", (int)pj_json_i64(pull, "number", 0));
        cr_expect_eq(json_array_size(comments), 1);
        json_decref(comments);
    }
    json_decref(pulls);
}
