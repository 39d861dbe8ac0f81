/* Restarts under load: nothing lost, nothing twice, no viewer misses a line. */
#include "tests/scenarios/rolling.h"

Test(restart, a_rolling_restart_under_load_loses_and_repeats_nothing)
{
    struct rolling r;

    rolling_start(&r, NULL);
    rolling_runner(&r, 0, NULL);
    rolling_api(&r, NULL);
    rolling_runner(&r, 1, NULL);
    rolling_api(&r, NULL);
    rolling_end(&r);
}

/* A task whose model holds its first answer back. `appendfsync` as Redis writes its log, NULL: it keeps none. */
static char *open_gated(struct scene *s, const char *appendfsync)
{
    static const struct model_answer answers[] = {
        {.trouble = MODEL_GATE,
         .text = "I write.",
         .calls = {{"write_file", "{\"path\":\"new.txt\",\"content\":\"x\\n\"}"}}},
        SCENE_FINISH,
    };
    char *task;

    memset(s, 0, sizeof *s);
    s->model = model_server_start(0, answers, 2);
    world_start(&s->w);
    if (appendfsync != NULL) {
        test_redis_stop(&s->w.redis);
        test_redis_start_durable(&s->w.redis, appendfsync);
        world_set(&s->w, "PJ_REDIS_URL", s->w.redis.url);
    }
    world_use_openai(&s->w, s->model);
    scene_open(s, ",\"codeRabbit\":\"off\"");
    task = scene_run(s, "Write a file");
    cr_assert(model_server_wait(s->model, 1, WORLD_SOON));
    return task;
}

Test(restart, a_redis_that_comes_back_finds_the_task_going_on)
{
    struct scene s;
    char *task = open_gated(&s, "always");

    test_redis_kill(&s.w.redis);
    model_server_release(s.model);
    test_redis_restart(&s.w.redis);
    rolling_assert_once(&s, task);
    free(task);
    scene_stop(&s);
}

/* Redis comes back as it was before the task had ended: the runner, which knows, says it again, and nothing runs twice. */
Test(restart, an_end_that_redis_forgot_stands_again_without_a_second_run)
{
    struct scene s;
    char *task = open_gated(&s, NULL);

    {
        PJ_CLEANUP(pj_redis_freep) struct pj_redis *redis = test_redis_connect(&s.w.redis);
        PJ_CLEANUP(pj_reply_freep)
        struct redisReply *off = test_redis_words(redis, "CONFIG", "SET", "save", "", NULL);
        PJ_CLEANUP(pj_reply_freep) struct redisReply *saved = test_redis_words(redis, "SAVE", NULL);
    }
    model_server_release(s.model);
    json_decref(world_wait_status(&s.w, task, "completed"));
    test_redis_kill(&s.w.redis);
    test_redis_restart(&s.w.redis);
    cr_assert(program_wait_log(&s.w.runner[0], "end_restored", WORLD_SOON));
    rolling_assert_once(&s, task);
    cr_expect_eq(model_server_count(s.model), 2, "it ran once");
    free(task);
    scene_stop(&s);
}
