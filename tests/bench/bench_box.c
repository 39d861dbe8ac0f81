/* bench_box - what a box costs, alternating with what others take for theirs on the same machine in
 * the same minute.
 *
 * Single figures drift with the machine's mood; ratios of one interleaved run hold. Prints a
 * table, and with --json FILE appends one JSON object a row. --rounds N (default 200). */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "lib/base/fs.h"
#include "sandbox/seccomp.h"

#define ROUNDS_MAX 2000
#define ARGS_MAX 48

extern char **environ;

static char program[400], hostile[400], home[64];

static double now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

struct contender {
    const char *name;
    const char *args[ARGS_MAX];
    double us[ROUNDS_MAX];
    bool absent;
};

/* Start to reaped, without fork: posix_spawn does not copy our page tables. */
static int run_once(const char *const *args, double *us)
{
    posix_spawn_file_actions_t files;
    double began = now_us();
    int status = -1;
    pid_t pid;

    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 1, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    if (posix_spawnp(&pid, args[0], &files, NULL, (char *const *)(uintptr_t)args, environ) != 0)
        status = -1;
    else
        waitpid(pid, &status, 0);
    posix_spawn_file_actions_destroy(&files);
    if (us)
        *us = now_us() - began;
    return status;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double at(double *sorted, int n, double q)
{
    int i = (int)(q * (n - 1) + 0.5);

    return sorted[i];
}

static void report(FILE *json, const char *name, const char *unit, double median, double p95,
                   double ratio, const char *bar)
{
    printf("%-46s %9.2f %9.2f %-3s %8.2f   %s\n", name, median, p95, unit, ratio, bar);
    if (json)
        fprintf(json,
                "{\"bench\":\"box\",\"name\":\"%s\",\"unit\":\"%s\",\"median\":%.3f,\"p95\":%.3f,"
                "\"ratio\":%.3f,\"bar\":\"%s\"}\n",
                name, unit, median, p95, ratio, bar);
}

static void race(struct contender *all, size_t count, int rounds, FILE *json)
{
    for (size_t c = 0; c < count; c++)
        all[c].absent = run_once(all[c].args, NULL) != 0;
    for (int i = 0; i < rounds; i++) {
        for (size_t c = 0; c < count; c++) {
            struct contender *who = &all[(c + (size_t)i) % count];

            if (!who->absent)
                run_once(who->args, &who->us[i]);
        }
    }
    for (size_t c = 0; c < count; c++)
        qsort(all[c].us, (size_t)rounds, sizeof(double), by_value);
    for (size_t c = 0; c < count; c++) {
        double base = at(all[1].us, rounds, 0.5);

        if (all[c].absent)
            printf("%-46s not here\n", all[c].name);
        else
            report(json, all[c].name, "ms", at(all[c].us, rounds, 0.5) / 1e3,
                   at(all[c].us, rounds, 0.95) / 1e3,
                   all[1].absent ? 0 : at(all[c].us, rounds, 0.5) / base,
                   c < 2 ? "" : "of bubblewrap: <= 0.60, aim 0.35");
    }
    if (!all[0].absent && !all[2].absent)
        report(json, "everything on / fork+exec", "x",
               at(all[2].us, rounds, 0.5) / at(all[0].us, rounds, 0.5), 0, 0, "<= 5");
}

static void filter_load(FILE *json)
{
    enum { N = 40 };
    double us[N];
    int n = 0;

    for (int i = 0; i < N; i++) {
        int fds[2];
        double took = 0;
        pid_t pid;

        if (pipe2(fds, O_CLOEXEC) < 0 || (pid = fork()) < 0)
            return;
        if (pid == 0) {
            struct pj_err err = {0};
            double began;

            prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
            began = now_us();
            if (seccomp_apply(&err) < 0)
                _exit(1);
            took = now_us() - began;
            _exit(write(fds[1], &took, sizeof took) < 0);
        }
        close(fds[1]);
        if (read(fds[0], &took, sizeof took) == (ssize_t)sizeof took)
            us[n++] = took;
        close(fds[0]);
        waitpid(pid, NULL, 0);
    }
    qsort(us, (size_t)n, sizeof(double), by_value);
    if (n)
        report(json, "filter load", "us", at(us, n, 0.5), at(us, n, 0.95), 0, "<= 100 us");
}

/* From the deadline to all gone, for a bomb that runs at its limit of 500 processes. */
static void fork_bomb(FILE *json)
{
    enum { N = 20 };
    char bind[500];
    double ms[N];

    snprintf(bind, sizeof bind, "%s:/opt/hostile", hostile);
    for (int i = 0; i < N; i++) {
        const char *args[] = {program, "--ro-bind", bind,           "--pids",    "500", "--timeout",
                              "700ms", "--",        "/opt/hostile", "fork_bomb", NULL};
        double us;

        run_once(args, &us);
        ms[i] = us / 1e3 - 700;
    }
    qsort(ms, N, sizeof(double), by_value);
    report(json, "500-process fork bomb, deadline to gone", "ms", at(ms, N, 0.5), ms[N - 1], 0,
           "median <= 100, worst <= 600");
}

static long status_kib(pid_t pid, const char *key)
{
    char path[64], line[256];
    long kib = -1;
    FILE *f;

    snprintf(path, sizeof path, "/proc/%d/smaps_rollup", (int)pid);
    f = fopen(path, "re");
    while (f && fgets(line, sizeof line, f)) {
        if (strncmp(line, key, strlen(key)) == 0)
            kib = strtol(line + strlen(key), NULL, 10);
    }
    if (f)
        fclose(f);
    return kib;
}

static void resident(FILE *json)
{
    int fds[2];
    char byte, children[64], path[64];
    long outer, inner = 0, first = 0;
    FILE *f;
    pid_t pid;

    if (pipe2(fds, O_CLOEXEC) < 0 || (pid = fork()) < 0)
        return;
    if (pid == 0) {
        dup2(fds[1], 1);
        execl(program, program, "--", "sh", "-c", "echo r; exec sleep 100", (char *)NULL);
        _exit(1);
    }
    close(fds[1]);
    (void)!read(fds[0], &byte, 1);
    outer = status_kib(pid, "Pss:");
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)pid, (int)pid);
    f = fopen(path, "re");
    if (f && fgets(children, sizeof children, f))
        first = strtol(children, NULL, 10);
    if (f)
        fclose(f);
    if (first > 0)
        inner = status_kib((pid_t)first, "Pss:");
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    close(fds[0]);
    report(json, "resident outside the job (proportional)", "KiB", (double)(outer + inner), 0, 0,
           "<= 1024");
}

static void big_heap(int rounds, FILE *json, const char *const *args)
{
    double *us = calloc((size_t)rounds, sizeof *us);
    size_t size = 512UL << 20;
    char *heap = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (us && heap != MAP_FAILED) {
        memset(heap, 1, size);
        for (int i = 0; i < rounds; i++)
            run_once(args, &us[i]);
        qsort(us, (size_t)rounds, sizeof(double), by_value);
        report(json, "everything on, started from a 512 MiB heap", "ms", at(us, rounds, 0.5) / 1e3,
               at(us, rounds, 0.95) / 1e3, 0, "as without");
        munmap(heap, size);
    }
    free(us);
}

/* A base of 50,000 files costs what one of 50 does: nothing walks it. */
static void big_tree(int rounds, FILE *json, const char *const *args, const char *base)
{
    double *us = calloc((size_t)rounds, sizeof *us);
    char path[300];

    for (int i = 0; i < 50000 && us; i++) {
        int fd;

        if (i % 1000 == 0) {
            snprintf(path, sizeof path, "%s/d%d", base, i / 1000);
            if (mkdir(path, 0755) < 0)
                break;
        }
        snprintf(path, sizeof path, "%s/d%d/f%d", base, i / 1000, i);
        fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
        if (fd < 0)
            break;
        close(fd);
    }
    for (int i = 0; i < rounds && us; i++)
        run_once(args, &us[i]);
    if (us) {
        qsort(us, (size_t)rounds, sizeof(double), by_value);
        report(json, "everything on, base of 50,000 files", "ms", at(us, rounds, 0.5) / 1e3,
               at(us, rounds, 0.95) / 1e3, 0, "as without");
    }
    free(us);
}

int main(int argc, char **argv)
{
    static char base[100], upper[100], true_bind[500];
    static struct contender all[] = {
        {.name = "fork+exec of true",           .args = {"true"}                          },
        {.name = "bubblewrap --unshare-all",
         .args = {"bwrap", "--unshare-all", "--ro-bind", "/", "/", "--proc", "/proc", "--dev",
                  "/dev", "--tmpfs", "/tmp", "true"}                                      },
        {.name = "pj-sandbox, everything on",
         .args = {program, "--workspace-base", base, "--workspace", upper, "--memory", "256M",
                  "--pids", "64", "--ro-bind", true_bind, "--", "/opt/hostile", "nothing"}},
        {.name = "pj-sandbox, plain work tree",
         .args = {program, "--workspace", upper, "--", "true"}                            },
        {.name = "pj-sandbox, no work tree",    .args = {program, "--", "true"}           },
    };
    const char *bin = getenv("PJ_TEST_BIN");
    FILE *json = NULL;
    int rounds = 200;
    struct pj_err err = {0};

    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--json") == 0)
            json = fopen(argv[i + 1], "ae");
        else if (strcmp(argv[i], "--rounds") == 0)
            rounds = (int)strtol(argv[i + 1], NULL, 10);
    }
    if (rounds < 10 || rounds > ROUNDS_MAX)
        rounds = 200;
    snprintf(program, sizeof program, "%s/pj-sandbox", bin ? bin : ".");
    snprintf(hostile, sizeof hostile, "%s/../tests/hostile", bin ? bin : ".");
    snprintf(home, sizeof home, "/tmp/pj-bench-XXXXXX");
    if (!mkdtemp(home))
        return 1;
    snprintf(base, sizeof base, "%s/base", home);
    snprintf(upper, sizeof upper, "%s/upper", home);
    snprintf(true_bind, sizeof true_bind, "%s:/opt/hostile", hostile);
    if (mkdir(base, 0755) < 0 || mkdir(upper, 0755) < 0)
        return 1;
    printf("%-46s %9s %9s %-3s %8s\n", "start to exit", "median", "p95", "", "/bwrap");
    race(all, sizeof all / sizeof all[0], rounds, json);
    big_heap(rounds / 2, json, all[2].args);
    big_tree(rounds / 2, json, all[2].args, base);
    filter_load(json);
    fork_bomb(json);
    resident(json);
    if (json)
        fclose(json);
    return pj_fs_remove_tree(home, &err) < 0;
}
