/* The real pj-runner on a real Redis, real remotes, real boxes. */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "lib/base/mem.h"
#include "lib/store/repos.h"
#include "lib/store/tasks.h"
#include "tests/runner/fleet.h"

#define LONG_RUN                                                                                                     \
    "[{\"toolCalls\":[{\"name\":\"write_file\",\"arguments\":{\"path\":\"part.txt\",\"content\":\"half\\n\"}}]},"      \
    "{\"toolCalls\":[{\"name\":\"run\",\"arguments\":{\"command\":\"(setsid sleep 1001 &); echo box-is-busy; exec sleep 1000\"," \
    "\"timeout_s\":600}}]},"                                                                                         \
    "{\"toolCalls\":[{\"name\":\"finish\",\"arguments\":{\"summary\":\"Done.\"}}]}]"

struct one {
    struct fleet f;
    char *remote, *repo;
};

static void open_one(struct one *o)
{
    fleet_start(&o->f);
    o->remote = fleet_remote(&o->f, "sample");
    o->repo = fleet_repo(&o->f, o->remote, NULL);
}

static void close_one(struct one *o)
{
    fleet_stop(&o->f);
    free(o->remote);
    free(o->repo);
}

static void assert_status(struct fleet *f, const struct pj_task *task, enum pj_task_status status)
{
    PJ_CLEANUP(pj_freep) char *log = fleet_log(f, task->id);

    cr_assert_eq(task->status, (int)status, "%s %s: %s\n%s", pj_task_status_word((enum pj_task_status)task->status),
                 task->error.code, task->error.detail, log);
}

Test(runner, r3_1_makes_a_task_a_pushed_branch)
{
    struct one o;
    struct pj_task task;
    PJ_CLEANUP(pj_freep) char *id = NULL;
    PJ_CLEANUP(pj_freep) char *ref = NULL;
    PJ_CLEANUP(pj_freep) char *spec = NULL;
    PJ_CLEANUP(pj_freep) char *subject = NULL;
    PJ_CLEANUP(pj_freep) char *content = NULL;
    PJ_CLEANUP(pj_freep) char *tip = NULL;

    open_one(&o);
    fleet_runner(&o.f, 0);
    id = fleet_task(&o.f, o.repo, "Greet the world", NULL);
    fleet_wait_end(&o.f, id, &task);
    assert_status(&o.f, &task, PJ_TASK_COMPLETED);
    fleet_assert_no_work(&o.f, 0);
    ref = pj_asprintf("refs/heads/pj/%s", id);
    spec = pj_asprintf("pj/%s:hello.txt", id);
    subject = gitfix_subject(o.remote, ref);
    content = gitfix_show(o.remote, spec);
    tip = gitfix_rev(o.remote, ref);
    cr_assert_str_eq(subject, "Pithy Jaunt: Greet the world");
    cr_assert_str_eq(content, "hello, world\n");
    cr_assert_str_eq(task.commit_sha, tip);
    cr_assert_str_eq(task.runner, "runner-0");
    pj_task_release(&task);
    close_one(&o);
}

Test(runner, r10_1_runs_tasks_side_by_side_without_mixing_them)
{
    struct one o;
    char *ids[4];

    open_one(&o);
    fleet_runner(&o.f, 0);
    for (size_t i = 0; i < PJ_COUNT_OF(ids); i++)
        ids[i] = fleet_task(&o.f, o.repo, "Greet the world", NULL);
    for (size_t i = 0; i < PJ_COUNT_OF(ids); i++) {
        struct pj_task task;

        fleet_wait_end(&o.f, ids[i], &task);
        assert_status(&o.f, &task, PJ_TASK_COMPLETED);
        pj_task_release(&task);
        free(ids[i]);
    }
    fleet_assert_no_work(&o.f, 0);
    close_one(&o);
}

static void short_limit(struct pj_task *task)
{
    task->limits.timeout_ms = 4000;
}

Test(runner, r7_1_ends_a_task_at_its_time_limit_with_all_it_started)
{
    struct one o;
    struct pj_task task;
    PJ_CLEANUP(pj_freep) char *id = NULL;

    open_one(&o);
    fleet_answers(&o.f, LONG_RUN);
    fleet_runner(&o.f, 0);
    id = fleet_task(&o.f, o.repo, "Never end", short_limit);
    fleet_wait_end(&o.f, id, &task);
    assert_status(&o.f, &task, PJ_TASK_FAILED);
    cr_assert_str_eq(task.error.code, "task_timeout");
    cr_assert_not_null(strstr(task.error.detail, "4 s"), "%s", task.error.detail);
    cr_assert_eq(task.has_patch, 1, "the partial patch was not kept");
    fleet_assert_no_work(&o.f, 0);
    pj_task_release(&task);
    close_one(&o);
}

static void cancel(struct fleet *f, const char *id)
{
    PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = NULL;
    PJ_CLEANUP(pj_cmd_release) struct pj_cmd cmd = {0};
    struct pj_err err;

    pj_task_cancel_cmd(&cmd, id);
    cr_assert_eq(pj_redis_do(f->store, &cmd, &reply, &err), 0, "%s", err.message);
}

Test(runner, cancels_a_running_task_and_says_so_when_nothing_of_it_runs)
{
    struct one o;
    struct pj_task task;
    PJ_CLEANUP(pj_freep) char *id = NULL;

    open_one(&o);
    fleet_answers(&o.f, LONG_RUN);
    fleet_runner(&o.f, 0);
    id = fleet_task(&o.f, o.repo, "Never end", NULL);
    fleet_wait_log(&o.f, id, "box-is-busy");
    cancel(&o.f, id);
    fleet_wait_end(&o.f, id, &task);
    assert_status(&o.f, &task, PJ_TASK_CANCELLED);
    fleet_assert_no_work(&o.f, 0);
    pj_task_release(&task);
    close_one(&o);
}

/* Each of these dies without a word while the box is busy. */
static const struct {
    const char *program, *argument;
} victims[] = {
    {"pj-runner", "job"},
    {"pj-sandbox", NULL},
};

Test(runner, r10_2_a_killed_job_or_box_leaves_nothing_and_the_task_ends)
{
    for (size_t i = 0; i < PJ_COUNT_OF(victims); i++) {
        struct one o;
        struct pj_task task;
        PJ_CLEANUP(pj_freep) char *id = NULL;
        pid_t pid;

        open_one(&o);
        fleet_answers(&o.f, LONG_RUN);
        fleet_runner(&o.f, 0);
        id = fleet_task(&o.f, o.repo, "Never end", NULL);
        fleet_wait_log(&o.f, id, "box-is-busy");
        pid = fleet_find_process(&o.f, 0, victims[i].program, victims[i].argument);
        cr_assert_gt(pid, 0, "no %s", victims[i].program);
        cr_assert_eq(kill(pid, SIGKILL), 0);
        fleet_wait_log(&o.f, id, "taken up again");
        cancel(&o.f, id);
        fleet_wait_end(&o.f, id, &task);
        assert_status(&o.f, &task, PJ_TASK_CANCELLED);
        fleet_assert_no_work(&o.f, 0);
        pj_task_release(&task);
        close_one(&o);
    }
}

Test(runner, r10_2_a_killed_runner_leaves_nothing_and_another_takes_its_task)
{
    struct one o;
    struct pj_task task;
    PJ_CLEANUP(pj_freep) char *id = NULL;

    open_one(&o);
    fleet_answers(&o.f, LONG_RUN);
    fleet_runner(&o.f, 0);
    id = fleet_task(&o.f, o.repo, "Greet the world", NULL);
    fleet_wait_log(&o.f, id, "box-is-busy");
    cr_assert_eq(program_stop(&o.f.runner[0], SIGKILL, FLEET_SOON_MS), 128 + SIGKILL);
    fleet_assert_clean(&o.f);
    fleet_answers(&o.f, "[{\"toolCalls\":[{\"name\":\"write_file\",\"arguments\":{\"path\":\"hello.txt\",\"content\":\"again\\n\"}}]},"
                        "{\"toolCalls\":[{\"name\":\"finish\",\"arguments\":{\"summary\":\"Again.\"}}]}]");
    fleet_runner(&o.f, 1);
    fleet_wait_end(&o.f, id, &task);
    assert_status(&o.f, &task, PJ_TASK_COMPLETED);
    cr_assert_eq(task.attempt, 1);
    cr_assert_eq(task.deliveries, 2);
    cr_assert_str_eq(task.runner, "runner-1");
    pj_task_release(&task);
    close_one(&o);
}

/* Reproducible: the seed is fixed, the moments differ from run to run by themselves. */
static unsigned next_random(unsigned *seed)
{
    *seed = *seed * 1103515245u + 12345u;
    return *seed >> 16;
}

Test(runner, r10_2_kills_at_any_moment_leave_one_end_and_nothing_else)
{
    static const char *const programs[] = {"pj-runner", "pj-sandbox", "pj-agent"};
    static const char *const arguments[] = {"job", NULL, NULL};
    struct one o;
    unsigned seed = 20261122;

    open_one(&o);
    fleet_runner(&o.f, 0);
    for (int round = 0; round < 12; round++) {
        size_t victim = next_random(&seed) % 4;
        PJ_CLEANUP(pj_freep) char *id = fleet_task(&o.f, o.repo, "Greet the world", NULL);
        PJ_CLEANUP(pj_freep) char *spec = pj_asprintf("pj/%s:hello.txt", id);
        PJ_CLEANUP(pj_freep) char *content = NULL;
        PJ_CLEANUP(pj_freep) char *log = NULL;
        struct pj_task task;
        pid_t pid;

        fleet_wait_count(&o.f, id, 1 + (int64_t)(next_random(&seed) % 9));
        if (victim == 3) {
            cr_assert_eq(program_stop(&o.f.runner[0], SIGKILL, FLEET_SOON_MS), 128 + SIGKILL);
            fleet_assert_clean(&o.f);
            fleet_runner(&o.f, 0);
        } else if ((pid = fleet_find_process(&o.f, 0, programs[victim], arguments[victim])) > 0) {
            (void)kill(pid, SIGKILL);
        }
        fleet_wait_end(&o.f, id, &task);
        fleet_assert_no_work(&o.f, 0);
        log = fleet_log(&o.f, id);
        content = gitfix_show(o.remote, spec);
        /* Only the agent's own death is the task's fault. */
        if (victim != 2 || task.status == PJ_TASK_COMPLETED) {
            assert_status(&o.f, &task, PJ_TASK_COMPLETED);
            cr_assert_str_eq(content, "hello, world\n");
        } else {
            cr_assert_str_eq(task.error.code, "model_protocol", "round %d: %s", round, log);
        }
        pj_task_release(&task);
    }
    close_one(&o);
}

Test(runner, drains_on_sigterm)
{
    struct one o;
    struct pj_task task;
    PJ_CLEANUP(pj_freep) char *id = NULL;

    open_one(&o);
    fleet_answers(&o.f, "[{\"toolCalls\":[{\"name\":\"run\",\"arguments\":{\"command\":\"echo box-is-busy; sleep 2; echo x > hello.txt\"}}]},"
                        "{\"toolCalls\":[{\"name\":\"finish\",\"arguments\":{\"summary\":\"Done.\"}}]}]");
    fleet_runner(&o.f, 0);
    id = fleet_task(&o.f, o.repo, "Take a while", NULL);
    fleet_wait_log(&o.f, id, "box-is-busy");
    cr_assert_eq(program_stop(&o.f.runner[0], SIGTERM, FLEET_SOON_MS), 0);
    fleet_read(&o.f, id, &task);
    assert_status(&o.f, &task, PJ_TASK_COMPLETED);
    pj_task_release(&task);
    close_one(&o);
}

Test(runner, a_second_signal_gives_tasks_back_at_once)
{
    struct one o;
    struct pj_task task;
    PJ_CLEANUP(pj_freep) char *id = NULL;

    open_one(&o);
    fleet_answers(&o.f, LONG_RUN);
    fleet_runner(&o.f, 0);
    id = fleet_task(&o.f, o.repo, "Never end", NULL);
    fleet_wait_log(&o.f, id, "box-is-busy");
    cr_assert_eq(kill(o.f.runner[0].pid, SIGTERM), 0);
    cr_assert_eq(program_stop(&o.f.runner[0], SIGINT, FLEET_SOON_MS), 0);
    fleet_read(&o.f, id, &task);
    cr_assert_eq(task.status, PJ_TASK_RUNNING);
    cr_assert_eq(task.stage, PJ_STAGE_WAITING);
    pj_task_release(&task);
    close_one(&o);
}

static void with_check(struct pj_repo *repo)
{
    repo->check_command = pj_strdup("grep -q '^hello' hello.txt");
}

Test(runner, r2_1_feeds_a_failed_check_back_to_the_agent)
{
    struct one o;
    struct pj_task task;
    PJ_CLEANUP(pj_freep) char *id = NULL;
    PJ_CLEANUP(pj_freep) char *repo = NULL;

    open_one(&o);
    fleet_answers(&o.f, "[{\"toolCalls\":[{\"name\":\"write_file\",\"arguments\":{\"path\":\"hello.txt\",\"content\":\"bye\\n\"}}]},"
                        "{\"toolCalls\":[{\"name\":\"finish\",\"arguments\":{\"summary\":\"Says bye.\"}}]},"
                        "{\"toolCalls\":[{\"name\":\"write_file\",\"arguments\":{\"path\":\"hello.txt\",\"content\":\"hello again\\n\"}}]},"
                        "{\"toolCalls\":[{\"name\":\"finish\",\"arguments\":{\"summary\":\"Says hello.\"}}]}]");
    fleet_runner(&o.f, 0);
    PJ_CLEANUP(pj_freep) char *second = fleet_remote(&o.f, "checked");
    repo = fleet_repo(&o.f, second, with_check);
    id = fleet_task(&o.f, repo, "Change the greeting", NULL);
    fleet_wait_end(&o.f, id, &task);
    assert_status(&o.f, &task, PJ_TASK_COMPLETED);
    cr_assert_str_eq(pj_json_str(json_array_get(task.checks, 0), "before", ""), "passed");
    cr_assert_str_eq(pj_json_str(json_array_get(task.checks, 0), "after", ""), "passed");
    pj_task_release(&task);
    close_one(&o);
}

Test(runner, r2_3_stores_the_agents_question)
{
    struct one o;
    struct pj_task task;
    PJ_CLEANUP(pj_freep) char *id = NULL;

    open_one(&o);
    fleet_answers(&o.f, "[{\"toolCalls\":[{\"name\":\"ask_clarification\",\"arguments\":{\"question\":\"Which greeting?\"}}]}]");
    fleet_runner(&o.f, 0);
    id = fleet_task(&o.f, o.repo, "Do something", NULL);
    fleet_wait_end(&o.f, id, &task);
    assert_status(&o.f, &task, PJ_TASK_NEEDS_CLARIFICATION);
    cr_assert_not_null(strstr(task.question, "Which greeting?"));
    pj_task_release(&task);
    close_one(&o);
}

static void gone(struct pj_repo *repo)
{
    free(repo->url);
    repo->url = pj_strdup("/nowhere/at/all");
}

Test(runner, r1_3_marks_a_repository_that_went_away)
{
    struct one o;
    struct pj_task task;
    struct pj_repo now;
    PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = NULL;
    PJ_CLEANUP(pj_cmd_release) struct pj_cmd cmd = {0};
    PJ_CLEANUP(pj_freep) char *id = NULL;
    PJ_CLEANUP(pj_freep) char *repo = NULL;
    struct pj_err err;

    open_one(&o);
    fleet_runner(&o.f, 0);
    repo = fleet_repo(&o.f, "x", gone);
    id = fleet_task(&o.f, repo, "Never begins", NULL);
    fleet_wait_end(&o.f, id, &task);
    assert_status(&o.f, &task, PJ_TASK_FAILED);
    cr_assert_str_eq(task.error.code, "repository_unavailable");
    pj_repo_init(&now);
    pj_repo_get_cmd(&cmd, repo);
    cr_assert_eq(pj_redis_do(o.f.store, &cmd, &reply, &err), 0);
    cr_assert_eq(pj_repo_reply(reply, &now, &err), 0);
    cr_assert_eq(now.status, PJ_REPO_INVALID);
    cr_assert_not_null(now.status_cause);
    pj_repo_release(&now);
    pj_task_release(&task);
    close_one(&o);
}

/* ---- ends that leave a patch behind ---- */

#define DIFF_ANSWER(header, body) "{\"text\":\"```diff\\n--- a/hello.txt\\n+++ b/hello.txt\\n" header "\\n" body "```\"}"
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
    {"[" CONFLICT "," CONFLICT "," CONFLICT "," CONFLICT "]", PJ_TASK_NEEDS_REVIEW, "patch_conflict"},
    {"[" MALFORMED "," MALFORMED "," MALFORMED "," MALFORMED "]", PJ_TASK_NEEDS_REVIEW, "patch_malformed"},
};

Test(runner, r3_2_r3_3_judges_a_diff_that_the_model_answers_with)
{
    for (size_t i = 0; i < PJ_COUNT_OF(diffs); i++) {
        struct one o;
        struct pj_task task;
        PJ_CLEANUP(pj_freep) char *id = NULL;
        PJ_CLEANUP(pj_freep) char *branches = NULL;

        open_one(&o);
        fleet_answers(&o.f, diffs[i].answers);
        fleet_runner(&o.f, 0);
        id = fleet_task(&o.f, o.repo, "Greet by diff", NULL);
        fleet_wait_end(&o.f, id, &task);
        assert_status(&o.f, &task, diffs[i].status);
        cr_assert_eq(task.has_patch, 1);
        branches = gitfix_branches(o.remote);
        cr_assert_eq(strstr(branches, "pj/") != NULL, diffs[i].code == NULL, "%s", branches);
        if (diffs[i].code != NULL)
            cr_assert_str_eq(task.error.code, diffs[i].code);
        pj_task_release(&task);
        close_one(&o);
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

Test(runner, r2_1_a_change_that_stays_red_waits_for_review_and_can_be_published)
{
    struct one o;
    struct pj_task task;

    open_one(&o);
    fleet_answers(&o.f,
                  "[{\"toolCalls\":[{\"name\":\"write_file\",\"arguments\":{\"path\":\"hello.txt\",\"content\":\"bye\\n\"}}]},"
                  "{\"toolCalls\":[{\"name\":\"finish\",\"arguments\":{\"summary\":\"Bye.\"}}]},"
                  "{\"toolCalls\":[{\"name\":\"finish\",\"arguments\":{\"summary\":\"Bye 2.\"}}]},"
                  "{\"toolCalls\":[{\"name\":\"finish\",\"arguments\":{\"summary\":\"Bye 3.\"}}]},"
                  "{\"toolCalls\":[{\"name\":\"finish\",\"arguments\":{\"summary\":\"Bye 4.\"}}]}]");
    fleet_runner(&o.f, 0);
    PJ_CLEANUP(pj_freep) char *remote = fleet_remote(&o.f, "checked");
    PJ_CLEANUP(pj_freep) char *repo = fleet_repo(&o.f, remote, with_check);
    PJ_CLEANUP(pj_freep) char *id = fleet_task(&o.f, repo, "Say bye", NULL);
    PJ_CLEANUP(pj_freep) char *spec = pj_asprintf("pj/%s:hello.txt", id);
    fleet_wait_end(&o.f, id, &task);
    assert_status(&o.f, &task, PJ_TASK_NEEDS_REVIEW);
    cr_assert_str_eq(task.error.code, "checks_failed");
    cr_assert_str_eq(pj_json_str(json_array_get(task.checks, 0), "after", ""), "failed (exit 1)");
    cr_assert_eq(task.has_patch, 1);
    cr_assert_null(gitfix_show(remote, spec));
    pj_task_release(&task);

    publish(&o.f, id);
    fleet_wait_end(&o.f, id, &task);
    assert_status(&o.f, &task, PJ_TASK_COMPLETED);
    PJ_CLEANUP(pj_freep) char *content = gitfix_show(remote, spec);
    cr_assert_str_eq(content, "bye\n");
    pj_task_release(&task);
    close_one(&o);
}

static void with_broken_setup(struct pj_repo *repo)
{
    repo->setup_command = pj_strdup("echo this cannot work; exit 7");
}

Test(runner, says_that_the_set_up_failed)
{
    struct one o;
    struct pj_task task;

    open_one(&o);
    fleet_runner(&o.f, 0);
    PJ_CLEANUP(pj_freep) char *remote = fleet_remote(&o.f, "unset");
    PJ_CLEANUP(pj_freep) char *repo = fleet_repo(&o.f, remote, with_broken_setup);
    PJ_CLEANUP(pj_freep) char *id = fleet_task(&o.f, repo, "Greet the world", NULL);
    fleet_wait_end(&o.f, id, &task);
    assert_status(&o.f, &task, PJ_TASK_FAILED);
    cr_assert_str_eq(task.error.code, "setup_failed");
    cr_assert_not_null(strstr(task.error.detail, "exit 7"), "%s", task.error.detail);
    PJ_CLEANUP(pj_freep) char *log = fleet_log(&o.f, id);
    cr_assert_not_null(strstr(log, "this cannot work"));
    pj_task_release(&task);
    close_one(&o);
}

static void with_setup(struct pj_repo *repo)
{
    repo->setup_command = pj_strdup("mkdir -p deps && echo fetched > deps/lib.txt");
    repo->check_command = pj_strdup("test -f deps/lib.txt");
}

Test(runner, keeps_what_the_set_up_wrote_out_of_the_change)
{
    struct one o;
    struct pj_task task;

    open_one(&o);
    fleet_runner(&o.f, 0);
    PJ_CLEANUP(pj_freep) char *remote = fleet_remote(&o.f, "set-up");
    PJ_CLEANUP(pj_freep) char *repo = fleet_repo(&o.f, remote, with_setup);
    PJ_CLEANUP(pj_freep) char *id = fleet_task(&o.f, repo, "Greet the world", NULL);
    PJ_CLEANUP(pj_freep) char *spec = pj_asprintf("pj/%s:deps/lib.txt", id);
    PJ_CLEANUP(pj_freep) char *changed = pj_asprintf("pj/%s:hello.txt", id);
    fleet_wait_end(&o.f, id, &task);
    assert_status(&o.f, &task, PJ_TASK_COMPLETED);
    cr_assert_null(gitfix_show(remote, spec));
    PJ_CLEANUP(pj_freep) char *content = gitfix_show(remote, changed);
    cr_assert_str_eq(content, "hello, world\n");
    pj_task_release(&task);
    close_one(&o);
}

static void with_agent(struct pj_repo *repo)
{
    repo->agent = pj_alloc(4, sizeof(char *));
    repo->agent[0] = pj_strdup("/bin/sh");
    repo->agent[1] = pj_strdup("-c");
    repo->agent[2] = pj_strdup("echo \"$PJ_TASK_TITLE\" > hello.txt; env | grep -c BASE_URL=http://127.0.0.1:");
}

Test(runner, runs_another_agent_when_the_repository_names_one)
{
    struct one o;
    struct pj_task task;

    open_one(&o);
    fleet_set(&o.f, "MODEL_PROVIDER", "openai");
    fleet_set(&o.f, "OPENAI_API_KEY", "sk-test-0123456789");
    fleet_set(&o.f, "OPENAI_BASE_URL", "http://127.0.0.1:9/v1");
    fleet_set(&o.f, "MODEL_NAME", "gpt-test");
    fleet_runner(&o.f, 0);
    PJ_CLEANUP(pj_freep) char *remote = fleet_remote(&o.f, "foreign");
    PJ_CLEANUP(pj_freep) char *repo = fleet_repo(&o.f, remote, with_agent);
    PJ_CLEANUP(pj_freep) char *id = fleet_task(&o.f, repo, "Greetings from elsewhere", NULL);
    PJ_CLEANUP(pj_freep) char *spec = pj_asprintf("pj/%s:hello.txt", id);
    fleet_wait_end(&o.f, id, &task);
    assert_status(&o.f, &task, PJ_TASK_COMPLETED);
    PJ_CLEANUP(pj_freep) char *content = gitfix_show(remote, spec);
    cr_assert_str_eq(content, "Greetings from elsewhere\n");
    pj_task_release(&task);
    close_one(&o);
}
