/* R10: what a task's boxes write to the disk is bounded by PJ_TASK_DISK, however they write it; the host keeps its disk. */
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <unistd.h>
#include "tests/scenarios/scene.h"

#define BOUND "16M"
/* A box that is not stopped goes on for ever, and ends the test by its own time limit. */
#define FOREVER "tail -f /dev/null"

static void begin(struct scene *s, const struct model_answer *answers, size_t count,
                  const char *extra)
{
    scene_prepare(s, answers, count);
    world_set(&s->w, "PJ_TASK_DISK", BOUND);
    scene_open(s, extra);
}

/* The end of a task that was stopped for what it wrote: its status and code, the reason in its log, nothing of it left. */
static void assert_stopped_for(struct scene *s, const char *status, const char *code,
                               const char *setting, const char *why)
{
    char *task = scene_run(s, "Write a lot");
    json_t *doc = world_wait_status(&s->w, task, status);

    cr_expect_str_eq(scene_error_code(doc), code);
    cr_expect_not_null(strstr(pj_json_str(json_object_get(doc, "error"), "detail", ""), setting));
    cr_expect(world_log_has(&s->w, task, why));
    json_decref(doc);
    world_assert_clean(&s->w);
    free(task);
}

static void assert_stopped(struct scene *s, const char *status, const char *code)
{
    assert_stopped_for(s, status, code, "PJ_TASK_DISK", "more than PJ_TASK_DISK grants (16 MiB)");
}

Test(r10_disk,
     r10_1_a_file_that_grows_past_the_bound_ends_the_task_and_what_was_made_before_is_kept)
{
    static const struct model_answer answers[] = {
        SCENE_WRITE("new.txt", "x\\n"),
        SCENE_RUN("head -c 100000000 /dev/zero > big; " FOREVER),
        SCENE_FINISH,
    };
    struct scene s;

    begin(&s, answers, PJ_COUNT_OF(answers), ",\"codeRabbit\":\"off\"");
    assert_stopped(&s, "needs_review", "patch_policy");
    scene_stop(&s);
}

Test(r10_disk, r10_1_many_small_files_and_files_without_a_name_count_too)
{
    static const struct model_answer small[] = {
        SCENE_RUN(
            "mkdir d; i=0; while [ $i -lt 8000 ]; do echo x > d/$i; i=$((i+1)); done; " FOREVER),
        SCENE_FINISH,
    };
    static const struct model_answer unnamed[] = {
        SCENE_RUN("exec 3> gone; rm gone; head -c 100000000 /dev/zero >&3; " FOREVER),
        SCENE_FINISH,
    };
    static const struct model_answer hidden[] = {
        SCENE_RUN("mkdir d; head -c 100000000 /dev/zero > d/big; chmod 000 d; " FOREVER),
        SCENE_FINISH,
    };
    const struct model_answer *const all[] = {small, unnamed, hidden};

    for (size_t i = 0; i < PJ_COUNT_OF(all); i++) {
        struct scene s;

        begin(&s, all[i], 2, ",\"codeRabbit\":\"off\"");
        assert_stopped(&s, "needs_review", "patch_policy");
        scene_stop(&s);
    }
}

/* They take no bytes of their own, and a directory of them few. */
Test(r10_disk, r10_1_empty_files_without_end_are_bounded_by_their_number)
{
    static const struct model_answer answers[] = {
        SCENE_RUN("mkdir d; i=0; while [ $i -lt 100000 ]; do : > d/$i; i=$((i+1)); done; " FOREVER),
        SCENE_FINISH,
    };
    struct scene s;

    scene_prepare(&s, answers, PJ_COUNT_OF(answers));
    world_set(&s.w, "PJ_TASK_FILES", "2000");
    scene_open(&s, ",\"codeRabbit\":\"off\"");
    assert_stopped_for(&s, "needs_review", "patch_policy", "PJ_TASK_FILES",
                       "PJ_TASK_FILES grants 2000");
    scene_stop(&s);
}

Test(r10_disk, r10_1_the_repositorys_own_set_up_is_bounded_and_fails_as_such)
{
    static const struct model_answer answers[] = {SCENE_FINISH};
    struct scene s;

    begin(&s, answers, PJ_COUNT_OF(answers),
          ",\"codeRabbit\":\"off\",\"setupCommand\":\"head -c 100000000 /dev/zero > big; " FOREVER
          "\"");
    assert_stopped(&s, "failed", "setup_failed");
    scene_stop(&s);
}

/* Nobody's bound is reached, but the runner's disk is: no end of the task's own, so it is taken again, as often as a lost one. */
Test(r10_disk, r10_1_when_the_hosts_own_disk_runs_out_who_filled_it_is_stopped_and_given_back)
{
    static const struct model_answer answers[] = {
        {.repeat = true,
         .text = "I run a command.",
         .calls = {{"run", "{\"command\":\"head -c 200000000 /dev/zero > big; " FOREVER "\"}"}}},
    };
    struct scene s;

    if (geteuid() != 0 || unshare(CLONE_NEWNS) < 0 ||
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
        fprintf(stderr, "SKIPPED: no small disk can be mounted here\n");
        return;
    }
    scene_prepare(&s, answers, PJ_COUNT_OF(answers));
    cr_assert_eq(mount("none", s.w.state, "tmpfs", 0, "size=96m,mode=0755"), 0);
    world_set(&s.w, "PJ_JANITOR_INTERVAL", "1s");
    scene_open(&s, ",\"codeRabbit\":\"off\"");
    char *task = scene_run(&s, "Write a lot");
    json_t *doc = world_wait_status(&s.w, task, "failed");
    cr_expect_str_eq(scene_error_code(doc), "runner_lost");
    cr_expect(world_log_has(&s.w, task, "the disk of PJ_STATE_DIR is nearly full"));
    json_decref(doc);
    free(task);
    cr_expect_eq(program_stop(&s.w.runner[0], SIGTERM, WORLD_SOON), 0);
    program_release(&s.w.runner[0]);
    cr_expect_eq(umount2(s.w.state, MNT_DETACH), 0);
    scene_stop(&s);
}

/* Writing and removing again is no growth: ten times eight megabytes stay below sixteen. */
Test(r10_disk, r10_1_a_task_that_stays_below_the_bound_is_left_alone)
{
    static const struct model_answer answers[] = {
        SCENE_RUN("for i in 1 2 3 4 5 6 7 8 9 10; do head -c 8000000 /dev/zero > big; rm big; "
                  "done; echo x > new.txt"),
        SCENE_FINISH,
    };
    struct scene s;

    begin(&s, answers, PJ_COUNT_OF(answers), ",\"codeRabbit\":\"off\"");
    char *task = scene_run(&s, "Write a file");
    json_decref(world_wait_status(&s.w, task, "completed"));
    free(task);
    scene_stop(&s);
}

/* Also while the job reads what it made: a file must not change under the eyes of the reader, and the disk is not looked after then. */
Test(r10_disk, r10_1_what_still_writes_when_the_agent_has_finished_stands_still_while_it_is_read)
{
    static const struct model_answer answers[] = {
        SCENE_RUN("echo x > new.txt; for i in 1 2 3 4 5 6 7 8; do setsid sh -c 'while :; do "
                  "head -c 2000000 /dev/zero > $0; : > $0; done' changes$i & done; sleep 1"),
        SCENE_FINISH,
    };
    struct scene s;

    scene_prepare(&s, answers, PJ_COUNT_OF(answers));
    scene_open(&s, ",\"codeRabbit\":\"off\"");
    char *task = scene_run(&s, "Leave writers behind");
    json_decref(world_wait_status(&s.w, task, "completed"));
    free(task);
    scene_stop(&s);
}
