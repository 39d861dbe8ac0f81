/* Executor github_actions, from the runner's side: the workflow is started, found, watched and cancelled at a forge that judges every
 * call by GitHub's description. No workflow runs here: tests/scenarios/r5_workflow.c carries one out. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include "lib/base/fs.h"
#include "lib/base/mem.h"
#include "lib/json/codec.h"
#include "lib/store/tasks.h"
#include "tests/runner/fleet.h"
#include "tests/support/forge_server.h"

#define RUNS "/actions/workflows/pithy-jaunt.yml/runs"
#define DISPATCHES "/repos/acme/greeter/actions/workflows/pithy-jaunt.yml/dispatches"

struct site {
    struct fleet f;
    struct forge_server *forge;
    char *repo;
};

static void open_site_with(struct site *s, const char *workflow)
{
    const struct gitfix_file files[] = {{"hello.txt", "hello\n", false},
                                        {workflow, "on: workflow_dispatch\n", false}};

    fleet_start(&s->f);
    free(gitfix_bare(s->f.remotes, "acme/greeter", files, PJ_COUNT_OF(files)));
    s->forge = forge_server_start(s->f.remotes);
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf("%s/github.json", s->f.dir);
    forge_server_forges(s->forge, "github", true, path);
    PJ_CLEANUP(pj_freep) char *url = forge_server_repo_url(s->forge, "acme/greeter");
    fleet_set(&s->f, "PJ_FORGES", path);
    fleet_set(&s->f, "PJ_PUBLIC_URL", "https://pj.example.org");
    fleet_set(&s->f, "PJ_RETRY_BASE", "10ms");
    fleet_runner(&s->f, 0);
    s->repo = fleet_repo(&s->f, url, NULL);
}

static void open_site(struct site *s)
{
    open_site_with(s, ".github/workflows/pithy-jaunt.yml");
}

static void close_site(struct site *s)
{
    fleet_stop(&s->f);
    forge_server_stop(s->forge);
    free(s->repo);
}

static void by_actions(struct pj_task *task)
{
    task->executor = PJ_EXECUTOR_GITHUB_ACTIONS;
}

static void by_actions_shortly(struct pj_task *task)
{
    task->executor = PJ_EXECUTOR_GITHUB_ACTIONS;
    task->limits.timeout_ms = 3000;
}

static void move(struct site *s, struct pj_cmd *cmd)
{
    PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = NULL;
    struct pj_task task;
    struct pj_err err;

    pj_task_init(&task);
    cr_assert_eq(pj_redis_do(s->f.store, cmd, &reply, &err), 0, "%s", err.message);
    cr_assert_eq(pj_task_move_reply(reply, &task, &err), 0, "%s", err.message);
    pj_task_release(&task);
    pj_cmd_release(cmd);
}

/* The body of the first dispatch. */
static json_t *dispatched(struct site *s)
{
    struct stand_in *in = forge_server_stand_in(s->forge);
    const struct stand_in_request *r;

    for (size_t i = 0; (r = stand_in_request_at(in, i)) != NULL; i++)
        if (strstr(r->path, DISPATCHES) != NULL)
            return json_loadb(r->body, r->body_len, 0, NULL);
    return NULL;
}

/* The i-th run's member, as a number. */
static int64_t run_number(struct site *s, size_t i, const char *name)
{
    json_t *runs = forge_server_runs(s->forge);
    int64_t n = pj_json_i64(json_array_get(runs, i), name, -1);

    json_decref(runs);
    return n;
}

static size_t run_count(struct site *s)
{
    json_t *runs = forge_server_runs(s->forge);
    size_t n = json_array_size(runs);

    json_decref(runs);
    return n;
}

static void wait_request(struct site *s)
{
    struct stand_in *in = forge_server_stand_in(s->forge);

    cr_assert(stand_in_wait(in, stand_in_count(in) + 1, FLEET_SOON_MS));
}

/* Answered with the run's details, with nothing, and by a server that refuses to be asked for them. */
static const enum forge_dispatch answers[] = {FORGE_DISPATCH_DETAILS, FORGE_DISPATCH_SILENT,
                                              FORGE_DISPATCH_OLD};

Test(dispatch, r1_1_starts_the_workflow_with_nothing_but_task_and_callback_and_cancels_it)
{
    for (size_t i = 0; i < PJ_COUNT_OF(answers); i++) {
        struct site s;
        struct pj_task task;
        struct pj_cmd cmd = {0};

        open_site(&s);
        forge_server_dispatch(s.forge, answers[i]);
        PJ_CLEANUP(pj_freep) char *id = fleet_task(&s.f, s.repo, "Greet from afar", by_actions);
        fleet_wait_log(&s.f, id, "the workflow was started");
        json_t *body = dispatched(&s), *inputs = json_object_get(body, "inputs");
        cr_assert_str_eq(pj_json_str(body, "ref", ""), "main");
        cr_assert_eq(json_object_size(inputs), 2);
        cr_assert_str_eq(pj_json_str(inputs, "task_id", ""), id);
        PJ_CLEANUP(pj_freep)
        char *callback = pj_asprintf("https://pj.example.org/api/v1/webhooks/execution/%s", s.repo);
        cr_assert_str_eq(pj_json_str(inputs, "callback", ""), callback);
        json_decref(body);
        fleet_read(&s.f, id, &task);
        cr_assert_eq(task.leased, 2, "not external");
        cr_assert_eq(task.run_id,
                     answers[i] == FORGE_DISPATCH_DETAILS ? run_number(&s, 0, "id") : 0);
        pj_task_release(&task);
        cr_assert_eq(run_count(&s), 1);

        /* Refused and failing at first: asked again until the run has ended. */
        if (i == 0) {
            forge_server_fail(s.forge, "POST", "/cancel", 1, 409, NULL, NULL);
            forge_server_fail(s.forge, "POST", "/cancel", 1, 502, NULL, NULL);
        }
        pj_task_cancel_cmd(&cmd, id);
        move(&s, &cmd);
        fleet_wait_end(&s.f, id, &task);
        cr_assert_eq(task.status, PJ_TASK_CANCELLED);
        cr_assert_gt(run_number(&s, 0, "cancels"), 0);
        pj_task_release(&task);
        close_site(&s);
    }
}

static const struct {
    const char *status, *conclusion; /* of the run; NULL: it goes on for ever */
    void (*set)(struct pj_task *task);
    const char *code;
} silent[] = {
    {"completed", "failure", by_actions, "runner_lost"},
    {"completed", "success", by_actions, "runner_lost"},
    {"completed", "timed_out", by_actions, "task_timeout"},
    {NULL, NULL, by_actions_shortly, "task_timeout"},
};

Test(dispatch, r7_1_ends_a_task_whose_workflow_does_not_report)
{
    for (size_t i = 0; i < PJ_COUNT_OF(silent); i++) {
        struct site s;
        struct pj_task task;

        open_site(&s);
        PJ_CLEANUP(pj_freep) char *id = fleet_task(&s.f, s.repo, "Greet from afar", silent[i].set);
        fleet_wait_log(&s.f, id, "the workflow was started");
        if (silent[i].status != NULL)
            forge_server_set_run(s.forge, run_number(&s, 0, "id"), silent[i].status,
                                 silent[i].conclusion);
        fleet_wait_end(&s.f, id, &task);
        cr_assert_eq(task.status, PJ_TASK_FAILED);
        cr_assert_str_eq(task.error.code, silent[i].code, "%s: %s", task.error.code,
                         task.error.detail);
        if (silent[i].status != NULL)
            cr_assert_not_null(strstr(task.error.detail, silent[i].conclusion), "%s",
                               task.error.detail);
        pj_task_release(&task);
        close_site(&s);
    }
}

/* The new attempt's run is not listed yet, the last one's is, and has ended: that end is none of this attempt's. */
Test(dispatch, the_run_of_an_earlier_attempt_does_not_end_this_one)
{
    struct site s;
    struct pj_task task;
    struct pj_cmd cmd = {0};

    open_site(&s);
    forge_server_dispatch(s.forge, FORGE_DISPATCH_SILENT);
    PJ_CLEANUP(pj_freep) char *id = fleet_task(&s.f, s.repo, "Greet from afar", by_actions);
    fleet_wait_log(&s.f, id, "the workflow was started");
    forge_server_set_run(s.forge, run_number(&s, 0, "id"), "completed", "failure");
    fleet_wait_end(&s.f, id, &task);
    cr_assert_str_eq(task.error.code, "runner_lost");
    pj_task_release(&task);

    forge_server_hide_runs(s.forge, true);
    pj_task_retry_cmd(&cmd, id, NULL, true);
    move(&s, &cmd);
    while (run_count(&s) < 2)
        wait_request(&s);
    size_t seen = forge_server_count(s.forge, "GET", RUNS);
    while (forge_server_count(s.forge, "GET", RUNS) < seen + 3)
        wait_request(&s);
    fleet_read(&s.f, id, &task);
    cr_assert_eq(task.status, PJ_TASK_RUNNING, "ended by the run of attempt 1");
    cr_assert_eq(task.run_floor, run_number(&s, 0, "id"));
    pj_task_release(&task);
    forge_server_hide_runs(s.forge, false);
    forge_server_set_run(s.forge, run_number(&s, 1, "id"), "completed", "cancelled");
    fleet_wait_end(&s.f, id, &task);
    cr_assert_eq(task.attempt, 2);
    cr_assert_not_null(strstr(task.error.detail, "cancelled"), "%s", task.error.detail);
    pj_task_release(&task);
    close_site(&s);
}

/* ---- R8.2: what GitHub may answer ---- */

static const struct fault {
    int status; /* 0: the connection breaks; 1: after the workflow was started */
    unsigned times;
    const char *headers, *body;
    const char *code;  /* the task's end; NULL: it is started all the same */
    unsigned requests; /* dispatches that were seen */
    const char *remedy;
} faults[] = {
    {500, 2, NULL, NULL, NULL, 3, NULL},
    {503, 4, NULL, NULL, "github_service", 4, NULL},
    {0, 3, NULL, NULL, NULL, 4, NULL},
    {1, 1, NULL, NULL, NULL, 1, NULL},
    {429, 1, "Retry-After: 0\n", NULL, NULL, 2, NULL},
    {403, 1, "Retry-After: 0\n", "{\"message\":\"You have exceeded a secondary rate limit\"}", NULL,
     2, NULL},
    {403, 1, "x-ratelimit-remaining: 0\nx-ratelimit-reset: 4102444800\n",
     "{\"message\":\"API rate limit exceeded\"}", "github_rate_limited", 1, "limit resets"},
    {401, 1, NULL, "{\"message\":\"Bad credentials\"}", "github_auth", 1, "new one"},
    {403, 1, NULL, "{\"message\":\"Resource not accessible by integration\"}", "github_permission",
     1, "Actions: write"},
    {404, 1, NULL, NULL, "github_permission", 1, "pj repo workflow"},
    {422, 1, NULL,
     "{\"message\":\"Workflow does not have 'workflow_dispatch' trigger\",\"documentation_url\":"
     "\"https://docs.github.com/rest\"}",
     "github_permission", 1, "workflow_dispatch"},
};

static void break_dispatch(struct site *s, const struct fault *fault)
{
    if (fault->status > 1)
        forge_server_fail(s->forge, "POST", "/dispatches", fault->times, fault->status,
                          fault->headers, fault->body);
    else
        forge_server_cut(s->forge, "POST", "/dispatches", fault->times, fault->status == 1);
}

Test(dispatch, r8_2_faults_are_told_apart_and_passing_ones_tried_again)
{
    for (size_t i = 0; i < PJ_COUNT_OF(faults); i++) {
        struct site s;
        struct pj_task task;

        open_site(&s);
        break_dispatch(&s, &faults[i]);
        PJ_CLEANUP(pj_freep) char *id = fleet_task(&s.f, s.repo, "Greet from afar", by_actions);
        if (faults[i].code == NULL) {
            fleet_wait_log(&s.f, id, "the workflow was started");
            cr_assert_eq(run_count(&s), 1, "row %zu: %zu runs", i, run_count(&s));
            forge_server_set_run(s.forge, run_number(&s, 0, "id"), "completed", "failure");
            fleet_wait_end(&s.f, id, &task);
        } else {
            fleet_wait_end(&s.f, id, &task);
            cr_assert_eq(task.status, PJ_TASK_FAILED);
            cr_assert_str_eq(task.error.code, faults[i].code, "row %zu: %s: %s", i, task.error.code,
                             task.error.detail);
            cr_assert_eq(task.error.upstream.status, faults[i].status, "the answer is stored");
            cr_assert(faults[i].remedy == NULL ||
                          strstr(task.error.remedy, faults[i].remedy) != NULL,
                      "row %zu: %s", i, task.error.remedy);
        }
        cr_assert_eq(forge_server_count(s.forge, "POST", "/dispatches"), faults[i].requests,
                     "row %zu: %zu", i, forge_server_count(s.forge, "POST", "/dispatches"));
        pj_task_release(&task);
        close_site(&s);
    }
}

/* The task is external from before the dispatch: that its lease is gone is no reason to end who still asks. A lease has 3 s here. */
Test(dispatch, r8_2_a_forge_that_keeps_us_waiting_for_longer_than_a_lease_is_asked_again)
{
    struct site s;
    struct pj_task task;

    open_site(&s);
    forge_server_fail(s.forge, "POST", "/dispatches", 1, 503, "Retry-After: 5\n", NULL);
    PJ_CLEANUP(pj_freep) char *id = fleet_task(&s.f, s.repo, "Greet from afar", by_actions);
    fleet_wait_log(&s.f, id, "the workflow was started");
    cr_assert_eq(run_count(&s), 1);
    PJ_CLEANUP(pj_freep) char *log = program_log(&s.f.runner[0]);
    cr_expect_null(strstr(log, "lease_lost"), "%s", log);
    forge_server_set_run(s.forge, run_number(&s, 0, "id"), "completed", "failure");
    fleet_wait_end(&s.f, id, &task);
    pj_task_release(&task);
    close_site(&s);
}

Test(dispatch, a_repository_without_the_workflow_is_told_what_to_commit)
{
    struct site s;
    struct pj_task task;

    open_site_with(&s, ".github/workflows/other.yml");
    PJ_CLEANUP(pj_freep) char *id = fleet_task(&s.f, s.repo, "Greet from afar", by_actions);
    fleet_wait_end(&s.f, id, &task);
    cr_assert_str_eq(task.error.code, "github_permission");
    cr_assert_not_null(strstr(task.error.remedy, "commit pithy-jaunt.yml to main"), "%s",
                       task.error.remedy);
    pj_task_release(&task);
    close_site(&s);
}
