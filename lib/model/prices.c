#include "lib/model/prices.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include "lib/base/clock.h"
#include "lib/base/fs.h"
#include "lib/base/mem.h"
#include "lib/embed/embed.h"
#include "lib/json/codec.h"

#define FILE_MAX ((size_t)1 << 20)
#define ROWS_MAX 4096
#define DOLLARS_PER_MTOK_MAX 1000000
#define MILLION 1000000

extern const struct pj_embedded pj_model_files[];

struct pj_prices {
    struct pj_price *row;
    size_t count;
};

/* Read with the codec's strictness; PJ_F_MONEY gives exact micro-dollars without a float of ours in between. */
/* clang-format off */
static const struct pj_field fields[] = {
    {"provider", PJ_F_STR, offsetof(struct pj_price, provider), PJ_FF_REQUIRED, 1, 64},
    {"model", PJ_F_STR, offsetof(struct pj_price, model), PJ_FF_REQUIRED, 1, 128},
    {"from", PJ_F_STR, offsetof(struct pj_price, from), 0, 10, 32},
    {"inputPerMTok", PJ_F_MONEY, offsetof(struct pj_price, input), PJ_FF_REQUIRED},
    {"outputPerMTok", PJ_F_MONEY, offsetof(struct pj_price, output), PJ_FF_REQUIRED},
    {"cachedInputPerMTok", PJ_F_MONEY, offsetof(struct pj_price, cached_input)},
    {"cacheWritePerMTok", PJ_F_MONEY, offsetof(struct pj_price, cache_write)},
    {"abovePromptTokens", PJ_F_INT, offsetof(struct pj_price, above_prompt), PJ_FF_OMIT | PJ_FF_NULL_ZERO, 1, 1000000000},
};
/* clang-format on */

static int read_row(const json_t *doc, struct pj_price *row, struct pj_err *err)
{
    row->cached_input = -1;
    row->cache_write = -1;
    if (pj_json_decode(doc, fields, PJ_COUNT_OF(fields), row, NULL, err) < 0)
        return -1;
    if (row->cached_input < 0)
        row->cached_input = row->input;
    if (row->cache_write < 0)
        row->cache_write = row->input;
    if (row->input > (int64_t)DOLLARS_PER_MTOK_MAX * MILLION ||
        row->output > (int64_t)DOLLARS_PER_MTOK_MAX * MILLION ||
        row->cache_write > (int64_t)DOLLARS_PER_MTOK_MAX * MILLION ||
        row->cached_input > (int64_t)DOLLARS_PER_MTOK_MAX * MILLION)
        return pj_fail(err, PJ_E_INVALID, "a price above %d dollars", DOLLARS_PER_MTOK_MAX);
    if (!row->from)
        return 0;
    PJ_CLEANUP(pj_freep)
    char *stamp =
        strlen(row->from) == 10 ? pj_asprintf("%sT00:00:00Z", row->from) : pj_strdup(row->from);
    if (pj_rfc3339_parse(stamp, &row->from_ms) < 0)
        return pj_fail(err, PJ_E_INVALID, "from \"%s\" is no date", row->from);
    return 0;
}

static int read_rows(const json_t *doc, struct pj_prices *prices, struct pj_err *err)
{
    const json_t *rows = json_is_array(doc) ? doc : json_object_get(doc, "prices");

    if (!json_is_array(rows) || json_array_size(rows) > ROWS_MAX)
        return pj_fail(err, PJ_E_INVALID, "expected a list of at most %d rows", ROWS_MAX);
    prices->row = pj_alloc(json_array_size(rows) + 1, sizeof *prices->row);
    for (size_t i = 0; i < json_array_size(rows); i++) {
        prices->count++;
        if (read_row(json_array_get(rows, i), &prices->row[i], err) < 0)
            return pj_err_wrap(err, "row %zu", i + 1);
    }
    return 0;
}

int pj_prices_load(const char *path, struct pj_prices **out, struct pj_err *err)
{
    PJ_CLEANUP(pj_prices_freep) struct pj_prices *prices = pj_alloc(1, sizeof *prices);
    PJ_CLEANUP(pj_json_decrefp) json_t *doc = NULL;
    PJ_CLEANUP(pj_str_release) struct pj_str text;

    pj_str_init(&text, FILE_MAX);
    if (path && pj_fs_read(path, &text, err) < 0)
        return pj_err_wrap(err, "PJ_PRICES");
    struct pj_view view =
        path ? pj_view_n(pj_str_cstr(&text), text.len)
             : pj_view_n((const char *)pj_model_files[0].data, pj_model_files[0].size);
    if (pj_json_parse(view, &doc, err) < 0 || read_rows(doc, prices, err) < 0) {
        err->cls = PJ_E_INVALID;
        return pj_err_wrap(err, "PJ_PRICES: %s", path ? path : "built-in table");
    }
    *out = prices;
    prices = NULL;
    return 0;
}

void pj_prices_free(struct pj_prices *prices)
{
    if (!prices)
        return;
    for (size_t i = 0; i < prices->count; i++)
        pj_json_release(fields, PJ_COUNT_OF(fields), &prices->row[i]);
    free(prices->row);
    free(prices);
}

void pj_prices_freep(struct pj_prices **prices)
{
    pj_prices_free(*prices);
    *prices = NULL;
}

const struct pj_price *pj_prices_find(const struct pj_prices *prices, const char *provider,
                                      const char *model, int64_t now_ms, int64_t prompt_tokens)
{
    const struct pj_price *best = NULL;

    for (size_t i = 0; i < prices->count; i++) {
        const struct pj_price *row = &prices->row[i];
        if (strcmp(row->provider, provider) != 0 || row->from_ms > now_ms ||
            (row->above_prompt > 0 && prompt_tokens <= row->above_prompt) ||
            fnmatch(row->model, model, 0) != 0)
            continue;
        if (!best || row->from_ms > best->from_ms ||
            (row->from_ms == best->from_ms && row->above_prompt > best->above_prompt))
            best = row;
    }
    return best;
}

const char *pj_prices_default_model(const struct pj_prices *prices, const char *provider)
{
    for (size_t i = 0; i < prices->count; i++)
        if (strcmp(prices->row[i].provider, provider) == 0 && !strpbrk(prices->row[i].model, "*?["))
            return prices->row[i].model;
    return NULL;
}

int64_t pj_price_cost(const struct pj_price *price, const struct pj_usage *usage)
{
    __extension__ typedef unsigned __int128 wide; /* 10^12 tokens times 10^12 micro-dollars */
    wide sum;

    if (usage->reported_microusd >= 0)
        return usage->reported_microusd;
    if (!price)
        return -1;
    sum = (wide)usage->uncached * (wide)price->input +
          (wide)usage->cached * (wide)price->cached_input +
          (wide)usage->cache_write * (wide)price->cache_write +
          (wide)usage->output * (wide)price->output;
    sum = (sum + MILLION - 1) / MILLION;
    return sum > INT64_MAX / 4 ? INT64_MAX / 4 : (int64_t)sum;
}

json_t *pj_price_json(const struct pj_price *price)
{
    return price ? pj_json_encode(fields, PJ_COUNT_OF(fields), price) : NULL;
}

int64_t pj_usage_prompt(const struct pj_usage *usage)
{
    return usage->uncached + usage->cached + usage->cache_write;
}

int64_t pj_usage_total(const struct pj_usage *usage)
{
    return pj_usage_prompt(usage) + usage->output;
}
