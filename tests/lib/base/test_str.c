#include <criterion/criterion.h>
#include "lib/base/str.h"

#include <stdlib.h>
#include <string.h>

Test(str, grows_and_stays_terminated)
{
    struct pj_str s;

    pj_str_init(&s, 1000);
    for (int i = 0; i < 100; i++)
        cr_assert_eq(pj_str_putf(&s, "%03d,", i), 0);
    cr_assert_eq(s.len, 400);
    cr_assert_eq(strlen(pj_str_cstr(&s)), 400);
    cr_assert(strncmp(s.data, "000,001,", 8) == 0);
    pj_str_release(&s);
    cr_assert_str_eq(pj_str_cstr(&s), "");
}

Test(str, stops_at_its_maximum_and_remembers)
{
    struct pj_str s;

    pj_str_init(&s, 5);
    cr_assert_eq(pj_str_puts(&s, "abc"), 0);
    cr_assert_eq(pj_str_puts(&s, "defg"), -1);
    cr_assert_str_eq(pj_str_cstr(&s), "abcde");
    cr_assert(s.full);
    pj_str_clear(&s);
    cr_assert_not(s.full);
    cr_assert_eq(pj_str_puts(&s, "12345"), 0);
    pj_str_release(&s);
}

Test(str, long_formats_are_whole)
{
    struct pj_str s;
    char *taken;

    pj_str_init(&s, 100000);
    cr_assert_eq(pj_str_putf(&s, "%0*d", 5000, 7), 0);
    cr_assert_eq(s.len, 5000);
    taken = pj_str_take(&s);
    cr_assert_eq(strlen(taken), 5000);
    cr_assert_eq(s.len, 0);
    free(taken);
}

Test(str, shift_takes_from_the_front)
{
    struct pj_str s;

    pj_str_init(&s, 100);
    pj_str_puts(&s, "hello world");
    pj_str_shift(&s, 6);
    cr_assert_str_eq(pj_str_cstr(&s), "world");
    pj_str_shift(&s, 99);
    cr_assert_eq(s.len, 0);
    pj_str_release(&s);
}
