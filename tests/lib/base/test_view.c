#include <criterion/criterion.h>
#include "lib/base/view.h"

#include <string.h>

Test(view, whole_numbers_only)
{
    static const struct {
        const char *text;
        int result;
        int64_t value;
    } rows[] = {
        {"0", 0, 0},
        {"42", 0, 42},
        {"-7", 0, -7},
        {"9223372036854775807", 0, INT64_MAX},
        {"9223372036854775808", -1, 0},
        {"", -1, 0},
        {"-", -1, 0},
        {"+1", -1, 0},
        {" 1", -1, 0},
        {"1 ", -1, 0},
        {"0x10", -1, 0},
        {"1e3", -1, 0},
    };

    for (size_t i = 0; i < PJ_COUNT_OF(rows); i++) {
        int64_t v = 0;

        cr_assert_eq(pj_parse_i64(pj_view_of(rows[i].text), &v), rows[i].result, "%s",
                     rows[i].text);
        cr_assert_eq(v, rows[i].value, "%s", rows[i].text);
    }
}

Test(view, durations_sizes_and_money)
{
    int64_t v;

    cr_assert_eq(pj_parse_duration_ms(pj_view_of("10m"), &v), 0);
    cr_assert_eq(v, 600000);
    cr_assert_eq(pj_parse_duration_ms(pj_view_of("250ms"), &v), 0);
    cr_assert_eq(v, 250);
    cr_assert_eq(pj_parse_duration_ms(pj_view_of("7d"), &v), 0);
    cr_assert_eq(v, 604800000);
    cr_assert_eq(pj_parse_duration_ms(pj_view_of("10"), &v), -1);
    cr_assert_eq(pj_parse_duration_ms(pj_view_of("99999999999999d"), &v), -1);
    cr_assert_eq(pj_parse_size(pj_view_of("2G"), &v), 0);
    cr_assert_eq(v, INT64_C(2147483648));
    cr_assert_eq(pj_parse_size(pj_view_of("12k"), &v), -1);
    cr_assert_eq(pj_parse_money(pj_view_of("12.34"), &v), 0);
    cr_assert_eq(v, 12340000);
    cr_assert_eq(pj_parse_money(pj_view_of("3"), &v), 0);
    cr_assert_eq(v, 3000000);
    cr_assert_eq(pj_parse_money(pj_view_of("1.2345678"), &v), -1);
    cr_assert_eq(pj_parse_money(pj_view_of("1."), &v), -1);
    cr_assert_eq(pj_parse_money(pj_view_of("-1"), &v), -1);
}

Test(view, cut_walks_all_parts)
{
    struct pj_view rest = pj_view_of("a,,bc"), part;

    cr_assert(pj_view_cut(&rest, ',', &part) && pj_view_is(part, "a"));
    cr_assert(pj_view_cut(&rest, ',', &part) && part.n == 0);
    cr_assert(pj_view_cut(&rest, ',', &part) && pj_view_is(part, "bc"));
    cr_assert_not(pj_view_cut(&rest, ',', &part));
}

Test(view, bytes_that_are_no_text_are_replaced)
{
    static const struct {
        const char *in;
        size_t n;
        const char *out;
    } rows[] = {
        {"plain \xC3\xA4", 8, "plain \xC3\xA4"},
        {"a\xFF"
         "b",
         3,
         "a\xEF\xBF\xBD"
         "b"},
        {"\xC0\x80", 2, "\xEF\xBF\xBD\xEF\xBF\xBD"},
        {"\xED\xA0\x80", 3, "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"},
        {"\xE2\x82", 2, "\xEF\xBF\xBD"},
        {"\xF0\x9F\x98\x80", 4, "\xF0\x9F\x98\x80"},
        {"a\0b", 3,
         "a\xEF\xBF\xBD"
         "b"},
    };

    for (size_t i = 0; i < PJ_COUNT_OF(rows); i++) {
        struct pj_str s;

        pj_str_init(&s, 100);
        cr_assert_eq(pj_utf8_append_clean(&s, pj_view_n(rows[i].in, rows[i].n)), 0);
        cr_assert_str_eq(pj_str_cstr(&s), rows[i].out, "row %zu", i);
        cr_assert(pj_utf8_valid(pj_view_of(pj_str_cstr(&s))));
        pj_str_release(&s);
    }
}
