/* Runners as a scheduler sees them: probes, metrics, leaving when there is nothing to do, and runners that only start workflows. */
#include <signal.h>
#include "tests/scenarios/scene.h"

static const struct model_answer gated[] = {
    {.trouble = MODEL_GATE,
     .text = "I write.",
     .calls = {{"write_file", "{\"path\":\"new.txt\",\"content\":\"x\\n\"}"}}},
    SCENE_FINISH,
};
static const struct model_answer twice[] = {SCENE_WRITE("a.txt", "x\\n"), SCENE_FINISH,
                                            SCENE_WRITE("a.txt", "x\\n"), SCENE_FINISH};

/* The port that the runner's log names. */
static char *metrics_base(struct scene *s)
{
    cr_assert(program_wait_log(&s->w.runner[0], "metrics_listening", WORLD_SOON));
    char *log = program_log(&s->w.runner[0]);
    const char *at = strstr(strstr(log, "metrics_listening"), "\"port\":");
    char *base = pj_asprintf("http://127.0.0.1:%d", atoi(at + strcspn(at, "0123456789")));

    free(log);
    return base;
}

static void expect(const char *base, const char *method, const char *path, int status,
                   const char *says)
{
    struct http_answer a;

    http_call(base, method, path, NULL, NULL, NULL, &a);
    cr_expect_eq(a.status, status, "%s %s: %d: %s", method, path, a.status, a.body);
    cr_expect_not_null(strstr(a.body, says), "%s %s: %s", method, path, a.body);
    http_answer_release(&a);
}

Test(fleet, a_runner_answers_probes_and_prometheus)
{
    struct scene s;

    scene_prepare(&s, gated, 2);
    world_set(&s.w, "PJ_METRICS_LISTEN", "127.0.0.1:0");
    world_set(&s.w, "PJ_RUNNER_SLOTS", "2");
    scene_open(&s, ",\"codeRabbit\":\"off\"");
    char *base = metrics_base(&s);
    expect(base, "GET", "/livez", 200, "ok");
    expect(base, "GET", "/readyz", 200, "ok");
    expect(base, "GET", "/metrics", 200, "\npj_runner_slots 2\n");
    expect(base, "GET", "/metrics", 200, "\npj_runner_slots_busy 0\n");
    expect(base, "GET", "/metrics", 200, "pj_build_info{program=\"pj-runner\",version=");
    expect(base, "GET", "/", 404, "/metrics");
    expect(base, "DELETE", "/metrics", 405, "GET only");

    char *task = scene_run(&s, "Write a file");
    cr_assert(model_server_wait(s.model, 1, WORLD_SOON));
    expect(base, "GET", "/metrics", 200, "\npj_runner_slots_busy 1\n");
    expect(base, "GET", "/metrics", 200, "\npj_runner_attempts_started_total 1\n");
    cr_assert_eq(kill(s.w.runner[0].pid, SIGTERM), 0);
    cr_assert(program_wait_log(&s.w.runner[0], "\"draining\"", WORLD_SOON));
    expect(base, "GET", "/readyz", 503, "draining");
    expect(base, "GET", "/livez", 200, "ok");
    model_server_release(s.model);
    json_decref(world_wait_status(&s.w, task, "completed"));
    cr_expect_eq(program_wait(&s.w.runner[0], WORLD_SOON), 0);
    free(task);
    free(base);
    scene_stop(&s);
}

Test(fleet, a_runner_with_a_number_of_tasks_leaves_after_them)
{
    struct scene s;

    scene_prepare(&s, twice, 4);
    world_set(&s.w, "PJ_RUNNER_TASKS", "1");
    world_set(&s.w, "PJ_LEASE_TTL", "2s");
    scene_open(&s, ",\"codeRabbit\":\"off\"");
    char *first = scene_run(&s, "Write a file"), *second = scene_run(&s, "Write a file");
    json_decref(world_wait_status(&s.w, first, "completed"));
    cr_expect_eq(program_wait(&s.w.runner[0], WORLD_SOON), 0);
    char *path = pj_asprintf("/tasks/%s", second);
    json_t *doc = world_call(&s.w, "GET", path, NULL, 200);
    cr_expect_str_eq(scene_status(doc), "running");
    cr_expect_str_eq(pj_json_str(doc, "stage", ""), "waiting", "nobody has touched it");
    json_decref(doc);
    world_runner_start(&s.w, 1);
    json_decref(world_wait_status(&s.w, second, "completed"));
    cr_expect_eq(program_wait(&s.w.runner[1], WORLD_SOON), 0);
    free(path);
    free(first);
    free(second);
    scene_stop(&s);
}

Test(fleet, a_runner_that_has_been_idle_for_long_enough_leaves)
{
    struct scene s;

    scene_prepare(&s, NULL, 0);
    world_set(&s.w, "PJ_RUNNER_IDLE", "300ms");
    world_set(&s.w, "PJ_LEASE_TTL", "1s");
    scene_open(&s, "");
    cr_expect_eq(program_wait(&s.w.runner[0], WORLD_SOON), 0);
    char *log = program_log(&s.w.runner[0]);
    cr_expect_not_null(strstr(log, "PJ_RUNNER_IDLE"), "%s", log);
    free(log);
    scene_stop(&s);
}

Test(fleet, a_runner_for_workflows_alone_needs_no_model_and_fails_a_task_that_wants_a_box)
{
    struct scene s;

    scene_prepare(&s, NULL, 0);
    world_set(&s.w, "PJ_RUNNER_EXECUTORS", "github_actions");
    world_set(&s.w, "MODEL_PROVIDER", NULL);
    world_set(&s.w, "OPENAI_API_KEY", NULL);
    scene_open(&s, "");
    char *task = scene_run(&s, "Write a file");
    json_t *doc = world_wait_status(&s.w, task, "failed");
    cr_expect_str_eq(scene_error_code(doc), "sandbox_unavailable");
    cr_expect_not_null(strstr(pj_json_str(json_object_get(doc, "error"), "remedy", ""),
                              "PJ_RUNNER_EXECUTORS=all"));
    json_decref(doc);
    json_t *runners = world_call(&s.w, "GET", "/admin/runners", NULL, 200);
    char *text = pj_json_text(runners);
    cr_expect_not_null(strstr(text, "no boxes are made here"), "%s", text);
    free(text);
    json_decref(runners);
    free(task);
    scene_stop(&s);
}
