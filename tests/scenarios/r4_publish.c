/* R4.1 and R4.3: what a repository says about how results are published. */
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

static void assert_commit(struct scene *s, const char *task, const char *format, const char *want)
{
    char *branch = scene_branch(task);
    char *said = gitfix_run(s->remote, NULL, "log", "-1", format, branch, (const char *)NULL);

    cr_expect_not_null(strstr(said, want), "%s: %s", format, said);
    free(said);
    free(branch);
}

Test(r4, r4_1_draft_labels_reviewers_and_author_are_the_repositorys)
{
    struct scene s;

    scene_prepare(&s, write_and_finish, 2);
    scene_open_forge(
        &s, ",\"codeRabbit\":\"off\",\"publish\":{\"draft\":true,\"labels\":[\"bot\",\"needs "
            "look\"],\"reviewers\":[\"octocat\",\"acme/core\"],\"authorName\":\"Acme "
            "Bot\",\"authorEmail\":\"bot@acme.example\",\"coAuthor\":\"off\"}");
    char *task = scene_run(&s, "Write a file");
    json_decref(world_wait_status(&s.w, task, "completed"));
    json_t *pull = only_pull(&s);
    cr_expect(pj_json_bool(pull, "draft", false));
    const json_t *labels = json_object_get(pull, "labels");
    cr_assert_eq(json_array_size(labels), 2U);
    cr_expect_str_eq(pj_json_str(json_array_get(labels, 1), "name", ""), "needs look");
    const json_t *asked = json_object_get(pull, "asked");
    cr_expect_str_eq(json_string_value(json_array_get(json_object_get(asked, "reviewers"), 0)),
                     "octocat");
    cr_expect_str_eq(json_string_value(json_array_get(json_object_get(asked, "team_reviewers"), 0)),
                     "core");
    assert_commit(&s, task, "--format=%an <%ae>, %cn <%ce>",
                  "Acme Bot <bot@acme.example>, Acme Bot <bot@acme.example>");
    char *branch = scene_branch(task);
    char *body = gitfix_run(s.remote, NULL, "log", "-1", "--format=%B", branch, (const char *)NULL);
    cr_expect_null(strstr(body, "Co-authored-by"), "%s", body);
    free(body);
    free(branch);
    json_decref(pull);
    free(task);
    scene_stop(&s);
}

Test(r4, r4_1_who_asked_for_the_task_is_named_as_co_author)
{
    struct scene s;

    scene_prepare(&s, write_and_finish, 2);
    world_set(&s.w, "PJ_ADMIN_EMAIL", "ada@example.org");
    scene_open_forge(&s, ",\"codeRabbit\":\"off\"");
    char *task = scene_run(&s, "Write a file");
    json_decref(world_wait_status(&s.w, task, "completed"));
    assert_commit(&s, task, "--format=%an", "Pithy Jaunt");
    assert_commit(&s, task, "--format=%(trailers:key=Co-authored-by)",
                  "Co-authored-by: ada <ada@example.org>");
    json_t *pull = only_pull(&s);
    cr_expect_not_null(strstr(pj_json_str(pull, "body", ""), "ada@example.org"));
    cr_expect_not(pj_json_bool(pull, "draft", true));
    json_decref(pull);
    free(task);
    scene_stop(&s);
}

Test(r4, r4_1_a_label_that_is_refused_is_no_reason_to_fail)
{
    struct scene s;

    scene_prepare(&s, write_and_finish, 2);
    scene_open_forge(&s, ",\"codeRabbit\":\"off\",\"publish\":{\"labels\":[\"bot\"]}");
    forge_server_fail(s.forge, "POST", "/labels", 1, 403, NULL, NULL);
    char *task = scene_run(&s, "Write a file");
    json_decref(world_wait_status(&s.w, task, "completed"));
    cr_expect(world_log_has(&s.w, task, "the labels are missing"));
    free(task);
    scene_stop(&s);
}

Test(r4, what_cannot_be_published_that_way_is_refused_by_name)
{
    static const char *const bad[] = {"{\"allow\":[\"everything\"]}", "{\"reviewers\":[\"a b\"]}",
                                      "{\"authorName\":\"<x>\"}", "{\"authorEmail\":\"nobody\"}",
                                      "{\"labels\":[\"\"]}"};
    static const char *const field[] = {"publish.allow", "publish.reviewers", "publish.authorName",
                                        "publish.authorEmail", "publish.labels"};
    struct scene s;

    scene_start(&s, write_and_finish, 0);
    for (size_t i = 0; i < PJ_COUNT_OF(bad); i++) {
        char *path = pj_asprintf("/repositories/%s", s.repo);
        char *body = pj_asprintf("{\"publish\":%s}", bad[i]);
        json_t *doc = world_call(&s.w, "PATCH", path, body, 400);
        const json_t *first = json_array_get(json_object_get(doc, "errors"), 0);
        cr_expect_str_eq(pj_json_str(first, "field", ""), field[i]);
        json_decref(doc);
        free(path);
        free(body);
    }
    scene_stop(&s);
}

/* ---- CodeRabbit's own API ---- */

static void accept_review(void *ctx, const struct stand_in_request *r, struct stand_in_exchange *x)
{
    const int *status = ctx;

    (void)r;
    stand_in_reply_text(x, *status, "application/json",
                        "{\"accepted\":true,\"message\":\"queued\",\"observed_head_sha\":\"x\"}");
}

static void by_api(int status, size_t comments)
{
    struct stand_in *rabbit = stand_in_start(0, accept_review, &status);
    struct scene s;

    scene_prepare(&s, write_and_finish, 2);
    world_set(&s.w, "CODERABBIT_API_KEY", "cr-0123456789abcdef");
    world_set(&s.w, "CODERABBIT_API_URL", stand_in_url(rabbit));
    scene_open_forge(&s, "");
    char *task = scene_run(&s, "Write a file");
    json_decref(world_wait_status(&s.w, task, "completed"));
    json_t *pull = only_pull(&s);
    cr_assert_eq(stand_in_count(rabbit), 1U);
    const struct stand_in_request *r = stand_in_request_at(rabbit, 0);
    cr_expect_str_eq(r->path, "/repositories/1/pull-requests/1/review");
    cr_expect_str_eq(stand_in_header(r, "x-coderabbitai-api-key"), "cr-0123456789abcdef");
    cr_expect_eq(forge_server_count(s.forge, "POST", "/comments"), comments);
    json_decref(pull);
    free(task);
    scene_stop(&s);
    stand_in_stop(rabbit);
}

Test(r4, r4_3_the_review_is_asked_for_by_coderabbits_api)
{
    by_api(202, 0);
}

Test(r4, r4_3_where_its_api_refuses_a_comment_asks)
{
    by_api(404, 1);
}
