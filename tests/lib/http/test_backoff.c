#include <criterion/criterion.h>
#include <string.h>
#include "lib/base/clock.h"
#include "lib/http/backoff.h"

Test(backoff, doubles_with_the_last_quarter_random)
{
    for (int i = 0; i < 200; i++) {
        for (int retry = 1; retry <= 3; retry++) {
            int64_t full = (int64_t)1000 << (retry - 1), got = pj_backoff_ms(1000, retry);
            cr_assert_geq(got, full - full / 4);
            cr_assert_leq(got, full);
        }
    }
    cr_assert_leq(pj_backoff_ms(1000, 60), 5 * 60 * 1000);
    cr_assert_eq(pj_backoff_ms(0, 3), 0);
}

static int64_t asked(const char *head)
{
    struct pj_http_response res = {0};
    int64_t ms;

    pj_str_init(&res.head, 1000);
    pj_str_puts(&res.head, head);
    ms = pj_retry_after_ms(&res);
    pj_str_release(&res.head);
    return ms;
}

Test(backoff, reads_what_the_peer_asks_for)
{
    /* clang-format off */
    static const struct {
        const char *head;
        int64_t ms;
    } rows[] = {
        {"", -1},
        {"Retry-After: 7\n", 7000},
        {"retry-after: 0\n", 0},
        {"Retry-After: -5\n", 0},
        {"Retry-After: 99999999999999\n", 86400000},
        {"Retry-After: soon\n", -1},
        {"retry-after-ms: 250\nRetry-After: 1\n", 250},
        {"Retry-After: Sat, 01 Jan 2000 00:00:05 GMT\n", 5000},
        {"Retry-After: Fri, 31 Dec 1999 00:00:00 GMT\n", 0},
        {"X-RateLimit-Remaining: 0\nX-RateLimit-Reset: 946684830\n", 30000},
        {"X-RateLimit-Remaining: 5\nX-RateLimit-Reset: 946684830\n", -1},
    };
    /* clang-format on */

    pj_clock_set(946684800000); /* 2000-01-01 */
    for (size_t i = 0; i < PJ_COUNT_OF(rows); i++)
        cr_expect_eq(asked(rows[i].head), rows[i].ms, "%s", rows[i].head);
    pj_clock_set(-1);
}
