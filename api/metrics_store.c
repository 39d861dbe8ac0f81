/* metrics_store.c - GET /metrics: our own numbers, and what the store knows of queue, fleet and work (R11.3).
 *
 * Counters of work count from the first scrape on, so that a restart looks like what it is to Prometheus: a counter that begins again.
 * With several processes each tells the same work: take the maximum, not the sum. Times are of the last 24 hours. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include "api/api.h"
#include "api/health.h"
#include "api/reply.h"
#include "api/request.h"
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/store/async.h"
#include "lib/store/queue.h"
#include "lib/store/runners.h"
#include "lib/store/usage.h"

#define HOUR_MS 3600000LL
#define DAY_MS (24 * HOUR_MS)
#define ANCHOR_MAX_MS (90 * DAY_MS) /* the store sums 92 days at most */

static const char *const ends[] = {"completed", "failed", "needs_review", "needs_clarification",
                                   "cancelled"};
static const char *const kinds[] = {"prompt", "completion", "cached"};
static const char *const runner_states[] = {"ready", "draining", "lost"};

struct gather {
    struct request *req;
    struct pj_queue_depth depth;
    json_t *runners;
    struct pj_analytics *since, *day;
    size_t missing;
    bool failed;
};

static void gather_free(void *ctx)
{
    struct gather *g = ctx;

    json_decref(g->runners);
    pj_analytics_free(g->since);
    pj_analytics_free(g->day);
}

static json_t *totals_of(const struct pj_analytics *sums)
{
    json_t *doc = pj_analytics_json(sums), *totals = json_incref(json_object_get(doc, "totals"));

    json_decref(doc);
    return totals;
}

static int64_t more(int64_t now, int64_t before)
{
    return now > before ? now - before : 0;
}

/* What came since the last scrape is added. */
static void count(struct metrics *m, const struct pj_analytics *sums)
{
    json_t *totals = totals_of(sums);
    const json_t *tasks = json_object_get(totals, "tasks"),
                 *tokens = json_object_get(totals, "tokens");
    bool first = m->seen.finished[0] < 0;
    struct metrics_totals now = {0};

    for (size_t i = 0; i < PJ_COUNT_OF(ends); i++) {
        now.finished[i] = pj_json_i64(tasks, ends[i], 0);
        m->total.finished[i] += first ? 0 : more(now.finished[i], m->seen.finished[i]);
    }
    for (size_t i = 0; i < PJ_COUNT_OF(kinds); i++) {
        now.tokens[i] = pj_json_i64(tokens, kinds[i], 0);
        m->total.tokens[i] += first ? 0 : more(now.tokens[i], m->seen.tokens[i]);
    }
    now.cost_usd = json_number_value(json_object_get(totals, "costUsd"));
    if (!first && now.cost_usd > m->seen.cost_usd)
        m->total.cost_usd += now.cost_usd - m->seen.cost_usd;
    m->seen = now;
    json_decref(totals);
}

static void put_work(struct pj_str *out, const struct metrics_totals *t)
{
    pj_str_puts(out, "# TYPE pj_tasks_finished counter\n# HELP pj_tasks_finished Attempts that "
                     "ended, by status.\n");
    for (size_t i = 0; i < PJ_COUNT_OF(ends); i++)
        pj_str_putf(out, "pj_tasks_finished_total{status=\"%s\"} %lld\n", ends[i],
                    (long long)t->finished[i]);
    pj_str_puts(out, "# TYPE pj_tokens counter\n# HELP pj_tokens Tokens of ended attempts.\n");
    for (size_t i = 0; i < PJ_COUNT_OF(kinds); i++)
        pj_str_putf(out, "pj_tokens_total{kind=\"%s\"} %lld\n", kinds[i], (long long)t->tokens[i]);
    pj_str_putf(out,
                "# TYPE pj_cost_usd counter\n# HELP pj_cost_usd Estimated cost of ended attempts "
                "in US dollars.\n"
                "pj_cost_usd_total %.6f\n",
                t->cost_usd);
}

static void put_time(struct pj_str *out, const json_t *times, const char *field, const char *name)
{
    const json_t *v = json_object_get(times, field);

    if (json_is_number(v))
        pj_str_putf(out, "%s %.3f\n", name, json_number_value(v) / 1000);
}

static void put_day(struct pj_str *out, const struct pj_analytics *day)
{
    json_t *totals = totals_of(day);
    const json_t *took = json_object_get(totals, "durationMs"),
                 *waited = json_object_get(totals, "queueWaitMs"),
                 *rate = json_object_get(totals, "successRate");

    pj_str_puts(
        out,
        "# TYPE pj_task_duration_day_seconds gauge\n# UNIT pj_task_duration_day_seconds seconds\n"
        "# HELP pj_task_duration_day_seconds Time of attempts in the last 24 hours.\n");
    put_time(out, took, "mean", "pj_task_duration_day_seconds{stat=\"mean\"}");
    put_time(out, took, "p50", "pj_task_duration_day_seconds{stat=\"p50\"}");
    put_time(out, took, "p95", "pj_task_duration_day_seconds{stat=\"p95\"}");
    pj_str_puts(out,
                "# TYPE pj_task_wait_day_seconds gauge\n# UNIT pj_task_wait_day_seconds seconds\n"
                "# HELP pj_task_wait_day_seconds Wait for a runner in the last 24 hours.\n");
    put_time(out, waited, "p50", "pj_task_wait_day_seconds{stat=\"p50\"}");
    put_time(out, waited, "p95", "pj_task_wait_day_seconds{stat=\"p95\"}");
    pj_str_puts(
        out,
        "# TYPE pj_task_success_day_ratio gauge\n"
        "# HELP pj_task_success_day_ratio Completed of all ended attempts in the last 24 hours.\n");
    if (json_is_number(rate))
        pj_str_putf(out, "pj_task_success_day_ratio %.4f\n", json_number_value(rate));
    json_decref(totals);
}

static void put_runners(struct pj_str *out, const json_t *runners)
{
    int64_t states[PJ_COUNT_OF(runner_states)] = {0}, busy = 0, slots = 0;
    size_t i;
    json_t *r;

    json_array_foreach(runners, i, r)
    {
        const char *state = pj_json_str(r, "state", "");
        for (size_t s = 0; s < PJ_COUNT_OF(runner_states); s++)
            states[s] += strcmp(state, runner_states[s]) == 0;
        if (strcmp(state, "lost") != 0) {
            busy += pj_json_i64(r, "busy", 0);
            slots += pj_json_i64(r, "slots", 0);
        }
    }
    pj_str_puts(out, "# TYPE pj_runners gauge\n# HELP pj_runners Runners, by state.\n");
    for (size_t s = 0; s < PJ_COUNT_OF(runner_states); s++)
        pj_str_putf(out, "pj_runners{state=\"%s\"} %lld\n", runner_states[s], (long long)states[s]);
    pj_str_puts(
        out,
        "# TYPE pj_runner_slots gauge\n# HELP pj_runner_slots Slots of runners that are there.\n");
    pj_str_putf(out, "pj_runner_slots{state=\"busy\"} %lld\npj_runner_slots{state=\"free\"} %lld\n",
                (long long)busy, (long long)more(slots, busy));
}

static void put_queue(struct pj_str *out, const struct pj_queue_depth *d)
{
    metrics_put(out, "pj_tasks_waiting", "gauge", "Tasks that wait for a runner.", d->queued);
    metrics_put(out, "pj_tasks_running", "gauge", "Tasks that a runner holds.", d->running);
    metrics_put(out, "pj_tasks_external", "gauge", "Tasks that a workflow holds.", d->external);
    pj_str_putf(
        out,
        "# TYPE pj_tasks_oldest_wait_seconds gauge\n# UNIT pj_tasks_oldest_wait_seconds seconds\n"
        "# HELP pj_tasks_oldest_wait_seconds Age of the longest "
        "wait.\npj_tasks_oldest_wait_seconds %.3f\n",
        (double)d->oldest_wait_ms / 1000);
}

/* The older text form differs in the names of counters' families: there they end in _total, too. What else OpenMetrics adds is a
 * comment to it. */
static char *older_form(struct pj_view text, size_t *n)
{
    struct pj_str out;
    struct pj_view line, counter = {NULL, 0};

    pj_str_init(&out, 2 * text.n);
    while (text.n > 0 && pj_view_cut(&text, '\n', &line)) {
        struct pj_view rest = line, hash, word, name;
        bool about = pj_view_starts(line, "# TYPE ") || pj_view_starts(line, "# HELP ");
        if (about && pj_view_cut(&rest, ' ', &hash) && pj_view_cut(&rest, ' ', &word) &&
            pj_view_cut(&rest, ' ', &name)) {
            if (pj_view_is(word, "TYPE"))
                counter = pj_view_is(rest, "counter") ? name : (struct pj_view){NULL, 0};
            bool is_counter =
                counter.p != NULL && counter.n == name.n && memcmp(counter.p, name.p, name.n) == 0;
            pj_str_putf(&out, "# %.*s %.*s%s ", (int)word.n, word.p, (int)name.n, name.p,
                        is_counter ? "_total" : "");
            line = rest;
        }
        pj_str_append(&out, line.p, line.n);
        pj_str_putc(&out, '\n');
    }
    *n = out.len;
    return pj_str_take(&out);
}

static void reply_metrics(struct request *req, struct pj_str *out)
{
    struct pj_view accept = http_header(&req->head, "accept");
    size_t n = out->len;

    reply_header(req, "Vary", "Accept");
    if (accept.n > 0 && memmem(accept.p, accept.n, "openmetrics-text", 16) != NULL) {
        reply_bytes(req, 200, "application/openmetrics-text; version=1.0.0; charset=utf-8",
                    pj_str_take(out), n);
    } else {
        char *text = older_form(pj_view_n(out->data, out->len), &n);
        reply_bytes(req, 200, "text/plain; version=0.0.4; charset=utf-8", text, n);
    }
}

/* One reply of the store less to come; with the last the page is written. Without the store our own numbers remain. */
static void come(struct gather *g, bool ok)
{
    struct request *req = g->req;
    struct pj_str out;

    g->failed = g->failed || !ok;
    if (--g->missing > 0)
        return;
    pj_str_init(&out, 65536);
    metrics_own(&out, req->api);
    if (!g->failed) {
        count(&req->api->metrics, g->since);
        put_queue(&out, &g->depth);
        put_runners(&out, g->runners);
        put_work(&out, &req->api->metrics.total);
        put_day(&out, g->day);
    }
    pj_str_puts(&out, "# EOF\n");
    reply_metrics(req, &out);
    pj_str_release(&out);
}

static void on_depth(void *arg, const struct redisReply *reply, struct pj_err *err)
{
    struct gather *g = arg;
    struct pj_queue_depth one;
    struct pj_err local;

    (void)err;
    bool ok = reply != NULL && pj_queue_depth_reply(reply, &one, &local) == 0;
    if (ok) {
        g->depth.queued += one.queued;
        g->depth.running += one.running;
        g->depth.external += one.external;
        if (one.oldest_wait_ms > g->depth.oldest_wait_ms)
            g->depth.oldest_wait_ms = one.oldest_wait_ms;
    }
    come(g, ok);
}

static void on_runners(void *arg, const struct redisReply *reply, struct pj_err *err)
{
    struct gather *g = arg;
    struct pj_err local;

    (void)err;
    come(g, reply != NULL && pj_runner_list_reply(reply, &g->runners, &local) == 0);
}

static void on_since(void *arg, const struct redisReply *reply, struct pj_err *err)
{
    struct gather *g = arg;
    struct pj_err local;

    (void)err;
    come(g, reply != NULL && pj_analytics_reply(reply, g->since, &local) == 0);
}

static void on_day(void *arg, const struct redisReply *reply, struct pj_err *err)
{
    struct gather *g = arg;
    struct pj_err local;

    (void)err;
    come(g, reply != NULL && pj_analytics_reply(reply, g->day, &local) == 0);
}

void metrics_get(struct request *req)
{
    struct api *api = req->api;
    struct gather *g = request_ctx(req, sizeof *g, gather_free);
    const int64_t now = pj_now_ms(), hour = now - now % HOUR_MS + HOUR_MS,
                  midnight = now - now % DAY_MS;
    struct pj_cmd cmd = {0};

    if (api->metrics.anchor_ms == 0 || now - api->metrics.anchor_ms > ANCHOR_MAX_MS) {
        api->metrics.anchor_ms = midnight;
        api->metrics.seen.finished[0] = -1; /* nothing to compare with */
    }
    g->req = req;
    g->since = pj_analytics_new(api->metrics.anchor_ms, midnight + DAY_MS, DAY_MS);
    g->day = pj_analytics_new(hour - DAY_MS, hour, HOUR_MS);
    g->missing = 1 + 3 * (size_t)api->partitions;
    pj_runner_list_cmd(&cmd);
    pj_aredis_submit(api->redis, &cmd, on_runners, g);
    for (unsigned k = 0; k < api->partitions; k++) {
        pj_queue_depth_cmd(&cmd, k);
        pj_aredis_submit(api->redis, &cmd, on_depth, g);
        pj_analytics_cmd(&cmd, k, api->metrics.anchor_ms, midnight + DAY_MS);
        pj_aredis_submit(api->redis, &cmd, on_since, g);
        pj_analytics_cmd(&cmd, k, hour - DAY_MS, hour);
        pj_aredis_submit(api->redis, &cmd, on_day, g);
    }
}
