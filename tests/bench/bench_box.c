/* bench_box - what a box costs, alternating with what others take for theirs on the same machine in
 * the same minute.
 *
 * Single figures drift with the machine's mood; ratios of one interleaved run hold. A box "from the command line" is timed from the
 * start of pj-sandbox until it was reaped. A box "ordered" stood by, freshly made each time, and is timed from the order until it was
 * reaped; what its making takes has a row of its own, and in the boxes a second all of it counts. Prints a
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
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "lib/base/fs.h"
#include "sandbox/seccomp.h"
#include "tests/bench/bench_crun.h"
#include "tests/bench/bench_order.h"
#include "tests/sandbox/order_box.h"

#define ROUNDS_MAX 2000
#define ARGS_MAX 48

extern char **environ;

static char program[400], hostile[400], home[64];

/* Who starts: this process, one with a heap of 512 MiB, one that crun can run under. */
enum starter { HERE, FAT, CRUN, STARTERS };

struct contender {
    const char *name, *bar;
    const char *args[ARGS_MAX];
    enum starter starter;
    const char *early[8]; /* not empty: it stands by, with these options; `args` are the order */
    double us[ROUNDS_MAX];
    double making_us[ROUNDS_MAX];
    bool absent;
};

enum {
    PLAIN,
    BWRAP,
    EVERYTHING,
    ON_DISK,
    NO_OVERLAY,
    NO_LIMITS,
    FROM_FAT,
    BIG_BASE,
    ORDERED,
    ORDERED_ON_DISK,
    ORDERED_NO_OVERLAY,
    ORDERED_NO_LIMITS,
    WITH_CRUN,
    CONTENDERS
};
static struct contender all[CONTENDERS];

/* Start to reaped, without fork: posix_spawn does not copy our page tables. */
static int run_once(const char *const *args, double *us)
{
    posix_spawn_file_actions_t files;
    double began = bench_now_us();
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
        *us = bench_now_us() - began;
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
    if (!bar)
        bar = "";
    printf("%-46s %9.2f %9.2f %-3s %8.2f   %s\n", name, median, p95, unit, ratio, bar);
    if (json)
        fprintf(json,
                "{\"bench\":\"box\",\"name\":\"%s\",\"unit\":\"%s\",\"median\":%.3f,\"p95\":%.3f,"
                "\"ratio\":%.3f,\"bar\":\"%s\"}\n",
                name, unit, median, p95, ratio, bar);
}

/* A process that runs contenders for us, one at a time: their number in, their microseconds out. */
static int starters[STARTERS] = {-1, -1, -1};

static void serve(int fd, enum starter who)
{
    static char heap[512UL << 20];
    unsigned char which;

    if (who == FAT)
        memset(heap, 1, sizeof heap);
    if (who == CRUN && crun_view() < 0)
        _exit(1);
    while (read(fd, &which, 1) == 1) {
        double us = -1, took;

        if (run_once(all[which].args, &took) == 0)
            us = took;
        if (write(fd, &us, sizeof us) < 0)
            break;
    }
    _exit(0);
}

static void begin_starters(void)
{
    for (int i = FAT; i < STARTERS; i++) {
        int pair[2];

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
            continue;
        if (fork() == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            close(pair[0]);
            serve(pair[1], (enum starter)i);
        }
        close(pair[1]);
        starters[i] = pair[0];
    }
}

/* Microseconds, or -1; *making_us of one that stood by. */
static double start(const struct contender *who, double *making_us)
{
    unsigned char which = (unsigned char)(who - all);
    int fd = starters[who->starter];
    double us = -1, took;

    if (who->early[0]) {
        if (order_once(program, who->early, who->args, making_us, &took) == 0)
            us = took;
    } else if (who->starter == HERE) {
        if (run_once(who->args, &took) == 0)
            us = took;
    } else if (write(fd, &which, 1) != 1 || read(fd, &us, sizeof us) != (ssize_t)sizeof us) {
        us = -1;
    }
    return us;
}

static double median_of(size_t i, int rounds)
{
    return all[i].absent ? 0 : at(all[i].us, rounds, 0.5);
}

static void tell_ratio(FILE *json, const char *name, double a, double b, const char *bar)
{
    if (a > 0 && b > 0)
        report(json, name, "x", a / b, 0, 0, bar);
}

static void race(size_t count, int rounds, FILE *json)
{
    double making;

    for (size_t c = 0; c < count; c++)
        all[c].absent = start(&all[c], &making) < 0;
    for (int i = 0; i < rounds; i++) {
        for (size_t c = 0; c < count; c++) {
            struct contender *who = &all[(c + (size_t)i) % count];

            if (!who->absent)
                who->us[i] = start(who, &who->making_us[i]);
        }
    }
    for (size_t c = 0; c < count; c++) {
        qsort(all[c].us, (size_t)rounds, sizeof(double), by_value);
        qsort(all[c].making_us, (size_t)rounds, sizeof(double), by_value);
    }
    for (size_t c = 0; c < count; c++) {
        double base = median_of(BWRAP, rounds), median = median_of(c, rounds);

        if (all[c].absent)
            printf("%-46s not here\n", all[c].name);
        else
            report(json, all[c].name, "ms", median / 1e3, at(all[c].us, rounds, 0.95) / 1e3,
                   base > 0 ? median / base : 0, all[c].bar);
    }
    if (!all[ORDERED].absent)
        report(json, "the making of what is ordered, start to ready", "ms",
               at(all[ORDERED].making_us, rounds, 0.5) / 1e3,
               at(all[ORDERED].making_us, rounds, 0.95) / 1e3,
               median_of(BWRAP, rounds) > 0
                   ? at(all[ORDERED].making_us, rounds, 0.5) / median_of(BWRAP, rounds)
                   : 0,
               NULL);
    tell_ratio(json, "everything on, command line / fork+exec", median_of(EVERYTHING, rounds),
               median_of(PLAIN, rounds), "<= 5");
    tell_ratio(json, "everything on, ordered / fork+exec", median_of(ORDERED, rounds),
               median_of(PLAIN, rounds), "<= 5");
    tell_ratio(json, "everything on, command line / crun", median_of(EVERYTHING, rounds),
               median_of(WITH_CRUN, rounds), "<= 0.10");
    tell_ratio(json, "everything on, ordered / crun", median_of(ORDERED, rounds),
               median_of(WITH_CRUN, rounds), "<= 0.10");
    tell_ratio(json, "from a 512 MiB heap / from a small parent", median_of(FROM_FAT, rounds),
               median_of(EVERYTHING, rounds), "1, within 10 %");
    tell_ratio(json, "base of 50,000 files / of none", median_of(BIG_BASE, rounds),
               median_of(EVERYTHING, rounds), "1, within 10 %");
}

/* One after the other; where they stand by, the next is made while the present one runs, and nothing is left out. */
static void rate(FILE *json)
{
    enum { N = 200 };
    const struct contender *who = &all[ORDERED];
    struct standing now, next;
    double began = bench_now_us(), took;
    bool good = true;

    for (int i = 0; i < N && good; i++)
        good = run_once(all[EVERYTHING].args, NULL) == 0;
    if (good)
        report(json, "boxes a second, one at a time, command line", "/s",
               N * 1e6 / (bench_now_us() - began), 0, 0, NULL);
    began = bench_now_us();
    good = stand(program, who->early, &now) == 0;
    for (int i = 0; i < N && good; i++) {
        bool more = i + 1 < N;

        good = order_await_ready(now.socket, STAND_MS);
        good = (!more || stand(program, who->early, &next) == 0) && good;
        good = order_standing(&now, who->args, &took) == 0 && good;
        if (more)
            now = next;
    }
    if (good)
        report(json, "boxes a second, one ahead, filling counted", "/s",
               N * 1e6 / (bench_now_us() - began), 0, 0, NULL);
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
            began = bench_now_us();
            if (seccomp_apply(&err) < 0)
                _exit(1);
            took = bench_now_us() - began;
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

static void fill(const char *base)
{
    char path[300];

    for (int i = 0; i < 50000; i++) {
        int fd;

        if (i % 1000 == 0) {
            snprintf(path, sizeof path, "%s/d%d", base, i / 1000);
            if (mkdir(path, 0755) < 0)
                return;
        }
        snprintf(path, sizeof path, "%s/d%d/f%d", base, i / 1000, i);
        fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
        if (fd < 0)
            return;
        close(fd);
    }
}

static char base[100], big_base[100], upper[100], bundle[100], true_bind[500];

#define BOX program, "--ro-bind", true_bind
#define ORDER "--ro-bind", true_bind
#define LIMITS "--memory", "256M", "--pids", "64"
#define TRUE "--", "/opt/true", "nothing"
#define OF_BWRAP "of bubblewrap: <= 0.60, aim 0.35"

/* All run the same static program that does nothing. */
static struct contender all[CONTENDERS] = {
    [PLAIN] = {.name = "fork+exec of a static true", .args = {hostile, "nothing"}},
    [BWRAP] = {.name = "bubblewrap --unshare-all",
               .args = {"bwrap", "--unshare-all", "--ro-bind", "/", "/", "--proc", "/proc", "--dev",
                        "/dev", "--tmpfs", "/run", hostile, "nothing"}},
    [EVERYTHING] = {.name = "command line, everything on",
                    .bar = OF_BWRAP,
                    .args = {BOX, LIMITS, "--workspace-base", base, "--disk", "64M", TRUE}},
    [ON_DISK] = {.name = "command line, the layer in a directory",
                 .bar = OF_BWRAP,
                 .args = {BOX, LIMITS, "--workspace-base", base, "--workspace", upper, TRUE}},
    [NO_OVERLAY] = {.name = "command line, a plain work tree",
                    .bar = OF_BWRAP,
                    .args = {BOX, LIMITS, "--workspace", upper, TRUE}},
    [NO_LIMITS] = {.name = "command line, no work tree, no limits",
                   .bar = OF_BWRAP,
                   .args = {BOX, TRUE}},
    [FROM_FAT] = {.name = "everything on, from a 512 MiB heap",
                  .starter = FAT,
                  .args = {BOX, LIMITS, "--workspace-base", base, "--disk", "64M", TRUE}},
    [BIG_BASE] = {.name = "everything on, a base of 50,000 files",
                  .args = {BOX, LIMITS, "--workspace-base", big_base, "--disk", "64M", TRUE}},
    [ORDERED] = {.name = "ordered, everything on",
                 .bar = OF_BWRAP,
                 .early = {LIMITS},
                 .args = {ORDER, "--workspace-base", base, "--disk", "64M", TRUE}},
    [ORDERED_ON_DISK] = {.name = "ordered, the layer in a directory",
                         .bar = OF_BWRAP,
                         .early = {LIMITS},
                         .args = {ORDER, "--workspace-base", base, "--workspace", upper, TRUE}},
    [ORDERED_NO_OVERLAY] = {.name = "ordered, a plain work tree",
                            .bar = OF_BWRAP,
                            .early = {LIMITS},
                            .args = {ORDER, "--workspace", upper, TRUE}},
    [ORDERED_NO_LIMITS] = {.name = "ordered, no work tree, no limits",
                           .bar = OF_BWRAP,
                           .early = {"--tmp-size", "512M"},
                           .args = {ORDER, TRUE}},
    [WITH_CRUN] = {.name = "crun with the profile of containers-common",
                   .starter = CRUN,
                   .args = {"crun", "--cgroup-manager=disabled", "run", "--bundle", bundle,
                            "pj-bench"}},
};

int main(int argc, char **argv)
{
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
    snprintf(big_base, sizeof big_base, "%s/big", home);
    snprintf(upper, sizeof upper, "%s/upper", home);
    snprintf(bundle, sizeof bundle, "%s/bundle", home);
    snprintf(true_bind, sizeof true_bind, "%s:/opt/true", hostile);
    if (mkdir(base, 0755) < 0 || mkdir(big_base, 0755) < 0 || mkdir(upper, 0755) < 0)
        return 1;
    fill(big_base);
    (void)crun_bundle(bundle, hostile); /* without it crun is "not here" */
    begin_starters();
    printf("%-46s %9s %9s %-3s %8s\n", "start to exit", "median", "p95", "", "/bwrap");
    race(CONTENDERS, rounds, json);
    rate(json);
    filter_load(json);
    fork_bomb(json);
    resident(json);
    if (json)
        fclose(json);
    return pj_fs_remove_tree(home, &err) < 0;
}
