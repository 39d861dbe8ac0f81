#include <criterion/criterion.h>
#include "lib/base/clock.h"
#include "lib/base/id.h"

#include <string.h>

Test(clock, rfc3339_there_and_back)
{
    char out[PJ_RFC3339_SIZE];
    int64_t ms;

    cr_assert_str_eq(pj_rfc3339(1795352709123, out), "2026-11-22T13:05:09.123Z");
    cr_assert_eq(pj_rfc3339_parse(out, &ms), 0);
    cr_assert_eq(ms, 1795352709123);
    cr_assert_eq(pj_rfc3339_parse("2026-11-22T14:05:09+01:00", &ms), 0);
    cr_assert_eq(ms, 1795352709000);
    cr_assert_eq(pj_rfc3339_parse("2026-02-30T00:00:00Z", &ms), -1);
    cr_assert_eq(pj_rfc3339_parse("2026-11-22", &ms), -1);
    cr_assert_eq(pj_rfc3339_parse("2026-11-22T13:05:09Zx", &ms), -1);
}

Test(id, sorts_by_time_and_knows_its_partition)
{
    char a[PJ_ID_SIZE], b[PJ_ID_SIZE];

    pj_clock_set(1000);
    pj_id_new(7, a);
    pj_clock_set(2000);
    pj_id_new(1295, b);
    pj_clock_set(-1);
    cr_assert(strcmp(a, b) < 0);
    cr_assert(pj_id_is_valid(a));
    cr_assert_eq(pj_id_partition(a), 7);
    cr_assert_eq(pj_id_partition(b), 1295);
    cr_assert_eq(pj_id_partition("nope"), -1);
    cr_assert_not(pj_id_is_valid("ABCDEFGHIJKLMNOPQ"));
}
