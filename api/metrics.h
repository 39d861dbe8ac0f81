/* metrics.h - counters of this process, and their text form for Prometheus. */
#ifndef API_METRICS_H
#define API_METRICS_H

#include <stdint.h>

struct api;
struct request;

#define METRICS_BUCKETS 12

struct metrics {
    int64_t requests[6];                  /* by status class, 1xx unused */
    int64_t latency[METRICS_BUCKETS + 1]; /* not cumulative; the last is beyond all bounds */
    int64_t latency_us;                   /* sum */
    int64_t sse_opened, sse_dropped;
    int64_t sse_viewers; /* now */
    int64_t webhooks_rejected;
    int64_t rate_limited;
};

void metrics_request(struct metrics *m, int status, int64_t us);

#endif
