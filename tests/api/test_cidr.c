#include <criterion/criterion.h>
#include "api/cidr.h"

Test(cidr, ranges_hold_what_they_say)
{
    struct cidr_list *list = NULL;
    struct pj_err err;

    cr_assert_eq(cidr_list_new("10.0.0.0/8, 192.168.1.7,fd00::/8 , unix", &list, &err), 0);
    cr_expect(cidr_list_has(list, "10.255.0.1"));
    cr_expect_not(cidr_list_has(list, "11.0.0.1"));
    cr_expect(cidr_list_has(list, "192.168.1.7"));
    cr_expect_not(cidr_list_has(list, "192.168.1.8"));
    cr_expect(cidr_list_has(list, "fd12::1"));
    cr_expect_not(cidr_list_has(list, "fe80::1"));
    cr_expect(cidr_list_has(list, "unix"));
    cr_expect_not(cidr_list_has(list, "nonsense"));
    cidr_list_free(list);
}

Test(cidr, a_mistake_is_named)
{
    static const char *const texts[] = {"10.0.0.0/33", "10.0.0", "::/129",
                                        "10.0.0.0/",   "a.b",    "10.0.0.0/-1"};
    struct cidr_list *list = NULL;

    for (size_t i = 0; i < PJ_COUNT_OF(texts); i++) {
        struct pj_err err;
        cr_expect_eq(cidr_list_new(texts[i], &list, &err), -1, "%s", texts[i]);
        cr_expect_eq(err.cls, PJ_E_INVALID);
    }
}

Test(cidr, a_party_is_an_address_or_the_network_of_one)
{
    static const char *const rows[][2] = {
        {"203.0.113.7", "203.0.113.7"},
        {"2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"},
        {"2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"},
        {"2001:db8:1:3::1", "2001:db8:1:3::/64"},
        {"::ffff:203.0.113.7", "::ffff:203.0.113.7"},
        {"fe80::1%eth0", "fe80::1%eth0"},
        {"unix", "unix"},
    };

    for (size_t i = 0; i < PJ_COUNT_OF(rows); i++) {
        char out[64];
        cidr_party(rows[i][0], out);
        cr_expect_str_eq(out, rows[i][1], "%s", rows[i][0]);
    }
}

Test(cidr, the_client_is_the_last_stranger)
{
    struct cidr_list *list = NULL;
    struct pj_err err;
    char out[64];

    cr_assert_eq(cidr_list_new("10.0.0.0/8", &list, &err), 0);
    cidr_client(list, "10.0.0.1", pj_view_of("1.2.3.4, 5.6.7.8, 10.0.0.2"), out);
    cr_expect_str_eq(out, "5.6.7.8");
    cidr_client(list, "9.9.9.9", pj_view_of("1.2.3.4"), out);
    cr_expect_str_eq(out, "9.9.9.9", "a stranger's header does not count");
    cidr_client(list, "10.0.0.1", pj_view_of("garbage"), out);
    cr_expect_str_eq(out, "10.0.0.1");
    cidr_client(list, "10.0.0.1", pj_view_of(""), out);
    cr_expect_str_eq(out, "10.0.0.1");
    cidr_list_free(list);
}
