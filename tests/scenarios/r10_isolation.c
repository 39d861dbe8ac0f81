/* R10: execution environment isolation. What the box sees is read from what the agent tells the model. */
#include <signal.h>
#include "tests/scenarios/scene.h"

Test(r10, r10_1_the_box_sees_nothing_of_the_host)
{
    static const struct model_answer answers[] = {
        SCENE_RUN("env"),
        SCENE_RUN("cat /proc/net/dev"),
        SCENE_RUN("ls /proc | grep '^[0-9]' | wc -l; cat /proc/[0-9]*/cmdline | tr '\\\\0' ' '"),
        SCENE_RUN("mount -t tmpfs none /mnt; echo mount=$?; unshare -U true; echo unshare=$?; "
                  "unshare -n true; echo net=$?"),
        SCENE_RUN("ls / /root /home /var /etc 2>&1; id"),
        SCENE_WRITE("new.txt", "x\\n"),
        SCENE_FINISH,
    };
    struct scene s;

    scene_prepare(&s, answers, PJ_COUNT_OF(answers));
    world_set(&s.w, "PJ_TEST_CANARY", "canary-of-the-host");
    scene_open(&s, ",\"codeRabbit\":\"off\"");
    char *task = scene_run(&s, "Look around");
    json_decref(world_wait_status(&s.w, task, "completed"));

    char *said = scene_tool_result(&s, 1);
    cr_expect_null(strstr(said, "canary"), "environment: %s", said);
    cr_expect_null(strstr(said, MODEL_SERVER_KEY), "the model's key is outside: %s", said);
    cr_expect_null(strstr(said, "PJ_SECRET_KEY"), "%s", said);
    free(said);
    said = scene_tool_result(&s, 2);
    cr_expect_not_null(strstr(said, "lo:"), "%s", said);
    cr_expect_null(strstr(said, "eth"), "interfaces: %s", said);
    free(said);
    said = scene_tool_result(&s, 3);
    cr_expect_null(strstr(said, "redis-server"), "processes: %s", said);
    cr_expect_null(strstr(said, "pj-runner"), "processes: %s", said);
    free(said);
    said = scene_tool_result(&s, 4);
    cr_expect(strstr(said, "mount=") && !strstr(said, "mount=0"), "%s", said);
    cr_expect(strstr(said, "unshare=") && !strstr(said, "unshare=0"), "%s", said);
    cr_expect(strstr(said, "net=") && !strstr(said, "net=0"), "%s", said);
    free(said);
    said = scene_tool_result(&s, 5);
    cr_expect_null(strstr(said, "shadow"), "files: %s", said);
    cr_expect_null(strstr(said, "uid=0("), "user: %s", said);
    free(said);
    free(task);
    scene_stop(&s);
}

Test(r10, r10_1_concurrent_executions_share_nothing)
{
    /* Each writes the same names; both are held until both have done it, then each looks. */
    static const struct model_answer answers[] = {
        {.when = "task of the walrus",
         .text = "I leave a mark.",
         .calls = {{"run", "{\"command\":\"echo walrus > /tmp/mark; echo walrus > mark; sleep 500 "
                           "& echo left\"}"}}},
        {.when = "task of the carpenter",
         .text = "I leave a mark.",
         .calls = {{"run", "{\"command\":\"echo carpenter > /tmp/mark; echo carpenter > mark; "
                           "sleep 501 & echo left\"}"}}},
        {.when = "task of the walrus",
         .trouble = MODEL_GATE,
         .text = "I look.",
         .calls =
             {{"run",
               "{\"command\":\"cat /tmp/mark mark; cat /proc/[0-9]*/cmdline | tr '\\\\0' ' '\"}"}}},
        {.when = "task of the carpenter",
         .trouble = MODEL_GATE,
         .text = "I look.",
         .calls =
             {{"run",
               "{\"command\":\"cat /tmp/mark mark; cat /proc/[0-9]*/cmdline | tr '\\\\0' ' '\"}"}}},
        {.repeat = true, .text = "Done.", .calls = {{"finish", "{\"summary\":\"Looked.\"}"}}},
    };
    struct scene s;

    scene_prepare(&s, answers, PJ_COUNT_OF(answers));
    world_set(&s.w, "PJ_RUNNER_SLOTS", "2");
    scene_open(&s, ",\"codeRabbit\":\"off\"");
    char *walrus = world_task(&s.w, s.repo, "One", "This is the task of the walrus.", "");
    char *carpenter = world_task(&s.w, s.repo, "Two", "This is the task of the carpenter.", "");
    world_execute(&s.w, walrus);
    world_execute(&s.w, carpenter);
    cr_assert(model_server_wait(s.model, 4, WORLD_SOON), "both run at once");
    model_server_release(s.model);
    json_decref(world_wait_status(&s.w, walrus, "completed"));
    json_decref(world_wait_status(&s.w, carpenter, "completed"));
    size_t looked = 0;
    for (size_t i = 4; i < model_server_count(s.model); i++) {
        char *said = scene_tool_result(&s, i);
        char *body = pj_json_text(model_server_body(s.model, i));
        const char *own = strstr(body, "of the walrus") ? "walrus" : "carpenter";
        const char *other = strstr(body, "of the walrus") ? "carpenter" : "walrus";

        if (strstr(said, own)) {
            looked++;
            cr_expect_null(strstr(said, other), "%s sees: %s", own, said);
        }
        free(body);
        free(said);
    }
    cr_expect_eq(looked, 2);
    char *branch = scene_branch(walrus), *spec = pj_asprintf("%s:mark", branch);
    char *mark = gitfix_show(s.remote, spec);
    cr_expect_str_eq(mark, "walrus\n");
    free(mark);
    free(spec);
    free(branch);
    free(walrus);
    free(carpenter);
    scene_stop(&s);
}

Test(r10, r10_2_nothing_is_left_after_success_and_after_failure)
{
    static const struct model_answer answers[] = {
        {.when = "good",
         .text = "I write.",
         .calls = {{"run", "{\"command\":\"echo x > new.txt; mkdir -p d/e; chmod 000 d/e; setsid "
                           "sleep 1000 & echo left\"}"}}},
        {.when = "good", .text = "Done.", .calls = {{"finish", "{\"summary\":\"Done.\"}"}}},
        {.when = "bad",
         .status = 400,
         .body = "{\"error\":{\"message\":\"no\",\"type\":\"invalid_request_error\"}}",
         .repeat = true},
    };
    struct scene s;

    scene_start(&s, answers, PJ_COUNT_OF(answers));
    char *good = world_task(&s.w, s.repo, "One", "This is the good task.", "");
    char *bad = world_task(&s.w, s.repo, "Two", "This is the bad task.", "");
    world_execute(&s.w, good);
    json_decref(world_wait_status(&s.w, good, "completed"));
    world_assert_clean(&s.w);
    world_execute(&s.w, bad);
    json_decref(world_wait_status(&s.w, bad, "failed"));
    world_assert_clean(&s.w);
    free(good);
    free(bad);
    scene_stop(&s);
}

Test(r10, r10_2_a_killed_job_leaves_nothing_and_its_task_runs_again)
{
    static const struct model_answer answers[] = {
        SCENE_RUN("setsid sleep 1000 & echo left"),
        {.trouble = MODEL_HANG},
        SCENE_WRITE("new.txt", "x\\n"),
        SCENE_FINISH,
    };
    struct scene s;

    scene_start(&s, answers, PJ_COUNT_OF(answers));
    char *task = scene_run(&s, "Write a file");
    cr_assert(model_server_wait(s.model, 2, WORLD_SOON));
    size_t jobs = 0;
    pid_t *job = world_jobs(&s.w, &jobs);
    cr_assert_eq(jobs, 1);
    cr_assert_eq(kill(job[0], SIGKILL), 0);
    free(job);
    json_t *doc = world_wait_status(&s.w, task, "completed");
    cr_expect_eq(pj_json_i64(doc, "attempt", 0), 1, "a lost job is not a new attempt");
    json_decref(doc);
    world_assert_clean(&s.w);
    free(task);
    scene_stop(&s);
}

Test(r10, r10_2_after_kill_9_of_the_runner_the_next_start_sweeps)
{
    static const struct model_answer answers[] = {
        SCENE_RUN("setsid sleep 1000 & echo left"),
        {.trouble = MODEL_HANG},
        SCENE_WRITE("new.txt", "x\\n"),
        SCENE_FINISH,
    };
    struct scene s;

    scene_prepare(&s, answers, PJ_COUNT_OF(answers));
    world_set(&s.w, "PJ_LEASE_TTL", "3s");
    world_set(&s.w, "PJ_JANITOR_INTERVAL", "1s");
    scene_open(&s, ",\"codeRabbit\":\"off\"");
    char *task = scene_run(&s, "Write a file");
    cr_assert(model_server_wait(s.model, 2, WORLD_SOON));
    cr_expect_eq(program_stop(&s.w.runner[0], SIGKILL, WORLD_SOON), 128 + SIGKILL);
    program_release(&s.w.runner[0]);
    world_runner_start(&s.w, 0);
    json_decref(world_wait_status(&s.w, task, "completed"));
    world_assert_clean(&s.w);
    char *branch = scene_branch(task);
    char *subject = gitfix_subject(s.remote, branch);
    cr_expect_str_eq(subject, "Pithy Jaunt: Write a file");
    free(subject);
    free(branch);
    free(task);
    scene_stop(&s);
}
