/* Neighbouring versions on one store. PJ_TEST_NEIGHBOUR_BIN: the programs of another version, as ./dev builds them. */
#include <signal.h>
#include "tests/scenarios/rolling.h"

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

/* The folder of the other version's programs. */
static const char *neighbour(void)
{
    const char *bin = getenv("PJ_TEST_NEIGHBOUR_BIN");

    if (!bin || !*bin)
        cr_skip_test("PJ_TEST_NEIGHBOUR_BIN is not set: ./dev test-neighbour [REF]");
    return bin;
}

Test(upgrade, under_load_and_back_again_loses_and_repeats_nothing)
{
    const char *other = neighbour();
    struct rolling r;

    rolling_start(&r, other);
    rolling_api(&r, NULL);
    rolling_runner(&r, 0, NULL); /* from here on one runner of each */
    rolling_runner(&r, 1, NULL);
    rolling_runner(&r, 0, other); /* taken back */
    rolling_api(&r, other);
    rolling_api(&r, NULL); /* viewers of a version that forgot to tell of an end hear of it here */
    rolling_end(&r);
}

/* The other version's API and this one's runner, or the other way round: what is told of a task is what was done. */
static void run_across(struct scene *s, const char *api, const char *runner)
{
    static const char *const suffixes[] = {"", "/usage", "/patch?format=json"};

    cr_expect_eq(program_stop(&s->w.runner[0], SIGTERM, WORLD_SOON), 0);
    cr_expect_eq(program_stop(&s->w.api, SIGTERM, WORLD_SOON), 0);
    program_release(&s->w.runner[0]);
    program_release(&s->w.api);
    rolling_use(api);
    world_api_start(&s->w);
    rolling_use(runner);
    world_runner_start(&s->w, 0);
    PJ_CLEANUP(pj_freep) char *task = scene_run(s, "Write a file");
    rolling_assert_once(s, task);
    for (size_t i = 0; i < PJ_COUNT_OF(suffixes); i++) {
        PJ_CLEANUP(pj_freep) char *path = pj_asprintf("/tasks/%s%s", task, suffixes[i]);
        PJ_CLEANUP(pj_json_decrefp) json_t *doc = world_call(&s->w, "GET", path, NULL, 200);
        PJ_CLEANUP(pj_freep) char *text = pj_json_text(doc);

        cr_expect_not_null(strstr(text, i == 2 ? "\"a.txt\"" : "\"promptTokens\""), "%s: %s",
                           suffixes[i], text);
    }
}

Test(upgrade, what_one_version_did_the_other_tells)
{
    static const struct model_answer answers[] = {SCENE_WRITE("a.txt", "x\\n"), SCENE_FINISH,
                                                  SCENE_WRITE("a.txt", "x\\n"), SCENE_FINISH};
    const char *other = neighbour();
    struct scene s;

    scene_start(&s, answers, PJ_COUNT_OF(answers));
    run_across(&s, other, NULL);
    run_across(&s, NULL, other);
    rolling_use(NULL);
    scene_stop(&s);
}

/* Runner `i` is killed at work on a task; one of `successor` takes it up, and its log goes on where it broke off. */
static void leave_and_take_up(struct scene *s, size_t i, const char *successor)
{
    size_t asked = model_server_count(s->model);
    PJ_CLEANUP(pj_freep) char *task = scene_run(s, "Write a file");

    cr_assert(model_server_wait(s->model, asked + 1, WORLD_SOON));
    (void)program_stop(&s->w.runner[i], SIGKILL, WORLD_SOON);
    program_release(&s->w.runner[i]);
    rolling_use(successor);
    world_runner_start(&s->w, 1 - i);
    rolling_assert_once(s, task);
    PJ_CLEANUP(pj_json_decrefp) json_t *log = world_log(&s->w, task);
    for (size_t n = 0; n < json_array_size(log); n++)
        cr_expect_eq(pj_json_i64(json_array_get(log, n), "n", 0), (int64_t)n + 1);
}

Test(upgrade, a_task_that_one_version_left_is_taken_up_by_the_other)
{
    static const struct model_answer answers[] = {
        SCENE_RUN("sleep 600"), SCENE_WRITE("a.txt", "x\\n"), SCENE_FINISH,
        SCENE_RUN("sleep 600"), SCENE_WRITE("a.txt", "x\\n"), SCENE_FINISH,
    };
    const char *other = neighbour();
    struct scene s;

    scene_prepare(&s, answers, PJ_COUNT_OF(answers));
    world_set(&s.w, "PJ_LEASE_TTL", "2s");
    world_set(&s.w, "PJ_RUNNER_SLOTS", "1");
    rolling_use(other);
    scene_open(&s, ",\"codeRabbit\":\"off\"");
    leave_and_take_up(&s, 0, NULL);
    leave_and_take_up(&s, 1, other);
    rolling_use(NULL);
    scene_stop(&s);
}
