/* settings.h - what pj-runner is told by its environment (CONTRACT.md section 2).
 *
 * One table serves the daemon and its job processes: a job is started with the daemon's own flags and environment, so both
 * see the same values. Strings are owned by the struct; secrets are also in `redact`. */
#ifndef RUNNER_SETTINGS_H
#define RUNNER_SETTINGS_H

#include <stdint.h>
#include <stdio.h>
#include "lib/base/err.h"
#include "lib/base/redact.h"
#include "lib/base/settings.h"
#include "lib/crypto/secret.h"
#include "lib/store/conn.h"

struct runner_settings {
    struct pj_redis_settings redis;
    char *public_url;
    char *secret_key;
    int64_t slots; /* 0: one a core */
    char *name;    /* NULL: the host's name */
    char *labels;
    char *executors;            /* "all", "github_actions" */
    int64_t max_tasks, idle_ms; /* 0: none */
    char *metrics_listen;       /* NULL: nowhere */
    int64_t task_disk, task_files;
    int64_t task_timeout_ms, llm_timeout_ms, lease_ttl_ms;
    int64_t user_max_running; /* 0: none */
    int64_t max_task_tokens, max_task_cost_microusd, max_task_turns;
    int64_t token_alert;
    int64_t log_retention_ms, janitor_interval_ms;
    int64_t retry_base_ms;
    char *state_dir, *sandbox_rootfs;
    char *forges;
    char *ca_file, *https_proxy, *no_proxy;
    char *model_provider, *model_name, *model_fallback_provider, *model_fallback_name;
    char *openai_api_key, *openai_base_url, *openai_api;
    char *anthropic_api_key, *anthropic_base_url;
    char *replay_file, *prices;
    char *github_token, *github_api_url, *github_app_id, *github_app_private_key;
    char *coderabbit_api_key, *coderabbit_api_url;
    char *actions_repository, *actions_workflow, *actions_ref;
    char *smtp_url, *smtp_user, *smtp_password, *smtp_tls, *mail_from;
    char *notify_url, *notify_secret;
    char *log_format, *log_level;

    struct pj_redact *redact;   /* every secret above */
    struct pj_keyring *keyring; /* opens what rests sealed in Redis */
};

extern const struct pj_setting runner_setting_table[];
extern const size_t runner_setting_count;

/* Load and judge. On failure (class INVALID, exit 78) *out holds nothing. Sets up the process's log. With the words `job --remote`
 * (a workflow's job) PJ_SECRET_KEY is not asked for: nothing sealed gets there. */
int runner_settings_load(struct runner_settings *out, struct pj_settings_args *args,
                         struct pj_err *err) PJ_MUST_CHECK;
/* False for a runner that only starts workflows (PJ_RUNNER_EXECUTORS): it has no box and needs no model. */
bool runner_makes_boxes(const struct runner_settings *s);
bool runner_settings_remote(const struct pj_settings_args *args);
void runner_settings_release(struct runner_settings *s);
/* `all`: each setting explained. */
void runner_settings_help(FILE *to, bool all);
/* A time as people say it: "4 s", "10 min", "1 h 30 min". Owned by the caller. */
char *runner_duration_text(int64_t ms);

#endif
