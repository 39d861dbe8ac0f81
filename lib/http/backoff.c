#include "lib/http/backoff.h"

#include <curl/curl.h>
#include <sys/random.h>
#include "lib/base/clock.h"
#include "lib/base/view.h"

#define MAX_DELAY_MS ((int64_t)5 * 60 * 1000)
#define DAY_MS ((int64_t)24 * 3600 * 1000)

int64_t pj_backoff_ms(int64_t base_ms, int retry)
{
    int64_t delay = base_ms;
    uint32_t dice = 0;

    for (int i = 1; i < retry && delay < MAX_DELAY_MS; i++)
        delay *= 2;
    if (delay > MAX_DELAY_MS)
        delay = MAX_DELAY_MS;
    if (getrandom(&dice, sizeof dice, GRND_NONBLOCK) < 0)
        dice = (uint32_t)pj_mono_us();
    /* Only the last quarter is random: "1, 2, 4 times the base" stays visible, a herd still spreads. */
    return delay - delay / 4 + (int64_t)(dice % (uint32_t)(delay / 4 + 1));
}

static int64_t bounded(int64_t ms)
{
    return ms < 0 ? 0 : ms > DAY_MS ? DAY_MS : ms;
}

int64_t pj_retry_after_ms(const struct pj_http_response *res)
{
    char buf[80];
    int64_t n = 0;

    if (pj_http_header_get(res, "retry-after-ms", buf, sizeof buf) &&
        pj_parse_i64(pj_view_of(buf), &n) == 0)
        return bounded(n);
    if (pj_http_header_get(res, "retry-after", buf, sizeof buf)) {
        if (pj_parse_i64(pj_view_of(buf), &n) == 0)
            return bounded(n > DAY_MS / 1000 ? DAY_MS : n * 1000);
        time_t at = curl_getdate(buf, NULL);
        if (at != (time_t)-1)
            return bounded((int64_t)at * 1000 - pj_now_ms());
    }
    if (pj_http_header_get(res, "x-ratelimit-remaining", buf, sizeof buf) && buf[0] == '0' &&
        !buf[1] && pj_http_header_get(res, "x-ratelimit-reset", buf, sizeof buf) &&
        pj_parse_i64(pj_view_of(buf), &n) == 0 && n < INT64_MAX / 1000)
        return bounded(n * 1000 - pj_now_ms());
    return -1;
}
