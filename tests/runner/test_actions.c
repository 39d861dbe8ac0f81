/* `pj-runner job --remote`: the job inside a workflow, against a real API. */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include "lib/base/fs.h"
#include "lib/base/mem.h"
#include "lib/json/codec.h"
#include "tests/support/world.h"

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
    world_wait_log(&f.w, f.task, "box-is-busy");
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
