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
#include "lib/base/clock.h"
#include "lib/base/fs.h"
#include "lib/base/id.h"
#include "lib/base/mem.h"
#include "lib/store/async.h"
#include "lib/store/events.h"
#include "lib/store/gather.h"
#include "lib/store/lease.h"
#include "lib/store/meta.h"
#include "lib/store/tasks.h"

#define ROUNDS_MAX 15
#define USERS 200
#define LINES_A_CHUNK 100 /* 10 kB: the job process sends 16 KiB or 50 ms */
#define BULK 1000

struct bench {
    char dir[40];
    char socket[60], url[80];
    pid_t server;
    struct pj_redis *redis;
    struct event_base *base;
    struct pj_aredis *loop;
    struct pj_gather *gather;
    long total, begun, ended; /* of the phase that runs */
    bool stats;
};

static void die(const char *what, const struct pj_err *err)
{
    (void)fprintf(stderr, "bench_queue: %s: %s\n", what, err ? err->message : "");
    exit(1);
}

/* ---- the server ---- */

static void start_server(struct bench *b)
{
    struct pj_redis_options options = {.url = b->url, .retry_ms = 20000, .command_ms = 60000};
    struct pj_meta meta;
    struct pj_err err;

    b->server = fork();
    if (b->server == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)execlp("redis-server", "redis-server", "--port", "0", "--unixsocket", b->socket,
                     "--dir", b->dir, "--save", "", "--appendonly", "yes", "--appendfsync",
                     "everysec", "--auto-aof-rewrite-percentage", "0", "--loglevel", "warning",
                     "--logfile", "redis.log", (char *)NULL);
        _exit(127);
    }
    if (pj_redis_new(&options, &b->redis, &err) < 0 || pj_store_open(b->redis, 1, &meta, &err) < 0)
        die("redis-server", &err);
    if (pj_aredis_new(b->base, &options, &b->loop, &err) < 0)
        die("loop", &err);
    b->gather = pj_gather_new(b->base, b->loop);
}

static struct redisReply *ask(struct bench *b, struct pj_cmd *cmd)
{
    struct redisReply *reply = NULL;
    struct pj_err err;

    if (pj_redis_do(b->redis, cmd, &reply, &err) < 0)
        die("command", &err);
    pj_cmd_release(cmd);
    return reply;
}

static void flush(struct bench *b)
{
    struct pj_cmd cmd = {0};
    struct redisReply *reply;

    pj_cmd_start(&cmd, "FLUSHALL");
    reply = ask(b, &cmd);
    pj_reply_freep(&reply);
    pj_queue_init_cmd(&cmd, 0);
    reply = ask(b, &cmd);
    pj_reply_freep(&reply);
}

/* Microseconds of CPU that the server has used. */
static double server_cpu(struct bench *b)
{
    struct pj_cmd cmd = {0};
    struct redisReply *reply;
    double sys = 0, user = 0;
    const char *text;

    pj_cmd_start(&cmd, "INFO");
    pj_cmd_text(&cmd, "cpu");
    reply = ask(b, &cmd);
    text = pj_reply_view(reply).p;
    if (strstr(text, "used_cpu_sys:"))
        sys = strtod(strstr(text, "used_cpu_sys:") + 13, NULL);
    if (strstr(text, "used_cpu_user:"))
        user = strtod(strstr(text, "used_cpu_user:") + 14, NULL);
    pj_reply_freep(&reply);
    return (sys + user) * 1e6;
}

/* Where the time of the last phase went, by command; the calls inside scripts are counted too. */
static void print_stats(struct bench *b, long count)
{
    struct pj_cmd cmd = {0};
    struct redisReply *reply;
    struct pj_view rest, line;

    pj_cmd_start(&cmd, "INFO");
    pj_cmd_text(&cmd, "commandstats");
    reply = ask(b, &cmd);
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
    reply = ask(b, &cmd);
    pj_reply_freep(&reply);
}

/* ---- ours ---- */

/* A new task of one of the users. */
struct sample {
    struct pj_task task;
    char id[PJ_ID_SIZE], user[32];
};

static void sample_task(struct sample *s, long n)
{
    static char text[151], repo[] = "0mi9z8y7x00repository1", title[] = "Say hello";

    memset(text, 'x', sizeof(text) - 1);
    pj_id_new(0, s->id);
    (void)snprintf(s->user, sizeof(s->user), "0mi9z8y7x00user%07ld", n % USERS);
    pj_task_init(&s->task);
    s->task.id = s->id;
    s->task.owner = s->user;
    s->task.repository_id = repo;
    s->task.title = title;
    s->task.description = text;
    s->task.executor = PJ_EXECUTOR_SANDBOX;
}

static void accept_cmd(struct pj_cmd *cmd, long n)
{
    struct sample sample;

    sample_task(&sample, n);
    pj_task_create_cmd(cmd, &sample.task, true, NULL);
}

static void accept_one_by_one(struct bench *b)
{
    for (long i = 0; i < b->total; i++) {
        struct pj_cmd cmd = {0};
        struct redisReply *reply;

        accept_cmd(&cmd, i);
        reply = ask(b, &cmd);
        pj_reply_freep(&reply);
    }
}

/* A request under way. */
struct flight {
    struct bench *b;
    struct sample sample;
};

static void accept_next(struct flight *flight);

static void on_accepted(void *arg, const struct redisReply *reply, struct pj_err *err)
{
    struct flight *flight = arg;
    bool existing;

    if (!reply || pj_task_create_reply(reply, &flight->sample.task, &existing, err) < 0)
        die("accept", err);
    flight->b->ended++;
    accept_next(flight);
}

/* As pj-api does it for a request. */
static void accept_next(struct flight *flight)
{
    struct bench *b = flight->b;

    if (b->begun == b->total)
        return;
    sample_task(&flight->sample, b->begun++);
    pj_gather_create(b->gather, &flight->sample.task, true, NULL, on_accepted, flight);
}

static void run_loop(struct bench *b)
{
    while (b->ended < b->total)
        (void)event_base_loop(b->base, EVLOOP_ONCE);
}

static void accept_in_flight(struct bench *b)
{
    struct flight flights[64];

    for (int i = 0; i < 64; i++) {
        flights[i].b = b;
        accept_next(&flights[i]);
    }
    run_loop(b);
}

/* A script's worth of them. */
struct bulk {
    struct bench *b;
    struct sample samples[PJ_CREATE_MAX];
};

static void on_bulk(void *arg, const struct redisReply *reply, struct pj_err *err)
{
    struct bulk *bulk = arg;

    if (pj_reply_count(reply) != PJ_CREATE_MAX)
        die("bulk", err);
    for (size_t i = 0; i < PJ_CREATE_MAX; i++) {
        bool existing;

        if (pj_task_create_reply(pj_reply_at(reply, i), &bulk->samples[i].task, &existing, err) < 0)
            die("bulk", err);
    }
    bulk->b->ended += PJ_CREATE_MAX;
}

/* Thousands, one after the other, each in scripts of PJ_CREATE_MAX: one is built while Redis works at another. */
static void accept_bulk(struct bench *b)
{
    static struct bulk bulks[BULK / PJ_CREATE_MAX];

    for (b->ended = 0; b->ended < b->total;) {
        long done = b->ended, next = done;

        for (size_t k = 0; k < PJ_COUNT_OF(bulks); k++) {
            struct pj_cmd cmd = {0};

            bulks[k].b = b;
            for (int i = 0; i < PJ_CREATE_MAX; i++) {
                sample_task(&bulks[k].samples[i], next++);
                pj_task_create_add(&cmd, &bulks[k].samples[i].task, true, NULL);
            }
            pj_aredis_submit(b->loop, &cmd, on_bulk, &bulks[k]);
            (void)event_base_loop(b->base, EVLOOP_NONBLOCK);
        }
        while (b->ended < done + BULK)
            (void)event_base_loop(b->base, EVLOOP_ONCE);
    }
}

/* A runner of `width` slots, as runner/daemon.c is one: ends of one round of events go out together, and what is free is taken for
 * at the end of a round in one call. */
struct runner {
    struct bench *b;
    int width, busy;
    int lines; /* of log a task */
    long taken;
    bool taking;
    struct event *next;
};

static void on_finished(void *arg, const struct redisReply *reply, struct pj_err *err)
{
    struct runner *r = arg;
    struct pj_finished done;

    if (!reply || pj_lease_finish_reply(reply, &done, err) < 0)
        die("finish", err);
    r->b->ended++;
}

static void on_logged(void *arg, const struct redisReply *reply, struct pj_err *err)
{
    (void)arg;
    if (!reply)
        die("log", err);
}

static void put_chunk(struct bench *b, const char *id, int64_t epoch, int64_t first, int count)
{
    char line[101];
    struct pj_cmd cmd = {0};
    struct pj_str text;

    memset(line, 'x', 99);
    line[99] = '\n';
    pj_str_init(&text, 1 << 20);
    for (int i = 0; i < count; i++)
        (void)pj_str_append(&text, line, 100);
    pj_events_append_cmd(&cmd, id, epoch, 1, first, count, pj_view_n(text.data, text.len));
    pj_str_release(&text);
    pj_aredis_submit(b->loop, &cmd, on_logged, b);
}

static void work(struct runner *r, const struct pj_lease *lease)
{
    struct pj_outcome outcome;

    if (r->lines)
        put_chunk(r->b, lease->task->id, lease->epoch, 1, r->lines);
    pj_outcome_init(&outcome);
    pj_outcome_complete(&outcome);
    pj_gather_finish(r->b->gather, lease->task->id, lease->epoch, 0, &outcome, on_finished, r);
    pj_outcome_release(&outcome);
    r->busy--; /* as good as free: the end travels ahead of the next take */
    event_active(r->next, EV_TIMEOUT, 0);
}

static void on_taken(void *arg, const struct redisReply *reply, struct pj_err *err)
{
    struct pj_lease leases[PJ_TAKE_MAX];
    struct runner *r = arg;
    size_t count;

    r->taking = false;
    if (!reply || pj_lease_take_reply(reply, leases, PJ_TAKE_MAX, &count, err) < 0)
        die("take", err);
    r->busy += (int)count;
    r->taken += (long)count;
    for (size_t i = 0; i < count; i++)
        work(r, &leases[i]);
    pj_leases_release(leases, count);
}

static void on_next(evutil_socket_t fd, short what, void *arg)
{
    struct pj_lease_take take = {.runner = "bench", .ttl_ms = 60000, .timeout_ms = 600000};
    struct runner *r = arg;
    struct pj_cmd cmd = {0};

    (void)fd;
    (void)what;
    take.want = r->width - r->busy;
    if (r->taking || take.want == 0 || r->taken == r->b->total)
        return;
    r->taking = true;
    pj_lease_take_cmd(&cmd, &take);
    pj_aredis_submit(r->b->loop, &cmd, on_taken, r);
}

/* What follows from changes (indexes, sums, notifications) is worked off by the reaper: it belongs to the price. */
static void fold(struct bench *b)
{
    struct pj_reaped none[PJ_REAP_MAX];
    struct pj_cmd cmd = {0};
    bool more = true;

    for (int i = 0; more || i < 2; i++) { /* the first call only learns which server this is */
        struct redisReply *reply;
        struct pj_err err;
        size_t count;

        pj_lease_reap_cmd(&cmd, 0, 0);
        reply = ask(b, &cmd);
        if (pj_lease_reap_reply(reply, none, PJ_REAP_MAX, &count, &more, &err) < 0)
            die("reap", &err);
        pj_reply_freep(&reply);
    }
}

static void drain(struct bench *b, int width, int lines)
{
    struct runner r = {.b = b, .width = width, .lines = lines};

    r.next = event_new(b->base, -1, 0, on_next, &r);
    event_active(r.next, EV_TIMEOUT, 0);
    run_loop(b);
    event_free(r.next);
    fold(b);
}

static void take_1(struct bench *b)
{
    drain(b, 1, 0);
}

static void take_16(struct bench *b)
{
    drain(b, 16, 0);
}

static void take_64(struct bench *b)
{
    drain(b, 64, 0);
}

static void log_lines(struct bench *b)
{
    struct pj_lease_take take = {
        .runner = "bench", .ttl_ms = 60000, .timeout_ms = 600000, .want = 1};
    struct pj_lease lease;
    struct pj_cmd cmd = {0};
    struct redisReply *reply;
    struct pj_err err;
    size_t count;

    accept_cmd(&cmd, 0);
    reply = ask(b, &cmd);
    pj_reply_freep(&reply);
    pj_lease_take_cmd(&cmd, &take);
    reply = ask(b, &cmd);
    if (pj_lease_take_reply(reply, &lease, 1, &count, &err) < 0 || count != 1)
        die("take", &err);
    pj_reply_freep(&reply);
    for (long n = 1; n <= b->total; n += LINES_A_CHUNK) {
        put_chunk(b, lease.task->id, lease.epoch, n, LINES_A_CHUNK);
        while (pj_aredis_pending(b->loop) >= 64)
            (void)event_base_loop(b->base, EVLOOP_ONCE);
    }
    while (pj_aredis_pending(b->loop))
        (void)event_base_loop(b->base, EVLOOP_ONCE);
    pj_leases_release(&lease, 1);
}

/* ---- the table ---- */

static const struct phase {
    const char *name, *what;
    void (*run)(struct bench *b);
    bool filled; /* starts with all tasks accepted */
    long count;  /* operations a round */
    double must; /* times BullMQ */
} phases[] = {
    {"accept1", "accept, one at a time", accept_one_by_one, false, 5000, 1.8},
    {"accept64", "accept, 64 in flight", accept_in_flight, false, 20000, 2.5},
    {"bulk1000", "accept, bulk of 1000", accept_bulk, false, 20000, 4},
    {"take1", "take + finish, 1 slot", take_1, true, 5000, 1.3},
    {"take16", "take + finish, 16 slots", take_16, true, 20000, 1.5},
    {"take64", "take + finish, 64 slots", take_64, true, 20000, 1.5},
    {"log64", "log lines stored", log_lines, false, 100000, 10},
};

static double by_value(const double *values, int n) /* the median; values are few */
{
    double sorted[ROUNDS_MAX];

    memcpy(sorted, values, (size_t)n * sizeof(*sorted));
    for (int i = 1; i < n; i++) {
        for (int k = i; k > 0 && sorted[k - 1] > sorted[k]; k--) {
            double t = sorted[k];

            sorted[k] = sorted[k - 1];
            sorted[k - 1] = t;
        }
    }
    return sorted[n / 2];
}

static double run_ours(struct bench *b, const struct phase *phase, double *cpu)
{
    double before;
    int64_t began;

    flush(b);
    b->total = phase->count;
    if (phase->filled) {
        accept_bulk(b);
        fold(b);
    }
    b->begun = b->ended = 0;
    reset_stats(b);
    before = server_cpu(b);
    began = pj_mono_us();
    phase->run(b);
    began = pj_mono_us() - began;
    if (b->stats)
        print_stats(b, phase->count);
    *cpu = (server_cpu(b) - before) / (double)phase->count;
    return (double)phase->count * 1e6 / (double)began;
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
    flush(b);
    (void)snprintf(script, sizeof(script), "%s/tests/bench/bullmq.mjs", source);
    (void)snprintf(count, sizeof(count), "%ld", phase->count);
    before = server_cpu(b);
    pid = fork();
    if (pid == 0) {
        (void)dup2(out[1], 1);
        (void)execlp("node", "node", script, b->socket, phase->name, count, (char *)NULL);
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
    *cpu = (server_cpu(b) - before) / (double)phase->count;
    return strtod(line, NULL);
}

static void print_row(FILE *json, const struct phase *phase, double ours, double cpu, double theirs,
                      double their_cpu)
{
    char ratio[32] = "-";

    if (theirs > 0)
        (void)snprintf(ratio, sizeof(ratio), "%.2f", ours / theirs);
    (void)printf("%-26s %10.0f /s %8.1f us %10.0f /s %8.1f us %8s x  (must %.1f)\n", phase->what,
                 ours, cpu, theirs, their_cpu, ratio, phase->must);
    (void)fflush(stdout);
    if (json)
        (void)fprintf(json,
                      "{\"bench\":\"queue\",\"row\":\"%s\",\"perSecond\":%.0f,\"redisCpuUs\":%.2f,"
                      "\"bullmqPerSecond\":%.0f,"
                      "\"bullmqRedisCpuUs\":%.2f,\"must\":%.1f}\n",
                      phase->name, ours, cpu, theirs, their_cpu, phase->must);
}

static void measure(struct bench *b, const struct phase *phase, int rounds, FILE *json)
{
    double ours[ROUNDS_MAX], theirs[ROUNDS_MAX], cpu[ROUNDS_MAX], other_cpu[ROUNDS_MAX];

    for (int i = 0; i < rounds; i++) {
        theirs[i] = run_bullmq(b, phase, &other_cpu[i]);
        ours[i] = run_ours(b, phase, &cpu[i]);
    }
    print_row(json, phase, by_value(ours, rounds), by_value(cpu, rounds), by_value(theirs, rounds),
              by_value(other_cpu, rounds));
}

/* A whole task with 20 lines of log, in batches of 64: accepted, taken, logged, ended. */
static void measure_life(struct bench *b, FILE *json)
{
    double before;

    flush(b);
    before = server_cpu(b);
    b->total = 20000;
    accept_bulk(b);
    b->begun = b->ended = 0;
    drain(b, 64, 20);
    before = (server_cpu(b) - before) / 20000;
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
    double ticks[ROUNDS_MAX];
    struct pj_cmd cmd = {0};
    struct redisReply *reply;

    flush(b);
    b->total = 100000;
    accept_bulk(b);
    for (long leased = 0; leased < b->total;) {
        pj_lease_take_cmd(&cmd, &take);
        reply = ask(b, &cmd);
        leased += (long)pj_reply_count(reply) - 2;
        pj_reply_freep(&reply);
    }
    for (int i = 0; i < ROUNDS_MAX; i++) {
        double before = server_cpu(b);

        for (int k = 0; k < 100; k++) {
            pj_lease_reap_cmd(&cmd, 0, 0);
            reply = ask(b, &cmd);
            pj_reply_freep(&reply);
        }
        ticks[i] = (server_cpu(b) - before) / 100;
    }
    (void)printf("%-26s %21.1f us of Redis        (must 1000)\n", "reaper tick, 100k running",
                 by_value(ticks, ROUNDS_MAX));
    if (json)
        (void)fprintf(
            json, "{\"bench\":\"queue\",\"row\":\"reap100k\",\"redisCpuUs\":%.2f,\"must\":1000}\n",
            by_value(ticks, ROUNDS_MAX));
}

static void stop_server(struct bench *b)
{
    struct pj_err err;

    pj_gather_free(b->gather);
    pj_aredis_free(b->loop);
    pj_redis_free(b->redis);
    event_base_free(b->base);
    (void)kill(b->server, SIGKILL);
    (void)waitpid(b->server, NULL, 0);
    if (pj_fs_remove_tree(b->dir, &err) < 0)
        (void)fprintf(stderr, "bench_queue: %s\n", err.message);
}

int main(int argc, char **argv)
{
    struct bench b = {.dir = "/tmp/pj-bench-XXXXXX"};
    const char *only = NULL;
    FILE *json = NULL;
    int rounds = 3;

    (void)signal(SIGPIPE, SIG_IGN);
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--json") == 0)
            json = fopen(argv[i + 1], "ae");
        else if (strcmp(argv[i], "--rounds") == 0)
            rounds = (int)strtol(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--only") == 0)
            only = argv[i + 1];
        else if (strcmp(argv[i], "--stats") == 0)
            b.stats = true;
    }
    rounds = rounds < 1 ? 1 : rounds > ROUNDS_MAX ? ROUNDS_MAX : rounds;
    if (!mkdtemp(b.dir))
        die("temporary folder", NULL);
    (void)snprintf(b.socket, sizeof(b.socket), "%s/redis.sock", b.dir);
    (void)snprintf(b.url, sizeof(b.url), "unix://%s", b.socket);
    b.base = event_base_new();
    start_server(&b);
    (void)printf("%-26s %13s %11s %13s %11s %10s\n", "queue", "ours", "Redis CPU", "BullMQ",
                 "Redis CPU", "ratio");
    for (size_t i = 0; i < PJ_COUNT_OF(phases); i++) {
        if (!only || strcmp(only, phases[i].name) == 0)
            measure(&b, &phases[i], rounds, json);
    }
    if (!only || strcmp(only, "life20") == 0)
        measure_life(&b, json);
    if (!only || strcmp(only, "reap100k") == 0)
        measure_reaper(&b, json);
    stop_server(&b);
    if (json)
        (void)fclose(json);
    return 0;
}
