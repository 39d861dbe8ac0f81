/* bench_api - pj-api beside fastify (npm), nginx and nchan (Debian), measured in one run by the same load on the same core: answers over
 * keep-alive, event streams, memory, viewers that stop reading. What a host does not have is shown as "-".
 *
 * Prints a table; --json FILE appends an object a row; --only PART runs one of requests, lines, most, memory, stalled. The last column
 * says whether a bar holds: ratios count, absolute figures are this machine's. Fails when a bar is missed. */
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "tests/bench/api_load.h"
#include "tests/bench/api_servers.h"

#define VIEWERS 1000
#define ROUNDS 3
#define REQUEST_ROUNDS 9
#define REQUEST_MS 600
#define SERVERS 3
#define LATE_MS 250.0

static FILE *json;
static int missed;

enum bar { NO_BAR, AT_MOST, AT_LEAST };

static void row(const char *name, double value, const char *unit, enum bar bar, double must)
{
    bool holds = bar == NO_BAR || (bar == AT_MOST ? value <= must : value >= must);
    char words[64] = "";

    if (bar != NO_BAR)
        snprintf(words, sizeof words, "%s %g: %s", bar == AT_MOST ? "at most" : "at least", must,
                 holds ? "holds" : "MISSED");
    missed += !holds;
    printf("%-58s %12.2f %-12s %s\n", name, value, unit, words);
    fflush(stdout);
    if (json == NULL)
        return;
    fprintf(json, "{\"bench\":\"api\",\"row\":\"%s\",\"value\":%.3f,\"unit\":\"%s\"", name, value,
            unit);
    if (bar != NO_BAR)
        fprintf(json, ",\"%s\":%g,\"holds\":%s", bar == AT_MOST ? "atMost" : "atLeast", must,
                holds ? "true" : "false");
    fprintf(json, "}\n");
}

static void absent(const char *name)
{
    printf("%-58s %12s\n", name, "-");
}

static double median(double *v, size_t n)
{
    for (size_t i = 1; i < n; i++)
        for (size_t k = i; k > 0 && v[k] < v[k - 1]; k--) {
            double t = v[k];
            v[k] = v[k - 1];
            v[k - 1] = t;
        }
    return v[n / 2];
}

static void servers_of(struct bench *b, struct server *out[SERVERS])
{
    out[0] = &b->ours;
    out[1] = &b->fastify;
    out[2] = &b->nginx;
}

/* ---- answers ---- */

/* The best of many short rounds, taken in turn: other load of the machine can only lower a rate. */
static void measure_requests(struct bench *b)
{
    struct server *server[SERVERS];
    struct load_rate best[SERVERS] = {0};
    char name[80];

    servers_of(b, server);
    for (size_t round = 0; round < REQUEST_ROUNDS; round++)
        for (size_t i = 0; i < SERVERS; i++) {
            struct load_rate r = {0};
            if (server[i]->pid == 0)
                continue;
            load_requests(server[i]->port, server[i]->pid, server[i]->small, REQUEST_MS, &r);
            if (r.per_second > best[i].per_second)
                best[i] = r;
        }
    for (size_t i = 0; i < SERVERS; i++) {
        snprintf(name, sizeof name, "%s, %zu bytes of JSON, 64 connections", server[i]->name,
                 best[i].body_bytes);
        if (server[i]->pid == 0) {
            absent(server[i]->name);
            continue;
        }
        row(name, best[i].per_second, "requests/s", NO_BAR, 0);
        snprintf(name, sizeof name, "%s, CPU of an answer", server[i]->name);
        row(name, best[i].cpu_us, "us", NO_BAR, 0);
    }
    if (b->fastify.pid != 0)
        row("requests/s, times fastify's", best[0].per_second / best[1].per_second, "x", AT_LEAST,
            1.8);
    if (b->nginx.pid != 0)
        row("requests/s, times nginx's static answer", best[0].per_second / best[2].per_second, "x",
            AT_LEAST, 0.85);
}

/* ---- streams ---- */

struct lines {
    double cpu_us, p50, p99; /* of a delivery; ms */
    bool complete;           /* every viewer saw every line */
};

/* `rate` lines a second for so long, then until all are there. */
static void publish_lines(struct bench *b, struct server *server, struct viewers *v,
                          int64_t viewers, int64_t rate, int64_t ms, struct lines *out)
{
    int64_t total = rate * ms / 1000, sent = 0;
    bool open = true;

    viewers_begin(v);
    int64_t began = pj_mono_us(), cpu = load_cpu_ns(server->pid);
    while (sent < total && open) {
        int64_t due = (pj_mono_us() - began) * rate / 1000000 + 1 - sent;
        due = due > total - sent ? total - sent : due;
        if (due > 0) {
            size_t n = due > BENCH_BATCH ? BENCH_BATCH : (size_t)due;
            bench_publish(b, server, n);
            sent += (int64_t)n;
            open = viewers_read(v, 0);
        } else {
            open = viewers_read(v, 1);
        }
    }
    for (int64_t until = pj_mono_ms() + 5000;
         open && !viewers_have(v, sent) && pj_mono_ms() < until;)
        open = viewers_read(v, 20);
    out->complete = open && viewers_have(v, sent);
    out->cpu_us = (double)(load_cpu_ns(server->pid) - cpu) / 1000.0 / (double)(sent * viewers);
    out->p50 = viewers_percentile(v, 50);
    out->p99 = viewers_percentile(v, 99);
}

static struct viewers *watch(struct bench *b, struct server *server, size_t count)
{
    if (server->kind == SERVER_OURS) { /* of an older one they would see the whole log */
        bench_make_task(b, &server->task);
        bench_stream_request(&server->task, server->stream, sizeof server->stream);
    }
    struct viewers *v = viewers_open(server->port, server->stream, count, false);
    bench_publish(b, server, 1);
    for (int64_t until = pj_mono_ms() + 20000; !viewers_have(v, 1) && pj_mono_ms() < until;)
        if (!viewers_read(v, 100))
            load_die("a stream was closed", NULL);
    if (!viewers_have(v, 1))
        load_die("not all viewers saw the first line", NULL);
    return v;
}

static void measure_lines(struct bench *b)
{
    struct server *server[SERVERS];
    double cpu[SERVERS][ROUNDS] = {0}, p99[SERVERS][ROUNDS] = {0};
    char name[80];

    servers_of(b, server);
    for (size_t round = 0; round < ROUNDS; round++)
        for (size_t i = 0; i < SERVERS; i++) {
            struct lines l;
            if (server[i]->pid == 0)
                continue;
            struct viewers *v = watch(b, server[i], VIEWERS);
            publish_lines(b, server[i], v, VIEWERS, 100, 2000, &l);
            viewers_close(v);
            if (!l.complete)
                load_die(server[i]->name, &(struct pj_err){.message = "lost lines"});
            cpu[i][round] = l.cpu_us;
            p99[i][round] = l.p99;
        }
    for (size_t i = 0; i < SERVERS; i++) {
        snprintf(name, sizeof name, "%s, 1000 viewers x 100 lines/s, CPU",
                 i == 2 ? "nchan" : server[i]->name);
        if (server[i]->pid == 0) {
            absent(name);
            continue;
        }
        row(name, median(cpu[i], ROUNDS), "us/delivery", NO_BAR, 0);
        snprintf(name, sizeof name, "%s, 1000 viewers x 100 lines/s, p99",
                 i == 2 ? "nchan" : server[i]->name);
        row(name, median(p99[i], ROUNDS), "ms", NO_BAR, 0);
    }
    for (size_t i = 1; i < SERVERS; i++)
        if (server[i]->pid != 0) {
            snprintf(name, sizeof name, "CPU of a delivery, times %s's",
                     i == 2 ? "nchan" : "fastify");
            row(name, cpu[0][ROUNDS / 2] / cpu[i][ROUNDS / 2], "x", AT_MOST, 0.45);
        }
}

/* The highest of the rates at which everything arrives and p99 is below LATE_MS, in deliveries a second. */
static double most(struct bench *b, struct server *server, const int64_t *rates, double *p99)
{
    double best = 0;

    for (; *rates > 0; rates++) {
        struct lines l;
        struct viewers *v = watch(b, server, VIEWERS);
        publish_lines(b, server, v, VIEWERS, *rates, 2000, &l);
        viewers_close(v);
        if (!l.complete || l.p99 >= LATE_MS)
            break;
        best = (double)(*rates * VIEWERS);
        *p99 = l.p99;
    }
    return best;
}

static void measure_most(struct bench *b)
{
    static const int64_t ours[] = {2400, 3200, 4000, 4800, 5600, 6400, 0},
                         theirs[] = {200, 300, 400, 500, 600, 700, 800, 0};
    double ours_p99 = 0, theirs_p99 = 0, fastify = 0;

    if (b->fastify.pid != 0) {
        fastify = most(b, &b->fastify, theirs, &theirs_p99);
        row("fastify, most deliveries at p99 < 250 ms", fastify, "1/s", NO_BAR, 0);
        row("fastify, p99 there", theirs_p99, "ms", NO_BAR, 0);
    } else {
        absent("fastify, most deliveries at p99 < 250 ms");
    }
    double best = most(b, &b->ours, ours, &ours_p99);
    row("pj-api, most deliveries at p99 < 250 ms", best, "1/s", NO_BAR, 0);
    row("pj-api, p99 there", ours_p99, "ms", NO_BAR, 0);
    if (fastify > 0)
        row("most deliveries, times fastify's", best / fastify, "x", AT_LEAST, 8);
}

/* ---- memory ---- */

#define TASKS 100
#define STREAMS 5000

static void measure_memory(struct bench *b)
{
    struct viewers *v[TASKS];
    const pid_t pid = b->ours.pid;
    int64_t idle = load_rss_kb(pid);

    row("idle memory", (double)idle, "kB", AT_MOST, 10240);
    struct viewers *one = watch(b, &b->ours, VIEWERS);
    row("1000 viewers of a task, memory of one", (double)(load_rss_kb(pid) - idle) * 1024 / VIEWERS,
        "bytes", AT_MOST, 1500);
    viewers_close(one);
    for (size_t i = 0; i < TASKS; i++) {
        struct bench_task task;
        char request[256];
        bench_make_task(b, &task);
        bench_stream_request(&task, request, sizeof request);
        v[i] = viewers_open(b->ours.port, request, STREAMS / TASKS, false);
    }
    row("5000 streams of 100 tasks, memory", (double)load_rss_kb(pid), "kB", AT_MOST, 61440);
    for (size_t i = 0; i < TASKS; i++)
        viewers_close(v[i]);
}

/* 50 viewers read nothing, 20 read on; 10 MB are written for each. */
static void measure_stalled(struct bench *b)
{
    struct lines alone, beside;
    const pid_t pid = b->ours.pid;

    struct viewers *readers = watch(b, &b->ours, 20);
    publish_lines(b, &b->ours, readers, 20, 3000, 4000, &alone);
    viewers_close(readers);
    int64_t idle = load_rss_kb(pid);
    readers = watch(b, &b->ours, 20);
    struct viewers *stalled = viewers_open(b->ours.port, b->ours.stream, 50, true);
    int64_t dropped = bench_metric(b, "pj_sse_dropped_total");
    load_peak_reset(pid);
    publish_lines(b, &b->ours, readers, 20, 3000, 14000, &beside);
    row("50 stalled viewers, peak above idle", (double)(load_peak_kb(pid) - idle), "kB", AT_MOST,
        4096 + 2048);
    row("50 stalled viewers, dropped", (double)(bench_metric(b, "pj_sse_dropped_total") - dropped),
        "viewers", AT_LEAST, 50);
    row("20 readers without them, p99", alone.p99, "ms", NO_BAR, 0);
    row("20 readers beside them, p99", beside.p99, "ms", NO_BAR, 0);
    row("p99, times the one without them", beside.p99 / alone.p99, "x", AT_MOST, 2);
    if (!alone.complete || !beside.complete)
        load_die("the readers lost lines", &(struct pj_err){.message = "or were closed"});
    viewers_close(stalled);
    viewers_close(readers);
}

static const struct {
    const char *name;
    void (*run)(struct bench *b);
} parts[] = {
    {"memory", measure_memory}, /* first: later parts leave free memory behind */
    {"requests", measure_requests}, {"lines", measure_lines},
    {"most", measure_most},         {"stalled", measure_stalled},
};

int main(int argc, char **argv)
{
    const struct rlimit files = {16384, 16384};
    const char *only = NULL;
    struct bench b;

    if (setrlimit(RLIMIT_NOFILE, &files) < 0)
        load_die("RLIMIT_NOFILE", NULL);
    signal(SIGPIPE, SIG_IGN);
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--json") == 0)
            json = fopen(argv[i + 1], "ae");
        else if (strcmp(argv[i], "--only") == 0)
            only = argv[i + 1];
    }
    if (sysconf(_SC_NPROCESSORS_ONLN) > 1) {
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET(1, &set);
        sched_setaffinity(0, sizeof set, &set);
    }
    bench_start(&b);
    for (size_t i = 0; i < PJ_COUNT_OF(parts); i++)
        if (only == NULL || strcmp(only, parts[i].name) == 0)
            parts[i].run(&b);
    bench_stop(&b);
    if (json != NULL)
        fclose(json);
    return missed > 0;
}
