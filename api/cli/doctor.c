/* pj doctor: what an operator would check by hand, each with its remedy. */
#include "api/cli/doctor.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "api/cli/host.h"
#include "api/cli/table.h"
#include "lib/base/mem.h"
#include "lib/crypto/secret.h"
#include "lib/json/codec.h"

#define OUTPUT_MAX (256u << 10)
#define REPOSITORIES_MAX 50
#define QUIET_RUNNER_MS 60000
#define AT(field) offsetof(struct doctor_settings, field)

static const char *const executors[] = {"sandbox", "github_actions", NULL};
static const struct pj_setting table[] = {
    {"ANTHROPIC_API_KEY", PJ_SET_SECRET, AT(anthropic_key), NULL, 0, 0, NULL, "model provider"},
    {"ANTHROPIC_BASE_URL", PJ_SET_STR, AT(anthropic_url), "https://api.anthropic.com", 0, 0, NULL,
     "its address"},
    {"GITHUB_API_URL", PJ_SET_STR, AT(github_api_url), "https://api.github.com", 0, 0, NULL,
     "REST API of github.com"},
    {"GITHUB_APP_ID", PJ_SET_STR, AT(app_id), NULL, 0, 0, NULL, "GitHub App"},
    {"GITHUB_APP_PRIVATE_KEY", PJ_SET_SECRET, AT(app_key), NULL, 0, 0, NULL, "its key"},
    {"GITHUB_TOKEN", PJ_SET_SECRET, AT(github_token), NULL, 0, 0, NULL, "token for github.com"},
    {"OPENAI_API_KEY", PJ_SET_SECRET, AT(openai_key), NULL, 0, 0, NULL, "model provider"},
    {"OPENAI_BASE_URL", PJ_SET_STR, AT(openai_url), "https://api.openai.com/v1", 0, 0, NULL,
     "its address"},
    {"PJ_CA_FILE", PJ_SET_STR, AT(ca_file), NULL, 0, 0, NULL, "certificates to trust"},
    {"PJ_EXECUTOR", PJ_SET_WORD, AT(executor), "sandbox", 0, 0, executors, "where tasks run"},
    {"PJ_FORGES", PJ_SET_STR, AT(forges), NULL, 0, 0, NULL, "forges that may be connected"},
    {"PJ_REDIS_CA_FILE", PJ_SET_STR, AT(redis.ca_file), NULL, 0, 0, NULL, "the same, for Redis"},
    {"PJ_REDIS_CERT_FILE", PJ_SET_STR, AT(redis.cert_file), NULL, 0, 0, NULL, "to show to Redis"},
    {"PJ_REDIS_KEY_FILE", PJ_SET_STR, AT(redis.key_file), NULL, 0, 0, NULL, "its key"},
    {"PJ_REDIS_PASSWORD", PJ_SET_SECRET, AT(redis.password), NULL, 0, 0, NULL, "for Redis"},
    {"PJ_REDIS_SENTINEL_PASSWORD", PJ_SET_SECRET, AT(redis.sentinel_password), NULL, 0, 0, NULL,
     "for its sentinels"},
    {"PJ_REDIS_SENTINEL_USER", PJ_SET_STR, AT(redis.sentinel_user), NULL, 0, 0, NULL,
     "user at the sentinels"},
    {"PJ_REDIS_URL", PJ_SET_STR, AT(redis.url), "redis://127.0.0.1:6379/0", 0, 0, NULL, "Redis"},
    {"PJ_SECRET_KEY", PJ_SET_SECRET, AT(secret_key), NULL, 0, 0, NULL, "seals credentials"},
};

void doctor_note(struct doctor *d, const char *check, enum doctor_level level, const char *remedy,
                 const char *format, ...)
{
    static const char *const words[] = {"ok", "warning", "wrong"};
    static const char *const colours[] = {"\033[32m", "\033[33m", "\033[31m"};
    PJ_CLEANUP(pj_str_release) struct pj_str text, masked;
    bool colour = d->cli->colour;
    va_list ap;

    pj_str_init(&text, OUTPUT_MAX);
    pj_str_init(&masked, 2 * OUTPUT_MAX);
    va_start(ap, format);
    (void)pj_str_vputf(&text, format, ap);
    va_end(ap);
    (void)pj_redact_append(d->cli->redact, &masked, pj_view_of(pj_str_cstr(&text)));
    const char *detail = pj_str_cstr(&masked);
    d->wrong += level == DOCTOR_WRONG;
    if (remedy && !*remedy)
        remedy = NULL;
    json_array_append_new(d->findings, json_pack("{s:s, s:s, s:s, s:s?}", "check", check, "level",
                                                 words[level], "detail", detail, "remedy", remedy));
    if (d->cli->json)
        return;
    (void)printf("%s%-8s%s %-10s ", colour ? colours[level] : "", words[level],
                 colour ? "\033[0m" : "", check);
    table_put_text(stdout, detail, true);
    (void)putchar('\n');
    if (remedy) {
        (void)printf("%20s-> ", "");
        table_put_text(stdout, remedy, true);
        (void)putchar('\n');
    }
    (void)fflush(stdout);
}

/* ---- settings of the programs ---- */

static bool is_set(const char *name)
{
    const char *value = getenv(name);

    return value && *value;
}

/* No program starts without it. */
static bool has_key(void)
{
    return is_set("PJ_SECRET_KEY") || is_set("PJ_SECRET_KEY_FILE");
}

/* The file of a package, when nothing else is said: NULL where it is not there, or not for this user to read. False: it would be needed. */
static bool config_of(struct doctor *d, const char *path, const char **out)
{
    *out = NULL;
    if (is_set("PJ_CONFIG"))
        return true;
    if (access(path, R_OK) == 0) {
        *out = path;
        return true;
    }
    if (errno != EACCES)
        return true;
    doctor_note(d, "settings", DOCTOR_WARNING,
                "run it as root, or with the settings in the environment",
                "%s may not be read by this user", path);
    return has_key();
}

/* What --check-config says: every setting is judged by the program that has it. */
static void check_program(struct doctor *d, const char *program, const char *config)
{
    PJ_CLEANUP(pj_str_release) struct pj_str out;
    struct pj_err err = {0};

    pj_str_init(&out, OUTPUT_MAX);
    int code = host_run(program, "--check-config", config, &out, &err);
    struct pj_view said = pj_view_n(pj_str_cstr(&out), out.len);
    while (said.n > 0 && strchr("\r\n ", said.p[said.n - 1]))
        said.n--;
    if (code < 0)
        doctor_note(d, program, DOCTOR_WRONG, err.remedy, "%s", err.message);
    else if (code == 0)
        doctor_note(d, program, DOCTOR_FINE, NULL, "settings are right (%s)",
                    config ? config : "environment");
    else
        doctor_note(d, program, DOCTOR_WRONG,
                    "docs/settings.md and `man pithyjaunt.conf` have all settings", "%.*s",
                    (int)said.n, said.p);
}

static bool load(struct doctor *d, const char *config, struct doctor_settings *out)
{
    struct pj_err err = {0};

    *out = (struct doctor_settings){0};
    if (config)
        (void)setenv("PJ_CONFIG", config, 1);
    int rc = pj_settings_load(table, PJ_COUNT_OF(table), out, NULL, d->cli->redact, &err);
    if (config)
        (void)unsetenv("PJ_CONFIG");
    if (rc < 0)
        doctor_note(d, "settings", DOCTOR_WRONG, err.remedy, "%s", err.message);
    return rc == 0;
}

/* Both programs open what the other sealed, and find each other in one Redis. */
static void compare(struct doctor *d)
{
    struct doctor_settings api;

    if (!d->api_config || !d->runner_config || !load(d, d->api_config, &api))
        return;
    if (api.secret_key && d->settings.secret_key &&
        strcmp(api.secret_key, d->settings.secret_key) != 0)
        doctor_note(d, "settings", DOCTOR_WRONG, "give both the same key",
                    "PJ_SECRET_KEY of %s and of %s differ", d->api_config, d->runner_config);
    if (strcmp(api.redis.url, d->settings.redis.url) != 0)
        doctor_note(d, "settings", DOCTOR_WARNING, "give both the same address",
                    "PJ_REDIS_URL of %s and of %s differ", d->api_config, d->runner_config);
    pj_settings_release(table, PJ_COUNT_OF(table), &api);
}

/* A server is set up elsewhere, or is one of `pj up`, which keeps its settings to itself. */
static bool is_client_only(struct doctor *d)
{
    const struct cli_settings *s = &d->cli->settings;
    struct client *c;
    struct pj_err err = {0};

    if (d->api_config || d->runner_config || is_set("PJ_CONFIG") || has_key())
        return false;
    c = client_new(s->url, s->token, s->ca_file);
    bool alive = client_alive(c, &err) == 0;
    client_free(c);
    return alive;
}

static void check_settings(struct doctor *d)
{
    bool api = config_of(d, "/etc/pithyjaunt/api.conf", &d->api_config);
    bool runner = config_of(d, "/etc/pithyjaunt/runner.conf", &d->runner_config);

    d->client_only = is_client_only(d);
    if (d->client_only) {
        doctor_note(d, "settings", DOCTOR_FINE, NULL,
                    "this user has none of a server, and needs none to use %s",
                    d->cli->settings.url);
    } else {
        if (api)
            check_program(d, "pj-api", d->api_config);
        if (runner)
            check_program(d, "pj-runner", d->runner_config);
    }
    d->has_settings = load(d, d->runner_config, &d->settings);
    if (d->has_settings)
        compare(d);
}

/* ---- the API, and what it knows of runners ---- */

static void check_runners(struct doctor *d, struct client *c)
{
    PJ_CLEANUP(pj_json_decrefp) json_t *runners = NULL;
    struct pj_err err = {0};
    size_t i, alive = 0;
    json_t *runner;

    if (client_list(c, "/admin/runners", REPOSITORIES_MAX, &runners, &err) < 0)
        return; /* no admin: not for this user to see */
    json_array_foreach(runners, i, runner)
    {
        const char *name = pj_json_str(runner, "name", "?");
        const char *version = pj_json_str(runner, "version", PJ_VERSION);

        alive += pj_json_i64(runner, "heartbeatAgeMs", 0) < QUIET_RUNNER_MS;
        if (strcmp(version, PJ_VERSION) != 0)
            doctor_note(d, "runners", DOCTOR_WARNING,
                        "upgrade one after the other: docs/operators.md",
                        "runner %s has version %s, this is %s", name, version, PJ_VERSION);
    }
    if (alive == 0)
        doctor_note(d, "runners", DOCTOR_WARNING, "start pj-runner; its log says what keeps it",
                    "no runner is there to carry tasks out");
    else
        doctor_note(d, "runners", DOCTOR_FINE, NULL, "%zu at work", alive);
}

static void check_api(struct doctor *d)
{
    const struct cli_settings *s = &d->cli->settings;
    struct client *c = client_new(s->url, s->token, s->ca_file);
    PJ_CLEANUP(pj_json_decrefp) json_t *me = NULL;
    struct pj_err err = {0};

    if (client_alive(c, &err) < 0) {
        doctor_note(d, "api", DOCTOR_WARNING, err.remedy, "%s", err.message);
    } else if (!s->token) {
        doctor_note(d, "api", DOCTOR_WARNING, "pj login, or set PJ_TOKEN",
                    "%s answers, but there is no token to ask it with", s->url);
    } else if (client_call(c, "GET", "/me", NULL, &me, &err) < 0) {
        doctor_note(d, "api", DOCTOR_WRONG, err.remedy, "%s", err.message);
    } else {
        doctor_note(d, "api", DOCTOR_FINE, NULL, "%s answers and knows your token (%s)", s->url,
                    pj_json_str(me, "email", pj_json_str(me, "role", "user")));
        check_runners(d, c);
        if (client_list(c, "/repositories?limit=50", REPOSITORIES_MAX, &d->repositories, &err) < 0)
            d->repositories = NULL; /* a token without that scope */
    }
    client_free(c);
}

int cmd_doctor(struct cli *cli, const struct cli_args *args, struct pj_err *err)
{
    struct doctor d = {.cli = cli, .findings = json_array()};

    (void)args;
    (void)err;
    check_settings(&d);
    doctor_check_redis(&d);
    doctor_check_box(&d);
    check_api(&d);
    doctor_check_keys(&d);
    if (cli->json) {
        PJ_CLEANUP(pj_freep) char *text = pj_json_text(d.findings);

        (void)puts(text);
    }
    json_decref(d.findings);
    json_decref(d.repositories);
    if (d.has_settings)
        pj_settings_release(table, PJ_COUNT_OF(table), &d.settings);
    return d.wrong > 0 ? EXIT_FAILED : 0;
}
