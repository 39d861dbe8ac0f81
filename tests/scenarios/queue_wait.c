/* How long a task waits on an idle system, and how soon it runs elsewhere when its runner was killed. Judged strictly where it is
 * measured (PJ_MEASURE=1, an optimised build, a machine of its own: ./dev bench), and printed; elsewhere with patience for loaded machines
 * and sanitizers. PJ_MEASURE_JSON names a file that gets a JSON object a row. */
#include <signal.h>
#include <stdio.h>
#include "lib/base/clock.h"
#include "tests/scenarios/scene.h"

#define WAITS_MAX 200
#define ROUNDS_MAX 10

static bool is_measured(void)
{
    return getenv("PJ_MEASURE") != NULL;
}

/* `high`: what the second figure is, p99 or max. */
static void row(const char *name, double p50, const char *high, double worst, double must)
{
    FILE *out = getenv("PJ_MEASURE_JSON") ? fopen(getenv("PJ_MEASURE_JSON"), "ae") : NULL;

    fprintf(stderr, "%-54s p50 %8.1f ms  %s %8.1f ms  (must %.0f)\n", name, p50, high, worst, must);
    if (!out)
        return;
    fprintf(out,
            "{\"bench\":\"wait\",\"row\":\"%s\",\"p50Ms\":%.1f,\"%sMs\":%.1f,\"mustMs\":%.0f}\n",
            name, p50, high, worst, must);
    fclose(out);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static int64_t time_of(const json_t *doc, const char *name)
{
    int64_t ms = 0;

    cr_assert_eq(pj_rfc3339_parse(pj_json_str(doc, name, ""), &ms), 0, "%s", name);
    return ms;
}

/* One machine, one clock: when it was executed, by Redis; when its job wrote its first line. */
Test(queue_wait, first_line_of_the_job_comes_soon_after_execute)
{
    static const struct model_answer quick[] = {
        {.repeat = true, .text = "Done.", .calls = {{"finish", "{\"summary\":\"Nothing.\"}"}}}};
    static double waits[WAITS_MAX];
    size_t count = is_measured() ? WAITS_MAX : 20;
    struct scene s;

    scene_prepare(&s, quick, 1);
    world_set(&s.w, "PJ_RATE_LIMIT", "0");
    scene_open(&s, "");
    for (size_t i = 0; i < count; i++) {
        PJ_CLEANUP(pj_freep) char *task = scene_run(&s, "Wait");
        PJ_CLEANUP(pj_json_decrefp) json_t *doc = world_wait_end(&s.w, task);
        PJ_CLEANUP(pj_json_decrefp) json_t *log = world_log(&s.w, task);

        waits[i] = (double)(time_of(json_array_get(log, 0), "ts") - time_of(doc, "executedAt"));
    }
    qsort(waits, count, sizeof(*waits), by_value);
    row("execute to the first line of the job", waits[count / 2], "p99", waits[count * 99 / 100],
        20);
    cr_expect_leq(waits[count / 2], is_measured() ? 20 : 1000);
    cr_expect_leq(waits[count * 99 / 100], is_measured() ? 60 : 5000);
    scene_stop(&s);
}

/* The runner that has the task now, 0 or 1. */
static size_t holder(struct scene *s, const char *task)
{
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf("/tasks/%s", task);
    PJ_CLEANUP(pj_json_decrefp) json_t *doc = world_call(&s->w, "GET", path, NULL, 200);

    return strcmp(pj_json_str(doc, "runner", ""), "runner-1") == 0;
}

/* When the job on that runner wrote its first line. */
static int64_t began_on(struct scene *s, const char *task, size_t runner)
{
    PJ_CLEANUP(pj_freep) char *text = pj_asprintf("on runner runner-%zu", runner);
    int64_t until = pj_mono_ms() + WORLD_SOON;

    for (size_t asked = model_server_count(s->model); pj_mono_ms() < until;) {
        PJ_CLEANUP(pj_json_decrefp) json_t *log = world_log(&s->w, task);

        for (size_t i = json_array_size(log); i-- > 0;) {
            const json_t *entry = json_array_get(log, i);

            if (strstr(pj_json_str(entry, "message", ""), text))
                return time_of(entry, "ts");
        }
        (void)model_server_wait(s->model, asked + 1, 200);
    }
    cr_assert_fail("the task never ran on runner-%zu", runner);
    return 0;
}

/* kill -9 right after the lease was taken, so that all of it is still to come. `lease`: PJ_LEASE_TTL, NULL for the default. */
static void recover(const char *name, const char *lease, int64_t lease_ms, size_t rounds)
{
    static const struct model_answer long_work[] = {
        {.repeat = true, .text = "I work.", .calls = {{"run", "{\"command\":\"sleep 600\"}"}}}};
    double took[ROUNDS_MAX], must = (double)lease_ms + 2000;
    struct scene s;

    scene_prepare(&s, long_work, 1);
    world_set(&s.w, "PJ_LEASE_TTL", lease);
    world_set(&s.w, "PJ_RUNNER_SLOTS", "1");
    scene_open(&s, "");
    for (size_t i = 0; i < rounds; i++) {
        PJ_CLEANUP(pj_freep) char *task = scene_run(&s, "Work");
        PJ_CLEANUP(pj_freep) char *path = pj_asprintf("/tasks/%s/cancel", task);
        size_t first = i % 2;

        (void)began_on(&s, task, first); /* the only one there is */
        cr_assert_eq(holder(&s, task), first);
        world_runner_start(&s.w, !first);
        int64_t killed = pj_now_ms();
        (void)program_stop(&s.w.runner[first], SIGKILL, WORLD_SOON);
        program_release(&s.w.runner[first]);
        took[i] = (double)(began_on(&s, task, !first) - killed);
        json_decref(world_call(&s.w, "POST", path, "{}", 202));
        json_decref(world_wait_status(&s.w, task, "cancelled"));
    }
    qsort(took, rounds, sizeof(*took), by_value);
    row(name, took[rounds / 2], "max", took[rounds - 1], must);
    cr_expect_leq(took[rounds - 1], is_measured() ? must : must + 8000);
    scene_stop(&s);
}

Test(queue_wait, task_of_a_killed_runner_runs_elsewhere_within_its_lease_and_two_seconds)
{
    recover("kill -9 of a runner to its task elsewhere, lease 3 s", "3s", 3000,
            is_measured() ? ROUNDS_MAX : 2);
    if (is_measured()) /* a quarter of a minute a round */
        recover("kill -9 of a runner to its task elsewhere, lease 15 s", NULL, 15000, 5);
}
