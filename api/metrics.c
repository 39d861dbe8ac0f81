#include "api/metrics.h"

#include <stdlib.h>
#include "api/api.h"
#include "api/server.h"
#include "lib/base/str.h"
#include "lib/store/async.h"

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

void metrics_put(struct pj_str *out, const char *name, const char *type, const char *help,
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
        pj_str_putf(out, "pj_http_request_duration_seconds_bucket{le=\"%g%s\"} %lld\n",
                    (double)bounds_us[i] / 1e6, bounds_us[i] % 1000000 == 0 ? ".0" : "",
                    (long long)sum); /* OpenMetrics writes 1 as 1.0 */
    }
    sum += m->latency[METRICS_BUCKETS];
    pj_str_putf(out, "pj_http_request_duration_seconds_bucket{le=\"+Inf\"} %lld\n", (long long)sum);
    pj_str_putf(
        out,
        "pj_http_request_duration_seconds_sum %.6f\npj_http_request_duration_seconds_count %lld\n",
        (double)m->latency_us / 1e6, (long long)sum);
}

void metrics_own(struct pj_str *out, const struct api *api)
{
    const struct metrics *m = &api->metrics;

    pj_str_puts(out, "# TYPE pj_build_info gauge\n# HELP pj_build_info The program that answers.\n"
                     "pj_build_info{version=\"" PJ_VERSION "\"} 1\n");
    put_requests(out, m);
    metrics_put(out, "pj_http_connections", "gauge", "Client connections now.",
                (int64_t)server_connections(api->server));
    metrics_put(out, "pj_sse_viewers", "gauge", "Open event streams now.", m->sse_viewers);
    metrics_put(out, "pj_sse_opened", "counter", "Event streams opened.", m->sse_opened);
    metrics_put(out, "pj_sse_dropped", "counter", "Viewers dropped because they did not read.",
                m->sse_dropped);
    metrics_put(out, "pj_webhooks_rejected", "counter", "Webhooks with a bad or missing signature.",
                m->webhooks_rejected);
    metrics_put(out, "pj_rate_limited", "counter", "Requests refused by the rate limit.",
                m->rate_limited);
    metrics_put(out, "pj_store_up", "gauge", "1 while Redis answers.",
                pj_aredis_is_up(api->redis) ? 1 : 0);
    metrics_put(out, "pj_store_commands_pending", "gauge", "Commands without a reply yet.",
                (int64_t)pj_aredis_pending(api->redis));
}
