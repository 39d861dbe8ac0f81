/* Executor github_actions: a stand-in plays GitHub's REST API, a real API takes the webhooks of the job that a workflow runs. */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include "lib/base/fs.h"
#include "lib/base/mem.h"
#include "lib/json/codec.h"
#include "lib/store/tasks.h"
#include "tests/runner/fleet.h"
#include "tests/support/stand_in.h"
#include "tests/support/world.h"

/* ---- GitHub ---- */

enum run_state { RUN_NONE, RUN_GOING, RUN_FAILED, RUN_CANCELLED };

struct github {
    struct stand_in *server;
    int dispatch_status;
    enum run_state run;
    char task_id[64]; /* of the last dispatch */
};

static void answer_runs(const struct github *g, struct stand_in_exchange *x)
{
    static const char *const statuses[] = {"", "in_progress", "completed", "completed"};
    static const char *const conclusions[] = {"", "", "failure", "cancelled"};
    PJ_CLEANUP(pj_freep)
    char *text =
        g->run == RUN_NONE ? pj_strdup("{\"workflow_runs\":[]}")
                           : pj_asprintf("{\"workflow_runs\":[{\"id\":77,\"display_title\":\"Pithy "
                                         "Jaunt %s\",\"status\":\"%s\",\"conclusion\":\"%s\","
                                         "\"html_url\":\"https://github.example/runs/77\"}]}",
                                         g->task_id, statuses[g->run], conclusions[g->run]);

    stand_in_reply_text(x, 200, "application/json", text);
}

static void take_dispatch(struct github *g, const struct stand_in_request *r)
{
    PJ_CLEANUP(pj_json_decrefp) json_t *doc = NULL;
    struct pj_err err;

    if (pj_json_parse(pj_view_n(r->body, r->body_len), &doc, &err) == 0)
        (void)snprintf(g->task_id, sizeof(g->task_id), "%s",
                       pj_json_str(json_object_get(doc, "inputs"), "task_id", ""));
}

static void github(void *ctx, const struct stand_in_request *r, struct stand_in_exchange *x)
{
    struct github *g = ctx;

    if (strstr(r->path, "/dispatches") != NULL) {
        take_dispatch(g, r);
        stand_in_reply_text(x, g->dispatch_status, "application/json",
                            g->dispatch_status == 204 ? "" : "{\"message\":\"Not Found\"}");
    } else if (strstr(r->path, "/cancel") != NULL) {
        g->run = RUN_CANCELLED;
        stand_in_reply_text(x, 202, "application/json", "{}");
    } else if (strstr(r->path, "/runs") != NULL) {
        answer_runs(g, x);
    } else {
        stand_in_reply_text(
            x, 200, "application/json",
            "{\"permissions\":{\"push\":true,\"pull\":true},\"default_branch\":\"main\"}");
    }
}

struct site {
    struct fleet f;
    struct github g;
    char *repo;
};

static void open_site(struct site *s, int dispatch_status, enum run_state run)
{
    fleet_start(&s->f);
    s->g = (struct github){.dispatch_status = dispatch_status, .run = run};
    s->g.server = stand_in_start(0, github, &s->g);
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf("%s/forges.json", s->f.dir);
    PJ_CLEANUP(pj_freep)
    char *text = pj_asprintf("[{\"host\":\"127.0.0.1:%u\",\"kind\":\"github\",\"apiUrl\":\"%s\","
                             "\"token\":\"forge-token-0123456789\",\"insecure\":true}]",
                             stand_in_port(s->g.server), stand_in_url(s->g.server));
    PJ_CLEANUP(pj_freep) char *url = pj_asprintf("%s/acme/greeter", stand_in_url(s->g.server));
    struct pj_err err;

    cr_assert_eq(pj_fs_write_atomic(path, text, strlen(text), 0600, &err), 0);
    fleet_set(&s->f, "PJ_PUBLIC_URL", "https://pj.example.org");
    fleet_set(&s->f, "PJ_RETRY_BASE", "10ms");
    fleet_runner(&s->f, 0);
    s->repo = fleet_repo(&s->f, url, NULL);
}

static void close_site(struct site *s)
{
    fleet_stop(&s->f);
    stand_in_stop(s->g.server);
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

static const struct stand_in_request *find_request(struct site *s, const char *part)
{
    for (size_t i = 0; i < stand_in_count(s->g.server); i++)
        if (strstr(stand_in_request_at(s->g.server, i)->path, part) != NULL)
            return stand_in_request_at(s->g.server, i);
    return NULL;
}

Test(actions, r1_1_starts_the_workflow_with_nothing_but_task_and_callback_and_cancels_it)
{
    struct site s;
    struct pj_task task;
    PJ_CLEANUP(pj_cmd_release) struct pj_cmd cmd = {0};
    PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = NULL;
    PJ_CLEANUP(pj_json_decrefp) json_t *doc = NULL;
    const struct stand_in_request *r;
    struct pj_err err;

    open_site(&s, 204, RUN_GOING);
    PJ_CLEANUP(pj_freep) char *id = fleet_task(&s.f, s.repo, "Greet from afar", by_actions);
    fleet_wait_log(&s.f, id, "the workflow was started");
    r = find_request(&s, "/repos/acme/greeter/actions/workflows/pithy-jaunt.yml/dispatches");
    cr_assert_not_null(r);
    cr_assert_eq(pj_json_parse(pj_view_n(r->body, r->body_len), &doc, &err), 0);
    cr_assert_str_eq(pj_json_str(doc, "ref", ""), "main");
    cr_assert_eq(json_object_size(json_object_get(doc, "inputs")), 2);
    cr_assert_str_eq(pj_json_str(json_object_get(doc, "inputs"), "task_id", ""), id);
    cr_assert_not_null(strstr(r->body, "https://pj.example.org/api/v1/webhooks/execution/"));
    fleet_read(&s.f, id, &task);
    cr_assert_eq(task.leased, 2, "not external");
    pj_task_release(&task);

    pj_task_cancel_cmd(&cmd, id);
    cr_assert_eq(pj_redis_do(s.f.store, &cmd, &reply, &err), 0);
    fleet_wait_end(&s.f, id, &task);
    cr_assert_eq(task.status, PJ_TASK_CANCELLED);
    cr_assert_not_null(find_request(&s, "/actions/runs/77/cancel"));
    pj_task_release(&task);
    close_site(&s);
}

static const struct {
    int dispatch_status;
    enum run_state run;
    void (*set)(struct pj_task *task);
    const char *code;
} ends[] = {
    {204, RUN_FAILED, by_actions, "runner_lost"},
    {204, RUN_GOING, by_actions_shortly, "task_timeout"}, /* R7.1: a workflow that never reports */
    {404, RUN_NONE, by_actions, "github_permission"},
};

Test(actions, r7_1_ends_a_task_whose_workflow_does_not_report)
{
    for (size_t i = 0; i < PJ_COUNT_OF(ends); i++) {
        struct site s;
        struct pj_task task;

        open_site(&s, ends[i].dispatch_status, ends[i].run);
        PJ_CLEANUP(pj_freep) char *id = fleet_task(&s.f, s.repo, "Greet from afar", ends[i].set);
        fleet_wait_end(&s.f, id, &task);
        cr_assert_eq(task.status, PJ_TASK_FAILED);
        cr_assert_str_eq(task.error.code, ends[i].code, "%s: %s", task.error.code,
                         task.error.detail);
        pj_task_release(&task);
        close_site(&s);
    }
}

/* ---- the workflow's own job, against the real API ---- */

struct workflow {
    struct world w;
    char *remote, *repo, *secret, *task, *callback;
    struct program job;
};

static void replay(struct world *w, const char *answers)
{
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf("%s/answers.json", w->dir);
    PJ_CLEANUP(pj_freep) char *text = pj_asprintf("{\"answers\":%s}", answers);
    struct pj_err err;

    cr_assert_eq(pj_fs_write_atomic(path, text, strlen(text), 0600, &err), 0);
    world_set(w, "MODEL_PROVIDER", "replay");
    world_set(w, "PJ_REPLAY_FILE", path);
}

static void open_workflow(struct workflow *f, const char *answers)
{
    const struct gitfix_file files[] = {{"hello.txt", "hello\n", false}};
    PJ_CLEANUP(pj_json_decrefp) json_t *made = NULL;

    *f = (struct workflow){0};
    world_start(&f->w);
    replay(&f->w, answers);
    world_api_start(&f->w);
    f->remote = gitfix_bare(f->w.remotes, "greeter", files, 1);
    PJ_CLEANUP(pj_freep) char *body = pj_asprintf("{\"url\":\"%s\"}", f->remote);
    made = world_call(&f->w, "POST", "/repositories", body, 201);
    f->repo = pj_strdup(pj_json_str(made, "id", ""));
    f->secret = pj_strdup(pj_json_str(made, "webhookSecret", ""));
    f->task = world_task(&f->w, f->repo, "Greet the world", "Write it to hello.txt.", "");
    world_execute(&f->w, f->task);
    f->callback = pj_asprintf("%s/api/v1/webhooks/execution/%s", f->w.base, f->repo);
    world_set(&f->w, "PJ_CALLBACK_URL", f->callback);
    world_set(&f->w, "PJ_TASK_ID", f->task);
    world_set(&f->w, "PJ_WEBHOOK_SECRET", f->secret);
    world_set(&f->w, "PJ_STATE_DIR", f->w.state);
    world_set(&f->w, "PJ_SECRET_KEY", NULL);
    world_set(&f->w, "PJ_REDIS_URL", NULL);
}

static void run_job(struct workflow *f)
{
    static const char *const args[] = {"job", "--remote", NULL};

    program_start(&f->job, "pj-runner", args, f->w.env, f->w.dir, "job");
}

static void close_workflow(struct workflow *f)
{
    program_release(&f->job);
    world_stop(&f->w);
    free(f->remote);
    free(f->repo);
    free(f->secret);
    free(f->task);
    free(f->callback);
}

Test(actions, r5_1_the_job_of_a_workflow_reports_by_signed_webhook_to_the_end)
{
    struct workflow f;
    PJ_CLEANUP(pj_json_decrefp) json_t *task = NULL;
    PJ_CLEANUP(pj_freep) char *content = NULL;

    open_workflow(&f,
                  "[{\"toolCalls\":[{\"name\":\"write_file\",\"arguments\":{\"path\":\"hello.txt\","
                  "\"content\":\"hello, world\\n\"}}]},"
                  "{\"toolCalls\":[{\"name\":\"finish\",\"arguments\":{\"summary\":\"Greets.\"}}],"
                  "\"usage\":{\"promptTokens\":100,\"completionTokens\":20}}]");
    PJ_CLEANUP(pj_freep) char *spec = pj_asprintf("pj/%s:hello.txt", f.task);
    run_job(&f);
    task = world_wait_status(&f.w, f.task, "completed");
    cr_assert_eq(program_wait(&f.job, WORLD_SOON), 0, "%s", program_log(&f.job));
    content = gitfix_show(f.remote, spec);
    cr_assert_str_eq(content, "hello, world\n");
    cr_assert_not_null(strstr(pj_json_str(task, "branch", ""), f.task));
    cr_assert_eq(pj_json_i64(json_object_get(task, "usage"), "totalTokens", 0), 120);
    cr_assert(world_log_has(&f.w, f.task, "pushed pj/"));
    close_workflow(&f);
}

Test(actions, a_cancelled_workflow_says_so)
{
    struct workflow f;
    PJ_CLEANUP(pj_json_decrefp) json_t *task = NULL;

    open_workflow(&f, "[{\"toolCalls\":[{\"name\":\"run\",\"arguments\":{\"command\":\"echo "
                      "box-is-busy; exec sleep 1000\",\"timeout_s\":600}}]}]");
    run_job(&f);
    PJ_CLEANUP(pj_freep) char *path = world_stream_path(f.task);
    while (!world_log_has(&f.w, f.task, "box-is-busy"))
        cr_assert_not(program_has_ended(&f.job), "%s", program_log(&f.job));
    cr_assert_eq(kill(f.job.pid, SIGTERM), 0);
    task = world_wait_end(&f.w, f.task);
    cr_assert_eq(program_wait(&f.job, WORLD_SOON), 0, "%s", program_log(&f.job));
    cr_assert_str_eq(pj_json_str(task, "status", ""), "failed");
    cr_assert_str_eq(pj_json_str(json_object_get(task, "error"), "code", ""), "cancelled");
    close_workflow(&f);
}

Test(actions, a_job_without_its_secret_says_what_is_missing)
{
    struct workflow f;

    open_workflow(&f, "[{\"text\":\"x\"}]");
    world_set(&f.w, "PJ_WEBHOOK_SECRET", NULL);
    run_job(&f);
    cr_assert_eq(program_wait(&f.job, WORLD_SOON), 78);
    PJ_CLEANUP(pj_freep) char *log = program_log(&f.job);
    cr_assert_not_null(strstr(log, "PJ_WEBHOOK_SECRET"), "%s", log);
    close_workflow(&f);
}
