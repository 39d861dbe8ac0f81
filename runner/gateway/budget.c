#include "runner/gateway/budget.h"

#include "lib/base/clock.h"
#include "lib/base/cleanup.h"
#include "lib/json/codec.h"
#include "lib/model/model.h"

#define OUTPUT_MIN 256   /* an answer shorter than this is worth no call */
#define LEARN_BYTES 4096 /* what a provider adds by itself weighs little beside as much */
#define LIGHTEST                                                                                   \
    5 /* bytes a token, at most: lighter are pictures, and the next text may have none */

int64_t budget_left_ms(const struct budget *b)
{
    return b->deadline_mono_ms > 0 ? b->deadline_mono_ms - pj_mono_ms() : INT64_MAX;
}

/* By what the task's own text has weighed so far, once enough of it was counted; never below what prose weighs. */
static int64_t by_weight(const struct budget *b, int64_t bytes)
{
    int64_t learned = bytes * b->known_tokens / b->known_bytes;

    return learned > bytes / LIGHTEST ? learned : bytes / LIGHTEST;
}

int64_t budget_prompt(const struct budget *b, size_t bytes)
{
    int64_t n = (int64_t)bytes, rest = n - b->known_bytes, guessed;
    bool learned = b->known_tokens > 0 && b->known_bytes >= LEARN_BYTES;

    if (b->known_tokens > 0 && rest >= 0) { /* a history that has grown: only the rest is guessed */
        guessed = pj_model_estimate_tokens((size_t)rest);
        if (learned && by_weight(b, rest) > guessed)
            guessed = by_weight(b, rest);
        return b->known_tokens + guessed;
    }
    return learned ? by_weight(b, n) : pj_model_estimate_tokens(bytes);
}

static int out_of(struct pj_err *err, const char *code, const char *setting, const char *what)
{
    pj_fail(err, PJ_E_LIMIT,
            "the task's limit of %s is used up: the next call to the model would pass it", what);
    pj_err_remedy(err, "raise the task's limits (or %s), or split the task into smaller ones",
                  setting);
    return pj_err_code(err, code);
}

/* Micro-dollars that `tokens` of output may cost at most, turned round: tokens that `money` buys. */
static int64_t affordable(const struct pj_price *price, int64_t money)
{
    return price->output > 0 ? (int64_t)((double)money * 1e6 / (double)price->output) : INT64_MAX;
}

int budget_reserve(const struct budget *b, const struct pj_price *price, size_t bytes,
                   int64_t *max_output, struct pj_err *err)
{
    int64_t prompt = budget_prompt(b, bytes), left;
    char spent[32], limit[32];

    if (budget_left_ms(b) <= 0) {
        pj_fail(err, PJ_E_TIMEOUT, "the task's time is over");
        return pj_err_code(err, "task_timeout");
    }
    if (b->max_tokens > 0) {
        left = b->max_tokens - b->tokens - prompt;
        if (left < OUTPUT_MIN) {
            out_of(err, "token_limit", "PJ_MAX_TASK_TOKENS", "tokens");
            return pj_err_wrap(err, "%lld of %lld tokens used, about %lld more needed",
                               (long long)b->tokens, (long long)b->max_tokens,
                               (long long)prompt + OUTPUT_MIN);
        }
        *max_output = left < *max_output ? left : *max_output;
    }
    if (b->max_cost >= 0 && price) {
        struct pj_usage usage = {.uncached = prompt, .output = OUTPUT_MIN, .reported_microusd = -1};
        left = b->max_cost - b->cost_microusd;
        if (pj_price_cost(price, &usage) > left) {
            out_of(err, "cost_limit", "PJ_MAX_TASK_COST_USD", "money");
            return pj_err_wrap(err, "%s of %s US dollars used",
                               pj_money_text(b->cost_microusd, spent),
                               pj_money_text(b->max_cost, limit));
        }
        usage.output = 0;
        left = affordable(price, left - pj_price_cost(price, &usage));
        *max_output = left < *max_output ? left : *max_output;
    }
    return 0;
}

int budget_turn(struct budget *b, struct pj_err *err)
{
    if (b->max_turns > 0 && b->turns >= b->max_turns) {
        out_of(err, "turn_limit", "PJ_MAX_TASK_TURNS", "turns");
        return pj_err_wrap(err, "%lld turns used", (long long)b->turns);
    }
    b->turns++;
    return 0;
}

void budget_settle(struct budget *b, size_t bytes, const struct pj_usage *usage,
                   int64_t cost_microusd)
{
    b->tokens += pj_usage_total(usage);
    if (cost_microusd >= 0)
        b->cost_microusd += cost_microusd;
    else if (pj_usage_total(usage) > 0)
        b->unpriced = true;
    /* Of several talks side by side the longest is known best, and is the one that comes near a limit. */
    if (!usage->estimated && pj_usage_prompt(usage) > 0 && (int64_t)bytes >= b->known_bytes) {
        b->known_bytes = (int64_t)bytes;
        b->known_tokens = pj_usage_prompt(usage);
    }
}

const char *budget_nearest(const struct budget *b, int64_t *used, int64_t *limit)
{
    /* clang-format off */
    const struct {
        const char *name;
        int64_t used, limit;
    } rows[] = {
        {"tokens", b->tokens, b->max_tokens},
        {"money", b->cost_microusd, b->max_cost},
        {"turns", b->turns, b->max_turns},
        {"time", pj_mono_ms() - b->started_mono_ms,
         b->deadline_mono_ms > 0 ? b->deadline_mono_ms - b->started_mono_ms : 0},
    };
    /* clang-format on */
    const char *name = NULL;
    double worst = -1;

    for (size_t i = 0; i < PJ_COUNT_OF(rows); i++) {
        double share = rows[i].limit > 0 ? (double)rows[i].used / (double)rows[i].limit : -1;
        if (share > worst) {
            worst = share;
            name = rows[i].name;
            *used = rows[i].used;
            *limit = rows[i].limit;
        }
    }
    return name;
}
