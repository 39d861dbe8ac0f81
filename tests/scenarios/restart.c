/* Restarts under load: nothing lost, nothing twice, no viewer misses a line. */
#include <signal.h>
#include <stdio.h>
#include "tests/scenarios/scene.h"

#define TASKS 20
#define VIEWERS 5

/* One turn does it all, for every task alike; the command talks, so that there is something to miss. */
static const struct model_answer busy[] = {
    {.repeat = true,
     .text = "I do it.",
     .calls = {{"run", "{\"command\":\"i=0; while [ $i -lt 50 ]; do echo line $i; i=$((i+1)); "
                       "done; echo done > done.txt\"}"},
               {"finish", "{\"summary\":\"Done.\"}"}}},
};

static void assert_once(struct scene *s, const char *task)
{
    char *branch = scene_branch(task), *range = pj_asprintf("main..%s", branch);
    json_t *doc = world_wait_status(&s->w, task, "completed");
    char *commits = gitfix_run(s->remote, NULL, "rev-list", "--count", range, (const char *)NULL);

    cr_expect_str_eq(commits, "1\n");
    cr_expect_eq(pj_json_i64(doc, "attempt", 0), 1);
    json_decref(doc);
    free(commits);
    free(range);
    free(branch);
}

/* What `pj --json logs -f` printed, entry by entry, against what is stored: each once, none missing, in order. */
static void assert_saw_all(struct scene *s, struct program *viewer, const char *task)
{
    json_t *log = world_log(&s->w, task);
    size_t seen = 0;

    cr_expect_eq(program_wait(viewer, WORLD_SOON), 0);
    char *out = program_log(viewer), *rest = NULL;
    for (char *line = strtok_r(out, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        json_t *entry = json_loads(line, 0, NULL);
        const char *want = pj_json_str(json_array_get(log, seen), "id", "nothing more");

        cr_expect_str_eq(pj_json_str(entry, "id", "no entry"), want, "entry %zu: %s", seen, line);
        seen++;
        json_decref(entry);
    }
    cr_expect_eq(seen, json_array_size(log), "saw %zu of %zu", seen, json_array_size(log));
    cr_expect_gt(seen, 50);
    free(out);
    json_decref(log);
    program_release(viewer);
}

static void restart_api(struct scene *s)
{
    cr_expect_eq(program_stop(&s->w.api, SIGTERM, WORLD_SOON), 0);
    program_release(&s->w.api);
    world_api_start(&s->w);
}

static void restart_runner(struct scene *s, size_t i)
{
    cr_expect_eq(program_stop(&s->w.runner[i], SIGTERM, WORLD_SOON), 0, "drains and ends well");
    program_release(&s->w.runner[i]);
    world_runner_start(&s->w, i);
}

Test(restart, a_rolling_restart_under_load_loses_and_repeats_nothing)
{
    struct scene s;
    char *task[TASKS];
    struct program viewer[VIEWERS];

    scene_prepare(&s, busy, 1);
    world_set(&s.w, "PJ_RUNNER_SLOTS", "2");
    scene_open(&s, ",\"codeRabbit\":\"off\"");
    world_runner_start(&s.w, 1);
    world_set(&s.w, "PJ_LISTEN", s.w.base + strlen("http://"));
    world_set(&s.w, "PJ_URL", s.w.base);
    world_set(&s.w, "PJ_TOKEN", WORLD_TOKEN);
    for (size_t i = 0; i < TASKS; i++)
        task[i] = scene_run(&s, "Do it");
    for (size_t i = 0; i < VIEWERS; i++) {
        char *tag = pj_asprintf("viewer-%zu", i);
        const char *const args[] = {"--json", "logs", "-f", task[i * 4 + 3], NULL};

        program_start(&viewer[i], "pj", args, s.w.env, s.w.dir, tag);
        free(tag);
    }
    cr_assert(model_server_wait(s.model, 2, WORLD_SOON));
    restart_runner(&s, 0);
    restart_api(&s);
    restart_runner(&s, 1);
    restart_api(&s);
    for (size_t i = 0; i < TASKS; i++)
        assert_once(&s, task[i]);
    cr_expect_eq(model_server_count(s.model), TASKS, "each ran once");
    for (size_t i = 0; i < VIEWERS; i++)
        assert_saw_all(&s, &viewer[i], task[i * 4 + 3]);
    for (size_t i = 0; i < TASKS; i++)
        free(task[i]);
    scene_stop(&s);
}

Test(restart, a_redis_that_comes_back_finds_the_task_going_on)
{
    static const struct model_answer answers[] = {
        {.trouble = MODEL_GATE,
         .text = "I write.",
         .calls = {{"write_file", "{\"path\":\"new.txt\",\"content\":\"x\\n\"}"}}},
        SCENE_FINISH,
    };
    struct scene s;

    memset(&s, 0, sizeof s);
    s.model = model_server_start(0, answers, 2);
    world_start(&s.w);
    test_redis_stop(&s.w.redis);
    test_redis_start_durable(&s.w.redis, "always");
    world_set(&s.w, "PJ_REDIS_URL", s.w.redis.url);
    world_use_openai(&s.w, s.model);
    scene_open(&s, ",\"codeRabbit\":\"off\"");
    char *task = scene_run(&s, "Write a file");
    cr_assert(model_server_wait(s.model, 1, WORLD_SOON));
    test_redis_kill(&s.w.redis);
    model_server_release(s.model);
    test_redis_restart(&s.w.redis);
    assert_once(&s, task);
    free(task);
    scene_stop(&s);
}
