/* R8.2, R8.3: what goes wrong at the forge and in the repository itself. */
#include "tests/scenarios/scene.h"

static const struct model_answer write_and_finish[] = {SCENE_WRITE("new.txt", "x\\n"),
                                                       SCENE_FINISH};

Test(r8, r8_2_a_forge_that_comes_back_in_time_is_tried_again)
{
    struct scene s;

    scene_prepare(&s, write_and_finish, 2);
    scene_open_forge(&s, ",\"codeRabbit\":\"off\"");
    forge_server_fail(s.forge, "POST", "/pulls", 2, 503, NULL, NULL);
    char *task = scene_run(&s, "Write a file");
    json_decref(world_wait_status(&s.w, task, "completed"));
    cr_expect_eq(forge_server_count(s.forge, "POST", "/pulls"), 3);
    char *log = program_log(&s.w.runner[0]);
    cr_expect_not_null(strstr(log, "pr_retry"), "logged for monitoring");
    free(log);
    free(task);
    scene_stop(&s);
}

/* The limit resets after the task's deadline: not waited for. */
Test(r8, r8_2_a_rate_limit_that_resets_too_late_ends_the_task_at_once)
{
    static const struct model_answer answers[] = {SCENE_WRITE("docs/new.txt", "made\\n"),
                                                  SCENE_FINISH};
    struct scene s;

    scene_prepare(&s, answers, 2);
    scene_open_forge(&s, ",\"codeRabbit\":\"off\"");
    forge_server_fail(s.forge, "POST", "/pulls", 9, 403,
                      "X-RateLimit-Remaining: 0\nX-RateLimit-Reset: 4102444800\n",
                      "{\"message\":\"API rate limit exceeded\"}");
    char *task = scene_run(&s, "Write a file");
    json_t *doc = world_wait_status(&s.w, task, "failed");
    cr_expect_str_eq(scene_error_code(doc), "github_rate_limited");
    const json_t *error = json_object_get(doc, "error");
    cr_expect(pj_json_bool(error, "retryable", false));
    cr_expect_eq(pj_json_i64(json_object_get(error, "upstream"), "status", 0), 403);
    cr_expect_eq(forge_server_count(s.forge, "POST", "/pulls"), 1U, "no retry");
    json_decref(doc);
    free(task);
    scene_stop(&s);
}

Test(r8, r8_2_a_refused_permission_is_not_tried_again)
{
    struct scene s;

    scene_prepare(&s, write_and_finish, 2);
    scene_open_forge(&s, ",\"codeRabbit\":\"off\"");
    forge_server_fail(s.forge, "POST", "/pulls", 9, 403, NULL,
                      "{\"message\":\"Resource not accessible by personal access token\"}");
    char *task = scene_run(&s, "Write a file");
    json_t *doc = world_wait_status(&s.w, task, "failed");
    const json_t *error = json_object_get(doc, "error");
    cr_expect_str_eq(scene_error_code(doc), "github_permission");
    cr_expect_not_null(
        strstr(pj_json_str(json_object_get(error, "upstream"), "message", ""), "not accessible"),
        "the forge's own words are kept");
    cr_expect_str_not_empty(pj_json_str(error, "remedy", ""));
    cr_expect_eq(forge_server_count(s.forge, "POST", "/pulls"), 1);
    char *log = program_log(&s.w.runner[0]);
    cr_expect_not_null(strstr(log, "github_error"), "logged for monitoring");
    free(log);
    json_decref(doc);
    free(task);
    scene_stop(&s);
}

Test(r8, r8_2_a_revoked_credential_makes_the_repository_invalid)
{
    struct scene s;

    scene_prepare(&s, NULL, 0);
    scene_open_forge(&s, ",\"codeRabbit\":\"off\"");
    forge_server_revoke(s.forge, true);
    char *task = scene_run(&s, "Write a file"), *path = pj_asprintf("/repositories/%s", s.repo);
    json_t *doc = world_wait_status(&s.w, task, "failed");
    const json_t *error = json_object_get(doc, "error");
    cr_expect_str_eq(scene_error_code(doc), "repository_unavailable");
    cr_expect_not_null(strstr(pj_json_str(error, "detail", ""), "credential"),
                       "it is told apart: %s", pj_json_str(error, "detail", ""));
    cr_expect_str_not_empty(pj_json_str(error, "remedy", ""));
    cr_expect_eq(model_server_count(s.model), 0, "no model is asked");
    json_decref(doc);
    doc = world_call(&s.w, "GET", path, NULL, 200);
    cr_expect_str_eq(scene_status(doc), "invalid");
    json_decref(doc);
    free(path);
    free(task);
    scene_stop(&s);
}

Test(r8, r8_3_a_repository_that_cannot_be_read_fails_with_suggestions)
{
    struct scene s;

    scene_start(&s, NULL, 0);
    char *task = world_task(&s.w, s.repo, "Write a file", "Do it.", ",\"baseBranch\":\"gone\"");
    world_execute(&s.w, task);
    json_t *doc = world_wait_status(&s.w, task, "failed");
    const json_t *error = json_object_get(doc, "error");
    cr_expect(strcmp(scene_error_code(doc), "repository_analysis") == 0 ||
                  strcmp(scene_error_code(doc), "repository_unavailable") == 0,
              "%s", scene_error_code(doc));
    cr_expect_not_null(strstr(pj_json_str(error, "detail", ""), "gone"), "it names the branch: %s",
                       pj_json_str(error, "detail", ""));
    cr_expect_str_not_empty(pj_json_str(error, "remedy", ""));
    cr_expect_eq(model_server_count(s.model), 0, "no model is asked");
    json_decref(doc);
    free(task);
    scene_stop(&s);
}

Test(r8, r8_2_a_credential_that_lacks_a_permission_is_refused_when_connecting_and_each_is_named)
{
    static const struct gitfix_file files[] = {{"README.md", "second\n", false}};
    struct scene s;

    scene_prepare(&s, NULL, 0);
    scene_open_forge(&s, "");
    free(gitfix_bare(s.w.remotes, "acme/second", files, 1));
    char *url = forge_server_repo_url(s.forge, "acme/second");
    char *body = pj_asprintf("{\"url\":\"%s\"}", url);
    forge_server_fail(s.forge, "GET", "second.git/info/refs", 1, 403, NULL, NULL);
    forge_server_fail(s.forge, "GET", "acme/second/pulls", 1, 403, NULL, NULL);
    json_t *problem = world_call(&s.w, "POST", "/repositories", body, 422);
    cr_expect_str_eq(pj_json_str(problem, "code", ""), "repository_unreachable");
    cr_expect_not_null(
        strstr(pj_json_str(problem, "detail", ""),
               "acme/second: Contents: read and write, Pull requests: read and write"),
        "%s", pj_json_str(problem, "detail", ""));
    cr_expect_not_null(strstr(pj_json_str(problem, "remedy", ""), "docs/github.md"));
    json_decref(problem);
    forge_server_fail(s.forge, "GET", "second.git/info/refs", 1, 403, NULL, NULL);
    problem = world_call(&s.w, "POST", "/repositories", body, 422);
    cr_expect_null(strstr(pj_json_str(problem, "detail", ""), "Pull requests"),
                   "only what is missing");
    json_decref(problem);
    /* A forge that is ill says nothing about permissions. */
    forge_server_fail(s.forge, "GET", "acme/second/pulls", 1, 503, NULL, NULL);
    json_decref(world_call(&s.w, "POST", "/repositories", body, 201));
    free(body);
    free(url);
    scene_stop(&s);
}
