#include "tests/sandbox/run_box.h"

#include <criterion/criterion.h>
#include <criterion/hooks.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "lib/base/clock.h"
#include "lib/base/fs.h"
#include "lib/base/mem.h"
#include "tests/sandbox/order_box.h"

#define NOBODY 65534
#define KEPT_MAX (1 << 20)

/* Where the folder is, for the processes in which Criterion runs the cases. */
#define HOME_VARIABLE "PJ_TEST_BOX_HOME"

static char home[256];

static void copy_program(const char *dir_variable, const char *sub, const char *name)
{
    const char *dir = getenv(dir_variable);
    char from[512], to[512];
    struct pj_str bytes;
    struct pj_err err = {0};

    snprintf(from, sizeof from, "%s/%s%s", dir ? dir : ".", sub, name);
    snprintf(to, sizeof to, "%s/%s", home, name);
    pj_str_init(&bytes, 256 << 20);
    if (pj_fs_read(from, &bytes, &err) < 0 ||
        pj_fs_write_atomic(to, bytes.data, bytes.len, 0755, &err) < 0 || chmod(to, 0755) < 0) {
        fprintf(stderr, "cannot copy %s: %s\n", from, err.message);
        abort();
    }
    pj_str_release(&bytes);
}

const char *box_home(void)
{
    const char *given = getenv(HOME_VARIABLE);

    if (!given) {
        fprintf(stderr, "%s is not set\n", HOME_VARIABLE);
        abort();
    }
    snprintf(home, sizeof home, "%s", given);
    return home;
}

/* Made before the first case and removed after the last, in the process that outlives them all. */
ReportHook(PRE_ALL)(struct criterion_test_set *tests)
{
    (void)tests;
    snprintf(home, sizeof home, "/tmp/pj-box-XXXXXX");
    if (!mkdtemp(home) || chmod(home, 01777) < 0 || setenv(HOME_VARIABLE, home, 1) < 0)
        abort();
    copy_program("PJ_TEST_BIN", "", "pj-sandbox");
    copy_program("PJ_TEST_BIN", "../tests/", "pj-sandbox-weak");
    copy_program("PJ_TEST_BIN", "../tests/", "hostile");
}

ReportHook(POST_ALL)(struct criterion_global_stats *stats)
{
    struct pj_err err = {0};

    (void)stats;
    if (pj_fs_remove_tree(home, &err) < 0)
        fprintf(stderr, "cannot remove %s: %s\n", home, err.message);
}

const char *box_hostile(void)
{
    static char path[300];

    snprintf(path, sizeof path, "%s/hostile", box_home());
    return path;
}

const char *box_dir(const char *name, bool user)
{
    static char ring[8][320];
    static unsigned next;
    char *path = ring[next++ % 8];
    struct pj_err err = {0};

    snprintf(path, sizeof ring[0], "%s/%s-%d", box_home(), name, (int)getpid());
    if (pj_fs_remove_tree(path, &err) < 0 || mkdir(path, 0755) < 0)
        abort();
    if (user && geteuid() == 0 && chown(path, NOBODY, NOBODY) < 0)
        abort();
    return path;
}

/* As in an outer container whose filter knows neither pivot_root nor clone3: EPERM and ENOSYS; and as on kernel
 * 6.1, where a process that has left its time namespace cannot vfork. */
static void hide_calls(void)
{
    const uint32_t as_vfork = CLONE_VM | CLONE_VFORK | SIGCHLD;
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_pivot_root, 4, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 4, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 5),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, as_vfork, 2, 3),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog prog = {.len = sizeof code / sizeof code[0], .filter = code};

    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) < 0)
        _exit(97);
}

static void child_exec(bool user, const char *const *args, const char *const *first)
{
    const char *argv[96], *other = getenv("PJ_TEST_BOX_PROGRAM");
    char program[300];
    size_t n = 0;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    snprintf(program, sizeof program, "%s/%s", box_home(), other ? other : "pj-sandbox");
    argv[n++] = program;
    for (; *first && n < 95; first++)
        argv[n++] = *first;
    for (; *args && n < 95; args++)
        argv[n++] = *args;
    argv[n] = NULL;
    if (user && geteuid() == 0 &&
        (setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 ||
         setresuid(NOBODY, NOBODY, NOBODY) < 0))
        _exit(99);
    if (getenv("PJ_TEST_BOX_HIDE"))
        hide_calls();
    execv(program, (char *const *)(uintptr_t)argv);
    _exit(98);
}

static void take_fds(const int *at)
{
    /* Park above, then place: source numbers may be among the targets. */
    int parked[4];

    for (int i = 0; i < 4; i++)
        parked[i] = at[i] < 0 ? -1 : fcntl(at[i], F_DUPFD_CLOEXEC, 50);
    for (int i = 0; i < 4; i++) {
        if (parked[i] >= 0)
            dup2(parked[i], i);
    }
}

static bool is_one_of(const char *word, const char *const *list)
{
    for (; *list; list++) {
        if (strcmp(word, *list) == 0)
            return true;
    }
    return false;
}

/* PJ_TEST_BOX_STANDBY: every box is built ahead of need, and ordered. */
static bool stands_by(const char *const *args)
{
    static const char *const at_once[] = {"--check", "--check-config", "--help",
                                          "--plan",  "--version",      NULL};

    return getenv("PJ_TEST_BOX_STANDBY") && !is_one_of(args[0], at_once);
}

#define STAND_MS 60000

/* What makes the system or the limits is said at the start too; `at` are the descriptors 0 to 3, -1 for none. */
static pid_t start_standing(bool user, const char *const *args, const int *at)
{
    static const char *const ahead[] = {"--cpu",    "--memory",   "--pids",
                                        "--rootfs", "--tmp-size", NULL};
    const char *early[24], *late[96], letters[] = "ioert";
    char said[6] = "";
    int pair[2], fds[5], tree = -1;
    size_t n = 0, k = 0, count = 0;
    bool options = true;
    pid_t pid;

    for (size_t i = 0; args[i] && k < 95; i++) {
        bool option;

        options = options && strcmp(args[i], "--") != 0;
        option = options && n < 22 && args[i + 1];
        if (option && strcmp(args[i], "--tree-fd") == 0) {
            tree = (int)strtol(args[++i], NULL, 10);
            continue;
        }
        if (option && is_one_of(args[i], ahead)) {
            early[n++] = args[i];
            early[n++] = args[i + 1];
        }
        late[k++] = args[i];
    }
    early[n] = late[k] = NULL;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        abort();
    pid = fork();
    if (pid == 0) {
        const int there[4] = {at[0], at[0], at[2], pair[1]};

        take_fds(there);
        child_exec(user, early, (const char *const[]){"--standby", "3", NULL});
    }
    close(pair[1]);
    for (int i = 0; i < 5; i++) {
        int fd = i < 4 ? at[i] : tree;

        if (fd >= 0) {
            said[count] = letters[i];
            fds[count++] = fd;
        }
    }
    /* One that cannot stand ends by itself, and says why: as one that cannot start. */
    if (order_await_ready(pair[0], STAND_MS))
        order_send(pair[0], said, fds, late);
    close(pair[0]);
    return pid;
}

static pid_t start(bool user, const char *const *args, const int *at)
{
    static const char *const result[] = {"--result-fd", "3", NULL}, *const none[] = {NULL};
    pid_t pid;

    if (stands_by(args))
        return start_standing(user, args, at);
    pid = fork();
    if (pid == 0) {
        take_fds(at);
        child_exec(user, args, at[3] >= 0 ? result : none);
    }
    return pid;
}

struct box_run box_run(bool user, const char *const *args)
{
    struct box_run run = {0};
    struct pj_str kept[3];
    int pipes[3][2], null_fd = open("/dev/null", O_RDWR | O_CLOEXEC), status;
    struct pollfd fds[3];
    int64_t began;
    pid_t pid;

    box_home();
    for (int i = 0; i < 3; i++) {
        if (pipe2(pipes[i], O_CLOEXEC) < 0)
            abort();
        pj_str_init(&kept[i], KEPT_MAX);
        fds[i] = (struct pollfd){.fd = pipes[i][0], .events = POLLIN};
    }
    began = pj_mono_ms();
    pid = start(user, args, (const int[]){null_fd, pipes[0][1], pipes[1][1], pipes[2][1]});
    for (int i = 0; i < 3; i++)
        close(pipes[i][1]);
    for (int open_count = 3; open_count > 0;) {
        poll(fds, 3, -1);
        for (int i = 0; i < 3; i++) {
            char buf[65536];
            ssize_t n;

            if (fds[i].fd < 0 || !fds[i].revents)
                continue;
            n = read(fds[i].fd, buf, sizeof buf);
            if (n <= 0) {
                close(fds[i].fd);
                fds[i].fd = -1;
                open_count--;
            } else {
                pj_str_append(&kept[i], buf, (size_t)n);
            }
        }
    }
    waitpid(pid, &status, 0);
    run.pid = pid;
    run.ms = pj_mono_ms() - began;
    run.exit_code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    run.out_len = kept[0].len;
    run.out = pj_str_take(&kept[0]);
    run.err = pj_str_take(&kept[1]);
    run.result = pj_str_take(&kept[2]);
    close(null_fd);
    return run;
}

void box_run_release(struct box_run *run)
{
    free(run->out);
    free(run->err);
    free(run->result);
    *run = (struct box_run){0};
}

pid_t box_start(bool user, const char *const *args, int *out)
{
    int fds[2], null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    pid_t pid;

    box_home();
    if (pipe2(fds, O_CLOEXEC) < 0)
        abort();
    pid = start(user, args, (const int[]){null_fd, fds[1], null_fd, -1});
    close(null_fd);
    close(fds[1]);
    *out = fds[0];
    return pid;
}

bool box_result_has(const struct box_run *run, const char *member)
{
    return run->result && strstr(run->result, member) != NULL;
}

int64_t box_result_int(const struct box_run *run, const char *name)
{
    char key[64];
    const char *at;

    snprintf(key, sizeof key, "\"%s\":", name);
    at = run->result ? strstr(run->result, key) : NULL;
    return at ? strtoll(at + strlen(key), NULL, 10) : -1;
}

bool box_can(bool user)
{
    static int known[2]; /* 0: not asked, 1: yes, 2: no */

    if (!known[user]) {
        /* The host's gates decide, not whether a box comes up: one that does not where all are
         * open is a failure. */
        struct box_run run = BOX(user, "--check");

        known[user] = run.exit_code == 0 ? 1 : 2;
        if (run.exit_code != 0)
            fprintf(stderr, "SKIPPED as %s: %s%s\n", user ? "an ordinary user" : "this user",
                    run.out, run.err);
        box_run_release(&run);
    }
    return known[user] == 1;
}

size_t box_descendants(pid_t pid, pid_t *out, size_t max)
{
    char path[64], line[4096];
    size_t n = 0;
    FILE *f;

    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)pid, (int)pid);
    f = fopen(path, "re");
    if (f && fgets(line, sizeof line, f)) {
        for (char *at = line, *end; n < max; at = end) {
            long child = strtol(at, &end, 10);

            if (end == at)
                break;
            out[n++] = (pid_t)child;
        }
    }
    if (f)
        fclose(f);
    for (size_t i = 0, level = n; i < level && n < max; i++)
        n += box_descendants(out[i], out + n, max - n);
    return n;
}
