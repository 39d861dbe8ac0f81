#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "lib/base/fs.h"
#include "lib/json/codec.h"
#include "lib/model/prices.h"

#define DAY(s) ((int64_t)(s)*1000)

Test(prices, the_built_in_table_loads_and_names_default_models)
{
    struct pj_prices *p = NULL;
    struct pj_err err;

    cr_assert_eq(pj_prices_load(NULL, &p, &err), 0, "%s", err.message);
    cr_assert_str_eq(pj_prices_default_model(p, "openai"), "gpt-6-sol");
    cr_assert_str_eq(pj_prices_default_model(p, "anthropic"), "claude-sonnet-5-5");
    cr_assert_null(pj_prices_default_model(p, "replay"));
    cr_assert_null(pj_prices_find(p, "openai", "no-such-model", DAY(1900000000), 0));
    pj_prices_free(p);
}

static int load(const char *text, struct pj_prices **p, struct pj_err *err)
{
    char path[] = "/tmp/pj-prices-XXXXXX";
    int fd = mkstemp(path), rc;

    cr_assert_eq(pj_write_all(fd, text, strlen(text)), 0);
    close(fd);
    rc = pj_prices_load(path, p, err);
    unlink(path);
    return rc;
}

Test(prices, the_latest_row_in_force_counts_and_no_row_is_not_free)
{
    static const char table[] =
        "[{\"provider\":\"openai\",\"model\":\"m*\",\"from\":\"2026-01-01\",\"inputPerMTok\":2,"
        "\"outputPerMTok\":10,\"cachedInputPerMTok\":0.2},"
        "{\"provider\":\"openai\",\"model\":\"m-1\",\"from\":\"2026-06-01\",\"inputPerMTok\":1."
        "000001,\"outputPerMTok\":5}]";
    struct pj_usage u = {
        .uncached = 1000, .cached = 500, .cache_write = 10, .output = 100, .reported_microusd = -1};
    struct pj_prices *p = NULL;
    struct pj_err err;
    char *row;
    json_t *doc;

    cr_assert_eq(load(table, &p, &err), 0, "%s", err.message);
    cr_assert_null(pj_prices_find(p, "openai", "m-1", DAY(1767225599), 0));
    cr_assert_eq(pj_prices_find(p, "openai", "m-1", DAY(1767225600), 0)->input, 2000000);
    cr_assert_eq(pj_prices_find(p, "openai", "m-1", DAY(1790000000), 0)->input, 1000001);
    cr_assert_eq(pj_prices_find(p, "openai", "m-2", DAY(1790000000), 0)->input, 2000000);
    cr_assert_null(pj_prices_find(p, "anthropic", "m-2", DAY(1790000000), 0));
    cr_assert_eq(pj_price_cost(pj_prices_find(p, "openai", "m-2", DAY(1790000000), 0), &u),
                 2000 + 100 + 20 + 1000);
    cr_assert_eq(pj_price_cost(NULL, &u), -1);
    u.reported_microusd = 7;
    cr_assert_eq(pj_price_cost(NULL, &u), 7);
    u = (struct pj_usage){.uncached = 1, .reported_microusd = -1};
    cr_assert_eq(pj_price_cost(pj_prices_find(p, "openai", "m-1", DAY(1790000000), 0), &u), 2,
                 "rounded up");
    u.uncached = u.output = 1000000000000;
    cr_assert_gt(pj_price_cost(pj_prices_find(p, "openai", "m-1", DAY(1790000000), 0), &u), 0,
                 "no overflow");
    doc = pj_price_json(pj_prices_find(p, "openai", "m-2", DAY(1790000000), 0));
    row = pj_json_text(doc);
    cr_assert_str_eq(row,
                     "{\"provider\":\"openai\",\"model\":\"m*\",\"from\":\"2026-01-01\","
                     "\"inputPerMTok\":2.0,\"outputPerMTok\":10.0,"
                     "\"cachedInputPerMTok\":0.2,\"cacheWritePerMTok\":2.0}",
                     "%s", row);
    free(row);
    json_decref(doc);
    pj_prices_free(p);
}

/* Where a long prompt makes all of the call dearer. */
Test(prices, a_long_prompt_has_a_row_of_its_own)
{
    static const char table[] =
        "[{\"provider\":\"openai\",\"model\":\"m*\",\"from\":\"2026-01-01\",\"inputPerMTok\":4,"
        "\"outputPerMTok\":9,\"abovePromptTokens\":200000},"
        "{\"provider\":\"openai\",\"model\":\"m*\",\"from\":\"2026-01-01\",\"inputPerMTok\":8,"
        "\"outputPerMTok\":9,\"abovePromptTokens\":500000},"
        "{\"provider\":\"openai\",\"model\":\"m*\",\"from\":\"2026-01-01\",\"inputPerMTok\":2,"
        "\"outputPerMTok\":9},"
        "{\"provider\":\"openai\",\"model\":\"m-2\",\"from\":\"2026-02-01\",\"inputPerMTok\":1,"
        "\"outputPerMTok\":9}]";
    static const struct {
        const char *model;
        int64_t prompt, input;
    } rows[] = {
        {"m-1", 0, 2000000},      {"m-1", 200000, 2000000}, {"m-1", 200001, 4000000},
        {"m-1", 500001, 8000000}, {"m-2", 500001, 1000000}, /* a newer list without such a row has done away with it */
    };
    struct pj_prices *p = NULL;
    struct pj_err err;

    cr_assert_eq(load(table, &p, &err), 0, "%s", err.message);
    for (size_t i = 0; i < PJ_COUNT_OF(rows); i++)
        cr_expect_eq(
            pj_prices_find(p, "openai", rows[i].model, DAY(1790000000), rows[i].prompt)->input,
            rows[i].input, "%s %lld", rows[i].model, (long long)rows[i].prompt);
    pj_prices_free(p);
}

Test(prices, faults_name_the_row)
{
    static const char *const bad[] = {
        "{}",
        "[1]",
        "[{\"provider\":\"x\",\"model\":\"m\"}]",
        "nonsense",
        "[{\"provider\":\"x\",\"model\":\"m\",\"from\":\"yesterday..\",\"inputPerMTok\":1,"
        "\"outputPerMTok\":1}]",
        "[{\"provider\":\"x\",\"model\":\"m\",\"inputPerMTok\":-1,\"outputPerMTok\":1}]",
        "[{\"provider\":\"x\",\"model\":\"m\",\"inputPerMTok\":1,\"outputPerMTok\":1,\"discount\":"
        "2}]",
        "[{\"provider\":\"x\",\"model\":\"m\",\"inputPerMTok\":1,\"outputPerMTok\":1,"
        "\"abovePromptTokens\":-5}]",
    };
    struct pj_prices *p = NULL;
    struct pj_err err;

    for (size_t i = 0; i < PJ_COUNT_OF(bad); i++) {
        cr_expect_lt(load(bad[i], &p, &err), 0, "%s", bad[i]);
        cr_expect_not_null(strstr(err.message, "PJ_PRICES"), "%s", err.message);
        cr_expect_eq(err.cls, PJ_E_INVALID);
    }
}
