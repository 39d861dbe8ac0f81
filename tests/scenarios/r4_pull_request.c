/* R4: pull request creation. */
#include "tests/scenarios/scene.h"

static const struct model_answer write_and_finish[] = {SCENE_WRITE("docs/new.txt", "made\\n"),
                                                       SCENE_FINISH};

static json_t *only_pull(struct scene *s)
{
    json_t *pulls = forge_server_pulls(s->forge, "acme/project");

    cr_assert_eq(json_array_size(pulls), 1, "%zu pull requests", json_array_size(pulls));
    json_t *pull = json_incref(json_array_get(pulls, 0));
    json_decref(pulls);
    return pull;
}

Test(r4, r4_1_a_pull_request_is_created_and_its_address_stored)
{
    struct scene s;

    scene_prepare(&s, write_and_finish, 2);
    scene_open_forge(&s, ",\"codeRabbit\":\"off\"");
    char *task =
        world_task(&s.w, s.repo, "Write a file", "Please write docs/new.txt for the zebra.", "");
    world_execute(&s.w, task);
    json_t *doc = world_wait_status(&s.w, task, "completed"), *pull = only_pull(&s);
    char *branch = scene_branch(task);

    cr_expect_str_eq(pj_json_str(pull, "title", ""), "Pithy Jaunt: Write a file");
    cr_expect_str_eq(pj_json_str(json_object_get(pull, "base"), "ref", ""), "main");
    cr_expect_str_eq(pj_json_str(json_object_get(pull, "head"), "ref", ""), branch);
    cr_expect_not_null(strstr(pj_json_str(pull, "body", ""), "for the zebra"),
                       "the description is in the body");
    cr_expect_not_null(strstr(pj_json_str(pull, "body", ""), "stand-in-model"),
                       "so is what was executed");
    cr_expect_str_eq(pj_json_str(doc, "prUrl", ""), pj_json_str(pull, "html_url", "?"));
    cr_expect_eq(pj_json_i64(json_object_get(doc, "pr"), "number", 0), 1);
    free(branch);
    json_decref(pull);
    json_decref(doc);
    free(task);
    scene_stop(&s);
}

Test(r4, r4_1_the_base_is_the_configured_branch)
{
    static const struct gitfix_file files[] = {
        {"release.txt", "1\n", false},
    };
    struct scene s;

    scene_prepare(&s, write_and_finish, 2);
    scene_open_forge(&s, ",\"codeRabbit\":\"off\"");
    free(gitfix_commit(s.remote, "stable", files, 1, "Stable"));
    char *task = world_task(&s.w, s.repo, "Write a file", "Do it.", ",\"baseBranch\":\"stable\"");
    world_execute(&s.w, task);
    json_decref(world_wait_status(&s.w, task, "completed"));
    json_t *pull = only_pull(&s);
    cr_expect_str_eq(pj_json_str(json_object_get(pull, "base"), "ref", ""), "stable");
    json_decref(pull);
    free(task);
    scene_stop(&s);
}

Test(r4, r4_2_three_retries_and_then_failed_with_the_message)
{
    struct scene s;

    scene_prepare(&s, write_and_finish, 2);
    scene_open_forge(&s, ",\"codeRabbit\":\"off\"");
    forge_server_fail(s.forge, "POST", "/pulls", 100, 502, NULL,
                      "{\"message\":\"the forge is on fire\"}");
    char *task = scene_run(&s, "Write a file");
    json_t *doc = world_wait_status(&s.w, task, "failed");
    cr_expect_eq(forge_server_count(s.forge, "POST", "/pulls"), 4, "one try and three retries");
    cr_expect_str_eq(scene_error_code(doc), "pr_failed");
    const json_t *upstream = json_object_get(json_object_get(doc, "error"), "upstream");
    cr_expect_eq(pj_json_i64(upstream, "status", 0), 502);
    cr_expect_not_null(strstr(pj_json_str(upstream, "message", ""), "on fire"));
    json_decref(doc);
    free(task);
    scene_stop(&s);
}

Test(r4, r4_2_a_pull_request_that_was_made_though_the_answer_was_lost_is_adopted)
{
    struct scene s;

    scene_prepare(&s, write_and_finish, 2);
    scene_open_forge(&s, ",\"codeRabbit\":\"off\"");
    forge_server_cut_after_create(s.forge);
    char *task = scene_run(&s, "Write a file");
    json_t *doc = world_wait_status(&s.w, task, "completed"), *pull = only_pull(&s);
    cr_expect_str_eq(pj_json_str(doc, "prUrl", ""), pj_json_str(pull, "html_url", "?"));
    json_decref(pull);
    json_decref(doc);
    free(task);
    scene_stop(&s);
}

Test(r4, r4_3_a_missing_coderabbit_configuration_is_added_and_documented)
{
    struct scene s;

    scene_prepare(&s, write_and_finish, 2);
    scene_open_forge(&s, "");
    char *task = scene_run(&s, "Write a file");
    json_decref(world_wait_status(&s.w, task, "completed"));
    char *branch = scene_branch(task), *spec = pj_asprintf("%s:.coderabbit.yaml", branch);
    char *file = gitfix_show(s.remote, spec);
    cr_assert_not_null(file);
    cr_expect_not_null(strstr(file, "reviews:"), "%s", file);
    json_t *pull = only_pull(&s);
    cr_expect_not_null(strstr(pj_json_str(pull, "body", ""), ".coderabbit.yaml"),
                       "documented in the body");
    json_t *comments = forge_server_comments(s.forge, "acme/project", 1);
    cr_expect_eq(json_array_size(comments), 1);
    cr_expect_not_null(
        strstr(pj_json_str(json_array_get(comments, 0), "body", ""), "@coderabbitai review"),
        "the review is asked for");
    json_decref(comments);
    json_decref(pull);
    free(file);
    free(spec);
    free(branch);
    free(task);
    scene_stop(&s);
}

Test(r4, r4_3_a_configuration_that_is_there_stays_as_it_is)
{
    static const struct gitfix_file own[] = {
        {".coderabbit.yaml", "language: de\n", false},
    };
    struct scene s;

    scene_prepare(&s, write_and_finish, 2);
    scene_open_forge(&s, "");
    free(gitfix_commit(s.remote, "main", own, 1, "Configure"));
    char *task = scene_run(&s, "Write a file");
    json_decref(world_wait_status(&s.w, task, "completed"));
    char *branch = scene_branch(task), *spec = pj_asprintf("%s:.coderabbit.yaml", branch);
    char *file = gitfix_show(s.remote, spec);
    cr_expect_str_eq(file, "language: de\n");
    free(file);
    free(spec);
    free(branch);
    free(task);
    scene_stop(&s);
}
