/* backoff.h - how long to wait before trying again: 1, 2, 4 … × base with jitter, or what the peer asked for.
 *
 * The peer's wish is read from `retry-after-ms`, `Retry-After` (seconds or HTTP date), or, when x-ratelimit-remaining is 0,
 * from x-ratelimit-reset (Unix seconds, GitHub). */
#ifndef PJ_HTTP_BACKOFF_H
#define PJ_HTTP_BACKOFF_H

#include <stdint.h>
#include "lib/http/client.h"

/* Delay before retry number `retry` (1 is the first): base × 2^(retry-1), of which the last quarter is random; at most 5 min. */
int64_t pj_backoff_ms(int64_t base_ms, int retry);
/* Milliseconds the answer asks to wait, 0 for "at once", -1 when it does not say. Never more than one day. */
int64_t pj_retry_after_ms(const struct pj_http_response *res);

#endif
