#include "lib/forge/app_token.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/crypto/jwt.h"
#include "lib/json/codec.h"

#define SKEW_S 60             /* GitHub's advice against clocks that run ahead */
#define LIFE_S ((int64_t)540) /* at most ten minutes are allowed */

static int make_jwt(const struct pj_app *app, struct pj_str *out, struct pj_err *err)
{
    int64_t now = pj_now_ms() / 1000;
    PJ_CLEANUP(pj_json_decrefp)
    json_t *claims = json_pack("{s:I, s:I, s:s}", "iat", (json_int_t)(now - SKEW_S), "exp",
                               (json_int_t)(now - SKEW_S + LIFE_S), "iss", app->id);
    PJ_CLEANUP(pj_freep) char *text = claims != NULL ? pj_json_text(claims) : NULL;

    if (text == NULL)
        return pj_fail(err, PJ_E_INVALID, "GITHUB_APP_ID is not valid UTF-8");
    if (pj_jwt_rs256(pj_view_of(app->private_key), pj_view_of(text), out, err) < 0) {
        (void)pj_err_remedy(
            err, "GITHUB_APP_PRIVATE_KEY must hold the App's private key as GitHub gave it out");
        return pj_err_wrap(err, "GITHUB_APP_PRIVATE_KEY");
    }
    return 0;
}

/* The App's installation that covers the repository. */
static int find_installation(const struct pj_rest *rest, const char *owner, const char *name,
                             int64_t *id, struct pj_err *err)
{
    struct pj_rest_answer answer;
    struct pj_str path;

    pj_str_init(&path, 1024);
    (void)pj_str_puts(&path, "/repos/");
    pj_url_escape(&path, owner);
    (void)pj_str_putc(&path, '/');
    pj_url_escape(&path, name);
    (void)pj_str_puts(&path, "/installation");
    int rc = pj_rest_call(rest, "GET", pj_str_cstr(&path), NULL, &answer, err);
    if (rc == 0 && answer.status != 200) {
        rc = pj_rest_fail(&answer, "find the App's installation", err);
        if (answer.status == 404)
            (void)pj_err_remedy(err, "install the GitHub App on %s/%s", owner, name);
        if (answer.status == 401)
            (void)pj_err_remedy(err, "check that GITHUB_APP_ID and GITHUB_APP_PRIVATE_KEY belong "
                                     "together, and this machine's clock");
    }
    *id = rc == 0 ? pj_json_i64(answer.doc, "id", 0) : 0;
    if (rc == 0 && *id <= 0) {
        (void)pj_fail(err, PJ_E_PROTOCOL, "the forge's answer names no installation");
        rc = pj_err_code(err, "github_service");
    }
    pj_rest_answer_release(&answer);
    pj_str_release(&path);
    return rc;
}

static int ask_token(const struct pj_rest *rest, int64_t installation, const char *name,
                     const struct pj_app *app, struct pj_str *out, int64_t *expires_ms,
                     struct pj_err *err)
{
    PJ_CLEANUP(pj_json_decrefp)
    json_t *body = json_pack("{s:[s], s:{s:s, s:s}}", "repositories", name, "permissions",
                             "contents", "write", "pull_requests", "write");
    struct pj_rest_answer answer;
    char path[96];

    if (app->actions)
        (void)json_object_set_new(json_object_get(body, "permissions"), "actions",
                                  json_string("write"));
    if (app->issues)
        (void)json_object_set_new(json_object_get(body, "permissions"), "issues",
                                  json_string("write"));

    (void)snprintf(path, sizeof(path), "/app/installations/%lld/access_tokens",
                   (long long)installation);
    int rc = pj_rest_call(rest, "POST", path, body, &answer, err);
    const char *token = rc == 0 ? pj_json_str(answer.doc, "token", NULL) : NULL;
    if (rc == 0 && answer.status != 201) {
        rc = pj_rest_fail(&answer, "get the App's token", err);
        if (answer.status == 422) {
            err->cls = PJ_E_FORBIDDEN;
            (void)pj_err_remedy(err,
                                "give the App read and write access to contents and pull "
                                "requests%s%s, and accept that in its installation",
                                app->actions ? " and Actions" : "",
                                app->issues ? " and issues" : "");
            (void)pj_err_code(err, "github_permission");
        }
    } else if (rc == 0 && (token == NULL || pj_str_puts(out, token) < 0)) {
        (void)pj_fail(err, PJ_E_PROTOCOL, "the forge's answer holds no token");
        rc = pj_err_code(err, "github_service");
    }
    if (rc == 0 && pj_rfc3339_parse(pj_json_str(answer.doc, "expires_at", ""), expires_ms) < 0)
        *expires_ms = 0;
    pj_rest_answer_release(&answer);
    return rc;
}

int pj_app_token_mint(const struct pj_rest *rest, const struct pj_app *app, const char *owner,
                      const char *name, struct pj_str *out, int64_t *expires_ms, struct pj_err *err)
{
    struct pj_rest as_app = *rest;
    struct pj_str jwt;
    int64_t installation = 0;

    pj_str_init(&jwt, 16384);
    int rc = make_jwt(app, &jwt, err);
    if (rc == 0) {
        as_app.token = pj_str_cstr(&jwt);
        rc = find_installation(&as_app, owner, name, &installation, err);
    }
    if (rc == 0)
        rc = ask_token(&as_app, installation, name, app, out, expires_ms, err);
    if (jwt.data != NULL)
        pj_wipe(jwt.data, jwt.len);
    pj_str_release(&jwt);
    return rc;
}
