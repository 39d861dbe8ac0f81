/* budget.h - what a task may still spend, reserved before each call (R2.4): the call that would pass a limit is not made, and
 * its output is capped by what is left, so that no more than one call's output can go over. */
#ifndef GATEWAY_BUDGET_H
#define GATEWAY_BUDGET_H

#include <stdbool.h>
#include <stdint.h>
#include "lib/base/err.h"
#include "lib/model/prices.h"

struct budget {
    int64_t max_tokens, max_cost, max_turns, deadline_mono_ms; /* as struct gateway_limits */
    int64_t tokens, cost_microusd, turns;                      /* spent */
    int64_t started_mono_ms;
    bool unpriced; /* a call had no price */
    int64_t known_bytes,
        known_tokens; /* the longest prompt that the provider counted: measures the others */
};

/* Tokens that the prompt of a request of `bytes` will have, about: a third of them at first, then by what the provider counted. */
int64_t budget_prompt(const struct budget *b, size_t bytes);
/* May a call whose request has `bytes` be made? Lowers *max_output to what is left. Fails with token_limit, cost_limit or
 * task_timeout. */
int budget_reserve(const struct budget *b, const struct pj_price *price, size_t bytes,
                   int64_t *max_output, struct pj_err *err) PJ_MUST_CHECK;
/* Count one more turn; fails with turn_limit. */
int budget_turn(struct budget *b, struct pj_err *err) PJ_MUST_CHECK;
void budget_settle(struct budget *b, size_t bytes, const struct pj_usage *usage,
                   int64_t cost_microusd);
/* The limit that is nearest to its end: its name (NULL: no limit is set), how much is used, and the limit. Time is in
 * milliseconds, money in micro-dollars. */
const char *budget_nearest(const struct budget *b, int64_t *used, int64_t *limit);
/* Milliseconds until the task's deadline; INT64_MAX without one. */
int64_t budget_left_ms(const struct budget *b);

#endif
