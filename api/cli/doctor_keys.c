/* Keys: set or not, who may read their files, and whether the one they are for accepts them. By name only. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include "api/cli/doctor.h"
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/crypto/secret.h"
#include "lib/forge/app_token.h"
#include "lib/forge/permissions.h"
#include "lib/http/client.h"
#include "lib/json/codec.h"

#define CALL_MS 15000
#define SOON_MS (14LL * 24 * 3600 * 1000)
#define HEADER_MAX 1000
#define GITHUB_JSON "application/vnd.github+json"
#define GITHUB_VERSION "2022-11-28"

/* ---- files that hold them ---- */

static void check_mode(struct doctor *d, const char *what, const char *path)
{
    struct stat st;

    if (stat(path, &st) < 0)
        doctor_note(d, "keys", DOCTOR_WRONG, "put the key into that file, or unset the variable",
                    "%s: %s: %s", what, path, strerror(errno));
    else if ((st.st_mode & 077) != 0)
        doctor_note(d, "keys", DOCTOR_WARNING, "chmod 600 the file", "%s: others may read %s", what,
                    path);
}

static void check_files(struct doctor *d)
{
    static const char *const names[] = {
        "ANTHROPIC_API_KEY",     "GITHUB_APP_PRIVATE_KEY", "GITHUB_TOKEN",
        "GITHUB_WEBHOOK_SECRET", "OPENAI_API_KEY",         "PJ_BOOTSTRAP_TOKEN",
        "PJ_NOTIFY_SECRET",      "PJ_REDIS_PASSWORD",      "PJ_REDIS_SENTINEL_PASSWORD",
        "PJ_SECRET_KEY",         "PJ_SMTP_PASSWORD"};
    const char *config = getenv("PJ_CONFIG");

    for (size_t i = 0; i < PJ_COUNT_OF(names); i++) {
        PJ_CLEANUP(pj_freep) char *variable = pj_asprintf("%s_FILE", names[i]);
        const char *path = getenv(variable);

        if (path && *path)
            check_mode(d, variable, path);
    }
    if (config && *config)
        check_mode(d, "PJ_CONFIG", config);
    if (d->api_config)
        check_mode(d, "settings", d->api_config);
    if (d->runner_config)
        check_mode(d, "settings", d->runner_config);
}

static void check_secret_key(struct doctor *d)
{
    struct pj_keyring *ring = NULL;
    struct pj_err err = {0};

    if (!d->settings.secret_key)
        return; /* the programs say so */
    if (pj_keyring_new(d->settings.secret_key, &ring, &err) < 0)
        doctor_note(d, "keys", DOCTOR_WRONG, err.remedy, "%s", err.message);
    else
        doctor_note(d, "keys", DOCTOR_FINE, NULL, "PJ_SECRET_KEY is a key; keep a copy of it");
    pj_keyring_free(ring);
}

/* ---- one call with a key ---- */

struct probe {
    const char *url;
    struct pj_http_header headers[3];
    struct pj_http_response res;
};

/* 0 when an answer came; otherwise that is noted. */
static int ask(struct doctor *d, struct pj_http *http, const char *name, struct probe *p)
{
    const struct pj_http_request request = {.url = p->url,
                                            .headers = p->headers,
                                            .header_count = PJ_COUNT_OF(p->headers),
                                            .allow_plain = true,
                                            .timeout_ms = CALL_MS};
    struct pj_err err = {0};

    if (pj_http_do(http, &request, &p->res, &err) == 0)
        return 0;
    doctor_note(d, "keys", DOCTOR_WARNING, err.remedy, "%s is set, and could not be tried: %s",
                name, err.message);
    return -1;
}

static void judge_model(struct doctor *d, const char *name, const char *base, int status)
{
    if (status == 401 || status == 403)
        doctor_note(d, "keys", DOCTOR_WRONG, "make a new key at the provider",
                    "%s is refused by %s (%d)", name, base, status);
    else if (status >= 200 && status <= 299)
        doctor_note(d, "keys", DOCTOR_FINE, NULL, "%s is accepted by %s", name, base);
    else
        doctor_note(d, "keys", DOCTOR_FINE, NULL, "%s is set; %s does not tell more (%d)", name,
                    base, status);
}

static void check_model(struct doctor *d, struct pj_http *http, const char *name, const char *key,
                        const char *base, bool anthropic)
{
    if (!key)
        return;
    PJ_CLEANUP(pj_freep)
    char *url = pj_asprintf("%s%s/models", base, anthropic ? "/v1" : "");
    PJ_CLEANUP(pj_freep) char *bearer = pj_asprintf("Bearer %s", key);
    struct probe p = {.url = url};

    if (anthropic) {
        p.headers[0] = (struct pj_http_header){"x-api-key", key};
        p.headers[1] = (struct pj_http_header){"anthropic-version", "2023-06-01"};
    } else {
        p.headers[0] = (struct pj_http_header){"Authorization", bearer};
    }
    if (ask(d, http, name, &p) == 0)
        judge_model(d, name, base, p.res.status);
    pj_http_response_release(&p.res);
    pj_wipe(bearer, strlen(bearer));
}

/* ---- tokens of forges ---- */

/* "Date" of an answer: RFC 9110 IMF-fixdate. */
static void check_date(struct doctor *d, const char *host, const struct pj_http_response *res)
{
    char text[80];
    struct tm tm = {0};

    if (!pj_http_header_get(res, "date", text, sizeof text) ||
        !strptime(text, "%a, %d %b %Y %H:%M:%S GMT", &tm))
        return;
    doctor_check_clock(d, host, (int64_t)timegm(&tm) * 1000);
}

/* "2027-01-31 10:00:00 UTC", GitHub's header for fine-grained tokens. */
static void check_expiry(struct doctor *d, const char *name, const struct pj_http_response *res)
{
    char text[80];
    struct tm tm = {0};

    if (!pj_http_header_get(res, "github-authentication-token-expiration", text, sizeof text) ||
        !strptime(text, "%Y-%m-%d %H:%M:%S", &tm))
        return;
    if ((int64_t)timegm(&tm) * 1000 - pj_now_ms() < SOON_MS)
        doctor_note(d, "keys", DOCTOR_WARNING, "make a new one in time: docs/github.md",
                    "%s ends on %.10s", name, text);
}

static bool has_scope(const char *scopes, const char *wanted)
{
    struct pj_view rest = pj_view_of(scopes), scope;

    while (pj_view_cut(&rest, ',', &scope))
        if (pj_view_is(pj_view_trim(scope), wanted))
            return true;
    return false;
}

static void judge_scopes(struct doctor *d, const char *name, const char *host,
                         const struct pj_http_response *res)
{
    char scopes[HEADER_MAX];

    if (!pj_http_header_get(res, "x-oauth-scopes", scopes, sizeof scopes))
        doctor_note(d, "keys", DOCTOR_FINE, NULL, "%s is known to %s (a fine-grained token)", name,
                    host);
    else if (!has_scope(scopes, "repo") && !has_scope(scopes, "public_repo"))
        doctor_note(d, "keys", DOCTOR_WRONG,
                    "give it the scope repo, or better a fine-grained token: docs/github.md",
                    "%s may not push at %s: its scopes are \"%s\"", name, host, scopes);
    else if (has_scope(scopes, "admin:org") || has_scope(scopes, "delete_repo") ||
             has_scope(scopes, "workflow"))
        doctor_note(d, "keys", DOCTOR_WARNING,
                    "a fine-grained token for the repositories at stake is enough: docs/github.md",
                    "%s may more at %s than is needed: its scopes are \"%s\"", name, host, scopes);
    else
        doctor_note(d, "keys", DOCTOR_FINE, NULL, "%s is known to %s, with the scopes \"%s\"", name,
                    host, scopes);
}

static void check_forge(struct doctor *d, struct pj_http *http, const struct pj_forge *forge)
{
    bool github = forge->kind == PJ_FORGE_GITHUB, env = !forge->token && github;
    const char *token = env ? d->settings.github_token : forge->token;
    PJ_CLEANUP(pj_freep)
    char *name = env ? pj_strdup("GITHUB_TOKEN") : pj_asprintf("the token of %s", forge->host);

    if (!token || !forge->api_url)
        return;
    PJ_CLEANUP(pj_freep)
    char *url = pj_asprintf("%s%s", forge->api_url, github ? "/rate_limit" : "/user");
    PJ_CLEANUP(pj_freep) char *value = pj_asprintf("%s %s", github ? "Bearer" : "token", token);
    struct probe p = {.url = url,
                      .headers = {{"Authorization", value},
                                  {"Accept", github ? GITHUB_JSON : "application/json"},
                                  {"X-GitHub-Api-Version", github ? GITHUB_VERSION : NULL}}};

    if (ask(d, http, name, &p) == 0) {
        check_date(d, forge->host, &p.res);
        if (p.res.status == 401) {
            doctor_note(d, "keys", DOCTOR_WRONG, "make a new one: docs/github.md",
                        "%s is not known to %s: revoked, expired or mistyped", name, forge->host);
        } else if (p.res.status != 200) {
            doctor_note(d, "keys", DOCTOR_WARNING, NULL, "%s is set; %s answered %d", name,
                        forge->host, p.res.status);
        } else {
            judge_scopes(d, name, forge->host, &p.res);
            check_expiry(d, name, &p.res);
        }
    }
    pj_http_response_release(&p.res);
    pj_wipe(value, strlen(value));
}

/* ---- what they may do in connected repositories ---- */

static int with_app(struct doctor *d, struct pj_rest *rest, const struct pj_repo_address *address,
                    bool actions, struct pj_err *err)
{
    const struct pj_app app = {d->settings.app_id, d->settings.app_key, actions};
    struct pj_str token;
    int64_t expires;

    pj_str_init(&token, 8192);
    int rc = pj_app_token_mint(rest, &app, address->owner, address->name, &token, &expires, err);
    if (token.data)
        pj_wipe(token.data, token.len);
    pj_str_release(&token);
    return rc;
}

static void check_repository(struct doctor *d, struct pj_http *http, const struct pj_forges *forges,
                             const json_t *repo)
{
    const char *source = pj_json_str(json_object_get(repo, "credential"), "source", "");
    const char *executor = pj_json_str(repo, "executor", d->settings.executor);
    const char *url = pj_json_str(repo, "url", "");
    bool actions = strcmp(executor, "github_actions") == 0;
    struct pj_repo_address address = {0};
    struct pj_err err = {0};
    int rc = 0;

    if (pj_repo_address_parse(forges, url, &address, &err) < 0 || address.is_path ||
        address.forge->kind == PJ_FORGE_GIT) {
        pj_repo_address_release(&address);
        return;
    }
    struct pj_rest rest = {.http = http, .forge = address.forge, .timeout_ms = CALL_MS};
    rest.token = address.forge->token ? address.forge->token : d->settings.github_token;
    if (strcmp(source, "app") == 0 && d->settings.app_id && d->settings.app_key)
        rc = with_app(d, &rest, &address, actions, &err);
    else if ((strcmp(source, "forge") == 0 || strcmp(source, "env") == 0) && rest.token)
        rc = pj_forge_permissions(&rest, &address, actions, &err);
    else
        url = NULL; /* its own credential rests sealed: `pj repo verify` asks with it */
    if (rc < 0)
        doctor_note(d, "repository", DOCTOR_WRONG, err.remedy, "%s: %s", url, err.message);
    else if (url)
        doctor_note(d, "repository", DOCTOR_FINE, NULL,
                    "%s: may be read, pushed to, and have pull requests", url);
    pj_repo_address_release(&address);
}

static void check_forges(struct doctor *d, struct pj_http *http)
{
    const struct pj_forges_spec spec = {.file = d->settings.forges,
                                        .github_api_url = d->settings.github_api_url,
                                        .redact = d->cli->redact};
    struct pj_forges *forges = NULL;
    struct pj_err err = {0};
    size_t i;
    json_t *repo;

    if (pj_forges_load(&spec, &forges, &err) < 0) {
        doctor_note(d, "keys", DOCTOR_WRONG, err.remedy, "%s", err.message);
        return;
    }
    for (i = 0; i < pj_forges_count(forges); i++)
        check_forge(d, http, pj_forges_get(forges, i));
    json_array_foreach(d->repositories, i, repo) check_repository(d, http, forges, repo);
    pj_forges_free(forges);
}

void doctor_check_keys(struct doctor *d)
{
    const struct doctor_settings *s = &d->settings;

    check_files(d);
    if (!d->has_settings)
        return;
    struct pj_http *http = pj_http_new(s->ca_file);
    check_secret_key(d);
    check_model(d, http, "ANTHROPIC_API_KEY", s->anthropic_key, s->anthropic_url, true);
    check_model(d, http, "OPENAI_API_KEY", s->openai_key, s->openai_url, false);
    check_forges(d, http);
    pj_http_free(http);
}
