/* The workflow that `pj repo workflow` prints, carried out step by step as GitHub would (workflow.py), with the real programs, against a
 * real pj-api and a forge that checks every call: R1.1, R5.1, R5.2 and R7.1 for the executor github_actions. */
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>
#include "lib/base/fs.h"
#include "tests/scenarios/scene.h"

#define REPO "acme/project"
#define WORKFLOW ".github/workflows/pithy-jaunt.yml"
#define PATCH_LINES                                                                                \
    "200000" /* of 12 bytes: the patch is above 2 MiB, more than two webhooks hold */

struct stage {
    struct scene s;
    char *dir; /* dir/bin: docker and sudo; dir/context.json */
    char *task;
    struct program workflow;
    int64_t run;
};

static char *here(const char *file)
{
    const char *src = getenv("PJ_TEST_SRC");

    cr_assert_not_null(src, "run this under ctest");
    return pj_asprintf("%s/tests/scenarios/%s", src, file);
}

static void put(const struct stage *t, const char *name, const char *text, mode_t mode)
{
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf("%s/%s", t->dir, name);
    struct pj_err err;

    cr_assert_eq(pj_fs_write_atomic(path, text, strlen(text), mode, &err), 0, "%s", err.message);
}

static void put_json(const struct stage *t, const char *name, json_t *doc)
{
    PJ_CLEANUP(pj_freep) char *text = pj_json_text(doc);

    put(t, name, text, 0644);
    json_decref(doc);
}

/* What `pj repo workflow` prints, on the repository's default branch. */
static void commit_workflow(struct stage *t)
{
    struct scene *s = &t->s;
    const char *const args[] = {"repo", "workflow", s->repo, "--image", "registry.example/pj:1",
                                NULL};
    char *out, *err;

    world_set(&s->w, "PJ_URL", s->w.base);
    world_set(&s->w, "PJ_TOKEN", WORLD_TOKEN);
    cr_assert_eq(program_run("pj", args, s->w.env, s->w.dir, NULL, &out, &err), 0, "%s", err);
    const struct gitfix_file files[] = {{WORKFLOW, out, false}};
    free(gitfix_commit(s->remote, "main", files, 1, "The workflow"));
    put(t, "workflow.yml", out, 0644);
    free(out);
    free(err);
}

/* The stand-in for docker runs the programs of this build, with what an image would bring: settings that name no secret. */
static void make_image(struct stage *t, bool missing)
{
    PJ_CLEANUP(pj_freep) char *forges = pj_asprintf("%s/image-forges.json", t->dir);
    PJ_CLEANUP(pj_freep) char *state = pj_asprintf("%s/image-state", t->dir);
    PJ_CLEANUP(pj_freep) char *docker_py = here("docker.py");
    PJ_CLEANUP(pj_freep)
    char *docker = pj_asprintf("#!/bin/sh\nexec python3 %s/bin/docker.py \"$@\"\n", t->dir);
    PJ_CLEANUP(pj_str_release) struct pj_str text;
    const char *asan = getenv("ASAN_OPTIONS");
    struct pj_err err;

    pj_str_init(&text, 1 << 16);
    cr_assert_eq(pj_fs_read(docker_py, &text, &err), 0, "%s", err.message);
    cr_assert_eq(pj_fs_mkdirs(state, 0755, &err), 0);
    forge_server_forges(t->s.forge, "github", false, forges);
    put(t, "bin/docker.py", pj_str_cstr(&text), 0755);
    put(t, "bin/docker", docker, 0755);
    put(t, "bin/sudo", "#!/bin/sh\nexit 0\n", 0755);
    json_t *image =
        json_pack("{s:o, s:s, s:s, s:s, s:s}", "PATH",
                  json_sprintf("%s:/usr/bin:/bin", getenv("PJ_TEST_BIN")), "HOME", t->dir,
                  "PJ_FORGES", forges, "PJ_STATE_DIR", state, "PJ_RETRY_BASE", "10ms");
    if (asan != NULL)
        json_object_set_new(image, "ASAN_OPTIONS", json_string(asan));
    if (missing)
        json_object_set_new(image, "missing", json_true());
    put_json(t, "bin/image.json", image);
}

static void make_context(struct stage *t, const json_t *run, const char *secret, bool abrupt)
{
    PJ_CLEANUP(pj_freep) char *temp = pj_asprintf("%s/temp", t->dir);
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf("%s/bin:/usr/bin:/bin", t->dir);
    const char *url = forge_server_url(t->s.forge);
    struct pj_err err;

    cr_assert_eq(pj_fs_mkdirs(temp, 0755, &err), 0);
    put_json(
        t, "context.json",
        json_pack("{s:O, s:{s:s, s:s}, s:{s:s, s:s, s:s}, s:{s:o, s:s, s:s, s:O, s:i}, s:s, s:s, "
                  "s:{s:s, s:s}, s:b}",
                  "inputs", json_object_get(run, "inputs"), "secrets", "PJ_WEBHOOK_SECRET", secret,
                  "OPENAI_API_KEY", MODEL_SERVER_KEY, "vars", "MODEL_PROVIDER", "openai",
                  "MODEL_NAME", "stand-in-model", "OPENAI_BASE_URL",
                  model_server_openai_url(t->s.model), "github", "api_url",
                  json_sprintf("%s/api/v3", url), "server_url", url, "repository", REPO, "run_id",
                  json_object_get(run, "id"), "run_attempt", 1, "temp", temp, "path", path,
                  "tokens", "read", FORGE_READ_TOKEN, "write", FORGE_TOKEN, "abrupt", abrupt));
}

/* From the user's execute to the workflow's first step. */
static void begin(struct stage *t, const struct model_answer *answers, size_t count,
                  const char *extra)
{
    struct scene *s = &t->s;

    *t = (struct stage){0};
    scene_prepare(s, answers, count);
    world_set(&s->w, "PJ_ALLOW_LOOPBACK_CALLBACK", "1");
    world_set(&s->w, "PJ_RETRY_BASE", "10ms");
    s->remote = gitfix_bare(s->w.remotes, REPO,
                            (const struct gitfix_file[]){{"README.md", "# A project\n", false}}, 1);
    s->forge = forge_server_start(s->w.remotes);
    world_use_forge(&s->w, s->forge, true);
    world_api_start(&s->w);
    world_set(&s->w, "PJ_PUBLIC_URL", s->w.base);
    world_runner_start(&s->w, 0);
    t->dir = pj_asprintf("%s/github", s->w.dir);
    PJ_CLEANUP(pj_freep) char *bin = pj_asprintf("%s/bin", t->dir);
    struct pj_err err;
    cr_assert_eq(pj_fs_mkdirs(bin, 0755, &err), 0);
    PJ_CLEANUP(pj_freep) char *url = forge_server_repo_url(s->forge, REPO);
    PJ_CLEANUP(pj_freep) char *body = pj_asprintf("{\"url\":\"%s\"%s}", url, extra);
    json_t *made = world_call(&s->w, "POST", "/repositories", body, 201);
    s->repo = pj_strdup(pj_json_str(made, "id", ""));
    PJ_CLEANUP(pj_freep) char *secret = pj_strdup(pj_json_str(made, "webhookSecret", ""));
    json_decref(made);
    commit_workflow(t);
    put(t, "secret", secret, 0600);
    t->task = world_task(&s->w, s->repo, "Write a file", "Do what the title says.",
                         ",\"executor\":\"github_actions\"");
    world_execute(&s->w, t->task);
    world_wait_log(&s->w, t->task, "the workflow was started");
}

static void run_workflow(struct stage *t, bool missing_image, bool abrupt)
{
    json_t *runs = forge_server_runs(t->s.forge), *run = json_array_get(runs, 0);
    PJ_CLEANUP(pj_freep) char *secret_path = pj_asprintf("%s/secret", t->dir);
    PJ_CLEANUP(pj_freep) char *script = here("workflow.py");
    PJ_CLEANUP(pj_freep) char *file = pj_asprintf("%s/workflow.yml", t->dir);
    PJ_CLEANUP(pj_freep) char *context = pj_asprintf("%s/context.json", t->dir);
    PJ_CLEANUP(pj_str_release) struct pj_str secret;
    char path[] = "PATH=/usr/bin:/bin";
    char *const env[] = {path, NULL};
    struct pj_err err;

    cr_assert_eq(json_array_size(runs), 1);
    pj_str_init(&secret, 200);
    cr_assert_eq(pj_fs_read(secret_path, &secret, &err), 0);
    t->run = pj_json_i64(run, "id", 0);
    make_image(t, missing_image);
    make_context(t, run, pj_str_cstr(&secret), abrupt);
    json_decref(runs);
    forge_server_set_run(t->s.forge, t->run, "in_progress", NULL);
    const char *const args[] = {script, file, context, NULL};
    program_start(&t->workflow, "/usr/bin/python3", args, env, t->s.w.dir, "workflow");
}

/* What each job came to: "work success, publish skipped, report skipped". */
static void expect_jobs(struct stage *t, const char *work, const char *publish, const char *report)
{
    PJ_CLEANUP(pj_freep)
    char *want = pj_asprintf("{\"work\": \"%s\", \"publish\": \"%s\", \"report\": \"%s\"}", work,
                             publish, report);
    int code = program_wait(&t->workflow, WORLD_SOON);
    PJ_CLEANUP(pj_freep) char *log = program_log(&t->workflow);

    cr_expect_eq(code, 0, "%s", log);
    cr_expect_not_null(strstr(log, want), "not %s:\n%s", want, log);
}

static void end(struct stage *t)
{
    program_release(&t->workflow);
    cr_expect_eq(forge_server_overreached(t->s.forge), 0,
                 "something was to be written with the token that may only read");
    scene_stop(&t->s);
    free(t->dir);
    free(t->task);
}

static json_t *only_pull(struct stage *t)
{
    json_t *pulls = forge_server_pulls(t->s.forge, REPO);
    json_t *pull = json_incref(json_array_get(pulls, 0));

    cr_assert_eq(json_array_size(pulls), 1, "%zu pull requests", json_array_size(pulls));
    json_decref(pulls);
    return pull;
}

Test(r5_workflow, r1_1_and_r5_1_from_execute_to_a_pull_request_with_lines_that_come_as_it_runs)
{
    static const struct model_answer answers[] = {
        SCENE_RUN("echo a-line-of-the-box"),
        {.trouble = MODEL_GATE,
         .text = "I write.",
         .calls = {{"write_file", "{\"path\":\"new.txt\",\"content\":\"made\\n\"}"}}},
        SCENE_FINISH,
    };
    struct stage t;

    begin(&t, answers, PJ_COUNT_OF(answers), ",\"codeRabbit\":\"off\"");
    run_workflow(&t, false, false);
    /* The model has not answered yet, so the job cannot have ended. */
    world_wait_log(&t.s.w, t.task, "a-line-of-the-box");
    cr_expect_not(program_has_ended(&t.workflow));
    model_server_release(t.s.model);
    json_t *task = world_wait_status(&t.s.w, t.task, "completed");
    expect_jobs(&t, "success", "success", "skipped");
    json_t *pull = only_pull(&t);
    const char *body = pj_json_str(pull, "body", "");
    PJ_CLEANUP(pj_freep) char *branch = scene_branch(t.task);
    PJ_CLEANUP(pj_freep) char *spec = pj_asprintf("%s:new.txt", branch);
    PJ_CLEANUP(pj_freep) char *content = gitfix_show(t.s.remote, spec);
    cr_expect_str_eq(content, "made\n");
    cr_expect_str_eq(pj_json_str(task, "prUrl", ""), pj_json_str(pull, "html_url", "?"));
    cr_expect_str_eq(pj_json_str(pull, "title", ""), "Pithy Jaunt: Write a file");
    cr_expect_not_null(strstr(body, "stand-in-model"), "what worked is told: %s", body);
    cr_expect_not_null(strstr(body, "The file is written."), "so is what it said: %s", body);
    cr_expect_not_null(strstr(body, "github_actions"), "and where: %s", body);
    cr_expect_not_null(strstr(body, "1 file,") != NULL ? body : strstr(body, "1 file"), "%s", body);
    cr_expect_gt(pj_json_i64(json_object_get(task, "usage"), "totalTokens", 0), 0);
    json_decref(pull);
    json_decref(task);
    end(&t);
}

/* Contract: a patch has up to 8 MiB, a webhook 1 MiB. */
Test(r5_workflow, a_patch_of_more_than_a_webhook_holds_arrives_whole)
{
    static const struct model_answer answers[] = {
        SCENE_RUN("seq -f %011.0f " PATCH_LINES " > big.txt; printf 'caf\\\\351\\\\n' > latin.txt"),
        SCENE_FINISH,
    };
    struct stage t;

    begin(&t, answers, PJ_COUNT_OF(answers), ",\"codeRabbit\":\"off\"");
    run_workflow(&t, false, false);
    json_decref(world_wait_status(&t.s.w, t.task, "completed"));
    expect_jobs(&t, "success", "success", "skipped");
    PJ_CLEANUP(pj_freep) char *branch = scene_branch(t.task);
    PJ_CLEANUP(pj_freep) char *spec = pj_asprintf("%s:big.txt", branch);
    PJ_CLEANUP(pj_freep) char *latin = pj_asprintf("%s:latin.txt", branch);
    PJ_CLEANUP(pj_freep) char *content = gitfix_show(t.s.remote, spec);
    PJ_CLEANUP(pj_freep) char *word = gitfix_show(t.s.remote, latin);
    cr_expect_eq(strlen(content), 12 * strtoul(PATCH_LINES, NULL, 10));
    cr_expect_str_eq(word, "caf\351\n", "bytes that are no UTF-8 stay as they are");
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf("/api/v1/tasks/%s/patch", t.task);
    struct http_answer a;
    http_call(t.s.w.base, "GET", path, WORLD_TOKEN, NULL, NULL, &a);
    cr_expect_eq(a.status, 200);
    cr_expect_gt(a.body_len, 2 << 20);
    http_answer_release(&a);
    end(&t);
}

/* ---- ends that nobody's success tells ---- */

static const struct model_answer busy[] = {SCENE_RUN("echo box-is-busy; exec sleep 1000")};

Test(r5_workflow, r5_2_a_cancelled_job_reports_itself)
{
    struct stage t;

    begin(&t, busy, 1, "");
    run_workflow(&t, false, false);
    world_wait_log(&t.s.w, t.task, "box-is-busy");
    cr_assert_eq(kill(t.workflow.pid, SIGTERM), 0);
    json_t *task = world_wait_end(&t.s.w, t.task);
    cr_expect_str_eq(scene_status(task), "failed");
    cr_expect_str_eq(scene_error_code(task), "cancelled");
    expect_jobs(&t, "cancelled", "cancelled", "success");
    json_decref(task);
    end(&t);
}

Test(r5_workflow, r7_1_a_job_that_is_killed_is_reported_by_the_last_one)
{
    struct stage t;

    begin(&t, busy, 1, "");
    run_workflow(&t, false, true);
    world_wait_log(&t.s.w, t.task, "box-is-busy");
    cr_assert_eq(kill(t.workflow.pid, SIGTERM), 0);
    json_t *task = world_wait_end(&t.s.w, t.task);
    cr_expect_str_eq(scene_error_code(task), "cancelled");
    cr_expect_not_null(
        strstr(pj_json_str(json_object_get(task, "error"), "detail", ""), "/actions/runs/"),
        "its run is named");
    expect_jobs(&t, "cancelled", "cancelled", "success");
    json_decref(task);
    end(&t);
}

Test(r5_workflow, r5_2_an_image_that_is_not_there_is_reported)
{
    struct stage t;

    begin(&t, busy, 1, "");
    run_workflow(&t, true, false);
    json_t *task = world_wait_end(&t.s.w, t.task);
    cr_expect_str_eq(scene_status(task), "failed");
    cr_expect_str_eq(scene_error_code(task), "runner_lost");
    expect_jobs(&t, "failure", "skipped", "success");
    json_decref(task);
    end(&t);
}

/* The model is fine, the change is not: nothing is published. */
Test(r5_workflow, r3_3_a_change_that_policy_stops_is_kept_and_not_published)
{
    static const struct model_answer answers[] = {
        SCENE_WRITE(".github/workflows/evil.yml", "on: push\\n"),
        SCENE_FINISH,
    };
    struct stage t;

    begin(&t, answers, PJ_COUNT_OF(answers), "");
    run_workflow(&t, false, false);
    json_t *task = world_wait_status(&t.s.w, t.task, "needs_review");
    cr_expect_str_eq(scene_error_code(task), "patch_policy");
    expect_jobs(&t, "success", "skipped", "skipped");
    json_t *pulls = forge_server_pulls(t.s.forge, REPO);
    cr_expect_eq(json_array_size(pulls), 0);
    json_decref(pulls);
    json_decref(task);
    end(&t);
}
