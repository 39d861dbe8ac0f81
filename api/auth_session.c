#include "api/auth_session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "api/api.h"
#include "api/audit.h"
#include "api/auth.h"
#include "api/reply.h"
#include "api/request.h"
#include "api/routes.h"
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/crypto/hmac.h"
#include "lib/store/users.h"

#define SESSION_MS (12LL * 3600 * 1000)

static const char *cookie_name(const struct request *req)
{
    return req->secure ? "__Host-pj_session" : "pj_session";
}

/* Fetch Metadata (Sec-Fetch-Site), else the Origin's authority against Host. */
static bool is_from_our_page(const struct request *req)
{
    struct pj_view site = http_header(&req->head, "sec-fetch-site");
    struct pj_view origin = http_header(&req->head, "origin");

    if (site.p != NULL)
        return pj_view_is(site, "same-origin");
    if (origin.p == NULL)
        return false;
    size_t skip = pj_view_starts(origin, "https://")  ? 8
                  : pj_view_starts(origin, "http://") ? 7
                                                      : 0;
    return skip > 0 && origin.n - skip == req->head.host.n &&
           memcmp(origin.p + skip, req->head.host.p, req->head.host.n) == 0;
}

int auth_session_token(struct request *req, char *text, size_t cap)
{
    struct pj_view rest = http_header(&req->head, "cookie"), item, name;

    while (rest.p != NULL && pj_view_cut(&rest, ';', &item)) {
        struct pj_view value = pj_view_trim(item);
        if (!pj_view_cut(&value, '=', &name) || !pj_view_is(name, cookie_name(req)) ||
            value.p == NULL || value.n == 0 || value.n >= cap)
            continue;
        if (req->route->method != METHOD_GET && !is_from_our_page(req)) {
            reply_problem(req, 403, "cross_site",
                          "send the request from a page of this server, or use a token",
                          "a session only counts for requests of our own pages");
            return -1;
        }
        memcpy(text, value.p, value.n);
        text[value.n] = '\0';
        req->who.session = true;
        return 0;
    }
    return PJ_NONE;
}

struct login {
    char *token;
    char text[PJ_TOKEN_TEXT_SIZE];
    char token_id[PJ_ID_SIZE];
    int64_t expires_ms;
};

static const struct pj_field login_fields[] = {
    {"token", PJ_F_STR, offsetof(struct login, token), PJ_FF_REQUIRED, 1, 200},
};

static void login_free(void *ctx)
{
    struct login *login = ctx;

    if (login->token != NULL)
        pj_wipe(login->token, strlen(login->token));
    pj_json_release(login_fields, PJ_COUNT_OF(login_fields), login);
    pj_wipe(login->text, sizeof login->text);
}

static void set_cookie(struct request *req, const char *value, int64_t max_age)
{
    reply_header(req, "Set-Cookie", "%s=%s; Path=/; Max-Age=%lld; HttpOnly; SameSite=Strict%s",
                 cookie_name(req), value, (long long)max_age, req->secure ? "; Secure" : "");
}

static void on_created(struct request *req, const struct redisReply *reply)
{
    const struct login *login = req->ctx;
    struct pj_err err;

    if (pj_token_create_reply(reply, &err) < 0) {
        reply_err(req, &err);
        return;
    }
    char at[PJ_RFC3339_SIZE];
    audit(req, "session.create", login->token_id, NULL);
    set_cookie(req, login->text, SESSION_MS / 1000);
    reply_json(req, 201, json_pack("{s:s}", "expiresAt", pj_rfc3339(login->expires_ms, at)));
}

static void refuse_login(struct request *req, const char *why)
{
    reply_problem(req, 401, "unauthenticated", "log in with a token that is valid", "%s", why);
}

static void on_login(struct request *req, const struct redisReply *reply)
{
    struct login *login = req->ctx;
    struct pj_user user = {0};
    struct pj_token from = {0};
    struct pj_cmd cmd = {0};
    struct pj_err err;
    char digest[65];

    if (pj_token_find_reply(reply, &user, &from, &err) < 0) {
        if (err.cls == PJ_E_AUTH)
            refuse_login(req, err.message);
        else
            reply_err(req, &err);
        return;
    }
    if (from.kind == PJ_TOKEN_SESSION) { /* its own session would outlive the token's */
        pj_user_release(&user);
        pj_token_release(&from);
        refuse_login(req, "a session opens no other session");
        return;
    }
    pj_token_make(PJ_TOKEN_SESSION, login->text);
    pj_token_digest(login->text, digest);
    pj_id_new(0, login->token_id);
    int64_t now = pj_now_ms();
    login->expires_ms = now + SESSION_MS;
    if (from.expires_ms > 0 && from.expires_ms < login->expires_ms)
        login->expires_ms = from.expires_ms; /* a session never outlives the token it came from */
    char name[sizeof "session of " + PJ_ID_SIZE]; /* revoking the token ends it (token_revoke) */
    snprintf(name, sizeof name, "session of %s", from.id);
    const struct pj_token session = {.id = login->token_id,
                                     .user_id = user.id,
                                     .name = name,
                                     .scopes = from.scopes,
                                     .kind = PJ_TOKEN_SESSION,
                                     .created_ms = now,
                                     .expires_ms = login->expires_ms};
    pj_token_create_cmd(&cmd, &session, digest);
    snprintf(req->who.user_id, sizeof req->who.user_id, "%s", user.id);
    pj_user_release(&user);
    pj_token_release(&from);
    request_redis(req, &cmd, on_created);
}

void session_create(struct request *req)
{
    struct login *login = request_ctx(req, sizeof *login, login_free);
    struct pj_cmd cmd = {0};
    char digest[65];

    if (http_header(&req->head, "sec-fetch-site").p != NULL && !is_from_our_page(req)) {
        reply_problem(req, 403, "cross_site", NULL, "log in from a page of this server");
        return;
    }
    if (request_json(req, login_fields, PJ_COUNT_OF(login_fields), login) < 0)
        return;
    if (!pj_token_is_plausible(login->token)) {
        refuse_login(req, "this is not a token");
        return;
    }
    pj_token_digest(login->token, digest);
    pj_token_find_cmd(&cmd, digest);
    request_redis(req, &cmd, on_login);
}

static void on_deleted(struct request *req, const struct redisReply *reply)
{
    struct pj_err err;

    if (pj_token_revoke_reply(reply, &err) < 0 && err.cls != PJ_E_NOT_FOUND) {
        reply_err(req, &err);
        return;
    }
    auth_forget(req->api->auth);
    set_cookie(req, "", 0);
    reply_empty(req, 204);
}

void session_delete(struct request *req)
{
    struct pj_cmd cmd = {0};

    if (!req->who.session) {
        reply_problem(req, 400, "no_session", "DELETE /tokens/{id} revokes a token",
                      "this request came with a token, not a session");
        return;
    }
    pj_token_revoke_cmd(&cmd, req->who.user_id, req->who.token_id);
    request_redis(req, &cmd, on_deleted);
}
