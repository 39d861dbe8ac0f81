/* R3: patch application and validation. */
#include "tests/scenarios/scene.h"

static const struct model_answer write_and_finish[] = {SCENE_WRITE("docs/new.txt", "made\\n"),
                                                       SCENE_FINISH};

static void assert_pushed(struct scene *s, const char *task, const char *subject)
{
    char *branch = scene_branch(task), *spec = pj_asprintf("%s:docs/new.txt", branch);
    char *parent_spec = pj_asprintf("%s~1", branch);
    char *said = gitfix_subject(s->remote, branch), *content = gitfix_show(s->remote, spec);
    char *parent = gitfix_rev(s->remote, parent_spec),
         *main_tip = gitfix_rev(s->remote, "refs/heads/main");

    cr_expect_str_eq(said, subject);
    cr_expect_str_eq(content, "made\n");
    cr_expect_str_eq(parent, main_tip, "the commit stands on the base branch");
    free(branch);
    free(spec);
    free(parent_spec);
    free(said);
    free(content);
    free(parent);
    free(main_tip);
}

Test(r3, r3_1_the_patch_is_committed_and_pushed_to_a_path)
{
    struct scene s;

    scene_start(&s, write_and_finish, 2);
    char *task = scene_run(&s, "Write a file");
    json_t *doc = world_wait_status(&s.w, task, "completed");
    char *branch = scene_branch(task);
    cr_expect_str_eq(pj_json_str(doc, "branch", ""), branch);
    assert_pushed(&s, task, "Pithy Jaunt: Write a file");
    free(branch);
    json_decref(doc);
    free(task);
    scene_stop(&s);
}

Test(r3, r3_1_the_patch_is_pushed_over_smart_http_with_the_token)
{
    struct scene s;

    scene_prepare(&s, write_and_finish, 2);
    scene_open_forge(&s, ",\"codeRabbit\":\"off\"");
    char *task = scene_run(&s, "Write a file");
    json_decref(world_wait_status(&s.w, task, "completed"));
    assert_pushed(&s, task, "Pithy Jaunt: Write a file");
    free(task);
    scene_stop(&s);
}

Test(r3, r3_1_commits_of_others_on_the_branch_are_never_overwritten)
{
    static const struct model_answer gated[] = {
        {.trouble = MODEL_GATE,
         .text = "I write.",
         .calls = {{"write_file", "{\"path\":\"docs/new.txt\",\"content\":\"made\\n\"}"}}},
        SCENE_FINISH,
    };
    static const struct gitfix_file strange[] = {{"stranger.txt", "mine\n", false}};
    struct scene s;

    scene_start(&s, gated, 2);
    char *task = scene_run(&s, "Write a file");
    cr_assert(model_server_wait(s.model, 1, WORLD_SOON));
    char *branch = scene_branch(task);
    char *tip = gitfix_commit(s.remote, branch, strange, 1, "Somebody else");
    model_server_release(s.model);
    json_t *doc = world_wait_status(&s.w, task, "needs_review");
    cr_expect_str_eq(scene_error_code(doc), "push_conflict");
    char *now = gitfix_rev(s.remote, branch);
    cr_expect_str_eq(now, tip);
    free(now);
    free(tip);
    free(branch);
    json_decref(doc);
    free(task);
    scene_stop(&s);
}

/* What cannot be part of a well-formed diff stays behind, and the log says so. */
Test(r3, r3_3_links_out_of_the_tree_never_leave_the_box)
{
    static const struct model_answer answers[] = {
        SCENE_RUN("ln -s ../../../etc/passwd relative; ln -s /etc/passwd absolute; ln README.md "
                  "hard; mkfifo pipe; ln -s docs fine"),
        SCENE_WRITE("docs/new.txt", "made\\n"),
        SCENE_FINISH,
    };
    struct scene s;

    scene_start(&s, answers, PJ_COUNT_OF(answers));
    char *task = scene_run(&s, "Write a file");
    json_decref(world_wait_status(&s.w, task, "completed"));
    assert_pushed(&s, task, "Pithy Jaunt: Write a file");
    char *branch = scene_branch(task);
    char *names =
        gitfix_run(s.remote, NULL, "ls-tree", "-r", "--name-only", branch, (const char *)NULL);
    cr_expect_str_eq(names, "README.md\ncheck.sh\ndocs/new.txt\nfine\nsrc/main.py\n");
    cr_expect(world_log_has(&s.w, task, "a symlink that leads out of the tree"));
    free(names);
    free(branch);
    free(task);
    scene_stop(&s);
}

Test(r3, r3_3_a_change_that_policy_forbids_is_kept_for_review)
{
    static const struct model_answer answers[] = {
        SCENE_WRITE(".github/workflows/ci.yml", "on: push\\n"),
        {.repeat = true, .text = "Done.", .calls = {{"finish", "{\"summary\":\"Done.\"}"}}},
    };
    struct scene s;
    struct http_answer a;

    scene_start(&s, answers, 2);
    char *task = scene_run(&s, "Add a workflow");
    json_t *doc = world_wait_status(&s.w, task, "needs_review");
    cr_expect_str_eq(scene_error_code(doc), "patch_policy");
    char *branches = gitfix_branches(s.remote);
    cr_expect_str_eq(branches, "main\n");
    char *path = pj_asprintf("/api/v1/tasks/%s/patch", task);
    http_call(s.w.base, "GET", path, WORLD_TOKEN, NULL, NULL, &a);
    cr_expect_eq(a.status, 200);
    cr_expect_not_null(strstr(a.body, "+++ b/.github/workflows/ci.yml"), "the patch is kept: %s",
                       a.body);
    http_answer_release(&a);
    free(path);
    free(branches);
    json_decref(doc);
    free(task);
    scene_stop(&s);
}

/* A person has looked: what policy stopped is pushed as it is, and that is on record. */
Test(r3, r3_2_what_policy_stopped_is_published_as_it_is)
{
    static const struct model_answer answers[] = {
        SCENE_WRITE(".github/workflows/ci.yml", "on: push\\n"),
        SCENE_FINISH,
    };
    struct scene s;

    scene_start(&s, answers, 2);
    char *task = scene_run(&s, "Add a workflow");
    json_decref(world_wait_status(&s.w, task, "needs_review"));
    char *path = pj_asprintf("/tasks/%s/publish", task);
    json_decref(world_call(&s.w, "POST", path, "{}", 202));
    json_decref(world_wait_status(&s.w, task, "completed"));
    char *branch = scene_branch(task), *spec = pj_asprintf("%s:.github/workflows/ci.yml", branch);
    char *content = gitfix_show(s.remote, spec);
    cr_expect_str_eq(content, "on: push\n");
    json_t *audit = world_call(&s.w, "GET", "/admin/audit", NULL, 200);
    char *said = json_dumps(audit, 0);
    cr_expect_not_null(strstr(said, "publish"), "%s", said);
    cr_expect_not_null(strstr(said, task), "%s", said);
    free(said);
    json_decref(audit);
    free(content);
    free(spec);
    free(branch);
    free(path);
    free(task);
    scene_stop(&s);
}

Test(r3, r3_3_a_repository_may_allow_what_policy_forbids)
{
    static const struct model_answer answers[] = {
        SCENE_WRITE(".github/workflows/ci.yml", "on: push\\n"),
        SCENE_FINISH,
    };
    struct scene s;

    scene_prepare(&s, answers, 2);
    scene_open(&s, ",\"publish\":{\"allow\":[\"workflows\"]}");
    char *task = scene_run(&s, "Add a workflow");
    json_decref(world_wait_status(&s.w, task, "completed"));
    free(task);
    scene_stop(&s);
}

Test(r3, r3_3_a_planted_git_folder_is_ignored)
{
    static const struct model_answer answers[] = {
        SCENE_RUN("mkdir -p .git/hooks sub/.git && echo evil > .git/hooks/pre-push && echo "
                  "'[core]' > sub/.git/config"),
        SCENE_WRITE("docs/new.txt", "made\\n"),
        SCENE_FINISH,
    };
    struct scene s;

    scene_start(&s, answers, PJ_COUNT_OF(answers));
    char *task = scene_run(&s, "Write a file");
    json_decref(world_wait_status(&s.w, task, "completed"));
    assert_pushed(&s, task, "Pithy Jaunt: Write a file");
    char *branch = scene_branch(task);
    char *names =
        gitfix_run(s.remote, NULL, "ls-tree", "-r", "--name-only", branch, (const char *)NULL);
    cr_expect_null(strstr(names, ".git"), "%s", names);
    free(names);
    free(branch);
    free(task);
    scene_stop(&s);
}
