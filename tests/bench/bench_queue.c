/* bench_queue - the store's queue, alternating with BullMQ's on the same Redis with the same persistence (AOF, everysec).
 *
 * Both speak over one Unix socket; no rewrite of the AOF falls into anybody's round. Ours is complete: fenced, fair between 200 users,
 * indexes, events and a notification record included. What follows from a change (indexes, sums, notifications) is worked off
 * later: take + finish and the whole task pay for it within the measurement, accepting does not.
 *
 * Prints a table; --json FILE appends a JSON object a row; --rounds N (default 3), --only ROW, --stats 1 (time by command). BullMQ is run
 * when node is there and PJ_BULLMQ names a folder where `npm install bullmq ioredis` was done. */
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include "lib/base/fs.h"
#include "lib/store/lease.h"
#include "tests/bench/queue_work.h"

struct bench {
    char dir[40];
    char socket[60], url[80];
    pid_t server;
    struct queue_work work;
    bool stats;
};

/* ---- the server ---- */

static void start_server(struct bench *b)
{
    struct pj_redis_options options = {.url = b->url, .retry_ms = 20000, .command_ms = 60000};

    b->server = fork();
    if (b->server == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)execlp("redis-server", "redis-server", "--port", "0", "--unixsocket", b->socket,
                     "--dir", b->dir, "--save", "", "--appendonly", "yes", "--appendfsync",
                     "everysec", "--auto-aof-rewrite-percentage", "0", "--loglevel", "warning",
                     "--logfile", "redis.log", (char *)NULL);
        _exit(127);
    }
    queue_open(&b->work, event_base_new(), &options);
}

/* Where the time of the last phase went, by command; the calls inside scripts are counted too. */
static void print_stats(struct bench *b, long count)
{
    struct pj_cmd cmd = {0};
    struct redisReply *reply;
    struct pj_view rest, line;

    pj_cmd_start(&cmd, "INFO");
    pj_cmd_text(&cmd, "commandstats");
    reply = queue_ask(&b->work, &cmd);
    rest = pj_reply_view(reply);
    while (pj_view_cut(&rest, '\n', &line)) {
        double calls = 0, usec = 0;
        const char *at = line.n ? strstr(line.p, "calls=") : NULL;

        if (!at)
            continue;
        calls = strtod(at + 6, NULL);
        at = strstr(at, "usec=");
        usec = at ? strtod(at + 5, NULL) : 0;
        (void)printf("    %-30.*s %6.2f calls %8.2f us a task\n", 22, line.p, calls / (double)count,
                     usec / (double)count);
    }
    pj_reply_freep(&reply);
}

static void reset_stats(struct bench *b)
{
    struct pj_cmd cmd = {0};
    struct redisReply *reply;

    pj_cmd_start(&cmd, "CONFIG");
    pj_cmd_text(&cmd, "RESETSTAT");
    reply = queue_ask(&b->work, &cmd);
    pj_reply_freep(&reply);
}

/* ---- the table ---- */

static const struct phase {
    struct queue_phase work;
    double must; /* times BullMQ */
} phases[] = {
    {{"accept1", "accept, one at a time", queue_accept_one_by_one, false, 5000}, 1.8},
    {{"accept64", "accept, 64 in flight", queue_accept_in_flight, false, 20000}, 2.5},
    {{"bulk1000", "accept, bulk of 1000", queue_accept_bulk, false, 20000}, 4},
    {{"take1", "take + finish, 1 slot", queue_take_1, true, 5000}, 1.3},
    {{"take16", "take + finish, 16 slots", queue_take_16, true, 20000}, 1.5},
    {{"take64", "take + finish, 64 slots", queue_take_64, true, 20000}, 1.5},
    {{"log64", "log lines stored", queue_log_lines, false, 100000}, 10},
};
/* Operations a second. */
static double run_ours(struct bench *b, const struct phase *phase, double *cpu)
{
    double rate;

    queue_prepare(&b->work, &phase->work);
    reset_stats(b);
    rate = queue_run(&b->work, &phase->work, cpu);
    if (b->stats)
        print_stats(b, phase->work.count);
    return rate;
}

/* 0 when BullMQ cannot be run. */
static double run_bullmq(struct bench *b, const struct phase *phase, double *cpu)
{
    const char *source = getenv("PJ_TEST_SRC");
    char script[400], count[24], line[64] = "";
    double before;
    int out[2];
    pid_t pid;

    if (!getenv("PJ_BULLMQ") || !source || pipe(out) < 0)
        return 0;
    queue_flush(&b->work);
    (void)snprintf(script, sizeof(script), "%s/tests/bench/bullmq.mjs", source);
    (void)snprintf(count, sizeof(count), "%ld", phase->work.count);
    before = queue_server_cpu(&b->work);
    pid = fork();
    if (pid == 0) {
        (void)dup2(out[1], 1);
        (void)execlp("node", "node", script, b->socket, phase->work.name, count, (char *)NULL);
        _exit(127);
    }
    (void)close(out[1]);
    for (size_t n = 0; n < sizeof(line) - 1;) {
        ssize_t got = read(out[0], line + n, sizeof(line) - 1 - n);

        if (got <= 0)
            break;
        n += (size_t)got;
    }
    (void)close(out[0]);
    (void)waitpid(pid, NULL, 0);
    *cpu = (queue_server_cpu(&b->work) - before) / (double)phase->work.count;
    return strtod(line, NULL);
}

static void print_row(FILE *json, const struct phase *phase, double ours, double cpu, double theirs,
                      double their_cpu)
{
    char ratio[32] = "-";

    if (theirs > 0)
        (void)snprintf(ratio, sizeof(ratio), "%.2f", ours / theirs);
    (void)printf("%-26s %10.0f /s %8.1f us %10.0f /s %8.1f us %8s x  (must %.1f)\n",
                 phase->work.what, ours, cpu, theirs, their_cpu, ratio, phase->must);
    (void)fflush(stdout);
    if (json)
        (void)fprintf(json,
                      "{\"bench\":\"queue\",\"row\":\"%s\",\"perSecond\":%.0f,\"redisCpuUs\":%.2f,"
                      "\"bullmqPerSecond\":%.0f,"
                      "\"bullmqRedisCpuUs\":%.2f,\"must\":%.1f}\n",
                      phase->work.name, ours, cpu, theirs, their_cpu, phase->must);
}

static void measure(struct bench *b, const struct phase *phase, int rounds, FILE *json)
{
    double ours[QUEUE_ROUNDS_MAX], theirs[QUEUE_ROUNDS_MAX], cpu[QUEUE_ROUNDS_MAX],
        other_cpu[QUEUE_ROUNDS_MAX];

    for (int i = 0; i < rounds; i++) {
        theirs[i] = run_bullmq(b, phase, &other_cpu[i]);
        ours[i] = run_ours(b, phase, &cpu[i]);
    }
    print_row(json, phase, queue_median(ours, rounds), queue_median(cpu, rounds),
              queue_median(theirs, rounds), queue_median(other_cpu, rounds));
}

/* A whole task with 20 lines of log, in batches of 64: accepted, taken, logged, ended. */
static void measure_life(struct bench *b, FILE *json)
{
    double before;

    queue_flush(&b->work);
    before = queue_server_cpu(&b->work);
    b->work.total = 20000;
    queue_accept_bulk(&b->work);
    b->work.begun = b->work.ended = 0;
    queue_drain(&b->work, 64, 20);
    before = (queue_server_cpu(&b->work) - before) / 20000;
    (void)printf("%-26s %21.1f us of Redis        (must 70)\n", "whole task with 20 lines", before);
    if (json)
        (void)fprintf(json,
                      "{\"bench\":\"queue\",\"row\":\"life20\",\"redisCpuUs\":%.2f,\"must\":70}\n",
                      before);
}

/* 100,000 tasks leased; the time of a tick of the reaper. */
static void measure_reaper(struct bench *b, FILE *json)
{
    struct pj_lease_take take = {
        .runner = "bench", .ttl_ms = 600000, .timeout_ms = 600000, .want = 64};
    double ticks[QUEUE_ROUNDS_MAX];
    struct pj_cmd cmd = {0};
    struct redisReply *reply;

    queue_flush(&b->work);
    b->work.total = 100000;
    queue_accept_bulk(&b->work);
    for (long leased = 0; leased < b->work.total;) {
        pj_lease_take_cmd(&cmd, &take);
        reply = queue_ask(&b->work, &cmd);
        leased += (long)pj_reply_count(reply) - 2;
        pj_reply_freep(&reply);
    }
    for (int i = 0; i < QUEUE_ROUNDS_MAX; i++) {
        double before = queue_server_cpu(&b->work);

        for (int k = 0; k < 100; k++) {
            pj_lease_reap_cmd(&cmd, 0, 0);
            reply = queue_ask(&b->work, &cmd);
            pj_reply_freep(&reply);
        }
        ticks[i] = (queue_server_cpu(&b->work) - before) / 100;
    }
    (void)printf("%-26s %21.1f us of Redis        (must 1000)\n", "reaper tick, 100k running",
                 queue_median(ticks, QUEUE_ROUNDS_MAX));
    if (json)
        (void)fprintf(
            json, "{\"bench\":\"queue\",\"row\":\"reap100k\",\"redisCpuUs\":%.2f,\"must\":1000}\n",
            queue_median(ticks, QUEUE_ROUNDS_MAX));
}

static void stop_server(struct bench *b)
{
    struct pj_err err;

    queue_close(&b->work);
    event_base_free(b->work.base);
    (void)kill(b->server, SIGKILL);
    (void)waitpid(b->server, NULL, 0);
    if (pj_fs_remove_tree(b->dir, &err) < 0)
        (void)fprintf(stderr, "bench_queue: %s\n", err.message);
}

int main(int argc, char **argv)
{
    struct bench b = {.dir = "/tmp/pj-bench-XXXXXX"};
    struct queue_options options;

    (void)signal(SIGPIPE, SIG_IGN);
    queue_options_read(argc, argv, &options);
    b.stats = options.stats;
    if (!mkdtemp(b.dir))
        queue_die("temporary folder", NULL);
    (void)snprintf(b.socket, sizeof(b.socket), "%s/redis.sock", b.dir);
    (void)snprintf(b.url, sizeof(b.url), "unix://%s", b.socket);
    start_server(&b);
    (void)printf("%-26s %13s %11s %13s %11s %10s\n", "queue", "ours", "Redis CPU", "BullMQ",
                 "Redis CPU", "ratio");
    for (size_t i = 0; i < PJ_COUNT_OF(phases); i++) {
        if (queue_is_wanted(&options, phases[i].work.name))
            measure(&b, &phases[i], options.rounds, options.json);
    }
    if (queue_is_wanted(&options, "life20"))
        measure_life(&b, options.json);
    if (queue_is_wanted(&options, "reap100k"))
        measure_reaper(&b, options.json);
    stop_server(&b);
    if (options.json)
        (void)fclose(options.json);
    return 0;
}
