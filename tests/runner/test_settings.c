#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "runner/settings.h"

#define KEY "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="

static void only(const char *const *pairs)
{
    clearenv();
    for (size_t i = 0; pairs[i] != NULL; i += 2)
        cr_assert_eq(setenv(pairs[i], pairs[i + 1], 1), 0);
}

static int load(struct runner_settings *s, struct pj_err *err)
{
    char name[] = "pj-runner";
    char *argv[] = {name, NULL};
    struct pj_settings_args args = {.argc = 1, .argv = argv, .stop_at_word = true};

    *err = (struct pj_err){0};
    return runner_settings_load(s, &args, err);
}

static const struct {
    const char *pairs[12];
    const char *names; /* the setting that the mistake must name */
} mistakes[] = {
    {{"OPENAI_API_KEY", "k", NULL}, "PJ_SECRET_KEY"},
    {{"PJ_SECRET_KEY", "not base64", "OPENAI_API_KEY", "k", NULL}, "PJ_SECRET_KEY"},
    {{"PJ_SECRET_KEY", KEY, NULL}, "MODEL_PROVIDER"},
    {{"PJ_SECRET_KEY", KEY, "OPENAI_API_KEY", "k", "ANTHROPIC_API_KEY", "k", NULL},
     "MODEL_PROVIDER"},
    {{"PJ_SECRET_KEY", KEY, "MODEL_PROVIDER", "mystery", NULL}, "MODEL_PROVIDER"},
    {{"PJ_SECRET_KEY", KEY, "MODEL_PROVIDER", "replay", NULL}, "PJ_REPLAY_FILE"},
    {{"PJ_SECRET_KEY", KEY, "MODEL_PROVIDER", "replay", "PJ_REPLAY_FILE", "/nowhere", NULL},
     "PJ_REPLAY_FILE"},
    {{"PJ_SECRET_KEY", KEY, "MODEL_PROVIDER", "openai", NULL}, "OPENAI_API_KEY"},
    {{"PJ_SECRET_KEY", KEY, "MODEL_PROVIDER", "anthropic", NULL}, "ANTHROPIC_API_KEY"},
    {{"PJ_SECRET_KEY", KEY, "OPENAI_API_KEY", "k", "PJ_TASK_TIMEOUT", "10", NULL},
     "PJ_TASK_TIMEOUT"},
    {{"PJ_SECRET_KEY", KEY, "OPENAI_API_KEY", "k", "PJ_RUNNER_SLOTS", "0", NULL},
     "PJ_RUNNER_SLOTS"},
    {{"PJ_SECRET_KEY", KEY, "OPENAI_API_KEY", "k", "PJ_METRICS_LISTEN", "9090", NULL},
     "PJ_METRICS_LISTEN"},
    {{"PJ_SECRET_KEY", KEY, "OPENAI_API_KEY", "k", "PJ_METRICS_LISTEN", "localhost:1", NULL},
     "PJ_METRICS_LISTEN"},
    {{"PJ_SECRET_KEY", KEY, "OPENAI_API_KEY", "k", "PJ_RUNNER_NAME", "a b", NULL},
     "PJ_RUNNER_NAME"},
    {{"PJ_SECRET_KEY", KEY, "OPENAI_API_KEY", "k", "PJ_STATE_DIR", "relative", NULL},
     "PJ_STATE_DIR"},
    {{"PJ_SECRET_KEY", KEY, "OPENAI_API_KEY", "k", "PJ_SMTP_URL", "smtp://h", NULL},
     "PJ_MAIL_FROM"},
    {{"PJ_SECRET_KEY", KEY, "OPENAI_API_KEY", "k", "PJ_NOTIFY_URL", "https://h", NULL},
     "PJ_NOTIFY_SECRET"},
    {{"PJ_SECRET_KEY", KEY, "OPENAI_API_KEY", "k", "OPENAI_BASE_URL", "h:1", NULL},
     "OPENAI_BASE_URL"},
    {{"PJ_SECRET_KEY", KEY, "OPENAI_API_KEY", "k", "PJ_SMTP_URL", "http://h", "PJ_MAIL_FROM", "a@h",
      NULL},
     "PJ_SMTP_URL"},
    {{"PJ_SECRET_KEY", KEY, "OPENAI_API_KEY", "k", "GITHUB_APP_ID", "1", NULL},
     "GITHUB_APP_PRIVATE_KEY"},
};

Test(runner_settings, names_the_setting_and_a_remedy_for_each_mistake)
{
    for (size_t i = 0; i < PJ_COUNT_OF(mistakes); i++) {
        struct runner_settings s;
        struct pj_err err;

        only(mistakes[i].pairs);
        cr_assert_lt(load(&s, &err), 0, "mistake %zu was taken", i);
        cr_assert_not_null(strstr(err.message, mistakes[i].names), "mistake %zu: %s", i,
                           err.message);
        cr_assert_eq(err.cls, PJ_E_INVALID, "mistake %zu: %s", i, err.message);
    }
}

Test(runner_settings, finds_the_provider_whose_key_is_set)
{
    const char *const pairs[] = {"PJ_SECRET_KEY", KEY, "ANTHROPIC_API_KEY", "sk-ant-0123456789",
                                 NULL};
    struct runner_settings s;
    struct pj_err err;

    only(pairs);
    cr_assert_eq(load(&s, &err), 0, "%s", err.message);
    cr_assert_str_eq(s.model_provider, "anthropic");
    cr_assert_geq(s.slots, 1);
    cr_assert_not_null(s.name);
    cr_assert_eq(s.max_task_cost_microusd, -1);
    cr_assert_eq(s.task_timeout_ms, 600000);
    runner_settings_release(&s);
}

Test(runner_settings, takes_a_server_of_ones_own_without_a_key)
{
    const char *const pairs[] = {
        "PJ_SECRET_KEY",         KEY, "MODEL_PROVIDER", "openai", "OPENAI_BASE_URL",
        "http://127.0.0.1:1/v1", NULL};
    struct runner_settings s;
    struct pj_err err;

    only(pairs);
    cr_assert_eq(load(&s, &err), 0, "%s", err.message);
    cr_assert_null(s.openai_api_key);
    runner_settings_release(&s);
}

Test(runner_settings, table_is_sorted_and_every_row_has_help)
{
    for (size_t i = 0; i < runner_setting_count; i++) {
        cr_assert_not_null(runner_setting_table[i].help);
        if (i > 0)
            cr_assert_lt(strcmp(runner_setting_table[i - 1].name, runner_setting_table[i].name), 0,
                         "%s", runner_setting_table[i].name);
    }
}
