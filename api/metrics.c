#include "api/metrics.h"

#include <stdlib.h>
#include "api/api.h"
#include "api/health.h"
#include "api/reply.h"
#include "api/request.h"
#include "api/server.h"
#include "lib/store/async.h"
#include "lib/store/queue.h"

/* Upper bounds in microseconds. */
static const int64_t bounds_us[METRICS_BUCKETS] = {500,   1000,   2500,   5000,   10000,   25000,
                                                   50000, 100000, 250000, 500000, 1000000, 5000000};

void metrics_request(struct metrics *m, int status, int64_t us)
{
    size_t i = 0;

    if (status >= 100 && status < 600)
        m->requests[status / 100]++;
    while (i < METRICS_BUCKETS && us > bounds_us[i])
        i++;
    m->latency[i]++;
    m->latency_us += us;
}

static void put(struct pj_str *out, const char *name, const char *type, const char *help,
                int64_t value)
{
    pj_str_putf(out, "# TYPE %s %s\n# HELP %s %s\n%s%s %lld\n", name, type, name, help, name,
                type[0] == 'c' ? "_total" : "", (long long)value);
}

static void put_requests(struct pj_str *out, const struct metrics *m)
{
    int64_t sum = 0;

    pj_str_puts(out, "# TYPE pj_http_requests counter\n# HELP pj_http_requests Requests answered, "
                     "by class of status.\n");
    for (int i = 2; i <= 5; i++)
        pj_str_putf(out, "pj_http_requests_total{status=\"%dxx\"} %lld\n", i,
                    (long long)m->requests[i]);
    pj_str_puts(out,
                "# TYPE pj_http_request_duration_seconds histogram\n# UNIT "
                "pj_http_request_duration_seconds seconds\n"
                "# HELP pj_http_request_duration_seconds From a request's head to its answer.\n");
    for (size_t i = 0; i < METRICS_BUCKETS; i++) {
        sum += m->latency[i];
        pj_str_putf(out, "pj_http_request_duration_seconds_bucket{le=\"%g\"} %lld\n",
                    (double)bounds_us[i] / 1e6, (long long)sum);
    }
    sum += m->latency[METRICS_BUCKETS];
    pj_str_putf(out, "pj_http_request_duration_seconds_bucket{le=\"+Inf\"} %lld\n", (long long)sum);
    pj_str_putf(
        out,
        "pj_http_request_duration_seconds_sum %.6f\npj_http_request_duration_seconds_count %lld\n",
        (double)m->latency_us / 1e6, (long long)sum);
}

struct gather {
    struct request *req;
    struct pj_queue_depth sum;
    size_t asked, come;
    bool failed;
};

static void show(struct gather *g)
{
    struct request *req = g->req;
    const struct api *api = req->api;
    const struct metrics *m = &api->metrics;
    struct pj_str out;

    pj_str_init(&out, 65536);
    put_requests(&out, m);
    put(&out, "pj_http_connections", "gauge", "Client connections now.",
        (int64_t)server_connections(api->server));
    put(&out, "pj_sse_viewers", "gauge", "Open event streams now.", m->sse_viewers);
    put(&out, "pj_sse_opened", "counter", "Event streams opened.", m->sse_opened);
    put(&out, "pj_sse_dropped", "counter", "Viewers dropped because they did not read.",
        m->sse_dropped);
    put(&out, "pj_webhooks_rejected", "counter", "Webhooks with a bad or missing signature.",
        m->webhooks_rejected);
    put(&out, "pj_rate_limited", "counter", "Requests refused by the rate limit.", m->rate_limited);
    put(&out, "pj_store_up", "gauge", "1 while Redis answers.",
        pj_aredis_is_up(api->redis) ? 1 : 0);
    put(&out, "pj_store_commands_pending", "gauge", "Commands without a reply yet.",
        (int64_t)pj_aredis_pending(api->redis));
    if (!g->failed) {
        put(&out, "pj_tasks_waiting", "gauge", "Tasks that wait for a runner.", g->sum.queued);
        put(&out, "pj_tasks_running", "gauge", "Tasks that a runner holds.", g->sum.running);
        put(&out, "pj_tasks_external", "gauge", "Tasks that a workflow holds.", g->sum.external);
        pj_str_puts(&out, "# TYPE pj_tasks_oldest_wait_seconds gauge\n# UNIT "
                          "pj_tasks_oldest_wait_seconds seconds\n"
                          "# HELP pj_tasks_oldest_wait_seconds Age of the longest wait.\n");
        pj_str_putf(&out, "pj_tasks_oldest_wait_seconds %.3f\n",
                    (double)g->sum.oldest_wait_ms / 1000);
    }
    pj_str_puts(&out, "# EOF\n");
    size_t n = out.len;
    reply_bytes(req, 200, "application/openmetrics-text; version=1.0.0; charset=utf-8",
                pj_str_take(&out), n);
    pj_str_release(&out);
}

static void on_depth(void *arg, const struct redisReply *reply, struct pj_err *err)
{
    struct gather *g = arg;
    struct pj_queue_depth one;
    struct pj_err local;

    (void)err;
    if (reply == NULL || pj_queue_depth_reply(reply, &one, &local) < 0) {
        g->failed = true;
    } else {
        g->sum.queued += one.queued;
        g->sum.running += one.running;
        g->sum.external += one.external;
        if (one.oldest_wait_ms > g->sum.oldest_wait_ms)
            g->sum.oldest_wait_ms = one.oldest_wait_ms;
    }
    if (++g->come == g->asked)
        show(g);
}

void metrics_get(struct request *req)
{
    struct gather *g = request_ctx(req, sizeof *g, NULL);

    g->req = req;
    g->asked = req->api->partitions;
    for (unsigned k = 0; k < req->api->partitions; k++) {
        struct pj_cmd cmd = {0};
        pj_queue_depth_cmd(&cmd, k);
        pj_aredis_submit(req->api->redis, &cmd, on_depth, g);
    }
}
