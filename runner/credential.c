#include "runner/credential.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/mem.h"
#include "lib/http/client.h"
#include "runner/retry.h"

#define TOKEN_MAX ((size_t)8192)

void credential_release(struct credential *credential)
{
    if (credential->token != NULL)
        pj_wipe(credential->token, strlen(credential->token));
    free(credential->token);
    free(credential->username);
    memset(credential, 0, sizeof(*credential));
}

static bool wants_app(const struct credential_spec *spec)
{
    bool own = spec->given.repository_token != NULL && spec->given.repository_token[0] != '\0';
    bool app = spec->app.id != NULL && spec->app.id[0] != '\0' && spec->app.private_key != NULL &&
               spec->app.private_key[0] != '\0';

    return app && !own && !spec->address->is_path && spec->address->forge->kind == PJ_FORGE_GITHUB;
}

/* Which errors may pass by themselves; the codes are ours, not the pump's. */
static bool is_transient(const struct pj_err *err)
{
    return strcmp(err->code, "github_service") == 0 ||
           strcmp(err->code, "github_rate_limited") == 0 ||
           (strncmp(err->code, "http_", 5) == 0 &&
            (err->cls == PJ_E_UNAVAILABLE || err->cls == PJ_E_TIMEOUT));
}

static int mint(const struct credential_spec *spec, struct pj_str *token, int64_t *expires_ms,
                struct pj_err *err)
{
    struct retry retry = {.base_ms = spec->retry_base_ms, .pump = spec->pump};
    struct pj_http *http = pj_http_new(spec->ca_file);
    struct pj_rest rest = {.http = http, .forge = spec->address->forge, .pump = spec->pump};
    int rc = 0;
    int again = 1;

    do {
        pj_str_clear(token);
        rc = pj_app_token_mint(&rest, &spec->app, spec->address->owner, spec->address->name, token,
                               expires_ms, err);
        if (rc < 0)
            again = is_transient(err) ? retry_wait(&retry, 0, err) : 0;
    } while (rc < 0 && again > 0);
    pj_http_free(http);
    if (rc < 0 && again == 0 && strncmp(err->code, "http_", 5) == 0)
        (void)pj_err_code(err, "github_service");
    return rc;
}

int credential_get(const struct credential_spec *spec, struct credential *out, struct pj_err *err)
{
    struct pj_credential_choice choice = spec->given;
    const char *token = NULL;
    const char *username = NULL;
    struct pj_str minted;
    int64_t expires_ms = 0;

    memset(out, 0, sizeof(*out));
    pj_str_init(&minted, TOKEN_MAX);
    int rc = wants_app(spec) ? mint(spec, &minted, &expires_ms, err) : 0;
    if (rc == 0) {
        choice.app_token = minted.len > 0 ? pj_str_cstr(&minted) : NULL;
        if (spec->redact != NULL)
            pj_redact_add(spec->redact, choice.app_token);
        out->source = pj_credential_choose(spec->address->forge, &choice, &token, &username);
        out->token = pj_strdup_or_null(token);
        out->username = pj_strdup_or_null(username);
        out->expires_ms = out->source == PJ_CREDENTIAL_APP ? expires_ms : 0;
    }
    if (minted.data != NULL)
        pj_wipe(minted.data, minted.len);
    pj_str_release(&minted);
    return rc;
}
