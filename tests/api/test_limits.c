#include <criterion/criterion.h>
#include "api/limits.h"

Test(limits, a_token_has_its_minute_and_no_more)
{
    struct limits *limits = limits_new(10);
    struct limits_verdict v;

    for (int i = 0; i < 10; i++) {
        v = limits_take(limits, "a");
        cr_expect(v.allowed, "request %d", i);
    }
    v = limits_take(limits, "a");
    cr_expect_not(v.allowed);
    cr_expect_eq(v.remaining, 0);
    cr_expect_geq(v.retry_after, 1);
    cr_expect_leq(v.retry_after, 6);
    cr_expect(limits_take(limits, "b").allowed, "another token is another bucket");
    limits_free(limits);
}

Test(limits, zero_is_no_limit)
{
    struct limits *limits = limits_new(0);

    for (int i = 0; i < 1000; i++)
        cr_expect(limits_take(limits, "a").allowed);
    limits_free(limits);
}
