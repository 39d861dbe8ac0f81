/* R2.2, R2.4, and the other kinds of agent: findings, limits, a stranger's agent in the box. */
#include <unistd.h>
#include "lib/base/fs.h"
#include "tests/scenarios/scene.h"

Test(r2_model, r2_2_findings_go_into_the_context_suggestions_first)
{
    static const struct model_answer answers[] = {SCENE_WRITE("new.txt", "x\\n"), SCENE_FINISH};
    static const char analysis[] =
        "{\"source\":\"coderabbit\",\"summary\":\"Mostly fine.\",\"findings\":["
        "{\"path\":\"src/main.py\",\"line\":1,\"severity\":\"low\",\"title\":\"Minor "
        "matter\",\"detail\":\"d1\"},"
        "{\"path\":\"src/main.py\",\"severity\":\"high\",\"title\":\"Plain "
        "matter\",\"detail\":\"d2\"},"
        "{\"path\":\"src/main.py\",\"severity\":\"high\",\"title\":\"Helpful "
        "matter\",\"detail\":\"d3\","
        "\"suggestion\":\"return a constant\"},"
        "{\"severity\":\"critical\",\"title\":\"Worst matter\",\"detail\":\"d4\"}]}";
    struct scene s;

    scene_start(&s, answers, 2);
    char *path = pj_asprintf("/repositories/%s/analysis", s.repo);
    json_decref(world_call(&s.w, "PUT", path, analysis, 200));
    char *task = scene_run(&s, "Improve it");
    json_decref(world_wait_status(&s.w, task, "completed"));
    char *body = pj_json_text(model_server_body(s.model, 0));
    const char *worst = strstr(body, "[critical] Worst matter");
    const char *helpful = strstr(body, "[high] Helpful matter");
    const char *plain = strstr(body, "[high] Plain matter");
    const char *minor = strstr(body, "[low] Minor matter (src/main.py:1)");
    cr_assert(worst && helpful && plain && minor, "%s", body);
    cr_expect(worst < helpful && helpful < plain && plain < minor,
              "by severity, suggestions first");
    cr_expect_not_null(strstr(body, "Suggested: return a constant"));
    cr_expect_not_null(strstr(body, "Mostly fine."));
    free(body);
    free(task);
    free(path);
    scene_stop(&s);
}

Test(r2_model, r2_4_the_call_that_would_pass_the_limit_is_not_made)
{
    /* clang-format off */
    static const struct model_answer answers[] = {
        {.text = "I write.",
         .calls = {{"write_file", "{\"path\":\"part.txt\",\"content\":\"half\\n\"}"}},
         .prompt_tokens = 7000, .completion_tokens = 500},
        {.repeat = true, .calls = {{"list_dir", "{}"}}},
    };
    /* clang-format on */
    struct scene s;
    struct http_answer a;

    scene_start(&s, answers, 2);
    char *task = world_task(&s.w, s.repo, "Write much", "Write.", ",\"limits\":{\"tokens\":12000}");
    world_execute(&s.w, task);
    json_t *doc = world_wait_status(&s.w, task, "failed");
    cr_expect_str_eq(scene_error_code(doc), "token_limit");
    cr_expect_eq(model_server_count(s.model), 1);
    cr_expect_eq(pj_json_i64(json_object_get(doc, "usage"), "totalTokens", 0), 7500);
    cr_expect_not(json_is_true(json_object_get(json_object_get(doc, "error"), "retryable")));
    char *path = pj_asprintf("/api/v1/tasks/%s/patch", task);
    http_call(s.w.base, "GET", path, WORLD_TOKEN, NULL, NULL, &a);
    cr_expect_eq(a.status, 200, "the partial patch is kept: %s", a.body);
    cr_expect_not_null(strstr(a.body, "+++ b/part.txt"));
    cr_expect(world_log_has(&s.w, task, "7000 tokens in"), "usage is in the log");
    http_answer_release(&a);
    free(path);
    json_decref(doc);
    free(task);
    scene_stop(&s);
}

/* A stranger's agent, as small as it can be: one question, one file. */
#define STRANGER                                                                                   \
    "use IO::Socket::INET; my ($h) = $ENV{OPENAI_BASE_URL} =~ m{//([^/]+)/v1$};"                   \
    "my $b = "                                                                                     \
    "q({\\\"model\\\":\\\"mine\\\",\\\"messages\\\":[{\\\"role\\\":\\\"user\\\",\\\"content\\\":"  \
    "\\\"the answer?\\\"}]});"                                                                     \
    "my $s = IO::Socket::INET->new(PeerAddr => $h) or die $!;"                                     \
    "print $s qq(POST /v1/chat/completions HTTP/1.1\\\\r\\\\nHost: x\\\\r\\\\nContent-Type: "      \
    "application/json\\\\r\\\\n"                                                                   \
    "Authorization: Bearer $ENV{OPENAI_API_KEY}\\\\r\\\\nContent-Length: ) . length($b) . "        \
    "qq(\\\\r\\\\n\\\\r\\\\n$b);"                                                                  \
    "local $/; my $a = <$s>; print qq(asked\\\\n); open my $f, q(>), q(answer.txt) or die $!;"     \
    "print $f $a =~ /forty-two/ ? qq(42\\\\n) : qq(none\\\\n); close $f"

/* The stranger speaks Chat Completions, whatever the provider does. */
static void let_stranger_work(bool anthropic)
{
    static const struct model_answer answers[] = {{.text = "It is forty-two."}};
    struct scene s;

    if (access("/usr/bin/perl", X_OK) != 0)
        cr_skip_test("perl, which plays the other agent, is not installed");
    scene_prepare(&s, answers, 1);
    if (anthropic) {
        world_set(&s.w, "OPENAI_API_KEY", NULL);
        world_use_anthropic(&s.w, s.model);
    }
    scene_open(&s, ",\"codeRabbit\":\"off\",\"agent\":[\"/usr/bin/perl\",\"-e\",\"" STRANGER "\"]");
    char *task = scene_run(&s, "Find the answer");
    json_t *doc = world_wait_status(&s.w, task, "completed");
    char *branch = scene_branch(task);
    char *spec = pj_asprintf("%s:answer.txt", branch);
    char *text = gitfix_show(s.remote, spec);
    cr_assert_not_null(text);
    cr_expect_str_eq(text, "42\n");
    cr_expect_eq(model_server_wire(s.model, 0), anthropic ? MODEL_MESSAGES : MODEL_CHAT);
    cr_expect_str_eq(pj_json_str(model_server_body(s.model, 0), "model", ""), "stand-in-model");
    cr_expect_eq(pj_json_i64(json_object_get(doc, "usage"), "totalTokens", 0), 1100);
    cr_expect(world_log_has(&s.w, task, "asked"), "its output is in the log");
    free(text);
    free(spec);
    free(branch);
    json_decref(doc);
    free(task);
    scene_stop(&s);
}

Test(r2_model, r2_1_another_agent_works_in_the_box_through_the_gateway)
{
    let_stranger_work(false);
}

Test(r2_model, r9_1_another_agent_works_with_a_provider_of_another_format)
{
    let_stranger_work(true);
}

/* ---- agents that people have: with PJ_TEST_AGENTS=1, where they are installed (npm install -g --prefix /usr/local @openai/codex
 * @anthropic-ai/claude-code) ---- */

#define CODEX(model)                                                                               \
    "[\"/usr/local/bin/codex\",\"exec\",\"--skip-git-repo-check\","                                \
    "\"--dangerously-bypass-approvals-and-sandbox\",\"-c\",\"model_provider=\\\"pj\\\"\",\"-c\","  \
    "\"model_providers.pj={name=\\\"pj\\\",base_url=\\\"http://127.0.0.1:8100/v1\\\","             \
    "env_key=\\\"OPENAI_API_KEY\\\",wire_api=\\\"responses\\\"}\"," model "\"Write answer.txt\"]"
#define CLAUDE                                                                                     \
    "[\"/usr/local/bin/claude\",\"-p\",\"Write "                                                   \
    "answer.txt\",\"--permission-mode\",\"acceptEdits\","                                          \
    "\"--allowedTools\",\"Bash,Write,Edit\"]"

static void let_product_work(const char *program, const char *agent,
                             const struct model_answer answers[2], bool anthropic)
{
    struct scene s;

    if (getenv("PJ_TEST_AGENTS") == NULL || access(program, X_OK) != 0)
        cr_skip_test("%s: install it, and set PJ_TEST_AGENTS=1", program);
    scene_prepare(&s, answers, 2);
    if (anthropic) {
        world_set(&s.w, "OPENAI_API_KEY", NULL);
        world_use_anthropic(&s.w, s.model);
    }
    char *extra = pj_asprintf(",\"codeRabbit\":\"off\",\"agent\":%s", agent);
    scene_open(&s, extra);
    char *task = scene_run(&s, "Write answer.txt");
    json_decref(world_wait_status(&s.w, task, "completed"));
    char *branch = scene_branch(task);
    char *spec = pj_asprintf("%s:answer.txt", branch);
    char *text = gitfix_show(s.remote, spec);
    cr_assert_not_null(text);
    cr_expect_str_eq(text, "42\n");
    cr_expect_eq(model_server_wire(s.model, 0), anthropic ? MODEL_MESSAGES : MODEL_CHAT);
    free(text);
    free(spec);
    free(branch);
    free(extra);
    free(task);
    scene_stop(&s);
}

static const struct model_answer for_codex[] = {
    {.text = "I write.", .calls = {{"exec_command", "{\"cmd\":\"echo 42 > answer.txt\"}"}}},
    {.repeat = true, .text = "Done."},
};
/* For its newest models Codex names its tools in namespaces, and runs commands by a script. */
static const struct model_answer for_new_codex[] = {
    {.text = "I write.",
     .calls = {{"functions__exec",
                "{\"input\":\"await tools.exec_command({cmd: 'echo 42 > answer.txt'})\"}"}}},
    {.repeat = true, .text = "Done."},
};
static const struct model_answer for_claude[] = {
    {.when = "\"Bash\"",
     .text = "I write.",
     .calls = {{"Bash", "{\"command\":\"echo 42 > answer.txt\",\"description\":\"Write\"}"}}},
    {.repeat = true, .text = "Done."},
};

Test(r2_model, r2_1_codex_works_with_openai_chat)
{
    let_product_work("/usr/local/bin/codex", CODEX("\"-m\",\"gpt-5\","), for_codex, false);
}

Test(r2_model, r2_1_codex_works_with_anthropic)
{
    let_product_work("/usr/local/bin/codex", CODEX("\"-m\",\"gpt-5\","), for_codex, true);
}

Test(r2_model, r2_1_codex_works_as_it_comes)
{
    let_product_work("/usr/local/bin/codex", CODEX(""), for_new_codex, true);
}

Test(r2_model, r2_1_claude_code_works_with_anthropic)
{
    let_product_work("/usr/local/bin/claude", CLAUDE, for_claude, true);
}

Test(r2_model, r2_1_claude_code_works_with_openai_chat)
{
    let_product_work("/usr/local/bin/claude", CLAUDE, for_claude, false);
}

/* The trajectory that the API hands out, replayed on the base commit, gives the tree of the commit that was pushed. */
Test(r2_model, r2_1_the_trajectory_replayed_gives_the_same_tree)
{
    static const struct model_answer answers[] = {
        {.calls = {{"edit_file",
                    "{\"path\":\"src/main.py\",\"old\":\"'hello'\",\"new\":\"'hello, world'\"}"},
                   {"write_file", "{\"path\":\"docs/a.txt\",\"content\":\"one\\ntwo\\n\"}"}}},
        SCENE_RUN("sed -i s/two/2/ docs/a.txt"),
        {.calls = {{"move_path", "{\"from\":\"docs/a.txt\",\"to\":\"docs/b.txt\"}"}}},
        SCENE_FINISH,
    };
    struct scene s;
    struct http_answer a;
    struct pj_err err;
    char *out, *errors;

    scene_start(&s, answers, PJ_COUNT_OF(answers));
    char *task = scene_run(&s, "Change things");
    json_decref(world_wait_status(&s.w, task, "completed"));
    char *path = pj_asprintf("/api/v1/tasks/%s/trajectory", task);
    http_call(s.w.base, "GET", path, WORLD_TOKEN, NULL, NULL, &a);
    cr_assert_eq(a.status, 200);
    char *file = pj_asprintf("%s/trajectory.jsonl", s.w.dir),
         *tree = pj_asprintf("%s/replayed", s.w.dir);
    cr_assert_eq(pj_fs_write_atomic(file, a.body, a.body_len, 0644, &err), 0);
    char *branch = scene_branch(task), *work = pj_asprintf("--work-tree=%s", tree);
    cr_assert_eq(pj_fs_mkdirs(tree, 0755, &err), 0);
    free(gitfix_run(s.remote, NULL, work, "checkout", "-f", "main", "--", ".", (const char *)NULL));
    const char *const args[] = {"replay", file, "--workspace", tree, NULL};
    cr_expect_eq(program_run("pj-agent", args, s.w.env, s.w.dir, NULL, &out, &errors), 0, "%s",
                 errors);
    free(gitfix_run(s.remote, NULL, work, "add", "-A", ".", (const char *)NULL));
    char *diff = gitfix_run(s.remote, NULL, work, "diff", "--cached", "--stat", branch, "--",
                            (const char *)NULL);
    cr_assert_not_null(diff);
    cr_expect_str_eq(diff, "", "%s", diff);
    free(diff);
    free(out);
    free(errors);
    free(work);
    free(branch);
    free(tree);
    free(file);
    http_answer_release(&a);
    free(path);
    free(task);
    scene_stop(&s);
}
