/* prices.h - what a call costs: rows {provider, model (glob), from (date), inputPerMTok, outputPerMTok, cachedInputPerMTok,
 * cacheWritePerMTok (optional, else as input), abovePromptTokens (optional)} in US dollars per million tokens (CONTRACT.md
 * section 8). A row with abovePromptTokens is for calls whose whole prompt, cached tokens included, is longer than that: some
 * providers then charge more for all of the call.
 *
 * Built in from lib/model/prices.json; PJ_PRICES names a file that replaces it. A model without a row is unpriced: its cost is
 * null, never 0. Of the rows that match, the one with the latest `from` not after the call counts; of equal ones the one with the highest
 * abovePromptTokens that the prompt passes, then the first. */
#ifndef PJ_MODEL_PRICES_H
#define PJ_MODEL_PRICES_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include "lib/base/err.h"

struct pj_prices;

struct pj_price {
    char *provider;
    char *model; /* glob as fnmatch(3) reads it */
    char *from;  /* "2026-10-01" */
    int64_t from_ms;
    int64_t input, output, cached_input, cache_write; /* micro-dollars per million tokens */
    int64_t above_prompt;                             /* tokens; 0: for every call */
};

struct pj_usage {
    int64_t uncached;    /* prompt tokens that were computed */
    int64_t cached;      /* prompt tokens read from the provider's cache */
    int64_t cache_write; /* prompt tokens written to it */
    int64_t output;      /* completion tokens, reasoning included */
    int64_t reasoning;
    bool estimated;            /* the stream ended before it told */
    int64_t reported_microusd; /* the provider's own figure; -1: none */
};

/* `path` NULL: the built-in table. INVALID names the file and the row. */
int pj_prices_load(const char *path, struct pj_prices **out, struct pj_err *err) PJ_MUST_CHECK;
void pj_prices_free(struct pj_prices *prices);
void pj_prices_freep(struct pj_prices **prices);
/* The row for a call at `now_ms` with a prompt of that many tokens, borrowed; NULL: unpriced. */
const struct pj_price *pj_prices_find(const struct pj_prices *prices, const char *provider,
                                      const char *model, int64_t now_ms, int64_t prompt_tokens);
/* MODEL_NAME's default: the model of the provider's first row without a wildcard, borrowed; NULL: none. */
const char *pj_prices_default_model(const struct pj_prices *prices, const char *provider);
/* Micro-dollars, rounded up; -1 when `price` is NULL. The provider's own figure wins where there is one. */
int64_t pj_price_cost(const struct pj_price *price, const struct pj_usage *usage);
/* The row as it is stored with a call: {provider,model,from,inputPerMTok,…}; NULL for NULL. */
json_t *pj_price_json(const struct pj_price *price);

/* Prompt is uncached + cached + cache_write; total adds the output. */
int64_t pj_usage_prompt(const struct pj_usage *usage);
int64_t pj_usage_total(const struct pj_usage *usage);

#endif
