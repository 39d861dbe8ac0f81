/* Each attack goes through when the layer that stops it is off, and is stopped when it is on: so
 * it is that layer, and the attack is a real one. Uses a test build of the program; the one that
 * ships cannot be weakened. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "tests/sandbox/run_box.h"

static const struct {
    const char *layer, *attack;
} pairs[] = {
    {"capabilities", "capabilities"},
    {"covers", "kernel_files"},
    {"descriptors", "leaked_descriptors"},
    {"dumpable", "process_one"},
    {"environment", "environment"},
    {"network", "interfaces"},
    {"rlimits", "core_dump"},
    {"seccomp-arguments", "personality"},
    {"seccomp-arguments", "set_id_bits"},
    {"seccomp-arguments", "socket_families"},
    {"seccomp-arguments", "tiocsti"},
    {"seccomp-calls", "io_uring"},
    {"seccomp-calls", "keys"},
    {"dumpable", "ptrace"},
    {"seccomp-calls", "unshare"},
    {"tmp-size", "tmp_fill"},
};

static int attack(const char *attack_name, const char *layer)
{
    char bind[400];
    struct box_run run;
    int code;

    if (layer)
        setenv("PJ_WEAKEN", layer, 1);
    else
        unsetenv("PJ_WEAKEN");
    snprintf(bind, sizeof bind, "%s:/opt/hostile", box_hostile());
    run = BOX(false, "--ro-bind", bind, "--workspace", box_dir("work", false), "--tmp-size", "16M",
              "--memory", "256M", "--timeout", "60s", "--", "/opt/hostile", attack_name);
    code = run.exit_code;
    box_run_release(&run);
    return code;
}

Test(weaken, every_attack_needs_its_layer)
{
    int leak = open("/", O_RDONLY | O_DIRECTORY); /* on purpose not close-on-exec */

    setenv("PJ_TEST_BOX_PROGRAM", "pj-sandbox-weak", 1);
    if (!box_can(false))
        return;
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        cr_expect_eq(attack(pairs[i].attack, NULL), 0, "%s is not stopped", pairs[i].attack);
        cr_expect_neq(attack(pairs[i].attack, pairs[i].layer), 0, "%s is stopped without %s",
                      pairs[i].attack, pairs[i].layer);
    }
    close(leak);
}

Test(weaken, the_shipped_program_cannot_be_weakened)
{
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
        cr_expect_eq(attack(pairs[i].attack, pairs[i].layer), 0, "%s", pairs[i].layer);
}
