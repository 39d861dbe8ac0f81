/* R1: task execution initialization. */
#include <pthread.h>
#include "lib/base/clock.h"
#include "lib/base/fs.h"
#include "tests/scenarios/scene.h"

static const struct model_answer write_and_finish[] = {SCENE_WRITE("new.txt", "made\\n"),
                                                       SCENE_FINISH};
static const struct model_answer gated[] = {
    {.trouble = MODEL_GATE,
     .text = "I write.",
     .calls = {{"write_file", "{\"path\":\"new.txt\",\"content\":\"x\\n\"}"}}},
    SCENE_FINISH,
};

Test(r1, r1_1_execute_answers_at_once_and_the_backend_runs)
{
    struct scene s;

    scene_prepare(&s, gated, 2);
    scene_open(&s, "");
    char *task = world_task(&s.w, s.repo, "Write a file", "Do it.", "");
    char *path = pj_asprintf("/tasks/%s/execute", task);
    char *read = pj_asprintf("/tasks/%s", task);
    int64_t before = pj_mono_ms();
    json_t *answer = world_call(&s.w, "POST", path, NULL, 202);
    int64_t took = pj_mono_ms() - before;

    cr_expect_str_eq(scene_status(answer), "running");
    cr_expect_lt(took, 2000, "execute waited for the backend");
    json_decref(answer);
    /* The model was asked, so the backend works while the task is running. */
    cr_assert(model_server_wait(s.model, 1, WORLD_SOON));
    answer = world_call(&s.w, "GET", read, NULL, 200);
    cr_expect_str_eq(scene_status(answer), "running");
    cr_expect_str_eq(pj_json_str(answer, "stage", ""), "generating");
    cr_expect_str_eq(pj_json_str(answer, "runner", ""), "runner-0");
    json_decref(answer);
    model_server_release(s.model);
    json_decref(world_wait_status(&s.w, task, "completed"));
    free(path);
    free(read);
    free(task);
    scene_stop(&s);
}

struct racer {
    struct world *w;
    const char *path;
    int status;
};

static void *race(void *arg)
{
    struct racer *r = arg;
    struct http_answer a;

    http_call(r->w->base, "POST", r->path, WORLD_TOKEN, NULL, NULL, &a);
    r->status = a.status;
    http_answer_release(&a);
    return NULL;
}

Test(r1, r1_1_of_concurrent_executes_exactly_one_wins)
{
    struct scene s;
    struct racer racers[8];
    pthread_t threads[8];
    int won = 0, lost = 0;

    scene_start(&s, write_and_finish, 2);
    char *task = world_task(&s.w, s.repo, "Write a file", "Do it.", "");
    char *path = pj_asprintf("/api/v1/tasks/%s/execute", task);
    for (size_t i = 0; i < 8; i++) {
        racers[i] = (struct racer){&s.w, path, 0};
        cr_assert_eq(pthread_create(&threads[i], NULL, race, &racers[i]), 0);
    }
    for (size_t i = 0; i < 8; i++) {
        pthread_join(threads[i], NULL);
        won += racers[i].status == 202;
        lost += racers[i].status == 409;
    }
    cr_expect_eq(won, 1);
    cr_expect_eq(lost, 7);
    json_decref(world_wait_status(&s.w, task, "completed"));
    cr_expect_eq(model_server_count(s.model), 2, "the task ran once");
    free(path);
    free(task);
    scene_stop(&s);
}

Test(r1, r1_1_an_idempotency_key_repeats_the_first_answer)
{
    static const char *const headers[] = {"Idempotency-Key: same-key-0001", NULL};
    struct scene s;
    struct http_answer first, second;

    scene_start(&s, write_and_finish, 2);
    char *task = world_task(&s.w, s.repo, "Write a file", "Do it.", "");
    char *path = pj_asprintf("/api/v1/tasks/%s/execute", task);
    http_call(s.w.base, "POST", path, WORLD_TOKEN, NULL, headers, &first);
    http_call(s.w.base, "POST", path, WORLD_TOKEN, NULL, headers, &second);
    cr_expect_eq(first.status, 202, "%s", first.body);
    cr_expect_eq(second.status, 202, "%s", second.body);
    cr_expect_str_eq(first.body, second.body);
    json_decref(world_wait_status(&s.w, task, "completed"));
    http_answer_release(&first);
    http_answer_release(&second);
    free(path);
    free(task);
    scene_stop(&s);
}

Test(r1, r1_2_a_task_that_is_not_queued_is_refused)
{
    struct scene s;

    scene_start(&s, write_and_finish, 2);
    char *task = scene_run(&s, "Write a file");
    char *path = pj_asprintf("/tasks/%s/execute", task);
    json_decref(world_wait_status(&s.w, task, "completed"));
    json_t *problem = world_call(&s.w, "POST", path, NULL, 409);
    cr_expect_str_eq(pj_json_str(problem, "code", ""), "not_queued");
    cr_expect_not_null(strstr(pj_json_str(problem, "detail", ""), "completed"), "names the status");
    json_decref(problem);
    cr_expect_eq(model_server_count(s.model), 2, "nothing was triggered");
    free(path);
    free(task);
    scene_stop(&s);
}

static void remove_remote(struct scene *s)
{
    struct pj_err err = {0};

    cr_assert_eq(pj_fs_remove_tree(s->remote, &err), 0, "%s", err.message);
}

Test(r1, r1_3_a_repository_known_to_be_invalid_is_refused)
{
    struct scene s;

    scene_start(&s, NULL, 0);
    char *task = world_task(&s.w, s.repo, "Write a file", "Do it.", "");
    char *verify = pj_asprintf("/repositories/%s/verify", s.repo);
    char *path = pj_asprintf("/tasks/%s/execute", task);
    char *read = pj_asprintf("/tasks/%s", task);
    struct http_answer a;

    remove_remote(&s);
    char *full = pj_asprintf("/api/v1%s", verify);
    http_call(s.w.base, "POST", full, WORLD_TOKEN, NULL, NULL, &a);
    http_answer_release(&a);
    json_t *problem = world_call(&s.w, "POST", path, NULL, 422);
    cr_expect_str_eq(pj_json_str(problem, "code", ""), "repository_not_connected");
    cr_expect_str_not_empty(pj_json_str(problem, "remedy", ""), "says how to connect it");
    json_decref(problem);
    json_t *doc = world_call(&s.w, "GET", read, NULL, 200);
    cr_expect_str_eq(scene_status(doc), "queued");
    json_decref(doc);
    cr_expect_eq(model_server_count(s.model), 0);
    free(full);
    free(verify);
    free(path);
    free(read);
    free(task);
    scene_stop(&s);
}

Test(r1, r1_3_a_repository_that_went_away_is_found_out_by_the_runner)
{
    struct scene s;

    scene_start(&s, NULL, 0);
    char *task = world_task(&s.w, s.repo, "Write a file", "Do it.", "");
    char *next = world_task(&s.w, s.repo, "Write another", "Do it.", "");
    char *repo = pj_asprintf("/repositories/%s", s.repo);
    char *path = pj_asprintf("/tasks/%s/execute", next);

    remove_remote(&s);
    world_execute(&s.w, task);
    json_t *doc = world_wait_status(&s.w, task, "failed");
    cr_expect_str_eq(scene_error_code(doc), "repository_unavailable");
    cr_expect_str_not_empty(pj_json_str(json_object_get(doc, "error"), "remedy", ""));
    json_decref(doc);
    doc = world_call(&s.w, "GET", repo, NULL, 200);
    cr_expect_str_eq(scene_status(doc), "invalid");
    json_decref(doc);
    doc = world_call(&s.w, "POST", path, NULL, 422);
    cr_expect_str_eq(pj_json_str(doc, "code", ""), "repository_not_connected");
    json_decref(doc);
    free(path);
    free(repo);
    free(next);
    free(task);
    scene_stop(&s);
}
