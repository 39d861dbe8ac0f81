/* Limits: who meets them is told apart, and nobody else feels it. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>
#include "tests/sandbox/run_box.h"

static const char *hostile_bind(void)
{
    static char bind[400];

    snprintf(bind, sizeof bind, "%s:/opt/hostile", box_hostile());
    return bind;
}

Test(limits, memory_bomb_is_reported_as_out_of_memory)
{
    struct box_run run = BOX(false, "--ro-bind", hostile_bind(), "--memory", "64M", "--timeout",
                             "60s", "--", "/opt/hostile", "memory_bomb");

    if (!box_result_has(&run, "\"memory:rlimit\"")) {
        cr_expect_eq(run.exit_code, 137, "exit %d: %s", run.exit_code, run.out);
        cr_expect(box_result_has(&run, "\"oomKilled\":true"), "%s", run.result);
        cr_expect_lt(box_result_int(&run, "maxRssBytes"), 80 << 20);
    } else {
        fprintf(stderr, "SKIPPED: no memory cgroup here\n");
    }
    box_run_release(&run);
}

/* Without a cgroup each process's private memory is bounded, and `isolation` says that it is the
 * lesser thing. */
Test(limits, ordinary_user_is_told_what_keeps_the_limits)
{
    struct box_run run;

    if (!box_can(true))
        return;
    run = BOX(true, "--ro-bind", hostile_bind(), "--memory", "64M", "--pids", "20", "--cpu", "1",
              "--timeout", "60s", "--", "/opt/hostile", "memory_bomb");
    cr_expect(run.exit_code == 0 || run.exit_code == 137, "exit %d: %s%s", run.exit_code, run.out,
              run.err);
    cr_expect(box_result_has(&run, "\"memory:"));
    cr_expect(box_result_has(&run, "\"pids:"));
    cr_expect(box_result_has(&run, "\"cpu:"));
    box_run_release(&run);
}

Test(limits, tmp_counts_as_memory)
{
    struct box_run run = BOX(false, "--memory", "48M", "--tmp-size", "1G", "--timeout", "60s", "--",
                             "sh", "-c", "head -c 200000000 /dev/zero > /tmp/f");

    if (!box_result_has(&run, "\"memory:rlimit\""))
        cr_expect_neq(run.exit_code, 0);
    box_run_release(&run);
}

Test(limits, a_crash_is_not_called_out_of_memory)
{
    struct box_run run = BOX(false, "--memory", "64M", "--", "sh", "-c", "kill -KILL $$");

    cr_expect_eq(run.exit_code, 137);
    cr_expect(box_result_has(&run, "\"oomKilled\":false"));
    box_run_release(&run);
}

Test(limits, fork_bomb_ends_at_the_deadline)
{
    for (int user = 0; user < 2; user++) {
        struct box_run run;

        if (!box_can(user))
            continue;
        run = BOX(user, "--ro-bind", hostile_bind(), "--pids", "500", "--timeout", "1s", "--",
                  "/opt/hostile", "fork_bomb");
        cr_expect_eq(run.exit_code, 124);
        cr_expect_lt(run.ms, 20000, "took %d ms", (int)run.ms);
        box_run_release(&run);
    }
}

Test(limits, processor_share_is_kept)
{
    /* Half a core: two busy loops for one second use about half a second. */
    struct box_run run = BOX(false, "--cpu", "0.5", "--timeout", "1s", "--", "sh", "-c",
                             "while :; do :; done & while :; do :; done");

    cr_expect_eq(run.exit_code, 124);
    if (box_result_has(&run, "\"cpu:cgroup"))
        cr_expect_lt(box_result_int(&run, "cpuMs"), 850, "%s", run.result);
    box_run_release(&run);
}

Test(limits, sized_layer_fills_up)
{
    for (int user = 0; user < 2; user++) {
        struct box_run run;

        if (!box_can(user))
            continue;
        run = BOX(user, "--ro-bind", hostile_bind(), "--disk", "16M", "--", "/opt/hostile",
                  "work_fill");
        cr_expect_eq(run.exit_code, 0, "%s", run.out);
        box_run_release(&run);
        run = BOX(user, "--ro-bind", hostile_bind(), "--workspace-base", box_dir("base", user),
                  "--disk", "16M", "--", "/opt/hostile", "work_fill");
        cr_expect_eq(run.exit_code, 0, "%s%s", run.out, run.err);
        box_run_release(&run);
    }
}

/* One line without an end, at full speed, past any buffer. */
Test(limits, endless_line_is_bounded)
{
    struct box_run run = BOX(false, "--output-limit", "1M", "--timeout", "120s", "--", "sh", "-c",
                             "head -c 300000000 /dev/zero | tr '\\0' 'x'");

    cr_expect_eq(run.exit_code, 0);
    cr_expect_eq(run.out_len, 1U << 20);
    cr_expect_eq(box_result_int(&run, "outputBytes"), 300000000);
    box_run_release(&run);
}

static bool has_controller(const char *word)
{
    char list[512] = "";
    FILE *f = fopen("/sys/fs/cgroup/cgroup.controllers", "re");

    if (f) {
        (void)!fgets(list, sizeof list, f);
        fclose(f);
    }
    return strstr(list, word) != NULL;
}

/* A host that has version 2 alone: what it has controllers for is kept by it, rlimits stand in for the
 * rest, the result says which, and the kill is the group's. */
Test(limits, where_only_version_two_of_control_groups_is_mounted)
{
    struct box_run run;

    if (!box_can(false))
        return;
    if (access("/sys/fs/cgroup/cgroup.controllers", F_OK) != 0 &&
        (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
         umount2("/sys/fs/cgroup", MNT_DETACH) < 0 ||
         mount("none", "/sys/fs/cgroup", "cgroup2", 0, NULL) < 0)) {
        fprintf(stderr, "SKIPPED: version 2 cannot be had alone here\n");
        return;
    }
    run = BOX(false, "--ro-bind", hostile_bind(), "--memory", "512M", "--pids", "100", "--cpu", "1",
              "--timeout", "500ms", "--", "/opt/hostile", "fork_bomb");
    cr_expect_eq(run.exit_code, 124, "exit %d: %s%s", run.exit_code, run.out, run.err);
    cr_expect(box_result_has(&run, "\"cgroup.kill\""), "%s", run.result);
    cr_expect(box_result_has(&run, has_controller("memory") ? "\"memory:cgroup-v2\""
                                                            : "\"memory:rlimit\""),
              "%s", run.result);
    cr_expect(
        box_result_has(&run, has_controller("pids") ? "\"pids:cgroup-v2\"" : "\"pids:rlimit\""),
        "%s", run.result);
    cr_expect_lt(run.ms, 10000);
    box_run_release(&run);
}
