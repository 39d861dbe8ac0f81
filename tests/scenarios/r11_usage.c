/* R11: cost and usage monitoring. */
#include "lib/base/fs.h"
#include "tests/scenarios/scene.h"

static const char prices[] =
    "[{\"provider\":\"openai\",\"model\":\"stand-in-*\",\"from\":\"2026-01-01\",\"inputPerMTok\":2,"
    "\"outputPerMTok\":10,\"cachedInputPerMTok\":0.5},"
    "{\"provider\":\"openai\",\"model\":\"stand-in-*\",\"from\":\"2026-01-01\",\"inputPerMTok\":4,"
    "\"outputPerMTok\":15,\"cachedInputPerMTok\":1,\"abovePromptTokens\":1999}]";

Test(r11, r11_1_each_call_is_recorded_with_the_task_and_its_price)
{
    /* clang-format off */
    static const struct model_answer answers[] = {
        {.text = "One.", .calls = {{"write_file", "{\"path\":\"a\",\"content\":\"x\"}"}}, .prompt_tokens = 1000,
         .cached_tokens = 400, .completion_tokens = 100},
        {.calls = {{"finish", "{\"summary\":\"done\"}"}}, .prompt_tokens = 2000, .completion_tokens = 50},
    };
    /* clang-format on */
    struct scene s;
    struct pj_err err;

    scene_prepare(&s, answers, 2);
    char *file = pj_asprintf("%s/prices.json", s.w.dir);
    cr_assert_eq(pj_fs_write_atomic(file, prices, sizeof prices - 1, 0644, &err), 0);
    world_set(&s.w, "PJ_PRICES", file);
    scene_open(&s, ",\"codeRabbit\":\"off\"");
    char *task = scene_run(&s, "Write a file");
    json_t *doc = world_wait_status(&s.w, task, "completed");
    const json_t *usage = json_object_get(doc, "usage");
    cr_expect_eq(pj_json_i64(usage, "promptTokens", 0), 3000);
    cr_expect_eq(pj_json_i64(usage, "cachedTokens", 0), 400);
    cr_expect_eq(pj_json_i64(usage, "completionTokens", 0), 150);
    cr_expect_eq(pj_json_i64(usage, "totalTokens", 0), 3150);
    /* 600 × 2 + 400 × 0.5 + 100 × 10, and for the long prompt 2000 × 4 + 50 × 15 millionths */
    cr_expect_float_eq(json_number_value(json_object_get(usage, "costUsd")), 0.01115, 1e-9);
    char *path = pj_asprintf("/tasks/%s/usage", task);
    json_t *calls = world_call(&s.w, "GET", path, NULL, 200);
    const json_t *items = json_object_get(calls, "items"), *first = json_array_get(items, 0);
    cr_assert_eq(json_array_size(items), 2);
    cr_expect_str_eq(pj_json_str(first, "provider", ""), "openai");
    cr_expect_str_eq(pj_json_str(first, "model", ""), "stand-in-model");
    cr_expect_float_eq(json_number_value(json_object_get(first, "costUsd")), 0.0024, 1e-9);
    cr_expect_str_eq(pj_json_str(json_object_get(first, "price"), "model", ""), "stand-in-*",
                     "the row used is kept");
    cr_expect(json_is_null(json_object_get(json_object_get(first, "price"), "abovePromptTokens")) ||
              !json_object_get(json_object_get(first, "price"), "abovePromptTokens"));
    cr_expect_eq(
        pj_json_i64(json_object_get(json_array_get(items, 1), "price"), "abovePromptTokens", 0),
        1999);
    cr_expect(json_is_false(json_object_get(first, "estimated")));
    char *log = program_log(&s.w.runner[0]);
    cr_expect_not_null(strstr(log, "llm_usage"));
    free(log);
    json_decref(calls);
    free(path);
    free(file);
    json_decref(doc);
    free(task);
    scene_stop(&s);
}

Test(r11, r11_1_an_answer_that_breaks_off_is_estimated_and_says_so)
{
    static const struct model_answer answers[] = {
        {.text = "It was a dark and stormy night", .trouble = MODEL_CUT_STREAM},
        SCENE_WRITE("a", "x"),
        SCENE_FINISH,
    };
    struct scene s;

    scene_start(&s, answers, 3);
    char *task = scene_run(&s, "Write a file");
    json_decref(world_wait_status(&s.w, task, "completed"));
    char *path = pj_asprintf("/tasks/%s/usage", task);
    json_t *calls = world_call(&s.w, "GET", path, NULL, 200);
    const json_t *items = json_object_get(calls, "items"), *first = json_array_get(items, 0);
    cr_assert_eq(json_array_size(items), 3);
    cr_expect(json_is_true(json_object_get(first, "estimated")));
    cr_expect_gt(pj_json_i64(first, "promptTokens", 0), 0);
    cr_expect_gt(pj_json_i64(first, "completionTokens", 0), 0);
    cr_expect(json_is_false(json_object_get(json_array_get(items, 1), "estimated")));
    json_decref(calls);
    free(path);
    free(task);
    scene_stop(&s);
}

Test(r11, r11_1_an_unknown_model_is_unpriced_and_never_free)
{
    static const struct model_answer answers[] = {SCENE_WRITE("a", "x"), SCENE_FINISH};
    struct scene s;

    scene_start(&s, answers, 2);
    char *task = scene_run(&s, "Write a file");
    json_t *doc = world_wait_status(&s.w, task, "completed");
    cr_expect(json_is_null(json_object_get(json_object_get(doc, "usage"), "costUsd")));
    json_decref(doc);
    free(task);
    task = world_task(&s.w, s.repo, "Write", "Write.", ",\"limits\":{\"costUsd\":1}");
    world_execute(&s.w, task);
    doc = world_wait_status(&s.w, task, "failed");
    cr_expect_str_eq(scene_error_code(doc), "model_unpriced");
    cr_expect_eq(model_server_count(s.model), 2, "no call was made");
    json_decref(doc);
    free(task);
    scene_stop(&s);
}

Test(r11, r11_2_many_tokens_are_warned_of_with_the_description)
{
    /* clang-format off */
    static const struct model_answer answers[] = {
        {.calls = {{"write_file", "{\"path\":\"a\",\"content\":\"x\"}"}}, .prompt_tokens = 50001},
        SCENE_FINISH,
    };
    /* clang-format on */
    struct scene s;

    scene_start(&s, answers, 2);
    char *task = world_task(&s.w, s.repo, "Read all", "Please read every single file.", "");
    world_execute(&s.w, task);
    json_decref(world_wait_status(&s.w, task, "completed"));
    char *log = program_log(&s.w.runner[0]);
    const char *at = strstr(log, "token_alert");
    cr_assert_not_null(at, "%s", log);
    cr_expect_not_null(strstr(at, "Please read every single file."));
    cr_expect(world_log_has(&s.w, task, "more than the alert level of 50000"));
    free(log);
    free(task);
    scene_stop(&s);
}
