/* How a command ends, what goes in and comes out, and what the result says: CONTRACT.md section
 * 6. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "tests/sandbox/run_box.h"

#define BOTH(user)                                                                                 \
    for (int user = 0; user < 2; user++)                                                           \
        if (box_can(user))

static void expect_exit(bool user, const char *script, int exit_code, const char *member)
{
    struct box_run run = BOX(user, "--", "sh", "-c", script);

    cr_expect_eq(run.exit_code, exit_code, "%s: exit %d\n%s", script, run.exit_code, run.err);
    cr_expect(box_result_has(&run, member), "%s: no %s in %s", script, member, run.result);
    cr_expect_eq(box_result_int(&run, "exitCode"), exit_code);
    box_run_release(&run);
}

Test(run, passes_the_exit_code_on)
{
    BOTH(user)
    {
        expect_exit(user, "exit 0", 0, "\"error\":null");
        expect_exit(user, "exit 7", 7, "\"signal\":null");
        expect_exit(user, "exit 255", 255, "\"signal\":null");
    }
}

Test(run, passes_a_signal_on)
{
    BOTH(user)
    {
        expect_exit(user, "kill -SEGV $$", 139, "\"signal\":11");
        expect_exit(user, "kill -KILL $$", 137, "\"signal\":9");
        expect_exit(user, "kill -SYS $$", 159, "\"policyKill\":true");
    }
}

Test(run, tells_not_found_from_not_executable)
{
    BOTH(user)
    {
        struct box_run run = BOX(user, "--", "no-such-program");

        cr_expect_eq(run.exit_code, 127);
        box_run_release(&run);
        run = BOX(user, "--", "/no/such/program");
        cr_expect_eq(run.exit_code, 127);
        box_run_release(&run);
        run = BOX(user, "--", "/etc/passwd");
        cr_expect_eq(run.exit_code, 126);
        box_run_release(&run);
        run = BOX(user, "--", "/tmp");
        cr_expect_eq(run.exit_code, 126);
        box_run_release(&run);
    }
}

Test(run, ends_at_the_deadline_whatever_runs)
{
    BOTH(user)
    {
        struct box_run run =
            BOX(user, "--timeout", "400ms", "--", "sh", "-c",
                "trap '' TERM INT HUP; setsid sleep 1000 & (sleep 1000 &) ; kill -STOP $$");

        cr_expect_eq(run.exit_code, 124);
        cr_expect(box_result_has(&run, "\"timedOut\":true"));
        cr_expect_geq(box_result_int(&run, "wallMs"), 400);
        cr_expect_lt(run.ms, 5000, "took %d ms", (int)run.ms);
        box_run_release(&run);
    }
}

Test(run, survivors_end_with_the_command)
{
    char bind[400];

    snprintf(bind, sizeof bind, "%s:/opt/hostile", box_hostile());
    BOTH(user)
    {
        struct box_run run =
            BOX(user, "--ro-bind", bind, "--timeout", "60s", "--", "/opt/hostile", "survivors");

        cr_expect_eq(run.exit_code, 0);
        cr_expect_lt(run.ms, 10000, "took %d ms", (int)run.ms);
        box_run_release(&run);
    }
}

Test(run, refuses_wrong_options_with_the_name)
{
    static const struct {
        const char *option, *value;
    } wrong[] = {
        {"--timeout", "10"},
        {"--memory", "lots"},
        {"--pids", "0"},
        {"--cpu", "-1"},
        {"--cpu", "nan"},
        {"--env", "novalue"},
        {"--ro-bind", "/usr"},
        {"--gateway", "/x:99999"},
        {"--net-allow", ":443"},
        {"--workspace", "/no/such/dir"},
        {"--rootfs", "/no/such/dir"},
        {"--no-such", "1"},
    };

    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct box_run run = BOX(false, wrong[i].option, wrong[i].value, "--", "true");

        cr_expect_eq(run.exit_code, 125, "%s %s: %d", wrong[i].option, wrong[i].value,
                     run.exit_code);
        cr_expect(strstr(run.err, wrong[i].option), "%s is not named: %s", wrong[i].option,
                  run.err);
        box_run_release(&run);
    }
}

Test(run, disk_on_a_plain_directory_is_refused_with_a_remedy)
{
    struct box_run run =
        BOX(false, "--workspace", box_dir("plain", false), "--disk", "1M", "--", "true");

    cr_expect_eq(run.exit_code, 125);
    cr_expect(box_result_has(&run, "\"error\":{\"step\":\"disk\""));
    cr_expect(box_result_has(&run, "--workspace-base"));
    box_run_release(&run);
}

Test(run, environment_is_what_was_given)
{
    BOTH(user)
    {
        struct box_run run = BOX(user, "--env", "A=1", "--env", "B=x=y", "--env", "HOME=/workspace",
                                 "--env", "A=2", "--", "env");

        cr_expect_eq(run.exit_code, 0);
        cr_expect(strstr(run.out, "A=2\n") && !strstr(run.out, "A=1\n"));
        cr_expect(strstr(run.out, "B=x=y\n"));
        cr_expect(strstr(run.out, "HOME=/workspace\n"));
        cr_expect(!strstr(run.out, "PJ_TEST"), "%s", run.out);
        box_run_release(&run);
    }
}

Test(run, starts_in_the_directory_given)
{
    BOTH(user)
    {
        struct box_run run = BOX(user, "--cwd", "/usr/bin", "--", "pwd");

        cr_expect_str_eq(run.out, "/usr/bin\n");
        box_run_release(&run);
        run = BOX(user, "--", "pwd");
        cr_expect_str_eq(run.out, "/tmp\n");
        box_run_release(&run);
        run = BOX(user, "--workspace", box_dir("cwd", user), "--", "pwd");
        cr_expect_str_eq(run.out, "/workspace\n");
        box_run_release(&run);
        run = BOX(user, "--cwd", "/nowhere", "--", "pwd");
        cr_expect_eq(run.exit_code, 125);
        cr_expect(box_result_has(&run, "\"step\":\"cwd\""));
        box_run_release(&run);
    }
}

Test(run, output_is_cut_at_the_limit_and_says_so)
{
    BOTH(user)
    {
        struct box_run run =
            BOX(user, "--output-limit", "100K", "--timeout", "30s", "--", "sh", "-c",
                "head -c 5000000 /dev/zero; head -c 5000000 /dev/zero >&2; echo end");

        cr_expect_eq(run.exit_code, 0);
        cr_expect_leq(run.out_len, 102400U);
        cr_expect(box_result_has(&run, "\"outputTruncated\":true"));
        cr_expect_eq(box_result_int(&run, "outputBytes"), 10000004);
        box_run_release(&run);
    }
}

Test(run, output_passes_unchanged)
{
    BOTH(user)
    {
        struct box_run run =
            BOX(user, "--", "sh", "-c", "printf 'a\\000b\\033[31m\\377\\n'; printf err >&2");

        cr_expect_eq(run.out_len, 10U);
        cr_expect_eq(memcmp(run.out, "a\0b\033[31m\377\n", 10), 0);
        cr_expect(strstr(run.err, "err"));
        cr_expect(box_result_has(&run, "\"outputTruncated\":false"));
        box_run_release(&run);
        run = BOX(user, "--", "sh", "-c",
                  "echo one > /dev/stdout; echo two > /dev/stderr; echo three > /proc/self/fd/1");
        cr_expect_str_eq(run.out, "one\nthree\n");
        box_run_release(&run);
    }
}

/* The first reader takes two lines and goes: the box's writer gets SIGPIPE, and nothing hangs. */
Test(run, reader_that_leaves_ends_the_writer)
{
    const char *const args[] = {"--timeout", "20s", "--", "yes", NULL};
    char buf[16];
    int out, status;
    pid_t pid = box_start(false, args, &out);

    cr_assert_gt(read(out, buf, sizeof buf), 0);
    close(out);
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 128 + 13, "status %x", (unsigned)status);
}

Test(run, asked_to_stop_it_stops)
{
    const char *const args[] = {
        "--", "sh", "-c", "trap 'echo bye; exit 3' TERM; echo ready; while :; do sleep 1; done",
        NULL};

    BOTH(user)
    {
        char buf[16] = "";
        int out, status;
        pid_t pid = box_start(user, args, &out);

        cr_assert_gt(read(out, buf, sizeof buf - 1), 0);
        kill(pid, SIGTERM);
        cr_assert_eq(waitpid(pid, &status, 0), pid);
        cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 3, "status %x", (unsigned)status);
        cr_expect_gt(read(out, buf, sizeof buf - 1), 0);
        cr_expect(strncmp(buf, "bye", 3) == 0);
        close(out);
    }
}

Test(run, ordinary_work_is_not_disturbed)
{
    static const struct {
        const char *program, *script, *out;
    } jobs[] = {
        {"bash", "for i in 1 2 3; do echo $i; done | sort -r | tr '\\n' ' '", "3 2 1 "},
        {"bash", "cat <(echo a) <(echo b)", "a\nb\n"},
        {"bash", "id -un; hostname", "pj\npj\n"},
        {"bash", "echo x > /workspace/f && cat /workspace/f", "x\n"},
        {"python3",
         "python3 -c 'from concurrent.futures import ThreadPoolExecutor as T; "
         "print(sum(T(8).map(abs, range(100))))'",
         "4950\n"},
        {"python3",
         "python3 -c 'import multiprocessing as m; print(sum(m.Pool(2).map(abs, range(9))))'",
         "36\n"},
        {"python3",
         "python3 -c 'import socket; a,b=socket.socketpair(); a.send(b\"k\"); "
         "print(b.recv(1).decode())'",
         "k\n"},
        {"python3", "python3 -c 'import pty,os; pty.spawn([\"/bin/echo\",\"tty\"])' | tr -d '\\r'",
         "tty\n"},
        {"gcc", "printf 'int main(void){return 42;}' > a.c && gcc a.c -o a && ./a; echo $?",
         "42\n"},
        {"gcc",
         "printf 'int main(void){return 0;}' > a.c && gcc -fsanitize=address a.c -o a 2>/dev/null "
         "|| "
         "gcc a.c -o a; ./a; echo $?",
         "0\n"},
        {"make", "printf 'all:\\n\\t@echo made\\n' > Makefile && make -s", "made\n"},
        {"git",
         "git init -q . && git -c user.name=a -c user.email=b commit -q --allow-empty -m m && git "
         "log --format=%s",
         "m\n"},
        {"node", "node -e 'console.log([1,2,3].map(x=>x*2).join())'", "2,4,6\n"},
        /* A compiler at run time, worker threads, and libuv's pool of threads. */
        {"node",
         "node -e 'let f = new Function(\"n\", \"let s = 0; for (let i = 0; i < n; i++) s += i % "
         "7; "
         "return s\"); let r; for (let i = 0; i < 2000; i++) r = f(10000); console.log(r)'",
         "29994\n"},
        {"node",
         "node -e 'const { Worker } = require(\"worker_threads\"); const crypto = "
         "require(\"crypto\"); new "
         "Worker(\"require(\\\"worker_threads\\\").parentPort.postMessage(6 * "
         "7)\", { eval: true }).on(\"message\", m => crypto.pbkdf2(\"a\", \"b\", 1000, 8, "
         "\"sha1\", (e, k) "
         "=> console.log(m, k.length)))'",
         "42 8\n"},
        /* Code made at run time: written, then executable; and both at once. */
        {"gcc",
         "cat > jit.c <<'END'\n"
         "#include <string.h>\n#include <sys/mman.h>\n"
         "static int run(int prot) {\n"
         "  static const unsigned char code[] = {0xb8, 42, 0, 0, 0, 0xc3};\n"
         "  void *p = mmap(0, 4096, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);\n"
         "  if (p == MAP_FAILED) return 1;\n"
         "  memcpy(p, code, sizeof code);\n"
         "  if (mprotect(p, 4096, PROT_READ | PROT_EXEC)) return 2;\n"
         "  return ((int (*)(void))p)() == 42 ? 0 : 3;\n"
         "}\n"
         "int main(void) { return run(PROT_READ | PROT_WRITE) + 10 * "
         "run(PROT_READ | PROT_WRITE | PROT_EXEC); }\n"
         "END\n"
         "test $(uname -m) != x86_64 && echo 0 && exit\n"
         "gcc jit.c -o jit && ./jit; echo $?",
         "0\n"},
        {"perl", "perl -e 'print join \",\", map { $_ * 2 } 1..3'", "2,4,6"},
    };

    BOTH(user)
    {
        /* Without a cgroup --memory bounds what sanitizers merely reserve. */
        bool plain = user || geteuid() != 0;

        for (size_t i = 0; i < sizeof jobs / sizeof jobs[0]; i++) {
            char probe[64];
            struct box_run run;

            snprintf(probe, sizeof probe, "command -v %s >/dev/null", jobs[i].program);
            if (system(probe) != 0) {
                fprintf(stderr, "SKIPPED: this host has no %s\n", jobs[i].program);
                continue;
            }
            run = BOX(user, "--workspace", box_dir("work", user), "--timeout", "60s",
                      plain ? "--pids" : "--memory", plain ? "200" : "2G", "--", "bash", "-c",
                      jobs[i].script);
            cr_expect_str_eq(run.out, jobs[i].out, "%s: %s%s", jobs[i].script, run.out, run.err);
            cr_expect_eq(run.exit_code, 0);
            box_run_release(&run);
        }
    }
}

/* Without standard descriptors nothing of the launcher's own lands on their numbers. */
Test(run, closed_standard_descriptors_stay_closed)
{
    char command[700];

    if (!box_can(false))
        return;
    snprintf(command, sizeof command, "%s/pj-sandbox -- sh -c 'cat; exit 7' <&- >&- 2>&-",
             box_home());
    cr_expect_eq(WEXITSTATUS(system(command)), 7);
    snprintf(command, sizeof command, "%s/pj-sandbox --result-fd 77 -- true 2>/dev/null",
             box_home());
    cr_expect_eq(WEXITSTATUS(system(command)), 125);
}

Test(run, plan_does_nothing_and_says_all)
{
    const char *work = box_dir("plan", false);
    struct box_run run = BOX(false, "--plan", "--workspace", work, "--memory", "64M", "--gateway",
                             "/tmp/x.sock:4000", "--", "touch", "/workspace/made");
    char made[400];

    cr_expect_eq(run.exit_code, 0);
    cr_expect(strstr(run.out, "\"memoryBytes\":67108864") && strstr(run.out, "\"port\":4000") &&
              strstr(run.out, "\"kind\":\"workspace\"") &&
              strstr(run.out, "\"command\":[\"touch\",\"/workspace/made\"]"));
    snprintf(made, sizeof made, "%s/made", work);
    cr_expect(access(made, F_OK) < 0);
    box_run_release(&run);
}

Test(run, check_names_every_gate)
{
    static const char *const gates[] = {"user-namespaces", "uid-map", "identity", "namespaces",
                                        "time-namespace",  "mount",   "proc",     "seccomp",
                                        "landlock",        "overlay", "cgroup"};

    for (int user = 0; user < 2; user++) {
        struct box_run run = BOX(user, "--check");

        for (size_t i = 0; i < sizeof gates / sizeof gates[0]; i++)
            cr_expect(strstr(run.out, gates[i]), "%s is missing", gates[i]);
        cr_expect_eq(run.exit_code, box_can(user) ? 0 : 1, "%s", run.out);
        box_run_release(&run);
    }
}

/* A root that is only its own: as good as an ordinary user, unless it is the host's root in
 * disguise. */
Test(run, root_of_a_user_namespace_of_its_own)
{
    char command[700];

    if (geteuid() != 0 || !box_can(true) || system("command -v unshare setpriv >/dev/null") != 0) {
        fprintf(stderr, "SKIPPED: needs root, unshare and setpriv\n");
        return;
    }
    snprintf(command, sizeof command,
             "setpriv --reuid 65534 --regid 65534 --clear-groups unshare -Urmpf --mount-proc "
             "%s/pj-sandbox -- true",
             box_home());
    cr_expect_eq(WEXITSTATUS(system(command)), 0);
    snprintf(command, sizeof command,
             "unshare -Urmpf --mount-proc %s/pj-sandbox -- true 2>/dev/null", box_home());
    cr_expect_eq(WEXITSTATUS(system(command)), 125);
}

/* The way around pivot_root and clone3 leads to the same walls. */
Test(run, behind_a_filter_that_hides_calls)
{
    static const char *const attacks[] = {"read_only_system", "host_files", "capabilities",
                                          "mount_family",     "proc_sys",   "process_one"};
    char bind[400];

    snprintf(bind, sizeof bind, "%s:/opt/hostile", box_hostile());
    BOTH(user)
    {
        setenv("PJ_TEST_BOX_HIDE", "1", 1);
        for (size_t i = 0; i < sizeof attacks / sizeof attacks[0]; i++) {
            struct box_run run =
                BOX(user, "--ro-bind", bind, "--workspace-base", box_dir("hidden", user), "--disk",
                    "8M", "--memory", "128M", "--", "/opt/hostile", attacks[i]);

            cr_expect_eq(run.exit_code, 0, "%s: %s%s", attacks[i], run.out, run.err);
            box_run_release(&run);
        }
        unsetenv("PJ_TEST_BOX_HIDE");
    }
}

/* As a container's filter does that withholds CAP_SYS_CHROOT; for good, in this case's own process. */
static void refuse_chroot(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_chroot, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog prog = {.len = sizeof code / sizeof code[0], .filter = code};

    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    cr_assert_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog), 0);
}

Test(run, where_chroot_is_refused)
{
    char bind[400];

    snprintf(bind, sizeof bind, "%s:/opt/hostile", box_hostile());
    (void)(box_can(false) && box_can(true)); /* asked before the filter */
    refuse_chroot();
    BOTH(user)
    {
        struct box_run run = BOX(
            user, "--ro-bind", bind, "--workspace-base", box_dir("chroot-base", user),
            "--workspace", box_dir("chroot-work", user), "--", "sh", "-c", "echo x > f && cat f");

        cr_expect_eq(run.exit_code, 0, "%s", run.err);
        cr_expect_str_eq(run.out, "x\n");
        box_run_release(&run);
    }
}

Test(run, help_names_every_option)
{
    struct box_run run = BOX(false, "--help");

    cr_expect_eq(run.exit_code, 0);
    cr_expect(strstr(run.out, "--workspace-base DIR") && strstr(run.out, "--result-fd N"));
    box_run_release(&run);
    run = BOX(false, "--version");
    cr_expect_eq(strncmp(run.out, "pj-sandbox ", 11), 0);
    box_run_release(&run);
    run = BOX(false, "--check-config", "--timeout", "nonsense");
    cr_expect_eq(run.exit_code, 78);
    box_run_release(&run);
    run = BOX(false, "--check-config", "--timeout", "5s");
    cr_expect_eq(run.exit_code, 0);
    box_run_release(&run);
}
