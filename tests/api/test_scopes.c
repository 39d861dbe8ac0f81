#include <criterion/criterion.h>
#include <string.h>
#include "api/auth.h"
#include "lib/base/cleanup.h"

Test(scopes, lists_are_read_and_unknown_words_refused)
{
    unsigned bits;

    cr_assert_eq(scopes_parse("tasks:read, repos:write", &bits), 0);
    cr_expect_eq(bits, SCOPE_SELF | SCOPE_TASKS_READ | SCOPE_REPOS_WRITE);
    cr_expect_eq(scopes_parse("tasks:read nonsense", &bits), -1);
    cr_assert_eq(scopes_parse("*", &bits), 0);
    cr_expect_eq(bits, scopes_of_role(true));
}

Test(scopes, a_user_never_has_an_admins)
{
    cr_expect_eq(scopes_of_role(false) & (SCOPE_ADMIN_READ | SCOPE_ADMIN_WRITE | SCOPE_METRICS), 0);
}

Test(scopes, the_table_is_sorted)
{
    for (size_t i = 1; scope_table[i].name != NULL; i++)
        cr_expect_lt(strcmp(scope_table[i - 1].name, scope_table[i].name), 0);
}
