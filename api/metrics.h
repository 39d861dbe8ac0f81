/* metrics.h - counters of this process, and their text form for Prometheus. */
#ifndef API_METRICS_H
#define API_METRICS_H

#include <stdint.h>

struct api;
struct pj_str;
struct request;

#define METRICS_BUCKETS 12

/* What tasks came to, since this process was first asked. */
struct metrics_totals {
    int64_t finished[5]; /* completed failed needs_review needs_clarification cancelled */
    int64_t tokens[3];   /* prompt completion cached */
    double cost_usd;
};

struct metrics {
    struct metrics_totals total,
        seen;            /* seen: what the store summed at the last scrape, from anchor_ms on */
    int64_t anchor_ms;   /* 0: not asked yet */
    int64_t requests[6]; /* by status class, 1xx unused */
    int64_t latency[METRICS_BUCKETS + 1]; /* not cumulative; the last is beyond all bounds */
    int64_t latency_us;                   /* sum */
    int64_t sse_opened, sse_dropped;
    int64_t sse_viewers; /* now */
    int64_t webhooks_rejected;
    int64_t rate_limited;
};

/* One sample with its TYPE and HELP; a counter's name gets its `_total`. */
void metrics_put(struct pj_str *out, const char *name, const char *type, const char *help,
                 int64_t value);
/* This process's own numbers. */
void metrics_own(struct pj_str *out, const struct api *api);
void metrics_request(struct metrics *m, int status, int64_t us);

#endif
