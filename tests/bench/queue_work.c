#include "tests/bench/queue_work.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "lib/base/clock.h"
#include "lib/base/id.h"
#include "lib/base/mem.h"
#include "lib/store/async.h"
#include "lib/store/events.h"
#include "lib/store/gather.h"
#include "lib/store/lease.h"
#include "lib/store/meta.h"
#include "lib/store/tasks.h"

#define USERS 200
#define LINES_A_CHUNK 100 /* 10 kB: the job process sends 16 KiB or 50 ms */
#define BULK 1000

void queue_die(const char *what, const struct pj_err *err)
{
    (void)fprintf(stderr, "bench of the queue: %s: %s\n", what, err ? err->message : "");
    exit(1);
}

void queue_options_read(int argc, char **argv, struct queue_options *out)
{
    *out = (struct queue_options){.rounds = 3};
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--json") == 0)
            out->json = fopen(argv[i + 1], "ae");
        else if (strcmp(argv[i], "--rounds") == 0)
            out->rounds = (int)strtol(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--only") == 0)
            out->only = argv[i + 1];
        else if (strcmp(argv[i], "--stats") == 0)
            out->stats = true;
    }
    out->rounds = out->rounds < 1                  ? 1
                  : out->rounds > QUEUE_ROUNDS_MAX ? QUEUE_ROUNDS_MAX
                                                   : out->rounds;
}

bool queue_is_wanted(const struct queue_options *options, const char *row)
{
    return !options->only || strcmp(options->only, row) == 0;
}

/* ---- the server ---- */

void queue_open(struct queue_work *w, struct event_base *base,
                const struct pj_redis_options *options)
{
    struct pj_meta meta;
    struct pj_err err;

    w->base = base;
    if (pj_redis_new(options, &w->redis, &err) < 0 || pj_store_open(w->redis, 1, &meta, &err) < 0)
        queue_die("redis-server", &err);
    if (pj_aredis_new(w->base, options, &w->loop, &err) < 0)
        queue_die("loop", &err);
    w->gather = pj_gather_new(w->base, w->loop);
}

void queue_close(struct queue_work *w)
{
    pj_gather_free(w->gather);
    pj_aredis_free(w->loop);
    pj_redis_free(w->redis);
}

struct redisReply *queue_ask(struct queue_work *w, struct pj_cmd *cmd)
{
    struct redisReply *reply = NULL;
    struct pj_err err;

    if (pj_redis_do(w->redis, cmd, &reply, &err) < 0)
        queue_die("command", &err);
    pj_cmd_release(cmd);
    return reply;
}

void queue_flush(struct queue_work *w)
{
    struct pj_cmd cmd = {0};
    struct redisReply *reply;

    pj_cmd_start(&cmd, "FLUSHALL");
    reply = queue_ask(w, &cmd);
    pj_reply_freep(&reply);
    pj_queue_init_cmd(&cmd, 0);
    reply = queue_ask(w, &cmd);
    pj_reply_freep(&reply);
}

double queue_server_cpu(struct queue_work *w)
{
    struct pj_cmd cmd = {0};
    struct redisReply *reply;
    double sys = 0, user = 0;
    const char *text;

    pj_cmd_start(&cmd, "INFO");
    pj_cmd_text(&cmd, "cpu");
    reply = queue_ask(w, &cmd);
    text = pj_reply_view(reply).p;
    if (strstr(text, "used_cpu_sys:"))
        sys = strtod(strstr(text, "used_cpu_sys:") + 13, NULL);
    if (strstr(text, "used_cpu_user:"))
        user = strtod(strstr(text, "used_cpu_user:") + 14, NULL);
    pj_reply_freep(&reply);
    return (sys + user) * 1e6;
}

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

void queue_accept_one_by_one(struct queue_work *w)
{
    for (long i = 0; i < w->total; i++) {
        struct pj_cmd cmd = {0};
        struct redisReply *reply;

        accept_cmd(&cmd, i);
        reply = queue_ask(w, &cmd);
        pj_reply_freep(&reply);
    }
}

/* A request under way. */
struct flight {
    struct queue_work *w;
    struct sample sample;
};

static void accept_next(struct flight *flight);

static void on_accepted(void *arg, const struct redisReply *reply, struct pj_err *err)
{
    struct flight *flight = arg;
    bool existing;

    if (!reply || pj_task_create_reply(reply, &flight->sample.task, &existing, err) < 0)
        queue_die("accept", err);
    flight->w->ended++;
    accept_next(flight);
}

/* As pj-api does it for a request. */
static void accept_next(struct flight *flight)
{
    struct queue_work *w = flight->w;

    if (w->begun == w->total)
        return;
    sample_task(&flight->sample, w->begun++);
    pj_gather_create(w->gather, &flight->sample.task, true, NULL, on_accepted, flight);
}

static void run_loop(struct queue_work *w)
{
    while (w->ended < w->total)
        (void)event_base_loop(w->base, EVLOOP_ONCE);
}

void queue_accept_in_flight(struct queue_work *w)
{
    struct flight flights[64];

    for (int i = 0; i < 64; i++) {
        flights[i].w = w;
        accept_next(&flights[i]);
    }
    run_loop(w);
}

/* A script's worth of them. */
struct bulk {
    struct queue_work *w;
    struct sample samples[PJ_CREATE_MAX];
};

static void on_bulk(void *arg, const struct redisReply *reply, struct pj_err *err)
{
    struct bulk *bulk = arg;

    if (pj_reply_count(reply) != PJ_CREATE_MAX)
        queue_die("bulk", err);
    for (size_t i = 0; i < PJ_CREATE_MAX; i++) {
        bool existing;

        if (pj_task_create_reply(pj_reply_at(reply, i), &bulk->samples[i].task, &existing, err) < 0)
            queue_die("bulk", err);
    }
    bulk->w->ended += PJ_CREATE_MAX;
}

/* Thousands, one after the other, each in scripts of PJ_CREATE_MAX: one is built while Redis works at another. */
void queue_accept_bulk(struct queue_work *w)
{
    static struct bulk bulks[BULK / PJ_CREATE_MAX];

    for (w->ended = 0; w->ended < w->total;) {
        long done = w->ended, next = done;

        for (size_t k = 0; k < PJ_COUNT_OF(bulks); k++) {
            struct pj_cmd cmd = {0};

            bulks[k].w = w;
            for (int i = 0; i < PJ_CREATE_MAX; i++) {
                sample_task(&bulks[k].samples[i], next++);
                pj_task_create_add(&cmd, &bulks[k].samples[i].task, true, NULL);
            }
            pj_aredis_submit(w->loop, &cmd, on_bulk, &bulks[k]);
            (void)event_base_loop(w->base, EVLOOP_NONBLOCK);
        }
        while (w->ended < done + BULK)
            (void)event_base_loop(w->base, EVLOOP_ONCE);
    }
}

/* A runner of `width` slots, as runner/daemon.c is one: ends of one round of events go out together, and what is free is taken for
 * at the end of a round in one call. */
struct runner {
    struct queue_work *w;
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
        queue_die("finish", err);
    r->w->ended++;
}

static void on_logged(void *arg, const struct redisReply *reply, struct pj_err *err)
{
    (void)arg;
    if (!reply)
        queue_die("log", err);
}

static void put_chunk(struct queue_work *w, const char *id, int64_t epoch, int64_t first, int count)
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
    pj_aredis_submit(w->loop, &cmd, on_logged, w);
}

static void work(struct runner *r, const struct pj_lease *lease)
{
    struct pj_outcome outcome;

    if (r->lines)
        put_chunk(r->w, lease->task->id, lease->epoch, 1, r->lines);
    pj_outcome_init(&outcome);
    pj_outcome_complete(&outcome);
    pj_gather_finish(r->w->gather, lease->task->id, lease->epoch, 0, &outcome, on_finished, r);
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
        queue_die("take", err);
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
    if (r->taking || take.want == 0 || r->taken == r->w->total)
        return;
    r->taking = true;
    pj_lease_take_cmd(&cmd, &take);
    pj_aredis_submit(r->w->loop, &cmd, on_taken, r);
}

/* What follows from changes (indexes, sums, notifications) is worked off by the reaper: it belongs to the price. */
static void fold(struct queue_work *w)
{
    struct pj_reaped none[PJ_REAP_MAX];
    struct pj_cmd cmd = {0};
    bool more = true;

    for (int i = 0; more || i < 2; i++) { /* the first call only learns which server this is */
        struct redisReply *reply;
        struct pj_err err;
        size_t count;

        pj_lease_reap_cmd(&cmd, 0, 0);
        reply = queue_ask(w, &cmd);
        if (pj_lease_reap_reply(reply, none, PJ_REAP_MAX, &count, &more, &err) < 0)
            queue_die("reap", &err);
        pj_reply_freep(&reply);
    }
}

void queue_drain(struct queue_work *w, int width, int lines)
{
    struct runner r = {.w = w, .width = width, .lines = lines};

    r.next = event_new(w->base, -1, 0, on_next, &r);
    event_active(r.next, EV_TIMEOUT, 0);
    run_loop(w);
    event_free(r.next);
    fold(w);
}

void queue_take_1(struct queue_work *w)
{
    queue_drain(w, 1, 0);
}

void queue_take_16(struct queue_work *w)
{
    queue_drain(w, 16, 0);
}

void queue_take_64(struct queue_work *w)
{
    queue_drain(w, 64, 0);
}

void queue_log_lines(struct queue_work *w)
{
    struct pj_lease_take take = {
        .runner = "bench", .ttl_ms = 60000, .timeout_ms = 600000, .want = 1};
    struct pj_lease lease;
    struct pj_cmd cmd = {0};
    struct redisReply *reply;
    struct pj_err err;
    size_t count;

    accept_cmd(&cmd, 0);
    reply = queue_ask(w, &cmd);
    pj_reply_freep(&reply);
    pj_lease_take_cmd(&cmd, &take);
    reply = queue_ask(w, &cmd);
    if (pj_lease_take_reply(reply, &lease, 1, &count, &err) < 0 || count != 1)
        queue_die("take", &err);
    pj_reply_freep(&reply);
    for (long n = 1; n <= w->total; n += LINES_A_CHUNK) {
        put_chunk(w, lease.task->id, lease.epoch, n, LINES_A_CHUNK);
        while (pj_aredis_pending(w->loop) >= 64)
            (void)event_base_loop(w->base, EVLOOP_ONCE);
    }
    while (pj_aredis_pending(w->loop))
        (void)event_base_loop(w->base, EVLOOP_ONCE);
    pj_leases_release(&lease, 1);
}

double queue_median(const double *values, int n)
{
    double sorted[QUEUE_ROUNDS_MAX];

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

void queue_prepare(struct queue_work *w, const struct queue_phase *phase)
{
    queue_flush(w);
    w->total = phase->count;
    if (phase->filled) {
        queue_accept_bulk(w);
        fold(w);
    }
    w->begun = w->ended = 0;
}

double queue_run(struct queue_work *w, const struct queue_phase *phase, double *cpu)
{
    double before = queue_server_cpu(w);
    int64_t began = pj_mono_us();

    phase->run(w);
    began = pj_mono_us() - began;
    *cpu = (queue_server_cpu(w) - before) / (double)phase->count;
    return (double)phase->count * 1e6 / (double)began;
}
