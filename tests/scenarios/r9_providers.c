/* R9: multi-provider LLM support. */
#include "tests/scenarios/scene.h"

static const struct model_answer write_and_finish[] = {SCENE_WRITE("new.txt", "x\\n"),
                                                       SCENE_FINISH};

Test(r9, r9_1_openai_is_used_with_the_configured_model)
{
    struct scene s;

    scene_start(&s, write_and_finish, 2);
    char *task = scene_run(&s, "Write a file");
    json_t *doc = world_wait_status(&s.w, task, "completed");
    for (size_t i = 0; i < 2; i++) {
        cr_expect_neq(model_server_wire(s.model, i), MODEL_MESSAGES);
        cr_expect_str_eq(pj_json_str(model_server_body(s.model, i), "model", ""), "stand-in-model");
    }
    const json_t *model = json_object_get(doc, "model");
    cr_expect_str_eq(pj_json_str(model, "provider", ""), "openai");
    cr_expect_str_eq(pj_json_str(model, "name", ""), "stand-in-model");
    json_decref(doc);
    free(task);
    scene_stop(&s);
}

Test(r9, r9_1_anthropic_is_used_with_the_configured_model)
{
    struct scene s;

    scene_prepare(&s, write_and_finish, 2);
    world_set(&s.w, "OPENAI_API_KEY", NULL);
    world_use_anthropic(&s.w, s.model);
    scene_open(&s, ",\"codeRabbit\":\"off\"");
    char *task = scene_run(&s, "Write a file");
    json_decref(world_wait_status(&s.w, task, "completed"));
    for (size_t i = 0; i < 2; i++) {
        cr_expect_eq(model_server_wire(s.model, i), MODEL_MESSAGES);
        cr_expect_str_eq(pj_json_str(model_server_body(s.model, i), "model", ""), "stand-in-model");
    }
    free(task);
    scene_stop(&s);
}

Test(r9, r9_1_a_task_may_name_another_model)
{
    struct scene s;

    scene_prepare(&s, write_and_finish, 2);
    world_use_anthropic(&s.w, s.model);
    scene_open(&s, ",\"codeRabbit\":\"off\"");
    char *task = world_task(&s.w, s.repo, "Write a file", "Do it.",
                            ",\"model\":{\"provider\":\"openai\",\"name\":\"special-model\"}");
    world_execute(&s.w, task);
    json_decref(world_wait_status(&s.w, task, "completed"));
    cr_expect_neq(model_server_wire(s.model, 0), MODEL_MESSAGES);
    cr_expect_str_eq(pj_json_str(model_server_body(s.model, 0), "model", ""), "special-model");
    free(task);
    scene_stop(&s);
}

Test(r9, r9_2_a_service_error_goes_to_the_secondary_provider)
{
    static const struct model_answer failing[] = {
        {.repeat = true, .status = 503},
    };
    struct scene s;
    struct model_server *second = model_server_start(0, write_and_finish, 2);

    scene_prepare(&s, failing, 1);
    world_set(&s.w, "ANTHROPIC_API_KEY", MODEL_SERVER_KEY);
    world_set(&s.w, "ANTHROPIC_BASE_URL", model_server_anthropic_url(second));
    world_set(&s.w, "MODEL_FALLBACK_PROVIDER", "anthropic");
    world_set(&s.w, "MODEL_FALLBACK_NAME", "second-model");
    scene_open(&s, ",\"codeRabbit\":\"off\"");
    char *task = scene_run(&s, "Write a file");
    json_decref(world_wait_status(&s.w, task, "completed"));
    cr_expect_geq(model_server_count(s.model), 1);
    cr_expect_str_eq(pj_json_str(model_server_body(second, 0), "model", ""), "second-model");
    char *log = program_log(&s.w.runner[0]);
    cr_expect_not_null(strstr(log, "llm_fallback"));
    free(log);
    cr_expect(world_log_has(&s.w, task, "second-model") || world_log_has(&s.w, task, "anthropic"),
              "the task's log tells of it");
    cr_expect_str_empty(model_server_faults(second));
    free(task);
    scene_stop(&s);
    model_server_stop(second);
}

Test(r9, r9_2_an_authentication_error_does_not)
{
    static const struct model_answer failing[] = {
        {.repeat = true,
         .status = 401,
         .body = "{\"error\":{\"message\":\"Incorrect API key "
                 "provided\",\"type\":\"invalid_request_error\",\"code\":\"invalid_api_key\"}}"},
    };
    struct scene s;
    struct model_server *second = model_server_start(0, write_and_finish, 2);

    scene_prepare(&s, failing, 1);
    world_set(&s.w, "ANTHROPIC_API_KEY", MODEL_SERVER_KEY);
    world_set(&s.w, "ANTHROPIC_BASE_URL", model_server_anthropic_url(second));
    world_set(&s.w, "MODEL_FALLBACK_PROVIDER", "anthropic");
    world_set(&s.w, "MODEL_FALLBACK_NAME", "second-model");
    scene_open(&s, ",\"codeRabbit\":\"off\"");
    char *task = scene_run(&s, "Write a file");
    json_t *doc = world_wait_status(&s.w, task, "failed");
    cr_expect_str_eq(scene_error_code(doc), "llm_auth");
    cr_expect_eq(model_server_count(s.model), 1, "it is not tried again");
    cr_expect_eq(model_server_count(second), 0);
    json_decref(doc);
    free(task);
    scene_stop(&s);
    model_server_stop(second);
}

Test(r9, r9_3_openai_gets_temperature_zero_and_anthropic_a_step_by_step_prompt)
{
    struct scene s;
    struct model_answer answers[4];

    memcpy(answers, write_and_finish, sizeof write_and_finish);
    memcpy(answers + 2, write_and_finish, sizeof write_and_finish);
    scene_prepare(&s, answers, 4);
    world_set(&s.w, "ANTHROPIC_API_KEY", MODEL_SERVER_KEY);
    world_set(&s.w, "ANTHROPIC_BASE_URL", model_server_anthropic_url(s.model));
    scene_open(&s, ",\"codeRabbit\":\"off\"");
    char *task = scene_run(&s, "Write a file");
    json_decref(world_wait_status(&s.w, task, "completed"));
    const json_t *temperature = json_object_get(model_server_body(s.model, 0), "temperature");
    cr_expect(json_is_number(temperature) && json_number_value(temperature) == 0.0);
    free(task);
    task = world_task(&s.w, s.repo, "Write a file", "Do it.",
                      ",\"model\":{\"provider\":\"anthropic\",\"name\":\"claude-stand-in\"}");
    world_execute(&s.w, task);
    json_decref(world_wait_status(&s.w, task, "completed"));
    char *system = pj_json_text(json_object_get(model_server_body(s.model, 2), "system"));
    cr_expect(strcasestr(system, "step by step") || strcasestr(system, "step-by-step"), "%s",
              system);
    free(system);
    free(task);
    scene_stop(&s);
}

Test(r9, r9_3_a_model_that_refuses_the_parameter_is_asked_without_it)
{
    static const struct model_answer answers[] = {
        {.only_without = "temperature",
         .text = "I write.",
         .calls = {{"write_file", "{\"path\":\"new.txt\",\"content\":\"x\\n\"}"}}},
        SCENE_FINISH,
    };
    struct scene s;

    scene_start(&s, answers, 2);
    char *task = scene_run(&s, "Write a file");
    json_decref(world_wait_status(&s.w, task, "completed"));
    cr_expect_not_null(json_object_get(model_server_body(s.model, 0), "temperature"));
    cr_expect_null(json_object_get(model_server_body(s.model, 1), "temperature"));
    cr_expect_null(json_object_get(model_server_body(s.model, 2), "temperature"),
                   "it is remembered");
    free(task);
    scene_stop(&s);
}
