#include "api/repo_secret.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "api/api.h"
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/crypto/hmac.h"
#include "lib/crypto/random.h"
#include "lib/crypto/secret.h"

#define SEALED_MAX 16384

static const char *context(const struct pj_repo *repo, const char *what, char out[80])
{
    snprintf(out, 80, "repo:%s:%s", repo->id, what);
    return out;
}

void repo_secret_make(char out[REPO_SECRET_SIZE])
{
    uint8_t key[24];
    struct pj_str text;

    pj_random_bytes(key, sizeof key);
    pj_str_init(&text, REPO_SECRET_SIZE);
    pj_base64_encode(&text, key, sizeof key);
    snprintf(out, REPO_SECRET_SIZE, "whsec_%s", pj_str_cstr(&text));
    pj_wipe(text.data, text.len);
    pj_wipe(key, sizeof key);
    pj_str_release(&text);
}

static int seal(const struct api *api, const struct pj_repo *repo, const char *what,
                const char *plain, char **slot, struct pj_err *err)
{
    struct pj_str sealed;
    char ctx[80];

    pj_str_init(&sealed, SEALED_MAX);
    if (pj_seal(api->keyring, context(repo, what, ctx), pj_view_of(plain), &sealed, err) < 0) {
        pj_str_release(&sealed);
        return -1;
    }
    free(*slot);
    *slot = pj_str_take(&sealed);
    return 0;
}

static int open_sealed(const struct api *api, const struct pj_repo *repo, const char *what,
                       const char *sealed, char **plain, struct pj_err *err)
{
    struct pj_str text;
    char ctx[80];

    *plain = NULL;
    if (sealed == NULL)
        return 0;
    pj_str_init(&text, SEALED_MAX);
    if (pj_unseal(api->keyring, context(repo, what, ctx), pj_view_of(sealed), &text, err) < 0) {
        pj_str_release(&text);
        pj_err_remedy(err, "add the key that sealed it to PJ_SECRET_KEY, or set the secret again");
        return pj_err_wrap(err, "the sealed %s of repository %s", what, repo->id);
    }
    *plain = pj_str_take(&text);
    return 0;
}

int repo_secret_seal_credential(const struct api *api, struct pj_repo *repo, const char *token,
                                const char *username, struct pj_err *err)
{
    pj_str_set(&repo->credential_username, token != NULL ? username : NULL);
    if (token == NULL) {
        pj_str_set(&repo->credential_sealed, NULL);
        return 0;
    }
    return seal(api, repo, "credential", token, &repo->credential_sealed, err);
}

int repo_secret_seal_webhook(const struct api *api, struct pj_repo *repo, const char *secret,
                             struct pj_err *err)
{
    return seal(api, repo, "webhook", secret, &repo->webhook_sealed, err);
}

int repo_secret_open_credential(const struct api *api, const struct pj_repo *repo, char **token,
                                struct pj_err *err)
{
    return open_sealed(api, repo, "credential", repo->credential_sealed, token, err);
}

int repo_secret_open_webhook(const struct api *api, const struct pj_repo *repo, bool old,
                             char **secret, struct pj_err *err)
{
    const char *sealed = repo->webhook_sealed;

    if (old)
        sealed = repo->webhook_old_until_ms > pj_now_ms() ? repo->webhook_old_sealed : NULL;
    return open_sealed(api, repo, "webhook", sealed, secret, err);
}
