/* Signatures of webhooks that come in: the cases of the Standard Webhooks libraries' own tests (github.com/standard-webhooks), and the
 * vector in GitHub's documentation ("Validating webhook deliveries"). */
#include <criterion/criterion.h>
#include <string.h>
#include "api/hooks.h"
#include "lib/base/mem.h"

#define SECRET "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
#define ID "msg_p5jXN8AQM9LWM0D4loKWxJek"
#define AT "1614265330"
#define BODY "{\"test\": 2432232314}"
#define GOOD "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
#define OTHER "Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc="

static const struct {
    const char *secret, *id, *at, *body, *header;
    bool good;
} standard[] = {
    {SECRET, ID, AT, BODY, GOOD, true},
    {SECRET, ID, AT, BODY, "v1," OTHER " " GOOD, true},
    {SECRET, ID, AT, BODY, "v1," OTHER " v2," OTHER " " GOOD " v1," OTHER, true},
    {SECRET, ID, AT, BODY, "v1," OTHER, false},
    {SECRET, ID, AT, BODY, "", false},
    {SECRET, ID, AT, BODY, "v1,", false},
    {SECRET, ID, AT, BODY, "v1,g0hM9SsE+OTPJTGt", false}, /* a part of it */
    {SECRET, ID, AT, BODY, "v2,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", false},
    {SECRET, ID, AT, BODY, "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", false},
    {SECRET, ID, AT, BODY " ", GOOD, false},
    {SECRET, ID, "1614265331", BODY, GOOD, false},
    {SECRET, "msg_p5jXN8AQM9LWM0D4loKWxJel", AT, BODY, GOOD, false},
    {"whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD", ID, AT, BODY, GOOD, false},
    {"whsec_", ID, AT, BODY, GOOD, false},
    {"no secret of ours", ID, AT, BODY, GOOD, false},
};

Test(signature, r5_3_the_vectors_of_standard_webhooks)
{
    for (size_t i = 0; i < PJ_COUNT_OF(standard); i++)
        cr_expect_eq(hook_signed(standard[i].secret, pj_view_of(standard[i].id),
                                 pj_view_of(standard[i].at), pj_view_of(standard[i].body),
                                 pj_view_of(standard[i].header)),
                     standard[i].good, "row %zu", i);
}

static const struct {
    const char *at;
    int64_t now_s;
    bool fresh;
} times[] = {
    {AT, 1614265330, true},
    {AT, 1614265330 + 300, true},
    {AT, 1614265330 + 301, false},
    {AT, 1614265330 - 300, true},
    {AT, 1614265330 - 301, false},
    {"", 1614265330, false},
    {"-1", 0, false},
    {"1614265330.5", 1614265330, false},
    {"hello", 1614265330, false},
    {"99999999999999999999", 1614265330, false},
};

Test(signature, r5_3_five_minutes_and_no_more)
{
    for (size_t i = 0; i < PJ_COUNT_OF(times); i++)
        cr_expect_eq(hook_is_fresh(pj_view_of(times[i].at), times[i].now_s * 1000), times[i].fresh,
                     "row %zu", i);
}

Test(signature, the_vector_of_githubs_documentation)
{
    static const char secret[] = "It's a Secret to Everybody", body[] = "Hello, World!",
                      good[] = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b04"
                               "3e17";

    cr_expect(hook_signed_github(secret, pj_view_of(body), pj_view_of(good)));
    cr_expect_not(hook_signed_github(secret, pj_view_of("Hello, World?"), pj_view_of(good)));
    cr_expect_not(hook_signed_github("another", pj_view_of(body), pj_view_of(good)));
    cr_expect_not(hook_signed_github(secret, pj_view_of(body), pj_view_of(good + 7)));
    cr_expect_not(hook_signed_github(secret, pj_view_of(body), pj_view_n(good, sizeof good - 2)));
}
