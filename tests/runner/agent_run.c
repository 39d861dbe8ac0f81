/* The agent's whole run, against a scripted model of each wire form and against a replay file. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "tests/runner/gateway_rig.h"
#include "tests/support/model_server.h"

/* clang-format off */
static const struct model_answer edits[] = {
    {.text = "Let me look.", .calls = {{"list_dir", "{}"}, {"read_file", "{\"path\":\"greet.txt\"}"}}},
    {.calls = {{"edit_file", "{\"path\":\"greet.txt\",\"old\":\"bye\",\"new\":\"hello\"}"}}},
    {.calls = {{"run", "{\"command\":\"cat greet.txt; echo oops >&2; exit 3\"}"}}},
    {.calls = {{"finish", "{\"summary\":\"It says hello now.\"}"}}},
};
/* clang-format on */

static void check_edited(struct rig *rig, int rc)
{
    char *text = rig_text(rig, "greet.txt");

    cr_assert_eq(rc, 0, "%s\n%s", rig->err.message, pj_str_cstr(&rig->events));
    cr_assert_eq(rig->result.end, GATEWAY_FINISHED);
    cr_assert_str_eq(rig->result.summary, "It says hello now.");
    cr_assert_str_eq(text, "hello\n");
    cr_assert(rig_saw(rig, "stdout info hello"));
    cr_assert(rig_saw(rig, "stderr info oops"));
    cr_assert(rig_saw(rig, "system llm_request"));
    cr_assert_eq(rig->calls, 4);
    cr_assert_eq(rig->result.turns, 4);
    free(text);
}

static void edits_with(const char *provider, bool responses)
{
    struct model_server *m = model_server_start(0, edits, PJ_COUNT_OF(edits));
    bool anthropic = strcmp(provider, "anthropic") == 0;
    struct rig rig;
    int rc;

    rig_init(&rig, provider,
             anthropic ? model_server_anthropic_url(m) : model_server_openai_url(m));
    rig.config.primary.api = responses ? "responses" : "auto";
    rig_file(&rig, "greet.txt", "bye\n");
    rc = rig_run(&rig);
    cr_expect_str_empty(model_server_faults(m));
    check_edited(&rig, rc);
    cr_assert_eq(rig.result.tokens, 4400);
    cr_assert_eq(rig.result.cost_microusd, -1);
    cr_assert_not(rig_saw(&rig, MODEL_SERVER_KEY));
    rig_release(&rig);
    model_server_stop(m);
}

Test(agent_run, edits_a_tree_over_chat_completions)
{
    edits_with("openai", false);
}

Test(agent_run, edits_a_tree_over_responses)
{
    edits_with("openai", true);
}

Test(agent_run, edits_a_tree_over_messages)
{
    edits_with("anthropic", false);
}

Test(agent_run, edits_a_tree_by_replay_and_says_so)
{
    struct rig rig;
    char file[128];
    int rc;

    rig_init(&rig, "replay", NULL);
    rig_file(&rig, "greet.txt", "bye\n");
    rig_file(&rig, "../replay.json",
             "{\"answers\":[{\"text\":\"Let me "
             "look.\",\"toolCalls\":[{\"name\":\"list_dir\",\"arguments\":{}}],"
             "\"usage\":{\"promptTokens\":10,\"completionTokens\":2}},"
             "{\"toolCalls\":[{\"name\":\"edit_file\",\"arguments\":{\"path\":\"greet.txt\","
             "\"old\":\"bye\",\"new\":\"hello\"}}]},"
             "{\"toolCalls\":[{\"name\":\"run\",\"arguments\":{\"command\":\"cat greet.txt; echo "
             "oops >&2\"}}]},"
             "{\"toolCalls\":[{\"name\":\"finish\",\"arguments\":{\"summary\":\"It says hello "
             "now.\"}}]}]}");
    (void)snprintf(file, sizeof file, "%s/replay.json", rig.dir);
    rig.config.primary.replay_file = file;
    rc = rig_run(&rig);
    check_edited(&rig, rc);
    cr_assert(rig_saw(&rig, "replays recorded answers"));
    cr_assert_eq(rig.result.tokens, 12);
    rig_release(&rig);
}

Test(agent_run, asks_for_clarification)
{
    /* clang-format off */
    static const struct model_answer asks[] = {
        {.calls = {{"ask_clarification", "{\"question\":\"Which greeting?\",\"options\":[\"hi\",\"hello\"]}"}}},
    };
    /* clang-format on */
    struct model_server *m = model_server_start(0, asks, PJ_COUNT_OF(asks));
    struct rig rig;

    rig_init(&rig, "openai", model_server_openai_url(m));
    cr_assert_eq(rig_run(&rig), 0, "%s", rig.err.message);
    cr_assert_eq(rig.result.end, GATEWAY_ASKED);
    cr_assert_str_eq(rig.result.question, "Which greeting?\n- hi\n- hello");
    rig_release(&rig);
    model_server_stop(m);
}

Test(agent_run, goes_on_when_the_checks_fail)
{
    /* clang-format off */
    static const struct model_answer answers[] = {
        {.calls = {{"write_file", "{\"path\":\"greet.txt\",\"content\":\"helo\\n\"}"}}},
        {.calls = {{"finish", "{\"summary\":\"done\"}"}}},
        {.calls = {{"write_file", "{\"path\":\"greet.txt\",\"content\":\"hello\\n\"}"}}, .when = "1 test failed"},
        {.calls = {{"finish", "{\"summary\":\"really done\"}"}}},
    };
    /* clang-format on */
    struct model_server *m = model_server_start(0, answers, PJ_COUNT_OF(answers));
    struct rig rig;

    rig_init(&rig, "anthropic", model_server_anthropic_url(m));
    rig.finish_refusals = 1;
    cr_assert_eq(rig_run(&rig), 0, "%s", rig.err.message);
    cr_assert_eq(rig.finishes, 2);
    cr_assert_str_eq(rig.result.summary, "really done");
    cr_expect_str_empty(model_server_faults(m));
    rig_release(&rig);
    model_server_stop(m);
}

Test(agent_run, refuses_an_empty_finish_without_a_reason)
{
    /* clang-format off */
    static const struct model_answer answers[] = {
        {.calls = {{"finish", "{\"summary\":\"done\"}"}}},
        {.calls = {{"finish", "{\"summary\":\"nothing to do\",\"no_changes_reason\":\"it says hello already\"}"}},
         .when = "give no_changes_reason"},
    };
    /* clang-format on */
    struct model_server *m = model_server_start(0, answers, PJ_COUNT_OF(answers));
    struct rig rig;

    rig_init(&rig, "openai", model_server_openai_url(m));
    rig_file(&rig, "greet.txt", "hello\n");
    cr_assert_eq(rig_run(&rig), 0, "%s", rig.err.message);
    cr_assert_eq(rig.result.end, GATEWAY_NO_CHANGES);
    cr_assert_str_eq(rig.result.no_changes_reason, "it says hello already");
    rig_release(&rig);
    model_server_stop(m);
}

Test(agent_run, ends_as_model_protocol_after_three_calls_no_tool_understands)
{
    /* clang-format off */
    static const struct model_answer answers[] = {
        {.calls = {{"fly", "{}"}}},
        {.calls = {{"read_file", "{\"file\":\"x\"}"}}},
        {.calls = {{"read_file", "{}"}}},
    };
    /* clang-format on */
    struct model_server *m = model_server_start(0, answers, PJ_COUNT_OF(answers));
    struct rig rig;

    rig_init(&rig, "openai", model_server_openai_url(m));
    cr_assert_lt(rig_run(&rig), 0);
    cr_assert_str_eq(rig.err.code, "model_protocol");
    cr_assert_eq(model_server_count(m), 3);
    rig_release(&rig);
    model_server_stop(m);
}

#define PATCH "--- a/greet.txt\n+++ b/greet.txt\n@@ -1 +1 @@\n-bye\n+hello\n"

Test(agent_run, says_that_a_tree_cannot_be_analysed)
{
    struct model_server *m = model_server_start(0, NULL, 0);
    struct rig rig;

    rig_init(&rig, "openai", model_server_openai_url(m));
    rig.plain_root = geteuid() == 0; /* which reads any folder otherwise */
    cr_assert_eq(chmod(rig.tree, 0100), 0);
    cr_assert_lt(rig_run(&rig), 0);
    cr_assert_str_eq(rig.err.code, "repository_analysis", "%s", rig.err.message);
    cr_assert(rig.err.remedy[0]);
    cr_assert_eq(model_server_count(m), 0);
    cr_assert_eq(chmod(rig.tree, 0755), 0);
    rig_release(&rig);
    model_server_stop(m);
}

Test(agent_run, asks_a_model_without_tools_for_a_diff)
{
    /* clang-format off */
    static const struct model_answer answers[] = {
        {.status = 400, .body = "{\"error\":{\"message\":\"m does not support tools\"}}", .when = "\"tools\""},
        {.text = "I would rather talk.", .when = "bye"},
        {.text = "It greets now.\n\n```diff\n--- a/greet.txt\n+++ b/greet.txt\n```\n", .when = "holds no unified diff"},
        {.text = "It greets now.\n\n```diff\n" PATCH "```\nThat is all.", .when = "1 test failed"},
    };
    /* clang-format on */
    struct model_server *m = model_server_start(0, answers, PJ_COUNT_OF(answers));
    struct rig rig;

    rig_init(&rig, "openai", model_server_openai_url(m));
    rig_file(&rig, "greet.txt", "bye\n");
    rig.finish_refusals = 1;
    cr_assert_eq(rig_run(&rig), 0, "%s", rig.err.message);
    cr_assert_str_eq(rig.diff, PATCH);
    cr_assert_str_eq(rig.result.summary, "It greets now.\n\n");
    cr_assert_null(json_object_get(model_server_body(m, 3), "tools"));
    rig_release(&rig);
    model_server_stop(m);
}

Test(agent_run, takes_a_diff_as_the_answer_of_a_model_that_never_calls)
{
    static const struct model_answer answers[] = {{.text = "```\n" PATCH "```"}};
    struct model_server *m = model_server_start(0, answers, 1);
    struct rig rig;

    rig_init(&rig, "anthropic", model_server_anthropic_url(m));
    rig_file(&rig, "greet.txt", "bye\n");
    cr_assert_eq(rig_run(&rig), 0, "%s", rig.err.message);
    cr_assert_str_eq(rig.diff, PATCH);
    rig.config.hooks.diff = NULL;
    gateway_result_release(&rig.result);
    model_server_add(m, answers, 1);
    cr_assert_lt(rig_run(&rig), 0);
    cr_assert_str_eq(rig.err.code, "model_protocol");
    rig_release(&rig);
    model_server_stop(m);
}

Test(agent_run, a_recorded_trajectory_gives_the_same_tree_again)
{
    /* clang-format off */
    static const struct model_answer answers[] = {
        {.text = "One.", .calls = {{"write_file", "{\"path\":\"dir/new.txt\",\"content\":\"x\\n\"}"}, {"edit_file", "{\"path\":\"greet.txt\",\"old\":\"nothing\",\"new\":\"y\"}"}}},
        {.calls = {{"edit_file", "{\"path\":\"greet.txt\",\"old\":\"bye\",\"new\":\"hello " MODEL_SERVER_KEY "\"}"}}},
        {.calls = {{"edit_file", "{\"path\":\"greet.txt\",\"old\":\" " MODEL_SERVER_KEY "\",\"new\":\"\"}"}, {"run", "{\"command\":\"sed s/x/z/ dir/new.txt > out.txt\"}"}}},
        {.calls = {{"move_path", "{\"from\":\"dir/new.txt\",\"to\":\"moved.txt\"}"}, {"finish", "{\"summary\":\"done\"}"}}},
    };
    /* clang-format on */
    struct model_server *m = model_server_start(0, answers, PJ_COUNT_OF(answers));
    struct rig rig, again;
    char file[160];

    rig_init(&rig, "openai", model_server_openai_url(m));
    rig_file(&rig, "greet.txt", "bye\n");
    cr_assert_eq(rig_run(&rig), 0, "%s", rig.err.message);
    cr_assert_null(strstr(pj_str_cstr(&rig.trajectory), MODEL_SERVER_KEY));
    cr_assert_not_null(
        strstr(pj_str_cstr(&rig.trajectory), "{\"type\":\"results\",\"results\":[{\"id\":"));
    rig_init(&again, "openai", model_server_openai_url(m));
    rig_file(&again, "greet.txt", "bye\n");
    rig_file(&again, "../trajectory", pj_str_cstr(&rig.trajectory));
    (void)snprintf(file, sizeof file, "%s/trajectory", again.dir);
    cr_assert_eq(rig_replay(&again, file), 0);
    static const char *const names[] = {"greet.txt", "moved.txt", "out.txt", "dir/new.txt"};
    for (size_t i = 0; i < PJ_COUNT_OF(names); i++) {
        char *first = rig_text(&rig, names[i]), *second = rig_text(&again, names[i]);
        cr_expect_eq(first == NULL, second == NULL, "%s", names[i]);
        if (first && second)
            cr_expect_str_eq(second, first, "%s", names[i]);
        free(first);
        free(second);
    }
    rig_release(&rig);
    rig_release(&again);
    model_server_stop(m);
}

#ifndef __SANITIZE_ADDRESS__
Test(agent_run, stays_small)
{
    /* clang-format off */
    static const struct model_answer answers[] = {
        {.calls = {{"search", "{\"pattern\":\"needle\"}"}, {"run", "{\"command\":\"grep VmHWM /proc/$PPID/status\"}"}}},
        {.calls = {{"finish", "{\"summary\":\"x\",\"no_changes_reason\":\"y\"}"}}},
    };
    /* clang-format on */
    struct model_server *m = model_server_start(0, answers, PJ_COUNT_OF(answers));
    struct rig rig;
    const char *at;
    char name[40];

    rig_init(&rig, "openai", model_server_openai_url(m));
    for (int i = 0; i < 3000; i++) {
        (void)snprintf(name, sizeof name, "d%d/file-%d.c", i % 50, i);
        rig_file(&rig, name, "int hay;\n");
    }
    cr_assert_eq(rig_run(&rig), 0, "%s", rig.err.message);
    at = strstr(pj_str_cstr(&rig.events), "stdout info VmHWM:");
    cr_assert_not_null(at);
    cr_assert_lt(strtol(at + strlen("stdout info VmHWM:"), NULL, 10), 8192, "%.60s", at);
    rig_release(&rig);
    model_server_stop(m);
}
#endif
