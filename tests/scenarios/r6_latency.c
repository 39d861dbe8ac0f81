/* R6.1: from a line written in a box to the event at a viewer, while many tasks write at once. The short form, a test like any other,
 * holds the scenario's five seconds; with PJ_LATENCY_TASKS (./dev bench) it is measured and held against the bars of a quiet machine. */
#include <pthread.h>
#include <stdio.h>
#include <time.h>
#include "lib/base/view.h"
#include "tests/scenarios/scene.h"

#define TASKS_MAX 32
#define LINES_MAX 400
#define PAUSE "0.05" /* seconds between two lines of a task */

struct line {
    int64_t at_us, latency_us; /* Unix time, as the line says */
};

struct viewer {
    struct world *w;
    char *task;
    pthread_t thread;
    struct line line[LINES_MAX];
    size_t count;
    bool ended;
};

static int64_t unix_us(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static void take(struct viewer *v, const struct sse_event *e)
{
    const char *message = pj_json_str(e->json, "message", "");
    int64_t at, now = unix_us();

    if (strcmp(e->name, "end") == 0)
        v->ended = true;
    if (strcmp(e->name, "log") != 0 || message[0] != '@' || v->count == LINES_MAX ||
        strcmp(pj_json_str(e->json, "stream", ""), "stdout") != 0)
        return;
    if (pj_parse_i64(pj_view_n(message + 1, strcspn(message + 1, "@")), &at) == 0)
        v->line[v->count++] = (struct line){at, now - at};
}

static void *watch(void *arg)
{
    struct viewer *v = arg;
    PJ_CLEANUP(pj_freep) char *path = world_stream_path(v->task);
    struct sse_reader *r = sse_open(v->w->base, path, WORLD_TOKEN, NULL);
    struct sse_event e;

    while (!v->ended && sse_next(r, &e, WORLD_SOON) == 1) {
        take(v, &e);
        sse_event_release(&e);
    }
    sse_close(r);
    return NULL;
}

static int by_value(const void *a, const void *b)
{
    int64_t x, y;

    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return x < y ? -1 : x > y;
}

/* The latencies of the lines written while every task was writing, sorted. */
static size_t shared_window(const struct viewer *v, size_t tasks, int64_t *out, int64_t *window_us)
{
    int64_t from = 0, to = INT64_MAX;
    size_t n = 0;

    for (size_t i = 0; i < tasks; i++) {
        from = v[i].line[0].at_us > from ? v[i].line[0].at_us : from;
        to = v[i].line[v[i].count - 1].at_us < to ? v[i].line[v[i].count - 1].at_us : to;
    }
    for (size_t i = 0; i < tasks; i++)
        for (size_t k = 0; k < v[i].count; k++)
            if (v[i].line[k].at_us >= from && v[i].line[k].at_us <= to)
                out[n++] = v[i].line[k].latency_us;
    qsort(out, n, sizeof *out, by_value);
    *window_us = to - from;
    return n;
}

static void tell(const char *name, double value, const char *unit)
{
    const char *path = getenv("PJ_LATENCY_JSON");
    FILE *f = path != NULL ? fopen(path, "ae") : NULL;

    printf("%-58s %12.2f %s\n", name, value, unit);
    if (f == NULL)
        return;
    fprintf(f, "{\"bench\":\"latency\",\"row\":\"%s\",\"value\":%.3f,\"unit\":\"%s\"}\n", name,
            value, unit);
    fclose(f);
}

static void judge(const int64_t *latency, size_t n, int64_t window_us, bool measured)
{
    double p50 = (double)latency[n / 2] / 1000, p99 = (double)latency[n * 99 / 100] / 1000;

    if (!measured) {
        cr_expect_lt(latency[n - 1], 5000000, "a line took %lld us", (long long)latency[n - 1]);
        return;
    }
    tell("lines while all tasks wrote", (double)n, "lines");
    tell("for so long", (double)window_us / 1e6, "s");
    tell("line written in the box to event at the viewer, p50", p50, "ms (at most 60)");
    tell("line written in the box to event at the viewer, p99", p99, "ms (at most 150)");
    cr_expect_geq(window_us, 3000000, "the tasks hardly wrote at the same time");
    cr_expect_lt(p50, 60);
    cr_expect_lt(p99, 150);
}

Test(r6_latency, r6_1_lines_of_many_tasks_reach_their_viewers_soon)
{
    static struct viewer v[TASKS_MAX];
    static int64_t latency[TASKS_MAX * LINES_MAX];
    const char *asked = getenv("PJ_LATENCY_TASKS");
    int64_t tasks = 4, window_us;
    struct scene s;

    if (asked != NULL)
        cr_assert(pj_parse_i64(pj_view_of(asked), &tasks) == 0 && tasks > 0 && tasks <= TASKS_MAX);
    int lines = asked != NULL ? 240 : 40;
    PJ_CLEANUP(pj_freep)
    char *command = pj_asprintf(
        "{\"command\":\"bash -c 'mkfifo /tmp/f; exec 3<>/tmp/f; i=0; while [ $i -lt %d ]; do echo "
        "@${EPOCHREALTIME/./}@; read -t " PAUSE
        " -u 3 x; i=$((i+1)); done; echo done > done.txt'\"}",
        lines);
    const struct model_answer work = {
        .repeat = true,
        .text = "I write.",
        .calls = {{"run", command}, {"finish", "{\"summary\":\"Written.\"}"}}};
    PJ_CLEANUP(pj_freep) char *slots = pj_asprintf("%lld", (long long)tasks);

    scene_prepare(&s, &work, 1);
    world_set(&s.w, "PJ_RUNNER_SLOTS", slots);
    scene_open(&s, "");
    for (int64_t i = 0; i < tasks; i++) {
        v[i] = (struct viewer){.w = &s.w, .task = scene_run(&s, "Write")};
        cr_assert_eq(pthread_create(&v[i].thread, NULL, watch, &v[i]), 0);
    }
    for (int64_t i = 0; i < tasks; i++) {
        pthread_join(v[i].thread, NULL);
        cr_expect(v[i].ended);
        cr_assert_eq(v[i].count, lines, "task %lld: %zu lines", (long long)i, v[i].count);
    }
    size_t n = shared_window(v, (size_t)tasks, latency, &window_us);
    if (n > 0 || asked != NULL)
        judge(latency, n, window_us, asked != NULL);
    for (int64_t i = 0; i < tasks; i++)
        free(v[i].task);
    scene_stop(&s);
}
