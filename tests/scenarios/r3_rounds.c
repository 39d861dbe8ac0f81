/* R3.1 and R4: a further round on a pull request that is open, and what is refused when it is not. */
#include "tests/scenarios/scene.h"

static const struct model_answer answers[] = {SCENE_WRITE("docs/new.txt", "made\\n"), SCENE_FINISH,
                                              SCENE_WRITE("docs/more.txt", "more\\n"),
                                              SCENE_FINISH};

static void retry(struct scene *s, const char *task, int status)
{
    char *path = pj_asprintf("/tasks/%s/retry", task);

    json_decref(world_call(
        &s->w, "POST", path,
        "{\"feedback\":\"Please add docs/more.txt for the okapi.\",\"execute\":true}", status));
    free(path);
}

static void assert_count(struct scene *s, const char *range, const char *count)
{
    char *said = gitfix_run(s->remote, NULL, "rev-list", "--count", range, (const char *)NULL);

    cr_expect_str_eq(said, count, "%s", range);
    free(said);
}

static char *completed_task(struct scene *s)
{
    scene_prepare(s, answers, 4);
    scene_open_forge(s, ",\"codeRabbit\":\"off\"");
    char *task = scene_run(s, "Write a file");
    json_decref(world_wait_status(&s->w, task, "completed"));
    return task;
}

Test(r3_rounds, r3_1_a_second_round_adds_one_commit_to_the_same_pull_request)
{
    static const struct gitfix_file reviewed[] = {{"docs/review.txt", "by a person\n", false}};
    struct scene s;
    char *task = completed_task(&s), *branch = scene_branch(task);
    char *first = gitfix_rev(s.remote, branch);
    char *second = gitfix_commit(s.remote, branch, reviewed, 1, "Review");

    retry(&s, task, 202);
    json_t *doc = world_wait_status(&s.w, task, "completed");
    cr_expect_eq(pj_json_i64(doc, "attempt", 0), 2);
    cr_expect_eq(pj_json_i64(json_object_get(doc, "pr"), "number", 0), 1);
    json_t *pulls = forge_server_pulls(s.forge, "acme/project");
    cr_expect_eq(json_array_size(pulls), 1U, "the same pull request");
    json_decref(pulls);
    PJ_CLEANUP(pj_freep) char *parent_spec = pj_asprintf("%s~1", branch);
    char *parent = gitfix_rev(s.remote, parent_spec);
    cr_expect_str_eq(parent, second, "on top of what a person has added");
    PJ_CLEANUP(pj_freep) char *range = pj_asprintf("main..%s", branch);
    assert_count(&s, range, "3\n");
    char *names =
        gitfix_run(s.remote, NULL, "ls-tree", "-r", "--name-only", branch, (const char *)NULL);
    cr_expect_str_eq(
        names, "README.md\ncheck.sh\ndocs/more.txt\ndocs/new.txt\ndocs/review.txt\nsrc/main.py\n");
    cr_expect(model_server_count_with(s.model, "okapi") > 0, "the feedback reached the agent");
    free(names);
    free(parent);
    free(first);
    free(second);
    json_decref(doc);
    free(branch);
    free(task);
    scene_stop(&s);
}

static void refused_when(const char *state)
{
    struct scene s;
    char *task = completed_task(&s), *branch = scene_branch(task);
    char *tip = gitfix_rev(s.remote, branch);

    /* Nobody told us: the API still takes it for open. */
    forge_server_set_pull_state(s.forge, "acme/project", 1, state);
    retry(&s, task, 202);
    json_t *doc = world_wait_status(&s.w, task, "failed");
    const json_t *error = json_object_get(doc, "error");
    cr_expect_str_eq(scene_error_code(doc), "pr_failed");
    cr_expect_not_null(strstr(pj_json_str(error, "detail", ""), state), "%s",
                       pj_json_str(error, "detail", ""));
    cr_expect_not_null(strstr(pj_json_str(error, "remedy", ""), "new task"), "%s",
                       pj_json_str(error, "remedy", ""));
    cr_expect_str_eq(pj_json_str(json_object_get(doc, "pr"), "state", ""), state);
    char *now = gitfix_rev(s.remote, branch);
    cr_expect_str_eq(now, tip, "nothing was pushed");
    cr_expect_eq(model_server_count(s.model), 2U, "no model was asked");
    char *path = pj_asprintf("/repositories/%s", s.repo);
    json_t *repo = world_call(&s.w, "GET", path, NULL, 200);
    cr_expect_str_eq(pj_json_str(repo, "status", ""), "connected");
    json_decref(repo);
    free(path);
    free(now);
    free(tip);
    json_decref(doc);
    free(branch);
    free(task);
    scene_stop(&s);
}

Test(r3_rounds, r3_1_a_merged_pull_request_takes_no_further_round)
{
    refused_when("merged");
}

Test(r3_rounds, r3_1_a_closed_pull_request_takes_no_further_round)
{
    refused_when("closed");
}
