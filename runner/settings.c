#include "runner/settings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "runner/health.h"

#define AT(field) offsetof(struct runner_settings, field)
#define SLOTS_MAX 256    /* SPAWNER_PLACES */
#define STATE_DIR_MAX 64 /* sun_path holds 107 bytes: /work/<taskId>/gateway follows */
#define DAY (24LL * 3600 * 1000)

static const char *const providers[] = {"openai", "anthropic", "replay", NULL};
static const char *const openai_apis[] = {"auto", "chat", "responses", NULL};
static const char *const executors[] = {"all", "github_actions", NULL};
static const char *const smtp_tls_words[] = {"offered", "required", NULL};
static const char *const log_formats[] = {"auto", "text", "json", NULL};
static const char *const log_levels[] = {"debug", "info", "warn", "error", NULL};

const struct pj_setting runner_setting_table[] = {
    {"ANTHROPIC_API_KEY", PJ_SET_SECRET, AT(anthropic_api_key), NULL, 0, 0, NULL,
     "key for api.anthropic.com"},
    {"ANTHROPIC_BASE_URL", PJ_SET_STR, AT(anthropic_base_url), "https://api.anthropic.com", 0, 0,
     NULL, "base URL, without /v1"},
    {"CODERABBIT_API_KEY", PJ_SET_SECRET, AT(coderabbit_api_key), NULL, 0, 0, NULL,
     "asks CodeRabbit for reviews; default: a comment does"},
    {"CODERABBIT_API_URL", PJ_SET_STR, AT(coderabbit_api_url), "https://api.coderabbit.ai/v1", 0, 0,
     NULL, "CodeRabbit's REST API"},
    {"GITHUB_API_URL", PJ_SET_STR, AT(github_api_url), "https://api.github.com", 0, 0, NULL,
     "REST API of github.com"},
    {"GITHUB_APP_ID", PJ_SET_STR, AT(github_app_id), NULL, 0, 0, NULL,
     "GitHub App instead of a token"},
    {"GITHUB_APP_PRIVATE_KEY", PJ_SET_SECRET, AT(github_app_private_key), NULL, 0, 0, NULL,
     "its key, PEM, also with \\n written out"},
    {"GITHUB_TOKEN", PJ_SET_SECRET, AT(github_token), NULL, 0, 0, NULL,
     "token for github.com repositories that have none"},
    {"HTTPS_PROXY", PJ_SET_STR, AT(https_proxy), NULL, 0, 0, NULL, "proxy for outgoing calls"},
    {"MODEL_FALLBACK_NAME", PJ_SET_STR, AT(model_fallback_name), NULL, 0, 0, NULL,
     "model of the fallback provider"},
    {"MODEL_FALLBACK_PROVIDER", PJ_SET_WORD, AT(model_fallback_provider), NULL, 0, 0, providers,
     "provider tried after a service error"},
    {"MODEL_NAME", PJ_SET_STR, AT(model_name), NULL, 0, 0, NULL,
     "model; default: the provider's first row in the price table"},
    {"MODEL_PROVIDER", PJ_SET_WORD, AT(model_provider), NULL, 0, 0, providers,
     "openai, anthropic or replay; default: the one whose key is set"},
    {"NO_PROXY", PJ_SET_STR, AT(no_proxy), NULL, 0, 0, NULL, "hosts reached without the proxy"},
    {"OPENAI_API", PJ_SET_WORD, AT(openai_api), "auto", 0, 0, openai_apis,
     "chat, responses or auto"},
    {"OPENAI_API_KEY", PJ_SET_SECRET, AT(openai_api_key), NULL, 0, 0, NULL,
     "key for an OpenAI-compatible server"},
    {"OPENAI_BASE_URL", PJ_SET_STR, AT(openai_base_url), "https://api.openai.com/v1", 0, 0, NULL,
     "base URL, including /v1"},
    {"PJ_ACTIONS_REF", PJ_SET_STR, AT(actions_ref), NULL, 0, 0, NULL,
     "branch the workflow is taken from; default: the repository's"},
    {"PJ_ACTIONS_REPOSITORY", PJ_SET_STR, AT(actions_repository), NULL, 0, 0, NULL,
     "owner/name where github_actions tasks are dispatched; default: the task's own"},
    {"PJ_ACTIONS_WORKFLOW", PJ_SET_STR, AT(actions_workflow), "pithy-jaunt.yml", 0, 0, NULL,
     "the workflow's file name"},
    {"PJ_CA_FILE", PJ_SET_STR, AT(ca_file), NULL, 0, 0, NULL,
     "certificates to trust for every outgoing call"},
    {"PJ_FORGES", PJ_SET_STR, AT(forges), NULL, 0, 0, NULL,
     "JSON file of the forges that can be connected"},
    {"PJ_JANITOR_INTERVAL", PJ_SET_DURATION, AT(janitor_interval_ms), "60s", 100, DAY, NULL,
     "time between clean-ups"},
    {"PJ_LEASE_TTL", PJ_SET_DURATION, AT(lease_ttl_ms), "15s", 1000, 3600000, NULL,
     "life of a lease that is not renewed"},
    {"PJ_LLM_TIMEOUT", PJ_SET_DURATION, AT(llm_timeout_ms), "180s", 100, DAY, NULL,
     "longest model call"},
    {"PJ_LOG_FORMAT", PJ_SET_WORD, AT(log_format), "auto", 0, 0, log_formats, "text, json or auto"},
    {"PJ_LOG_LEVEL", PJ_SET_WORD, AT(log_level), "info", 0, 0, log_levels,
     "debug, info, warn or error"},
    {"PJ_LOG_RETENTION", PJ_SET_DURATION, AT(log_retention_ms), "7d", 1000, 3650 * DAY, NULL,
     "how long ended tasks keep their log"},
    {"PJ_MAIL_FROM", PJ_SET_STR, AT(mail_from), NULL, 0, 0, NULL, "sender of mails"},
    {"PJ_MAX_TASK_COST_USD", PJ_SET_MONEY, AT(max_task_cost_microusd), NULL, 0, 0, NULL,
     "most a task may cost; default: no limit"},
    {"PJ_MAX_TASK_TOKENS", PJ_SET_INT, AT(max_task_tokens), "1000000", 1, INT64_C(1) << 40, NULL,
     "most tokens a task may use"},
    {"PJ_MAX_TASK_TURNS", PJ_SET_INT, AT(max_task_turns), "100", 1, 100000, NULL,
     "most turns of the agent"},
    {"PJ_METRICS_LISTEN", PJ_SET_STR, AT(metrics_listen), NULL, 0, 0, NULL,
     "address:port that serves /metrics, /livez and /readyz, without a token; default: nowhere"},
    {"PJ_NOTIFY_SECRET", PJ_SET_SECRET, AT(notify_secret), NULL, 0, 0, NULL,
     "signs outgoing notifications (whsec_…)"},
    {"PJ_NOTIFY_URL", PJ_SET_STR, AT(notify_url), NULL, 0, 0, NULL, "told of every end of a task"},
    {"PJ_PRICES", PJ_SET_STR, AT(prices), NULL, 0, 0, NULL, "price table; default: built in"},
    {"PJ_PUBLIC_URL", PJ_SET_STR, AT(public_url), NULL, 0, 0, NULL, "address of the API in links"},
    {"PJ_REDIS_CA_FILE", PJ_SET_STR, AT(redis.ca_file), NULL, 0, 0, NULL,
     "authorities that may sign the certificate of Redis, PEM; default: PJ_CA_FILE, the system's"},
    {"PJ_REDIS_CERT_FILE", PJ_SET_STR, AT(redis.cert_file), NULL, 0, 0, NULL,
     "client certificate for a Redis that asks for one, PEM"},
    {"PJ_REDIS_KEY_FILE", PJ_SET_STR, AT(redis.key_file), NULL, 0, 0, NULL,
     "key of that certificate, PEM, without a passphrase"},
    {"PJ_REDIS_PASSWORD", PJ_SET_SECRET, AT(redis.password), NULL, 0, 0, NULL,
     "password for Redis, when not in the URL"},
    {"PJ_REDIS_SENTINEL_PASSWORD", PJ_SET_SECRET, AT(redis.sentinel_password), NULL, 0, 0, NULL,
     "password for sentinels that ask for one; PJ_REDIS_PASSWORD is the primary's"},
    {"PJ_REDIS_SENTINEL_USER", PJ_SET_STR, AT(redis.sentinel_user), NULL, 0, 0, NULL,
     "user at the sentinels; default: theirs"},
    {"PJ_REDIS_URL", PJ_SET_STR, AT(redis.url), "redis://127.0.0.1:6379/0", 0, 0, NULL,
     "redis://, rediss:// (TLS), unix:///path?db=0, redis-sentinel:// or rediss-sentinel://"},
    {"PJ_REPLAY_FILE", PJ_SET_STR, AT(replay_file), NULL, 0, 0, NULL,
     "answers for the replay provider"},
    {"PJ_RETRY_BASE", PJ_SET_DURATION, AT(retry_base_ms), "1s", 1, 600000, NULL,
     "first wait between tries of a peer"},
    {"PJ_RUNNER_EXECUTORS", PJ_SET_WORD, AT(executors), "all", 0, 0, executors,
     "github_actions: make no boxes here, only start workflows; a sandbox task then fails"},
    {"PJ_RUNNER_IDLE", PJ_SET_DURATION, AT(idle_ms), NULL, 100, 30 * DAY, NULL,
     "leave after so long without a task; default: never"},
    {"PJ_RUNNER_LABELS", PJ_SET_STR, AT(labels), NULL, 0, 0, NULL,
     "words shown with this runner, comma separated"},
    {"PJ_RUNNER_NAME", PJ_SET_STR, AT(name), NULL, 0, 0, NULL,
     "this runner's name; default: the host's"},
    {"PJ_RUNNER_SLOTS", PJ_SET_INT, AT(slots), NULL, 1, SLOTS_MAX, NULL,
     "tasks at once; default: one a core"},
    {"PJ_RUNNER_TASKS", PJ_SET_INT, AT(max_tasks), NULL, 1, 1000000000, NULL,
     "leave after so many tasks; default: never"},
    {"PJ_SANDBOX_ROOTFS", PJ_SET_STR, AT(sandbox_rootfs), NULL, 0, 0, NULL,
     "a name under rootfs/ for the box's system; default: the host's /usr"},
    {"PJ_SECRET_KEY", PJ_SET_SECRET, AT(secret_key), NULL, 0, 0, NULL,
     "32 bytes base64; seals credentials in Redis"},
    {"PJ_SMTP_PASSWORD", PJ_SET_SECRET, AT(smtp_password), NULL, 0, 0, NULL,
     "password for the mail server"},
    {"PJ_SMTP_TLS", PJ_SET_WORD, AT(smtp_tls), "offered", 0, 0, smtp_tls_words,
     "offered: STARTTLS when the server has it; or required"},
    {"PJ_SMTP_URL", PJ_SET_STR, AT(smtp_url), NULL, 0, 0, NULL,
     "smtp:// or smtps://; without it no mail is sent"},
    {"PJ_SMTP_USER", PJ_SET_STR, AT(smtp_user), NULL, 0, 0, NULL, "user at the mail server"},
    {"PJ_STATE_DIR", PJ_SET_STR, AT(state_dir), "/var/lib/pithyjaunt", 0, 0, NULL,
     "cache/, work/ and rootfs/"},
    {"PJ_TASK_DISK", PJ_SET_SIZE, AT(task_disk), "10G", INT64_C(1) << 20, INT64_C(1) << 50, NULL,
     "most that a box may add to a task's work tree on the disk"},
    {"PJ_TASK_FILES", PJ_SET_INT, AT(task_files), "1000000", 100, INT64_C(1) << 40, NULL,
     "most files and folders that a box may add to a task's work tree"},
    {"PJ_TASK_TIMEOUT", PJ_SET_DURATION, AT(task_timeout_ms), "10m", 100, 30 * DAY, NULL,
     "longest attempt of a task (R7.1)"},
    {"PJ_TOKEN_ALERT", PJ_SET_INT, AT(token_alert), "50000", 1, INT64_C(1) << 40, NULL,
     "tokens of a task that raise a warning (R11.2)"},
    {"PJ_USER_MAX_RUNNING", PJ_SET_INT, AT(user_max_running), NULL, 1, 100000, NULL,
     "tasks of one user at once; default: no limit"},
};
const size_t runner_setting_count = PJ_COUNT_OF(runner_setting_table);

static int word_index(const char *const *words, const char *word)
{
    for (int i = 0; words[i] != NULL; i++)
        if (strcmp(words[i], word) == 0)
            return i;
    return 0;
}

static int check_model(struct runner_settings *s, struct pj_err *err)
{
    bool openai = s->openai_api_key != NULL;
    bool anthropic = s->anthropic_api_key != NULL;

    if (s->model_provider == NULL && openai && anthropic) {
        (void)pj_fail(err, PJ_E_INVALID,
                      "MODEL_PROVIDER: OPENAI_API_KEY and ANTHROPIC_API_KEY are both set");
        return pj_err_remedy(err, "set MODEL_PROVIDER to openai or to anthropic");
    }
    if (s->model_provider == NULL && !openai && !anthropic) {
        (void)pj_fail(err, PJ_E_INVALID, "MODEL_PROVIDER: no model provider is configured");
        return pj_err_remedy(err, "set OPENAI_API_KEY or ANTHROPIC_API_KEY, or "
                                  "MODEL_PROVIDER=replay with PJ_REPLAY_FILE");
    }
    if (s->model_provider == NULL)
        s->model_provider = pj_strdup(openai ? "openai" : "anthropic");
    if (strcmp(s->model_provider, "anthropic") == 0 && !anthropic) {
        (void)pj_fail(err, PJ_E_INVALID,
                      "ANTHROPIC_API_KEY: MODEL_PROVIDER is anthropic and no key is set");
        return pj_err_remedy(err, "set ANTHROPIC_API_KEY or ANTHROPIC_API_KEY_FILE");
    }
    /* A server of one's own often asks for no key, so only the public one insists on it. */
    if (strcmp(s->model_provider, "openai") == 0 && !openai &&
        !pj_setting_given("OPENAI_BASE_URL")) {
        (void)pj_fail(err, PJ_E_INVALID,
                      "OPENAI_API_KEY: MODEL_PROVIDER is openai and no key is set");
        return pj_err_remedy(err, "set OPENAI_API_KEY or OPENAI_API_KEY_FILE");
    }
    if (strcmp(s->model_provider, "replay") == 0 && s->replay_file == NULL) {
        (void)pj_fail(err, PJ_E_INVALID,
                      "PJ_REPLAY_FILE: MODEL_PROVIDER is replay and no file of answers is set");
        return pj_err_remedy(err, "set PJ_REPLAY_FILE to a file of recorded answers");
    }
    if (s->model_fallback_provider != NULL &&
        strcmp(s->model_fallback_provider, "anthropic") == 0 && !anthropic) {
        (void)pj_fail(err, PJ_E_INVALID,
                      "MODEL_FALLBACK_PROVIDER is anthropic, and ANTHROPIC_API_KEY is not set");
        return pj_err_remedy(
            err,
            "set ANTHROPIC_API_KEY or ANTHROPIC_API_KEY_FILE, or unset MODEL_FALLBACK_PROVIDER");
    }
    if (s->replay_file != NULL && access(s->replay_file, R_OK) != 0) {
        (void)pj_fail(err, PJ_E_INVALID, "PJ_REPLAY_FILE: cannot read %s: %s", s->replay_file,
                      strerror(errno));
        return pj_err_remedy(err, "name a readable file of recorded answers");
    }
    return 0;
}

bool runner_makes_boxes(const struct runner_settings *s)
{
    return strcmp(s->executors, "github_actions") != 0;
}

bool runner_settings_remote(const struct pj_settings_args *args)
{
    return args != NULL && args->rest + 1 < args->argc &&
           strcmp(args->argv[args->rest], "job") == 0 &&
           strcmp(args->argv[args->rest + 1], "--remote") == 0;
}

static int open_keyring(struct runner_settings *s, struct pj_err *err)
{
    if (s->secret_key == NULL) {
        (void)pj_fail(err, PJ_E_INVALID, "PJ_SECRET_KEY is not set");
        return pj_err_remedy(err, "make one with: head -c 32 /dev/urandom | base64");
    }
    return pj_keyring_new(s->secret_key, &s->keyring, err);
}

static bool has_scheme(const char *url, const char *a, const char *b)
{
    return strncmp(url, a, strlen(a)) == 0 || strncmp(url, b, strlen(b)) == 0;
}

static int check_addresses(const struct runner_settings *s, struct pj_err *err)
{
    const struct {
        const char *name, *value;
    } web[] = {{"ANTHROPIC_BASE_URL", s->anthropic_base_url},
               {"GITHUB_API_URL", s->github_api_url},
               {"OPENAI_BASE_URL", s->openai_base_url},
               {"PJ_NOTIFY_URL", s->notify_url},
               {"PJ_PUBLIC_URL", s->public_url}};

    for (size_t i = 0; i < PJ_COUNT_OF(web); i++)
        if (web[i].value != NULL && !has_scheme(web[i].value, "https://", "http://")) {
            (void)pj_fail(err, PJ_E_INVALID, "%s: '%s' does not start with http:// or https://",
                          web[i].name, web[i].value);
            return pj_err_remedy(err, "give the whole address");
        }
    if (s->smtp_url != NULL && !has_scheme(s->smtp_url, "smtp://", "smtps://")) {
        (void)pj_fail(err, PJ_E_INVALID,
                      "PJ_SMTP_URL: '%s' does not start with smtp:// or smtps://", s->smtp_url);
        return pj_err_remedy(err, "name the mail server, say smtp://mail.example.org:587");
    }
    return 0;
}

/* Settings of which one is of no use without the other. */
static int check_pairs(const struct runner_settings *s, struct pj_err *err)
{
    if (s->smtp_url != NULL && s->mail_from == NULL) {
        (void)pj_fail(err, PJ_E_INVALID, "PJ_MAIL_FROM is not set, and PJ_SMTP_URL is");
        return pj_err_remedy(err, "set PJ_MAIL_FROM to the address that mails come from");
    }
    if (s->notify_url != NULL && s->notify_secret == NULL) {
        (void)pj_fail(err, PJ_E_INVALID, "PJ_NOTIFY_SECRET is not set, and PJ_NOTIFY_URL is");
        return pj_err_remedy(
            err, "set PJ_NOTIFY_SECRET to whsec_ and a base64 key, which the receiver knows too");
    }
    if (s->notify_secret != NULL && strncmp(s->notify_secret, "whsec_", 6) != 0) {
        (void)pj_fail(err, PJ_E_INVALID, "PJ_NOTIFY_SECRET does not start with whsec_");
        return pj_err_remedy(err, "make one with: echo whsec_$(head -c 24 /dev/urandom | base64)");
    }
    if ((s->github_app_id == NULL) != (s->github_app_private_key == NULL)) {
        (void)pj_fail(err, PJ_E_INVALID, "GITHUB_APP_ID and GITHUB_APP_PRIVATE_KEY go together");
        return pj_err_remedy(err, "set both, or neither");
    }
    return 0;
}

static int check(struct runner_settings *s, struct pj_err *err)
{
    char host[65] = "";

    if (s->state_dir[0] != '/') {
        (void)pj_fail(err, PJ_E_INVALID, "PJ_STATE_DIR: %s is not an absolute path", s->state_dir);
        return pj_err_remedy(err, "give the folder's whole path");
    }
    if (strlen(s->state_dir) > STATE_DIR_MAX) {
        (void)pj_fail(err, PJ_E_INVALID, "PJ_STATE_DIR: %s is longer than %d bytes", s->state_dir,
                      STATE_DIR_MAX);
        return pj_err_remedy(
            err,
            "sockets of running tasks live beneath it, and their paths are limited by the system");
    }
    if (s->slots == 0) {
        long cores = sysconf(_SC_NPROCESSORS_ONLN);

        s->slots = cores > SLOTS_MAX ? SLOTS_MAX : cores > 0 ? cores : 1;
    }
    if (s->name == NULL) {
        if (gethostname(host, sizeof(host) - 1) < 0 || host[0] == '\0')
            return pj_fail(err, PJ_E_INVALID, "PJ_RUNNER_NAME is not set and the host has no name");
        s->name = pj_strdup(host);
    }
    if (strlen(s->name) > 64 ||
        strspn(s->name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") !=
            strlen(s->name)) {
        (void)pj_fail(err, PJ_E_INVALID, "PJ_RUNNER_NAME: %s is not a usable name", s->name);
        return pj_err_remedy(err, "use at most 64 of the characters A-Z a-z 0-9 . _ -");
    }
    if (check_pairs(s, err) < 0 || check_addresses(s, err) < 0 ||
        (s->metrics_listen != NULL && health_address_check(s->metrics_listen, err) < 0))
        return -1;
    return runner_makes_boxes(s) ? check_model(s, err) : 0; /* a workflow has a key of its own */
}

/* libcurl and libgit2 read these from the environment, where they are not when PJ_CONFIG or a flag gave them. */
static int pass_proxy_on(const struct runner_settings *s, struct pj_err *err)
{
    if ((s->https_proxy != NULL && setenv("HTTPS_PROXY", s->https_proxy, 1) < 0) ||
        (s->no_proxy != NULL && setenv("NO_PROXY", s->no_proxy, 1) < 0))
        return pj_fail_errno(err, errno, "HTTPS_PROXY, NO_PROXY");
    return 0;
}

int runner_settings_load(struct runner_settings *out, struct pj_settings_args *args,
                         struct pj_err *err)
{
    struct runner_settings s = {.redact = pj_redact_new()};

    if (pj_settings_load(runner_setting_table, runner_setting_count, &s, args, s.redact, err) < 0) {
        pj_redact_free(s.redact);
        return -1;
    }
    if (args != NULL && (args->help || args->version)) {
        *out = s;
        return 0;
    }
    if ((!runner_settings_remote(args) && open_keyring(&s, err) < 0) || check(&s, err) < 0 ||
        pass_proxy_on(&s, err) < 0) {
        runner_settings_release(&s);
        return -1;
    }
    pj_log_setup("pj-runner", (enum pj_log_level)word_index(log_levels, s.log_level),
                 (enum pj_log_format)word_index(log_formats, s.log_format), s.redact);
    *out = s;
    return 0;
}

void runner_settings_release(struct runner_settings *s)
{
    pj_settings_release(runner_setting_table, runner_setting_count, s);
    pj_keyring_free(s->keyring);
    s->keyring = NULL;
    pj_redact_free(s->redact);
    s->redact = NULL;
}

char *runner_duration_text(int64_t ms)
{
    int64_t seconds = ms / 1000, minutes = seconds / 60;

    if (ms < 1000 || ms % 1000 != 0)
        return pj_asprintf("%lld ms", (long long)ms);
    if (seconds < 60)
        return pj_asprintf("%lld s", (long long)seconds);
    if (minutes < 60 && seconds % 60 == 0)
        return pj_asprintf("%lld min", (long long)minutes);
    if (minutes < 60)
        return pj_asprintf("%lld min %lld s", (long long)minutes, (long long)(seconds % 60));
    if (minutes % 60 == 0)
        return pj_asprintf("%lld h", (long long)(minutes / 60));
    return pj_asprintf("%lld h %lld min", (long long)(minutes / 60), (long long)(minutes % 60));
}

void runner_settings_help(FILE *to, bool all)
{
    (void)fputs(
        "usage: pj-runner [OPTION]...\n"
        "Takes tasks from Redis, carries each out in a sandbox and pushes the result. Settings "
        "come\n"
        "from options, the environment, or the file that PJ_CONFIG names. --runner-slots is\n"
        "PJ_RUNNER_SLOTS.\n\n",
        to);
    pj_settings_help(runner_setting_table, runner_setting_count, all, to);
    (void)fputs("  --check-config --help --version\n"
                "  --help-all       every setting with its meaning and default; so does man "
                "pithyjaunt.conf\n"
                "\nExit: 0 drained, 1 cannot run, 78 a mistake in the settings.\n",
                to);
}
