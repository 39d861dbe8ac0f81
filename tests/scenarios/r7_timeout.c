/* R7: execution timeout handling. */
#include "tests/scenarios/scene.h"

/* Daemonises, ignores what can be ignored, stops itself, and holds its output open. */
#define STUBBORN                                                                                   \
    "{\"command\":\"(trap '' TERM INT HUP; setsid sh -c 'trap \\\"\\\" TERM; sleep 1000' & kill "  \
    "-STOP $$) & "                                                                                 \
    "trap '' TERM; sleep 1000\",\"timeout_s\":600}"

Test(r7, r7_1_everything_is_killed_when_the_time_is_up)
{
    static const struct model_answer answers[] = {
        {.text = "I wait.", .calls = {{"run", STUBBORN}}},
        SCENE_FINISH,
    };
    struct scene s;

    scene_prepare(&s, answers, 2);
    world_set(&s.w, "PJ_TASK_TIMEOUT", "4s");
    scene_open(&s, ",\"codeRabbit\":\"off\"");
    char *task = scene_run(&s, "Hang");
    json_t *doc = world_wait_status(&s.w, task, "failed");
    cr_expect_str_eq(scene_error_code(doc), "task_timeout");
    cr_expect_not_null(strstr(pj_json_str(json_object_get(doc, "error"), "detail", ""), "4 s"),
                       "names the limit: %s",
                       pj_json_str(json_object_get(doc, "error"), "detail", ""));
    world_assert_clean(&s.w);
    json_decref(doc);
    free(task);
    scene_stop(&s);
}

Test(r7, r7_1_a_tasks_own_limit_counts)
{
    static const struct model_answer answers[] = {{.trouble = MODEL_HANG}};
    struct scene s;

    scene_start(&s, answers, 1);
    char *task = world_task(&s.w, s.repo, "Hang", "Hang.", ",\"limits\":{\"timeoutMs\":3000}");
    world_execute(&s.w, task);
    json_t *doc = world_wait_status(&s.w, task, "failed");
    cr_expect_str_eq(scene_error_code(doc), "task_timeout");
    json_decref(doc);
    free(task);
    scene_stop(&s);
}

Test(r7, r7_2_a_model_call_that_takes_too_long_is_cancelled)
{
    static const struct model_answer answers[] = {
        {.trouble = MODEL_HANG, .repeat = true},
    };
    struct scene s;

    scene_prepare(&s, answers, 1);
    world_set(&s.w, "PJ_LLM_TIMEOUT", "2s");
    scene_open(&s, ",\"codeRabbit\":\"off\"");
    char *task = scene_run(&s, "Think");
    json_t *doc = world_wait_status(&s.w, task, "failed");
    cr_expect_str_eq(scene_error_code(doc), "llm_timeout");
    cr_expect(stand_in_wait_abandoned(model_server_stand_in(s.model), 1, WORLD_SOON),
              "the request was cancelled");
    char *log = program_log(&s.w.runner[0]);
    cr_expect_not_null(strstr(log, "llm_timeout"), "logged for monitoring");
    free(log);
    json_decref(doc);
    free(task);
    scene_stop(&s);
}
