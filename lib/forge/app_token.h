/* app_token.h - a GitHub App's installation token for one repository, minted when it is needed.
 *
 * docs.github.com/en/apps, "Generating an installation access token": a JWT of the App, the repository's installation, then a
 * token narrowed to that repository, to contents and pull requests (and actions or issues, when asked); it lives an hour and may have any length. */
#ifndef PJ_FORGE_APP_TOKEN_H
#define PJ_FORGE_APP_TOKEN_H

#include <stdbool.h>
#include <stdint.h>
#include "lib/forge/rest.h"

struct pj_app {
    const char *id;          /* GITHUB_APP_ID: the App's id or its client id */
    const char *private_key; /* GITHUB_APP_PRIVATE_KEY: PEM */
    bool actions;            /* the token is to start and watch workflows, too */
    bool issues;             /* and to comment on issues */
};

/* `rest` gives forge, connection, timeout and pump; its token is not used. Appends the token's text to `out` (the caller wipes
 * it and tells the redactor). *expires_ms: Unix time, 0 when the answer does not say. INVALID when the key is unusable
 * (names the setting); FORBIDDEN/"github_permission" when the App is not installed there or lacks a permission; else as
 * pj_rest_fail(). No retry. */
int pj_app_token_mint(const struct pj_rest *rest, const struct pj_app *app, const char *owner,
                      const char *name, struct pj_str *out, int64_t *expires_ms,
                      struct pj_err *err) PJ_MUST_CHECK;

#endif
