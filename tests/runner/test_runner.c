/* The real pj-runner on a real Redis, real remotes, real boxes. */
#include <criterion/criterion.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>
#include "lib/base/mem.h"
#include "lib/store/repos.h"
#include "lib/store/tasks.h"
#include "tests/runner/one.h"

#define LONG_RUN                                                                                   \
    "[{\"toolCalls\":[{\"name\":\"write_file\",\"arguments\":{\"path\":\"part.txt\",\"content\":"  \
    "\"half\\n\"}}]},"                                                                             \
    "{\"toolCalls\":[{\"name\":\"run\",\"arguments\":{\"command\":\"(setsid sleep 1001 &); echo "  \
    "box-is-busy; exec sleep 1000\","                                                              \
    "\"timeout_s\":600}}]},"                                                                       \
    "{\"toolCalls\":[{\"name\":\"finish\",\"arguments\":{\"summary\":\"Done.\"}}]}]"

#define GREETING                                                                                   \
    "[{\"toolCalls\":[{\"name\":\"write_file\",\"arguments\":{\"path\":\"hello.txt\",\"content\":" \
    "\"again\\n\"}}]},"                                                                            \
    "{\"toolCalls\":[{\"name\":\"finish\",\"arguments\":{\"summary\":\"Again.\"}}]}]"

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

    one_open(&o);
    fleet_runner(&o.f, 0);
    id = fleet_task(&o.f, o.repo, "Greet the world", NULL);
    fleet_wait_end(&o.f, id, &task);
    one_assert_status(&o.f, &task, PJ_TASK_COMPLETED);
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
    one_close(&o);
}

static void with_setup(struct pj_repo *repo)
{
    pj_str_set(&repo->setup_command, "true");
    pj_str_set(&repo->check_command, "test -f hello.txt");
}

static size_t count_of(const char *text, const char *word)
{
    size_t n = 0;

    for (; (text = strstr(text, word)) != NULL; text += strlen(word))
        n++;
    return n;
}

/* Every box of a task was built while something else went on, and none of them is left over. */
Test(runner, r3_1_boxes_are_built_ahead_of_need)
{
    struct one o;
    struct pj_task task;
    PJ_CLEANUP(pj_freep) char *remote = NULL;
    PJ_CLEANUP(pj_freep) char *repo = NULL;
    PJ_CLEANUP(pj_freep) char *id = NULL;
    PJ_CLEANUP(pj_freep) char *log = NULL;
    size_t ordered;

    one_open(&o);
    remote = fleet_remote(&o.f, "second");
    repo = fleet_repo(&o.f, remote, with_setup);
    fleet_runner(&o.f, 0);
    id = fleet_task(&o.f, repo, "Greet the world", NULL);
    fleet_wait_end(&o.f, id, &task);
    one_assert_status(&o.f, &task, PJ_TASK_COMPLETED);
    fleet_assert_no_work(&o.f, 0);
    log = program_log(&o.f.runner[0]);
    /* Set-up, agent, and twice set-up and check; with a layer, one that tries it. */
    ordered = count_of(log, "box_ordered");
    cr_expect_geq(ordered + count_of(log, "box_ahead_lost"), 6U, "%s", log);
    cr_expect_geq(ordered, 5U, "%s", log); /* one may be late on a machine that is busy */
    cr_expect_eq(count_of(log, "box_not_built_ahead"), 0U, "%s", log);
    pj_task_release(&task);
    one_close(&o);
}

static void with_long_setup(struct pj_repo *repo)
{
    pj_str_set(&repo->setup_command, "echo set-up-is-busy; exec sleep 1000");
}

/* While the set-up runs, the agent's box stands by; a runner that is killed then leaves neither. */
Test(runner, r5_3_a_killed_runner_leaves_no_box_that_stood_by)
{
    struct one o;
    PJ_CLEANUP(pj_freep) char *remote = NULL;
    PJ_CLEANUP(pj_freep) char *repo = NULL;
    PJ_CLEANUP(pj_freep) char *id = NULL;

    one_open(&o);
    remote = fleet_remote(&o.f, "second");
    repo = fleet_repo(&o.f, remote, with_long_setup);
    fleet_runner(&o.f, 0);
    id = fleet_task(&o.f, repo, "Greet the world", NULL);
    fleet_wait_log(&o.f, id, "set-up-is-busy");
    cr_assert_neq(fleet_find_process(&o.f, 0, "pj-sandbox:", "--standby"), 0);
    cr_assert_eq(program_stop(&o.f.runner[0], SIGKILL, FLEET_SOON_MS), 128 + SIGKILL);
    fleet_assert_clean(&o.f);
    one_close(&o);
}

Test(runner, r10_1_runs_tasks_side_by_side_without_mixing_them)
{
    struct one o;
    char *ids[4];

    one_open(&o);
    fleet_runner(&o.f, 0);
    for (size_t i = 0; i < PJ_COUNT_OF(ids); i++)
        ids[i] = fleet_task(&o.f, o.repo, "Greet the world", NULL);
    for (size_t i = 0; i < PJ_COUNT_OF(ids); i++) {
        struct pj_task task;

        fleet_wait_end(&o.f, ids[i], &task);
        one_assert_status(&o.f, &task, PJ_TASK_COMPLETED);
        pj_task_release(&task);
        free(ids[i]);
    }
    fleet_assert_no_work(&o.f, 0);
    one_close(&o);
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

    one_open(&o);
    fleet_answers(&o.f, LONG_RUN);
    fleet_runner(&o.f, 0);
    id = fleet_task(&o.f, o.repo, "Never end", short_limit);
    fleet_wait_end(&o.f, id, &task);
    one_assert_status(&o.f, &task, PJ_TASK_FAILED);
    cr_assert_str_eq(task.error.code, "task_timeout");
    cr_assert_not_null(strstr(task.error.detail, "4 s"), "%s", task.error.detail);
    cr_assert_eq(task.has_patch, 1, "the partial patch was not kept");
    fleet_assert_no_work(&o.f, 0);
    pj_task_release(&task);
    one_close(&o);
}

static void cancel(struct fleet *f, const char *id)
{
    PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = NULL;
    PJ_CLEANUP(pj_cmd_release) struct pj_cmd cmd = {0};
    struct pj_err err;

    pj_task_cancel_cmd(&cmd, id);
    cr_assert_eq(pj_redis_do(f->store, &cmd, &reply, &err), 0, "%s", err.message);
}

/* A task whose box is at work, and will be. */
static char *open_busy(struct one *o, const char *title)
{
    char *id;

    one_open(o);
    fleet_answers(&o->f, LONG_RUN);
    fleet_runner(&o->f, 0);
    id = fleet_task(&o->f, o->repo, title, NULL);
    fleet_wait_log(&o->f, id, "box-is-busy");
    return id;
}

Test(runner, cancels_a_running_task_and_says_so_when_nothing_of_it_runs)
{
    struct one o;
    struct pj_task task;
    PJ_CLEANUP(pj_freep) char *id = NULL;

    id = open_busy(&o, "Never end");
    cancel(&o.f, id);
    fleet_wait_end(&o.f, id, &task);
    one_assert_status(&o.f, &task, PJ_TASK_CANCELLED);
    fleet_assert_no_work(&o.f, 0);
    pj_task_release(&task);
    one_close(&o);
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

        id = open_busy(&o, "Never end");
        pid = fleet_find_process(&o.f, 0, victims[i].program, victims[i].argument);
        cr_assert_gt(pid, 0, "no %s", victims[i].program);
        cr_assert_eq(kill(pid, SIGKILL), 0);
        fleet_wait_log(&o.f, id, "taken up again");
        cancel(&o.f, id);
        fleet_wait_end(&o.f, id, &task);
        one_assert_status(&o.f, &task, PJ_TASK_CANCELLED);
        fleet_assert_no_work(&o.f, 0);
        pj_task_release(&task);
        one_close(&o);
    }
}

Test(runner, r10_2_a_killed_runner_leaves_nothing_and_another_takes_its_task)
{
    struct one o;
    struct pj_task task;
    PJ_CLEANUP(pj_freep) char *id = NULL;

    id = open_busy(&o, "Greet the world");
    cr_assert_eq(program_stop(&o.f.runner[0], SIGKILL, FLEET_SOON_MS), 128 + SIGKILL);
    fleet_assert_clean(&o.f);
    fleet_answers(&o.f, GREETING);
    fleet_runner(&o.f, 1);
    fleet_wait_end(&o.f, id, &task);
    one_assert_status(&o.f, &task, PJ_TASK_COMPLETED);
    cr_assert_eq(task.attempt, 1);
    cr_assert_eq(task.deliveries, 2);
    cr_assert_str_eq(task.runner, "runner-1");
    pj_task_release(&task);
    one_close(&o);
}

/* A descriptor that can be read once the process is gone. */
static int watch_process(struct fleet *f, const char *program, const char *argument)
{
    pid_t pid = fleet_find_process(f, 0, program, argument);
    int fd = pid > 0 ? pidfd_open(pid, 0) : -1;

    cr_assert_geq(fd, 0, "no %s", program);
    return fd;
}

/* Its sockets stay open and its leases end. The keeper ends the job in time, so that no two boxes of a task ever run. */
Test(runner, r10_2_a_frozen_runner_ends_its_box_before_another_takes_the_task)
{
    struct one o;
    struct pj_task task;
    PJ_CLEANUP(pj_freep) char *id = NULL;
    PJ_CLEANUP(pj_freep) char *next = NULL;
    struct pollfd gone[3] = {{.events = POLLIN}, {.events = POLLIN}, {.events = POLLIN}};

    one_open(&o);
    fleet_answers(&o.f, LONG_RUN);
    fleet_set(&o.f, "PJ_LEASE_TTL", "8s");
    fleet_runner(&o.f, 0);
    id = fleet_task(&o.f, o.repo, "Never end", NULL);
    fleet_wait_log(&o.f, id, "box-is-busy");
    gone[0].fd = watch_process(&o.f, "pj-runner", "job");
    gone[1].fd = watch_process(&o.f, "pj-sandbox", NULL);
    gone[2].fd = watch_process(&o.f, "pj-agent", "--gateway");
    fleet_answers(&o.f, GREETING);
    fleet_runner(&o.f, 1);
    cr_assert_eq(kill(o.f.runner[0].pid, SIGSTOP), 0);
    for (size_t i = 0; i < PJ_COUNT_OF(gone); i++)
        cr_assert_eq(poll(&gone[i], 1, FLEET_SOON_MS), 1, "process %zu is left", i);
    fleet_read(&o.f, id, &task);
    cr_expect_eq(task.deliveries, 1, "the other runner had it already");
    pj_task_release(&task);
    fleet_wait_end(&o.f, id, &task);
    one_assert_status(&o.f, &task, PJ_TASK_COMPLETED);
    cr_expect_str_eq(task.runner, "runner-1");
    cr_expect_eq(task.deliveries, 2);
    pj_task_release(&task);

    cr_assert_eq(program_stop(&o.f.runner[1], SIGTERM, FLEET_SOON_MS), 0);
    cr_assert_eq(kill(o.f.runner[0].pid, SIGCONT), 0);
    next = fleet_task(&o.f, o.repo, "Greet the world", NULL);
    fleet_wait_end(&o.f, next, &task);
    one_assert_status(&o.f, &task, PJ_TASK_COMPLETED);
    cr_expect_str_eq(task.runner, "runner-0");
    pj_task_release(&task);
    cr_expect(program_wait_log(&o.f.runner[0], "lease_lost", FLEET_SOON_MS));
    fleet_assert_no_work(&o.f, 0);
    for (size_t i = 0; i < PJ_COUNT_OF(gone); i++)
        (void)close(gone[i].fd);
    one_close(&o);
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

    one_open(&o);
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
            one_assert_status(&o.f, &task, PJ_TASK_COMPLETED);
            cr_assert_str_eq(content, "hello, world\n");
        } else {
            cr_assert_str_eq(task.error.code, "model_protocol", "round %d: %s", round, log);
        }
        pj_task_release(&task);
    }
    one_close(&o);
}

Test(runner, drains_on_sigterm)
{
    struct one o;
    struct pj_task task;
    PJ_CLEANUP(pj_freep) char *id = NULL;

    one_open(&o);
    fleet_answers(&o.f,
                  "[{\"toolCalls\":[{\"name\":\"run\",\"arguments\":{\"command\":\"echo "
                  "box-is-busy; sleep 2; echo x > hello.txt\"}}]},"
                  "{\"toolCalls\":[{\"name\":\"finish\",\"arguments\":{\"summary\":\"Done.\"}}]}]");
    fleet_runner(&o.f, 0);
    id = fleet_task(&o.f, o.repo, "Take a while", NULL);
    fleet_wait_log(&o.f, id, "box-is-busy");
    cr_assert_eq(program_stop(&o.f.runner[0], SIGTERM, FLEET_SOON_MS), 0);
    fleet_read(&o.f, id, &task);
    one_assert_status(&o.f, &task, PJ_TASK_COMPLETED);
    pj_task_release(&task);
    one_close(&o);
}

Test(runner, a_second_signal_gives_tasks_back_at_once)
{
    struct one o;
    struct pj_task task;
    PJ_CLEANUP(pj_freep) char *id = NULL;

    id = open_busy(&o, "Never end");
    cr_assert_eq(kill(o.f.runner[0].pid, SIGTERM), 0);
    cr_assert_eq(program_stop(&o.f.runner[0], SIGINT, FLEET_SOON_MS), 0);
    fleet_read(&o.f, id, &task);
    cr_assert_eq(task.status, PJ_TASK_RUNNING);
    cr_assert_eq(task.stage, PJ_STAGE_WAITING);
    pj_task_release(&task);
    one_close(&o);
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

    one_open(&o);
    fleet_answers(
        &o.f,
        "[{\"toolCalls\":[{\"name\":\"write_file\",\"arguments\":{\"path\":\"hello.txt\","
        "\"content\":\"bye\\n\"}}]},"
        "{\"toolCalls\":[{\"name\":\"finish\",\"arguments\":{\"summary\":\"Says bye.\"}}]},"
        "{\"toolCalls\":[{\"name\":\"write_file\",\"arguments\":{\"path\":\"hello.txt\","
        "\"content\":\"hello again\\n\"}}]},"
        "{\"toolCalls\":[{\"name\":\"finish\",\"arguments\":{\"summary\":\"Says hello.\"}}]}]");
    fleet_runner(&o.f, 0);
    PJ_CLEANUP(pj_freep) char *second = fleet_remote(&o.f, "checked");
    repo = fleet_repo(&o.f, second, with_check);
    id = fleet_task(&o.f, repo, "Change the greeting", NULL);
    fleet_wait_end(&o.f, id, &task);
    one_assert_status(&o.f, &task, PJ_TASK_COMPLETED);
    cr_assert_str_eq(pj_json_str(json_array_get(task.checks, 0), "before", ""), "passed");
    cr_assert_str_eq(pj_json_str(json_array_get(task.checks, 0), "after", ""), "passed");
    pj_task_release(&task);
    one_close(&o);
}

Test(runner, r2_3_stores_the_agents_question)
{
    struct one o;
    struct pj_task task;
    PJ_CLEANUP(pj_freep) char *id = NULL;

    one_open(&o);
    fleet_answers(&o.f, "[{\"toolCalls\":[{\"name\":\"ask_clarification\",\"arguments\":{"
                        "\"question\":\"Which greeting?\"}}]}]");
    fleet_runner(&o.f, 0);
    id = fleet_task(&o.f, o.repo, "Do something", NULL);
    fleet_wait_end(&o.f, id, &task);
    one_assert_status(&o.f, &task, PJ_TASK_NEEDS_CLARIFICATION);
    cr_assert_not_null(strstr(task.question, "Which greeting?"));
    pj_task_release(&task);
    one_close(&o);
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

    one_open(&o);
    fleet_runner(&o.f, 0);
    repo = fleet_repo(&o.f, "x", gone);
    id = fleet_task(&o.f, repo, "Never begins", NULL);
    fleet_wait_end(&o.f, id, &task);
    one_assert_status(&o.f, &task, PJ_TASK_FAILED);
    cr_assert_str_eq(task.error.code, "repository_unavailable");
    pj_repo_init(&now);
    pj_repo_get_cmd(&cmd, repo);
    cr_assert_eq(pj_redis_do(o.f.store, &cmd, &reply, &err), 0);
    cr_assert_eq(pj_repo_reply(reply, &now, &err), 0);
    cr_assert_eq(now.status, PJ_REPO_INVALID);
    cr_assert_not_null(now.status_cause);
    pj_repo_release(&now);
    pj_task_release(&task);
    one_close(&o);
}
