#include <criterion/criterion.h>
#include "lib/base/redact.h"

static void check(const struct pj_redact *r, const char *in, const char *out)
{
    struct pj_str s;

    pj_str_init(&s, 1000);
    cr_assert_eq(pj_redact_append(r, &s, pj_view_of(in)), 0);
    cr_assert_str_eq(pj_str_cstr(&s), out);
    pj_str_release(&s);
}

Test(redact, every_form_of_a_secret_is_masked)
{
    struct pj_redact *r = pj_redact_new();

    pj_redact_add(r, "s3cr\"t/key+9");
    pj_redact_add(r, "short");
    pj_redact_add(r, NULL);
    check(r, "a s3cr\"t/key+9 b", "a *** b");
    check(r, "{\"k\":\"s3cr\\\"t/key+9\"}", "{\"k\":\"***\"}");
    check(r, "q=s3cr%22t%2Fkey%2B9&", "q=***&");
    check(r, "Basic czNjciJ0L2tleSs5", "Basic ***");
    check(r, "short stays, s3cr alone stays", "short stays, s3cr alone stays");
    cr_assert_geq(pj_redact_longest(r), 18);
    pj_redact_free(r);
}

Test(redact, the_longest_of_two_wins)
{
    struct pj_redact *r = pj_redact_new();

    pj_redact_add(r, "password");
    pj_redact_add(r, "password-and-more");
    check(r, "password-and-more password", "*** ***");
    pj_redact_free(r);
}
