#include <criterion/criterion.h>
#include "lib/base/err.h"

#include <errno.h>
#include <string.h>

Test(err, the_chain_reads_from_outside_in)
{
    struct pj_err err;

    cr_assert_eq(pj_fail(&err, PJ_E_LIMIT, "patch has %d bytes", 9), -1);
    cr_assert_eq(pj_err_wrap(&err, "task %s", "t1"), -1);
    cr_assert_str_eq(err.message, "task t1: patch has 9 bytes");
    cr_assert_str_eq(pj_err_code_of(&err), "too_large");
    pj_err_code(&err, "patch_malformed");
    cr_assert_str_eq(pj_err_code_of(&err), "patch_malformed");
    cr_assert_eq(pj_err_http_status(err.cls), 413);
}

Test(err, errno_decides_the_class)
{
    struct pj_err err;

    pj_fail_errno(&err, ENOENT, "x");
    cr_assert_eq(err.cls, PJ_E_NOT_FOUND);
    pj_fail_errno(&err, ECONNREFUSED, "x");
    cr_assert_eq(err.cls, PJ_E_UNAVAILABLE);
    cr_assert(pj_err_retryable(err.cls));
    cr_assert_eq(err.sys_errno, ECONNREFUSED);
}

Test(err, a_long_chain_is_cut_not_overrun)
{
    struct pj_err err;

    pj_fail(&err, PJ_E_INTERNAL, "%0*d", 2000, 1);
    for (int i = 0; i < 50; i++)
        pj_err_wrap(&err, "%0*d", 300, i);
    cr_assert(strlen(err.message) < sizeof(err.message));
}
