/* R2: AI agent code generation. */
#include "tests/scenarios/scene.h"

Test(r2, r2_1_the_agents_work_becomes_a_valid_unified_diff)
{
    static const struct model_answer answers[] = {
        {.text = "I look first.", .calls = {{"read_file", "{\"path\":\"src/main.py\"}"}}},
        {.text = "I edit.",
         .calls = {{"edit_file",
                    "{\"path\":\"src/main.py\",\"old\":\"'hello'\",\"new\":\"'hello, world'\"}"}}},
        SCENE_FINISH,
    };
    struct scene s;
    struct http_answer a;

    scene_start(&s, answers, PJ_COUNT_OF(answers));
    char *task = scene_run(&s, "Greet the world");
    json_decref(world_wait_status(&s.w, task, "completed"));
    char *path = pj_asprintf("/api/v1/tasks/%s/patch", task);
    http_call(s.w.base, "GET", path, WORLD_TOKEN, NULL, NULL, &a);
    cr_assert_eq(a.status, 200, "%s", a.body);
    cr_expect_not_null(strstr(a.body, "--- a/src/main.py\n+++ b/src/main.py\n@@ "), "%s", a.body);
    cr_expect_not_null(strstr(a.body, "-    return 'hello'\n+    return 'hello, world'\n"), "%s",
                       a.body);
    /* git itself reads it. */
    char *stat = gitfix_run(s.remote, a.body, "apply", "--numstat", "-", (const char *)NULL);
    cr_assert_not_null(stat);
    cr_expect_str_eq(stat, "1\t1\tsrc/main.py\n");
    free(stat);
    http_answer_release(&a);
    free(path);
    free(task);
    scene_stop(&s);
}

Test(r2, r2_1_failing_checks_go_back_to_the_agent)
{
    static const struct model_answer answers[] = {
        {.text = "I move it.",
         .calls = {{"move_path", "{\"from\":\"README.md\",\"to\":\"READ.md\"}"}}},
        SCENE_FINISH,
        {.text = "The check wants it back.",
         .calls = {{"move_path", "{\"from\":\"READ.md\",\"to\":\"README.md\"}"}}},
        SCENE_WRITE("NEWS.md", "news\\n"),
        SCENE_FINISH,
    };
    struct scene s;

    scene_start(&s, answers, PJ_COUNT_OF(answers));
    char *task = scene_run(&s, "Tidy up");
    json_t *doc = world_wait_status(&s.w, task, "completed");
    char *said = scene_tool_result(&s, 2);
    cr_expect_not_null(strstr(said, "check.sh"), "the agent is told which check failed: %s", said);
    const json_t *check = json_array_get(json_object_get(doc, "checks"), 0);
    cr_expect_not_null(check, "checks are reported");
    char *branch = scene_branch(task);
    char *spec = pj_asprintf("%s:NEWS.md", branch);
    char *news = gitfix_show(s.remote, spec);
    cr_expect_str_eq(news, "news\n");
    free(news);
    free(spec);
    free(branch);
    free(said);
    json_decref(doc);
    free(task);
    scene_stop(&s);
}

Test(r2, r2_1_still_red_after_three_rounds_needs_review)
{
    static const struct model_answer answers[] = {
        {.text = "I move it.",
         .calls = {{"move_path", "{\"from\":\"README.md\",\"to\":\"READ.md\"}"}}},
        {.repeat = true, .text = "Done.", .calls = {{"finish", "{\"summary\":\"Moved.\"}"}}},
    };
    struct scene s;

    scene_start(&s, answers, PJ_COUNT_OF(answers));
    char *task = scene_run(&s, "Move the page");
    json_t *doc = world_wait_status(&s.w, task, "needs_review");
    cr_expect_str_eq(scene_error_code(doc), "checks_failed");
    char *branches = gitfix_branches(s.remote);
    cr_expect_str_eq(branches, "main\n", "nothing was pushed");
    char *path = pj_asprintf("/tasks/%s/patch?format=json", task);
    json_decref(world_call(&s.w, "GET", path, NULL, 200));
    free(path);
    free(branches);
    json_decref(doc);
    free(task);
    scene_stop(&s);
}

Test(r2, r2_1_an_empty_result_fails_as_no_changes)
{
    static const struct model_answer answers[] = {
        {.repeat = true,
         .text = "Nothing to do.",
         .calls = {{"finish",
                    "{\"summary\":\"-\",\"no_changes_reason\":\"It is done already.\"}"}}},
    };
    struct scene s;

    scene_start(&s, answers, 1);
    char *task = scene_run(&s, "Do what is done");
    json_t *doc = world_wait_status(&s.w, task, "failed");
    cr_expect_str_eq(scene_error_code(doc), "no_changes");
    json_decref(doc);
    free(task);
    scene_stop(&s);
}

Test(r2, r2_3_an_ambiguous_task_asks_and_goes_on_with_the_answer)
{
    static const struct model_answer answers[] = {
        {.text = "I cannot know.",
         .calls = {{"ask_clarification",
                    "{\"question\":\"Which colour shall the bicycle shed have?\"}"}}},
        SCENE_WRITE("colour.txt", "teal\\n"),
        SCENE_FINISH,
    };
    struct scene s;

    scene_start(&s, answers, PJ_COUNT_OF(answers));
    char *task = scene_run(&s, "Paint the shed");
    json_t *doc = world_wait_status(&s.w, task, "needs_clarification");
    cr_expect_str_eq(pj_json_str(doc, "question", ""), "Which colour shall the bicycle shed have?");
    json_decref(doc);
    char *path = pj_asprintf("/tasks/%s/answer", task);
    doc = world_call(&s.w, "POST", path, "{\"answer\":\"Teal, like the door.\",\"execute\":true}",
                     202);
    cr_expect_eq(pj_json_i64(doc, "attempt", 0), 2);
    json_decref(doc);
    json_decref(world_wait_status(&s.w, task, "completed"));
    char *body = pj_json_text(model_server_body(s.model, 1));
    cr_expect_not_null(strstr(body, "Which colour shall"), "the question is in the context");
    cr_expect_not_null(strstr(body, "Teal, like the door."), "the answer is in the context");
    free(body);
    free(path);
    free(task);
    scene_stop(&s);
}
