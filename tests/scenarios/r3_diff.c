/* R3.2 and R3.3 where they arise: a model without tools answers with a diff, which is judged like any other. */
#include "tests/scenarios/scene.h"

#define GOOD                                                                                       \
    "--- a/src/main.py\n+++ b/src/main.py\n@@ -1,2 +1,2 @@\n def greet():\n-    return "           \
    "'hello'\n+    return 'hello, world'\n"
#define STALE                                                                                      \
    "--- a/src/main.py\n+++ b/src/main.py\n@@ -1,2 +1,2 @@\n def greet():\n-    return 'good "     \
    "morning'\n+    return 'hello, world'\n"
#define OUTSIDE "--- a/../../etc/motd\n+++ b/../../etc/motd\n@@ -1 +1 @@\n-old\n+new\n"
#define FENCED(diff) "I change the greeting.\n\n```diff\n" diff "```\n"
#define NO_TOOLS                                                                                   \
    {                                                                                              \
        .status = 400,                                                                             \
        .body = "{\"error\":{\"message\":\"stand-in-model does not support tools\"}}",             \
        .when = "\"tools\""                                                                        \
    }

Test(r3_diff, r3_1_a_diff_that_applies_becomes_the_commit)
{
    static const struct model_answer answers[] = {NO_TOOLS, {.text = FENCED(GOOD)}};
    struct scene s;

    scene_start(&s, answers, 2);
    char *task = scene_run(&s, "Greet the world");
    json_decref(world_wait_status(&s.w, task, "completed"));
    char *branch = scene_branch(task);
    char *spec = pj_asprintf("%s:src/main.py", branch);
    char *text = gitfix_show(s.remote, spec);
    cr_expect_str_eq(text, "def greet():\n    return 'hello, world'\n");
    free(text);
    free(spec);
    free(branch);
    free(task);
    scene_stop(&s);
}

static void refused(const struct model_answer *answers, const char *code, const char *part)
{
    struct scene s;
    struct http_answer a;

    scene_start(&s, answers, 2);
    char *task = scene_run(&s, "Greet the world");
    json_t *doc = world_wait_status(&s.w, task, "needs_review");
    cr_expect_str_eq(scene_error_code(doc), code);
    cr_expect_null(json_string_value(json_object_get(doc, "prUrl")));
    char *branches = gitfix_branches(s.remote);
    cr_expect_str_eq(branches, "main\n", "nothing was pushed");
    char *path = pj_asprintf("/api/v1/tasks/%s/patch", task);
    http_call(s.w.base, "GET", path, WORLD_TOKEN, NULL, NULL, &a);
    cr_expect_eq(a.status, 200, "the patch is kept");
    cr_expect_not_null(strstr(a.body, part), "%s", a.body);
    http_answer_release(&a);
    free(path);
    path = pj_asprintf("/admin/outbox?taskId=%s", task);
    json_t *outbox = world_call(&s.w, "GET", path, NULL, 200);
    cr_expect_eq(json_array_size(json_object_get(outbox, "items")), 1, "the user is told");
    json_decref(outbox);
    free(path);
    free(branches);
    json_decref(doc);
    free(task);
    scene_stop(&s);
}

Test(r3_diff, r3_2_a_diff_that_does_not_apply_needs_review)
{
    static const struct model_answer answers[] = {NO_TOOLS,
                                                  {.text = FENCED(STALE), .repeat = true}};

    refused(answers, "patch_conflict", "good morning");
}

/* The first hunk fits, the second does not: each is told apart, by API and log. */
Test(r3_diff, r3_2_rejected_hunks_are_kept_one_by_one)
{
    static const struct model_answer answers[] = {
        NO_TOOLS,
        {.text =
             FENCED("--- a/src/long.txt\n+++ b/src/long.txt\n@@ -1,3 +1,3 @@\n-one\n+ONE\n two\n "
                    "three\n@@ -5,3 +5,3 @@\n five\n-nothing like it\n+SIX\n seven\n"),
         .repeat = true}};
    static const struct gitfix_file file[] = {
        {"src/long.txt", "one\ntwo\nthree\nfour\nfive\nsix\nseven\n", false}};
    struct scene s;

    scene_start(&s, answers, 2);
    free(gitfix_commit(s.remote, "main", file, 1, "A longer file"));
    char *task = scene_run(&s, "Shout");
    json_t *doc = world_wait_status(&s.w, task, "needs_review");
    cr_expect_str_eq(scene_error_code(doc), "patch_conflict");
    cr_expect_not_null(
        strstr(pj_json_str(json_object_get(doc, "error"), "detail", ""), "src/long.txt, hunk 2"));
    char *path = pj_asprintf("/tasks/%s/patch?format=json", task);
    json_t *view = world_call(&s.w, "GET", path, NULL, 200);
    const json_t *hunks =
        json_object_get(json_array_get(json_object_get(view, "files"), 0), "hunks");
    cr_assert_eq(json_array_size(hunks), 2U);
    cr_expect(json_is_false(json_object_get(json_array_get(hunks, 0), "rejected")));
    cr_expect(json_is_true(json_object_get(json_array_get(hunks, 1), "rejected")));
    cr_expect_not_null(
        strstr(pj_json_str(json_array_get(hunks, 1), "reason", ""), "context is not found"));
    cr_expect(world_log_has(&s.w, task, "rejected: src/long.txt, hunk 2"));
    json_decref(view);
    json_decref(doc);
    free(path);
    free(task);
    scene_stop(&s);
}

/* It does not fit the commit that the task began with, but the one that the base branch is at by now. */
Test(r3_diff, r3_2_a_diff_is_tried_on_the_base_that_has_moved)
{
    static const struct model_answer answers[] = {NO_TOOLS,
                                                  {.text = FENCED(STALE), .trouble = MODEL_GATE}};
    static const struct gitfix_file moved[] = {
        {"src/main.py", "def greet():\n    return 'good morning'\n", false}};
    struct scene s;

    scene_start(&s, answers, 2);
    char *task = scene_run(&s, "Greet the world");
    cr_assert(model_server_wait(s.model, 2, WORLD_SOON));
    char *tip = gitfix_commit(s.remote, "main", moved, 1, "Another greeting");
    model_server_release(s.model);
    json_t *doc = world_wait_status(&s.w, task, "completed");
    cr_expect_str_eq(pj_json_str(doc, "baseSha", ""), tip);
    char *branch = scene_branch(task), *parent_spec = pj_asprintf("%s~1", branch);
    char *parent = gitfix_rev(s.remote, parent_spec);
    cr_expect_str_eq(parent, tip);
    cr_expect(world_log_has(&s.w, task, "has moved to"));
    free(parent);
    free(parent_spec);
    free(branch);
    free(tip);
    json_decref(doc);
    free(task);
    scene_stop(&s);
}

Test(r3_diff, r3_3_a_diff_that_leaves_the_tree_is_malformed)
{
    static const struct model_answer answers[] = {NO_TOOLS,
                                                  {.text = FENCED(OUTSIDE), .repeat = true}};

    refused(answers, "patch_malformed", "etc/motd");
}
