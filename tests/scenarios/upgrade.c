/* Neighbouring versions on one store. PJ_TEST_NEIGHBOUR_BIN: programs of another version (./dev test-neighbour REF builds them). */
#include <signal.h>
#include "tests/scenarios/scene.h"

#define TASKS 6

static const struct model_answer busy[] = {
    {.repeat = true,
     .text = "I do it.",
     .calls = {{"run", "{\"command\":\"echo done > done.txt\"}"},
               {"finish", "{\"summary\":\"Done.\"}"}}},
};

Test(upgrade, a_store_of_a_newer_schema_is_left_alone)
{
    static const char *const programs[] = {"pj-api", "pj-runner"};
    struct scene s;

    scene_start(&s, NULL, 0);
    cr_expect_eq(program_stop(&s.w.runner[0], SIGTERM, WORLD_SOON), 0);
    cr_expect_eq(program_stop(&s.w.api, SIGTERM, WORLD_SOON), 0);
    struct pj_redis *redis = test_redis_connect(&s.w.redis);
    PJ_CLEANUP(pj_reply_freep)
    struct redisReply *reply =
        test_redis_words(redis, "HSET", "pj:{g}:meta", "schema", "99", (const char *)NULL);
    cr_expect_not_null(reply);
    pj_redis_free(redis);
    for (size_t i = 0; i < PJ_COUNT_OF(programs); i++) {
        char *out, *err;

        cr_expect_eq(program_run(programs[i], NULL, s.w.env, s.w.dir, NULL, &out, &err), 1, "%s",
                     err);
        cr_expect_not_null(strstr(err, "99"), "%s", err);
        cr_expect_not_null(strstr(err, "newer version"), "%s", err);
        free(out);
        free(err);
    }
    scene_stop(&s);
}

static void run_some(struct scene *s)
{
    char *task[TASKS];

    for (size_t i = 0; i < TASKS; i++)
        task[i] = scene_run(s, "Do it");
    for (size_t i = 0; i < TASKS; i++) {
        char *branch = scene_branch(task[i]), *range = pj_asprintf("main..%s", branch);
        json_t *doc = world_wait_status(&s->w, task[i], "completed");
        char *commits =
            gitfix_run(s->remote, NULL, "rev-list", "--count", range, (const char *)NULL);
        json_t *log = world_log(&s->w, task[i]);

        cr_expect_str_eq(commits, "1\n");
        cr_expect_gt(json_array_size(log), 3);
        json_decref(log);
        json_decref(doc);
        free(commits);
        free(range);
        free(branch);
        free(task[i]);
    }
}

static void change_api(struct scene *s, const char *bin)
{
    cr_expect_eq(program_stop(&s->w.api, SIGTERM, WORLD_SOON), 0);
    program_release(&s->w.api);
    cr_assert_eq(setenv("PJ_TEST_BIN", bin, 1), 0);
    world_api_start(&s->w);
}

Test(upgrade, neighbouring_versions_work_side_by_side)
{
    const char *neighbour = getenv("PJ_TEST_NEIGHBOUR_BIN");
    char *own = pj_strdup(getenv("PJ_TEST_BIN"));
    struct scene s;

    if (!neighbour || !*neighbour) {
        free(own);
        cr_skip_test("PJ_TEST_NEIGHBOUR_BIN is not set: ./dev test-neighbour REF");
    }
    scene_prepare(&s, busy, 1);
    world_set(&s.w, "PJ_RUNNER_SLOTS", "2");
    cr_assert_eq(setenv("PJ_TEST_BIN", neighbour, 1), 0);
    scene_open(&s, ",\"codeRabbit\":\"off\""); /* API and runner 0: the other version */
    run_some(&s);
    cr_assert_eq(setenv("PJ_TEST_BIN", own, 1), 0);
    world_runner_start(&s.w, 1);
    run_some(&s); /* its API, both runners */
    change_api(&s, own);
    run_some(&s); /* our API, both runners */
    cr_expect_eq(program_stop(&s.w.runner[0], SIGTERM, WORLD_SOON), 0);
    run_some(&s);
    cr_expect_eq(model_server_count(s.model), 4 * TASKS, "each ran once");
    free(own);
    scene_stop(&s);
}
