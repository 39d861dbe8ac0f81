/* limits.h - how often a token, or an address without one, may call: a bucket each, refilled steadily, in this process. */
#ifndef API_LIMITS_H
#define API_LIMITS_H

#include <stdbool.h>
#include <stdint.h>

struct limits;

struct limits_verdict {
    bool allowed;
    int64_t limit; /* a minute */
    int64_t remaining;
    int64_t retry_after; /* seconds until the next is allowed */
};

/* per_minute 0: everything is allowed. */
struct limits *limits_new(int64_t per_minute);
void limits_free(struct limits *limits);
struct limits_verdict limits_take(struct limits *limits, const char *who);

#endif
