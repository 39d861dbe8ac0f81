/* The gateway's policy: what is waited for, what falls back, what ends a run, and that no call passes a limit. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/json/codec.h"
#include "runner/gateway/budget.h"
#include "tests/runner/gateway_rig.h"
#include "tests/support/model_server.h"

#define FINISH                                                                                     \
    {                                                                                              \
        .calls = { {"finish", "{\"summary\":\"done\",\"no_changes_reason\":\"because\"}"} }        \
    }

struct setup {
    struct model_server *m;
    struct rig rig;
};

static void begin(struct setup *s, const struct model_answer *answers, size_t count)
{
    s->m = model_server_start(0, answers, count);
    rig_init(&s->rig, "openai", model_server_openai_url(s->m));
}

static void end(struct setup *s)
{
    cr_expect_not(rig_saw(&s->rig, MODEL_SERVER_KEY));
    rig_release(&s->rig);
    model_server_stop(s->m);
}

/* One run that fails; the number of requests that it made. */
static void fails(const struct model_answer *answers, size_t count, const char *code,
                  size_t requests)
{
    struct setup s;

    begin(&s, answers, count);
    cr_expect_lt(rig_run(&s.rig), 0, "%s", code);
    cr_expect_str_eq(s.rig.err.code, code, "%s: %s", s.rig.err.code, s.rig.err.message);
    cr_expect(s.rig.err.remedy[0]);
    cr_expect_eq(model_server_count(s.m), requests, "%s: %zu requests", code,
                 model_server_count(s.m));
    end(&s);
}

Test(gateway, ends_at_once_where_asking_again_is_no_use)
{
    /* clang-format off */
    static const struct {
        struct model_answer answer;
        const char *code;
    } rows[] = {
        {{.status = 401}, "llm_auth"},
        {{.status = 403}, "llm_auth"},
        {{.status = 402}, "llm_quota"},
        {{.status = 404}, "llm_model_not_found"},
        {{.status = 429, .body = "{\"error\":{\"code\":\"insufficient_quota\",\"message\":\"no money\"}}"}, "llm_quota"},
        {{.status = 400, .body = "{\"error\":{\"message\":\"no\"}}"}, "model_protocol"},
    };
    /* clang-format on */

    for (size_t i = 0; i < PJ_COUNT_OF(rows); i++)
        fails(&rows[i].answer, 1, rows[i].code, 1);
}

Test(gateway, tries_a_service_error_four_times_in_all)
{
    static const struct model_answer always[] = {{.status = 503, .repeat = true}};

    fails(always, 1, "llm_service", 4);
}

Test(gateway, keeps_what_the_provider_said)
{
    static const struct model_answer refuse[] = {
        {.status = 401, .body = "{\"error\":{\"message\":\"Key " MODEL_SERVER_KEY " is bad\"}}"}};
    struct setup s;

    begin(&s, refuse, 1);
    cr_assert_lt(rig_run(&s.rig), 0);
    cr_assert_eq(s.rig.result.upstream_status, 401);
    cr_assert_str_eq(s.rig.result.upstream_message, "Key *** is bad");
    cr_assert_not_null(strstr(s.rig.err.remedy, "OPENAI_API_KEY"));
    end(&s);
}

Test(gateway, waits_as_long_as_the_provider_asks)
{
    static const struct model_answer answers[] = {
        {.status = 429, .headers = {"retry-after-ms: 120"}}, FINISH};
    struct setup s;
    int64_t start = pj_mono_ms();

    begin(&s, answers, 2);
    cr_assert_eq(rig_run(&s.rig), 0, "%s", s.rig.err.message);
    cr_assert_geq(pj_mono_ms() - start, 120);
    cr_assert_eq(model_server_count(s.m), 2);
    cr_assert(rig_saw(&s.rig, "trying again"));
    end(&s);
}

Test(gateway, does_not_wait_for_an_hour)
{
    static const struct model_answer answers[] = {
        {.status = 429, .headers = {"retry-after: 3600"}}};

    fails(answers, 1, "llm_rate_limited", 1);
}

static void fallback(const struct model_answer *first, bool expected)
{
    static const struct model_answer finish[] = {FINISH};
    struct model_server *second = model_server_start(0, finish, 1);
    struct setup s;

    begin(&s, first, 1);
    s.rig.config.fallback =
        (struct gateway_provider){.provider = "anthropic",
                                  .model = "second-model",
                                  .base_url = model_server_anthropic_url(second),
                                  .api_key = MODEL_SERVER_KEY};
    cr_expect_eq(rig_run(&s.rig) == 0, expected, "status %d: %s", first->status, s.rig.err.message);
    cr_expect_eq(model_server_count(second), expected ? 1 : 0);
    cr_expect_eq(rig_saw(&s.rig, "system warn openai test-model failed"), expected);
    if (expected) {
        cr_expect_str_eq(s.rig.result.provider, "anthropic");
        cr_expect_str_empty(model_server_faults(second));
    }
    end(&s);
    model_server_stop(second);
}

Test(gateway, falls_back_on_service_errors_only)
{
    fallback(&(struct model_answer){.status = 503}, true);
    fallback(&(struct model_answer){.status = 529}, true);
    fallback(&(struct model_answer){.trouble = MODEL_CUT, .repeat = true}, true);
    fallback(&(struct model_answer){.status = 429, .headers = {"retry-after: 100"}}, true);
    fallback(&(struct model_answer){.status = 401}, false);
    fallback(&(struct model_answer){.status = 400, .body = "{\"error\":{\"message\":\"no\"}}"},
             false);
    fallback(&(struct model_answer){.status = 402}, false);
}

Test(gateway, goes_on_with_the_same_history_after_a_fallback)
{
    /* clang-format off */
    static const struct model_answer first[] = {
        {.text = "Looking.", .calls = {{"list_dir", "{}"}, {"write_file", "{\"path\":\"a\",\"content\":\"1\"}"}}}, {.status = 500}};
    static const struct model_answer then[] = {{.calls = {{"finish", "{\"summary\":\"done\"}"}}, .when = "Looking."}};
    struct model_server *second = model_server_start(0, then, 1);
    struct setup s;

    begin(&s, first, 2);
    s.rig.config.fallback = (struct gateway_provider){.provider = "anthropic", .model = "second-model",
        .base_url = model_server_anthropic_url(second), .api_key = MODEL_SERVER_KEY};
    cr_assert_eq(rig_run(&s.rig), 0, "%s", s.rig.err.message);
    cr_assert_eq(s.rig.result.turns, 2);
    cr_assert_str_empty(model_server_faults(second));
    end(&s);
    model_server_stop(second);
}

Test(gateway, sends_the_steps_to_anthropic_and_temperature_zero_to_openai)
{
    static const struct model_answer finish[] = {FINISH, FINISH};
    struct setup s;
    char *text;

    begin(&s, finish, 2);
    cr_assert_eq(rig_run(&s.rig), 0);
    cr_assert_eq(json_real_value(json_object_get(model_server_body(s.m, 0), "temperature")), 0.0);
    cr_assert(json_is_real(json_object_get(model_server_body(s.m, 0), "temperature")));
    s.rig.config.primary = (struct gateway_provider){.provider = "anthropic", .model = "m", .base_url = model_server_anthropic_url(s.m), .api_key = MODEL_SERVER_KEY};
    gateway_result_release(&s.rig.result);
    cr_assert_eq(rig_run(&s.rig), 0, "%s", s.rig.err.message);
    text = pj_json_text(json_object_get(model_server_body(s.m, 1), "system"));
    cr_assert_not_null(strstr(text, "# Step by step"));
    cr_assert_null(json_object_get(model_server_body(s.m, 1), "temperature"));
    free(text);
    end(&s);
}

Test(gateway, fails_the_call_that_takes_too_long)
{
    static const struct model_answer hang[] = {{.trouble = MODEL_HANG}};
    struct setup s;

    begin(&s, hang, 1);
    s.rig.config.llm_timeout_ms = 150;
    cr_assert_lt(rig_run(&s.rig), 0);
    cr_assert_str_eq(s.rig.err.code, "llm_timeout");
    cr_assert_eq(model_server_count(s.m), 1, "no second try");
    end(&s);
}

Test(gateway, takes_a_stall_for_a_service_error)
{
    static const struct model_answer hang[] = {{.trouble = MODEL_HANG}, FINISH};
    struct setup s;

    begin(&s, hang, 2);
    s.rig.config.stall_ms = 100;
    cr_assert_eq(rig_run(&s.rig), 0, "%s", s.rig.err.message);
    cr_assert_eq(model_server_count(s.m), 2);
    end(&s);
}

Test(gateway, does_not_make_the_call_that_would_pass_the_token_limit)
{
    static const struct model_answer answers[] = {{.calls = {{"list_dir", "{}"}}, .prompt_tokens = 5000, .completion_tokens = 10}, FINISH};
    struct setup s;

    begin(&s, answers, 2);
    s.rig.config.limits.tokens = 10000;
    cr_assert_lt(rig_run(&s.rig), 0);
    cr_assert_str_eq(s.rig.err.code, "token_limit", "%s", s.rig.err.message);
    cr_assert_eq(model_server_count(s.m), 1);
    cr_assert_eq(s.rig.result.tokens, 5010);
    end(&s);
}

Test(gateway, caps_the_answer_by_what_is_left)
{
    static const struct model_answer answers[] = {FINISH};
    struct setup s;
    int64_t asked;

    begin(&s, answers, 1);
    s.rig.config.limits.tokens = 9000;
    cr_assert_eq(rig_run(&s.rig), 0, "%s", s.rig.err.message);
    asked = json_integer_value(json_object_get(model_server_body(s.m, 0), "max_tokens"));
    cr_assert(asked > 256 && asked < 9000, "%lld", (long long)asked);
    end(&s);
}

Test(gateway, counts_turns_and_what_was_spent_before)
{
    static const struct model_answer answers[] = {{.calls = {{"list_dir", "{}"}}, .repeat = true}};
    struct setup s;

    begin(&s, answers, 1);
    s.rig.config.limits.turns = 5;
    s.rig.config.spent.turns = 3;
    cr_assert_lt(rig_run(&s.rig), 0);
    cr_assert_str_eq(s.rig.err.code, "turn_limit");
    cr_assert_eq(model_server_count(s.m), 2);
    end(&s);
}

Test(gateway, keeps_a_money_limit_and_refuses_models_without_a_price)
{
    static const struct model_answer answers[] = {{.calls = {{"list_dir", "{}"}}, .prompt_tokens = 400000, .completion_tokens = 1000}, FINISH};
    struct setup s;

    begin(&s, answers, 2);
    s.rig.config.limits.cost_microusd = 1000000;
    cr_assert_lt(rig_run(&s.rig), 0);
    cr_assert_str_eq(s.rig.err.code, "model_unpriced");
    cr_assert_eq(model_server_count(s.m), 0);
    s.rig.config.primary.model = "gpt-4.1";
    cr_assert_lt(rig_run(&s.rig), 0);
    cr_assert_str_eq(s.rig.err.code, "cost_limit", "%s", s.rig.err.message);
    cr_assert_eq(s.rig.result.cost_microusd, 800000 + 8000);
    cr_assert_eq(model_server_count(s.m), 1);
    end(&s);
}

Test(gateway, alerts_once_above_the_token_level)
{
    static const struct model_answer answers[] = {{.calls = {{"list_dir", "{}"}}, .prompt_tokens = 60000}, {.calls = {{"list_dir", "{}"}}, .prompt_tokens = 60000}, FINISH};
    struct setup s;
    const char *at;

    begin(&s, answers, 3);
    s.rig.config.token_alert = 50000;
    cr_assert_eq(rig_run(&s.rig), 0);
    at = strstr(pj_str_cstr(&s.rig.events), "system warn the task has used");
    cr_assert_not_null(at);
    cr_assert_not_null(strstr(at, "greet.txt must say hello."));
    cr_assert_null(strstr(at + 1, "system warn the task has used"));
    end(&s);
}

Test(gateway, lets_the_agent_shorten_a_history_that_is_too_long_once)
{
    static const struct model_answer answers[] = {
        {.calls = {{"run", "{\"command\":\"seq 1 2000\"}"}}}, {.calls = {{"list_dir", "{}"}}},
        {.calls = {{"list_dir", "{}"}}}, {.calls = {{"list_dir", "{}"}}},
        {.status = 400, .body = "{\"error\":{\"code\":\"context_length_exceeded\",\"message\":\"too long\"}}"},
        {.calls = {{"finish", "{\"summary\":\"x\",\"no_changes_reason\":\"y\"}"}}, .when = "bytes left out to save room"},
    };
    /* clang-format on */
    /* clang-format off */
    static const struct model_answer always[] = {
        {.status = 400, .body = "{\"error\":{\"code\":\"context_length_exceeded\",\"message\":\"too long\"}}", .repeat = true}};
    struct setup s;

    begin(&s, answers, PJ_COUNT_OF(answers));
    cr_assert_eq(rig_run(&s.rig), 0, "%s", s.rig.err.message);
    end(&s);
    begin(&s, always, 1);
    cr_assert_lt(rig_run(&s.rig), 0);
    cr_assert_str_eq(s.rig.err.code, "llm_context");
    end(&s);
}

/* Shortened once, asked again, still too long: that is the end, not another round of shortening. After a turn that fits it may be
 * shortened again. */
Test(gateway, a_history_is_never_shortened_twice_in_a_row)
{
    /* clang-format off */
#define LONG_RESULT {.calls = {{"run", "{\"command\":\"seq 1 2000\"}"}}}
#define TOO_LONG {.status = 400, .body = "{\"error\":{\"code\":\"context_length_exceeded\",\"message\":\"too long\"}}"}
#define LIST {.calls = {{"list_dir", "{}"}}}
    static const struct model_answer twice[] = {LONG_RESULT, LONG_RESULT, LONG_RESULT, LONG_RESULT, LONG_RESULT, LONG_RESULT, TOO_LONG, TOO_LONG, FINISH};
    static const struct model_answer apart[] = {LONG_RESULT, LONG_RESULT, LONG_RESULT, LONG_RESULT, LONG_RESULT, LONG_RESULT, TOO_LONG,
                                                LONG_RESULT, LIST, LIST, LIST, LIST, TOO_LONG, FINISH};
    /* clang-format on */
    struct setup s;

    fails(twice, PJ_COUNT_OF(twice), "llm_context", 8);
    begin(&s, apart, PJ_COUNT_OF(apart));
    cr_expect_eq(rig_run(&s.rig), 0, "%s", s.rig.err.message);
    cr_expect_eq(model_server_left(s.m), 0);
    end(&s);
}

Test(gateway, ends_a_model_that_goes_in_circles)
{
    static const struct model_answer answers[] = {{.repeat = true, .calls = {{"list_dir", "{}"}}}};
    struct setup s;

    begin(&s, answers, 1);
    cr_expect_lt(rig_run(&s.rig), 0);
    cr_expect_str_eq(s.rig.err.code, "model_protocol");
    cr_expect_not_null(strstr(s.rig.err.message, "repeats the same call"), "%s", s.rig.err.message);
    cr_expect_eq(model_server_count(s.m), 8);
    cr_expect_eq(model_server_count_with(s.m, "had this same result 3 times"), 5,
                 "it was told from the third time on");
    end(&s);
}

/* At two thirds, and once more at nine tenths, of whichever budget is nearest to its end. */
Test(gateway, gives_notice_at_two_thirds_of_any_budget)
{
    /* clang-format off */
    static const struct {
        struct gateway_limits limits;
        const char *notice;
    } rows[] = {
        {{.tokens = 9000, .cost_microusd = -1}, "[notice: 73 % of this task's limit of tokens is used up"},
        {{.turns = 9, .cost_microusd = -1}, "[notice: 66 % of this task's limit of turns is used up"},
        {{.cost_microusd = 23000}, "[notice: 73 % of this task's limit of money is used up"},
    };
    static const struct model_answer answers[] = {
        {.calls = {{"list_dir", "{}"}}}, {.calls = {{"list_dir", "{\"depth\":2}"}}}, {.calls = {{"list_dir", "{\"depth\":3}"}}},
        {.calls = {{"list_dir", "{\"depth\":4}"}}}, {.calls = {{"list_dir", "{\"depth\":5}"}}}, {.calls = {{"search", "{\"pattern\":\"x\"}"}}},
        {.calls = {{"finish", "{\"summary\":\"x\",\"no_changes_reason\":\"y\"}"}}},
    };
    /* clang-format on */

    for (size_t i = 0; i < PJ_COUNT_OF(rows); i++) {
        struct setup s;

        begin(&s, answers, PJ_COUNT_OF(answers));
        s.rig.config.primary.model = "gpt-4.1"; /* 2,800 micro-dollars a call */
        s.rig.config.limits = rows[i].limits;
        cr_expect_eq(rig_run(&s.rig), 0, "%zu: %s", i, s.rig.err.message);
        cr_expect_eq(model_server_count_with(s.m, rows[i].notice), 1, "%zu: %zu", i,
                     model_server_count_with(s.m, rows[i].notice));
        cr_expect_eq(model_server_count_with(s.m, "[notice: "), 1, "%zu: only once", i);
        end(&s);
    }
}

Test(gateway, time_counts_among_the_budgets)
{
    struct budget b = {.max_cost = -1,
                       .max_turns = 100,
                       .turns = 1,
                       .started_mono_ms = pj_mono_ms() - 70000,
                       .deadline_mono_ms = pj_mono_ms() + 30000};
    int64_t used, limit;

    cr_assert_str_eq(budget_nearest(&b, &used, &limit), "time");
    cr_expect(used >= 70000 && used < limit);
    cr_expect_eq(limit, 100000);
}

Test(gateway, never_executes_half_a_call)
{
    static const struct model_answer answers[] = {
        {.calls = {{"write_file", "{\"path\":\"a\",\"content\":\"half\"}"}}, .stop = "length"},
        {.calls = {{"finish", "{\"summary\":\"x\",\"no_changes_reason\":\"y\"}"}},
         .when = "cut because it was too long"},
    };
    /* clang-format on */
    struct setup s;

    begin(&s, answers, 2);
    cr_assert_eq(rig_run(&s.rig), 0, "%s", s.rig.err.message);
    cr_assert_null(rig_text(&s.rig, "a"));
    end(&s);
}

Test(gateway, refuses_settings_that_cannot_work)
{
    /* clang-format off */
    static const struct {
        struct gateway_provider provider;
        const char *word;
    } rows[] = {
        {{.provider = NULL}, "MODEL_PROVIDER"},
        {{.provider = "acme"}, "MODEL_PROVIDER"},
        {{.provider = "openai"}, "OPENAI_API_KEY"},
        {{.provider = "anthropic", .base_url = "ftp://x", .model = "m"}, "ANTHROPIC_BASE_URL"},
        {{.provider = "openai", .api_key = "k", .api = "soap"}, "OPENAI_API"},
        {{.provider = "replay"}, "PJ_REPLAY_FILE"},
        {{.provider = "replay", .replay_file = "/nonexistent"}, "PJ_REPLAY_FILE"},
    };
    /* clang-format on */
    struct rig rig;
    struct gateway *gw = NULL;

    rig_init(&rig, "openai", NULL);
    for (size_t i = 0; i < PJ_COUNT_OF(rows); i++) {
        rig.config.primary = rows[i].provider;
        cr_expect_lt(gateway_open(&rig.config, &gw, &rig.err), 0, "%zu", i);
        cr_expect_not_null(strstr(rig.err.message, rows[i].word), "%s", rig.err.message);
    }
    rig_release(&rig);
}
