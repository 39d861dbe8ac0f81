/* What a task can end as: judged diffs, red checks, set-up, other agents. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include "lib/base/mem.h"
#include "lib/store/tasks.h"
#include "tests/runner/one.h"

static void with_check(struct pj_repo *repo)
{
    repo->check_command = pj_strdup("grep -q '^hello' hello.txt");
}

/* ---- ends that leave a patch behind ---- */

#define DIFF_ANSWER(header, body)                                                                  \
    "{\"text\":\"```diff\\n--- a/hello.txt\\n+++ b/hello.txt\\n" header "\\n" body "```\"}"
#define GOOD_DIFF DIFF_ANSWER("@@ -1 +1 @@", "-hello\\n+hello, diff\\n")
#define CONFLICT DIFF_ANSWER("@@ -1 +1 @@", "-never there\\n+hello\\n")
#define MALFORMED DIFF_ANSWER("@@ -1,7 +1 @@", "-hello\\n+hello, diff\\n")

static const struct {
    const char *answers;
    enum pj_task_status status;
    const char *code;
} diffs[] = {
    {"[" GOOD_DIFF "]", PJ_TASK_COMPLETED, NULL},
    {"[" CONFLICT "," GOOD_DIFF "]", PJ_TASK_COMPLETED, NULL},
    {"[" CONFLICT "," CONFLICT "," CONFLICT "," CONFLICT "]", PJ_TASK_NEEDS_REVIEW,
     "patch_conflict"},
    {"[" MALFORMED "," MALFORMED "," MALFORMED "," MALFORMED "]", PJ_TASK_NEEDS_REVIEW,
     "patch_malformed"},
};

Test(outcomes, r3_2_r3_3_judges_a_diff_that_the_model_answers_with)
{
    for (size_t i = 0; i < PJ_COUNT_OF(diffs); i++) {
        struct one o;
        struct pj_task task;
        PJ_CLEANUP(pj_freep) char *id = NULL;
        PJ_CLEANUP(pj_freep) char *branches = NULL;

        one_open(&o);
        fleet_answers(&o.f, diffs[i].answers);
        fleet_runner(&o.f, 0);
        id = fleet_task(&o.f, o.repo, "Greet by diff", NULL);
        fleet_wait_end(&o.f, id, &task);
        one_assert_status(&o.f, &task, diffs[i].status);
        cr_assert_eq(task.has_patch, 1);
        branches = gitfix_branches(o.remote);
        cr_assert_eq(strstr(branches, "pj/") != NULL, diffs[i].code == NULL, "%s", branches);
        if (diffs[i].code != NULL)
            cr_assert_str_eq(task.error.code, diffs[i].code);
        pj_task_release(&task);
        one_close(&o);
    }
}

static void publish(struct fleet *f, const char *id)
{
    PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = NULL;
    PJ_CLEANUP(pj_cmd_release) struct pj_cmd cmd = {0};
    struct pj_task task;
    struct pj_err err;

    pj_task_init(&task);
    pj_task_publish_cmd(&cmd, id);
    cr_assert_eq(pj_redis_do(f->store, &cmd, &reply, &err), 0, "%s", err.message);
    cr_assert_eq(pj_task_move_reply(reply, &task, &err), 0, "%s", err.message);
    pj_task_release(&task);
}

Test(outcomes, r2_1_a_change_that_stays_red_waits_for_review_and_can_be_published)
{
    struct one o;
    struct pj_task task;

    one_open_with(&o, with_check);
    fleet_answers(
        &o.f, "[{\"toolCalls\":[{\"name\":\"write_file\",\"arguments\":{\"path\":\"hello.txt\","
              "\"content\":\"bye\\n\"}}]},"
              "{\"toolCalls\":[{\"name\":\"finish\",\"arguments\":{\"summary\":\"Bye.\"}}]},"
              "{\"toolCalls\":[{\"name\":\"finish\",\"arguments\":{\"summary\":\"Bye 2.\"}}]},"
              "{\"toolCalls\":[{\"name\":\"finish\",\"arguments\":{\"summary\":\"Bye 3.\"}}]},"
              "{\"toolCalls\":[{\"name\":\"finish\",\"arguments\":{\"summary\":\"Bye 4.\"}}]}]");
    PJ_CLEANUP(pj_freep) char *id = one_run(&o, "Say bye", PJ_TASK_NEEDS_REVIEW, &task);
    PJ_CLEANUP(pj_freep) char *spec = pj_asprintf("pj/%s:hello.txt", id);
    cr_assert_str_eq(task.error.code, "checks_failed");
    cr_assert_str_eq(pj_json_str(json_array_get(task.checks, 0), "after", ""), "failed (exit 1)");
    cr_assert_eq(task.has_patch, 1);
    cr_assert_null(gitfix_show(o.remote, spec));
    pj_task_release(&task);

    publish(&o.f, id);
    fleet_wait_end(&o.f, id, &task);
    one_assert_status(&o.f, &task, PJ_TASK_COMPLETED);
    PJ_CLEANUP(pj_freep) char *content = gitfix_show(o.remote, spec);
    cr_assert_str_eq(content, "bye\n");
    pj_task_release(&task);
    one_close(&o);
}

static const json_t *row_of(const struct pj_task *task, const char *command)
{
    for (size_t i = 0; i < json_array_size(task->checks); i++) {
        const json_t *row = json_array_get(task->checks, i);
        if (strcmp(pj_json_str(row, "command", ""), command) == 0)
            return row;
    }
    return NULL;
}

/* A new file that does not parse goes back to the agent, without any check command; what the base had broken does not. */
Test(outcomes, r2_1_a_file_that_does_not_parse_goes_back_to_the_agent)
{
    struct one o;
    struct pj_task task;

    one_open(&o);
    fleet_answers(
        &o.f,
        "[{\"toolCalls\":[{\"name\":\"write_file\",\"arguments\":{\"path\":\"data/a.json\","
        "\"content\":\"{broken\"}},"
        "{\"name\":\"write_file\",\"arguments\":{\"path\":\"b.sh\",\"content\":\"echo b\\n\"}}]},"
        "{\"toolCalls\":[{\"name\":\"finish\",\"arguments\":{\"summary\":\"One.\"}}]},"
        "{\"toolCalls\":[{\"name\":\"write_file\",\"arguments\":{\"path\":\"data/a.json\","
        "\"content\":\"{}\\n\"}}]},"
        "{\"toolCalls\":[{\"name\":\"finish\",\"arguments\":{\"summary\":\"Two.\"}}]}]");
    fleet_runner(&o.f, 0);
    PJ_CLEANUP(pj_freep) char *id = fleet_task(&o.f, o.repo, "Add data", NULL);
    fleet_wait_end(&o.f, id, &task);
    one_assert_status(&o.f, &task, PJ_TASK_COMPLETED);
    PJ_CLEANUP(pj_freep) char *log = fleet_log(&o.f, id);
    cr_expect_not_null(strstr(log, "syntax: data/a.json does not parse"), "%s", log);
    cr_expect_not_null(strstr(log, "round 1 of 3"));
    cr_expect_str_eq(pj_json_str(row_of(&task, "syntax: JSON"), "after", ""), "passed");
    cr_expect_str_eq(pj_json_str(row_of(&task, "syntax: shell"), "after", ""), "passed");
    cr_expect_eq(json_array_size(task.checks), 2, "rows of the first round are gone");
    pj_task_release(&task);
    one_close(&o);
}

static void with_broken_setup(struct pj_repo *repo)
{
    repo->setup_command = pj_strdup("echo this cannot work; exit 7");
}

Test(outcomes, says_that_the_set_up_failed)
{
    struct one o;
    struct pj_task task;

    one_open_with(&o, with_broken_setup);
    PJ_CLEANUP(pj_freep) char *id = one_run(&o, "Greet the world", PJ_TASK_FAILED, &task);
    cr_assert_str_eq(task.error.code, "setup_failed");
    cr_assert_not_null(strstr(task.error.detail, "exit 7"), "%s", task.error.detail);
    PJ_CLEANUP(pj_freep) char *log = fleet_log(&o.f, id);
    cr_assert_not_null(strstr(log, "this cannot work"));
    pj_task_release(&task);
    one_close(&o);
}

static void with_endless_setup(struct pj_repo *repo)
{
    repo->setup_command = pj_strdup("echo begun; exec tail -f /dev/null");
    repo->setup_timeout_ms = 1500;
}

/* Perl, which every Debian has, asks the box's own proxy for a host that is not on the list. */
static void with_curious_setup(struct pj_repo *repo)
{
    repo->setup_command = pj_strdup(
        "exec perl -MIO::Socket::INET -e 'my ($at) = $ENV{HTTPS_PROXY} =~ m{//([^/]+)}; my $s = "
        "IO::Socket::INET->new(PeerAddr => $at) or die; print $s qq(CONNECT forbidden.example:443 "
        "HTTP/1.1\\r\\nHost: forbidden.example:443\\r\\n\\r\\n); my $l = <$s>; print "
        "qq(proxy said: $l); exit 9'");
    repo->network_allow = pj_alloc(2, sizeof(char *));
    repo->network_allow[0] = pj_strdup("allowed.example");
}

Test(outcomes, a_set_up_has_its_own_time_and_reaches_only_what_is_allowed)
{
    static const struct {
        void (*set)(struct pj_repo *repo);
        const char *detail, *remedy, *log;
    } rows[] = {
        {with_endless_setup, "timed out", "networkAllow", "begun"},
        {with_curious_setup, "exit 9", "refused: forbidden.example:443",
         "proxy said: HTTP/1.1 403"},
    };

    for (size_t i = 0; i < PJ_COUNT_OF(rows); i++) {
        struct one o;
        struct pj_task task;

        one_open_with(&o, rows[i].set);
        PJ_CLEANUP(pj_freep) char *id = one_run(&o, "Greet the world", PJ_TASK_FAILED, &task);
        PJ_CLEANUP(pj_freep) char *log = fleet_log(&o.f, id);
        cr_expect_str_eq(task.error.code, "setup_failed");
        cr_expect_not_null(strstr(task.error.detail, rows[i].detail), "%s", task.error.detail);
        cr_expect_not_null(strstr(task.error.remedy, rows[i].remedy), "%s", task.error.remedy);
        cr_expect_not_null(strstr(log, rows[i].log), "%s", log);
        pj_task_release(&task);
        one_close(&o);
    }
}

static void with_allowed_host(struct pj_repo *repo)
{
    repo->setup_command = pj_strdup("test -n \"$HTTPS_PROXY\"");
    repo->network_allow = pj_alloc(2, sizeof(char *));
    repo->network_allow[0] = pj_strdup("allowed.example");
    repo->check_command = pj_strdup("test -z \"$HTTPS_PROXY\"");
}

/* networkAllow is the set-up's; agent and checks have no network unless agentNetwork says so. */
Test(outcomes, what_the_set_up_may_reach_the_agent_may_not)
{
    struct one o;
    struct pj_task task;

    one_open_with(&o, with_allowed_host);
    fleet_answers(
        &o.f,
        "[{\"toolCalls\":[{\"name\":\"run\",\"arguments\":{\"command\":\"echo "
        "proxy=[$HTTPS_PROXY]; "
        "ls "
        "/sys/class/"
        "net\"}},{\"name\":\"write_file\",\"arguments\":{\"path\":\"n\",\"content\":\"n\\n\"}}]},"
        "{\"toolCalls\":[{\"name\":\"finish\",\"arguments\":{\"summary\":\"Looked.\"}}]}]");
    PJ_CLEANUP(pj_freep) char *id = one_run(&o, "Look about", PJ_TASK_COMPLETED, &task);
    PJ_CLEANUP(pj_freep) char *log = fleet_log(&o.f, id);
    cr_expect_not_null(strstr(log, "proxy=[]"), "%s", log);
    cr_expect_str_eq(pj_json_str(json_array_get(task.checks, 0), "after", ""), "passed");
    pj_task_release(&task);
    one_close(&o);
}

static void with_setup(struct pj_repo *repo)
{
    repo->setup_command = pj_strdup("mkdir -p deps && echo fetched > deps/lib.txt");
    repo->check_command = pj_strdup("test -f deps/lib.txt");
}

Test(outcomes, keeps_what_the_set_up_wrote_out_of_the_change)
{
    struct one o;
    struct pj_task task;

    one_open_with(&o, with_setup);
    PJ_CLEANUP(pj_freep) char *id = one_run(&o, "Greet the world", PJ_TASK_COMPLETED, &task);
    PJ_CLEANUP(pj_freep) char *spec = pj_asprintf("pj/%s:deps/lib.txt", id);
    PJ_CLEANUP(pj_freep) char *changed = pj_asprintf("pj/%s:hello.txt", id);
    cr_assert_null(gitfix_show(o.remote, spec));
    PJ_CLEANUP(pj_freep) char *content = gitfix_show(o.remote, changed);
    cr_assert_str_eq(content, "hello, world\n");
    pj_task_release(&task);
    one_close(&o);
}

static void with_agent(struct pj_repo *repo)
{
    repo->agent = pj_alloc(4, sizeof(char *));
    repo->agent[0] = pj_strdup("/bin/sh");
    repo->agent[1] = pj_strdup("-c");
    repo->agent[2] =
        pj_strdup("echo \"$PJ_TASK_TITLE\" > hello.txt; env | grep -c BASE_URL=http://127.0.0.1:");
}

Test(outcomes, runs_another_agent_when_the_repository_names_one)
{
    struct one o;
    struct pj_task task;

    one_open_with(&o, with_agent);
    fleet_set(&o.f, "MODEL_PROVIDER", "openai");
    fleet_set(&o.f, "OPENAI_API_KEY", "sk-test-0123456789");
    fleet_set(&o.f, "OPENAI_BASE_URL", "http://127.0.0.1:9/v1");
    fleet_set(&o.f, "MODEL_NAME", "gpt-test");
    PJ_CLEANUP(pj_freep)
    char *id = one_run(&o, "Greetings from elsewhere", PJ_TASK_COMPLETED, &task);
    PJ_CLEANUP(pj_freep) char *spec = pj_asprintf("pj/%s:hello.txt", id);
    PJ_CLEANUP(pj_freep) char *content = gitfix_show(o.remote, spec);
    cr_assert_str_eq(content, "Greetings from elsewhere\n");
    pj_task_release(&task);
    one_close(&o);
}
