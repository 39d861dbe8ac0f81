#include "api/auth.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "api/api.h"
#include "api/auth_session.h"
#include "api/reply.h"
#include "api/request.h"
#include "api/routes.h"
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/store/users.h"

#define FOUND_SLOTS 1024
#define FOUND_MS 800 /* a revocation is felt within a second */

struct found {
    int64_t until_ms;
    int64_t expires_ms; /* of the token, 0: never */
    struct caller who;
};

struct auth {
    struct found slot[FOUND_SLOTS];
};

struct auth *auth_new(void)
{
    return pj_alloc(1, sizeof(struct auth));
}

void auth_free(struct auth *auth)
{
    if (auth != NULL)
        pj_wipe(auth, sizeof *auth);
    free(auth);
}

void auth_forget(struct auth *auth)
{
    pj_wipe(auth, sizeof *auth);
}

static struct found *slot_of(struct auth *auth, const char *digest)
{
    char head[9];

    memcpy(head, digest, 8);
    head[8] = '\0';
    return &auth->slot[strtoul(head, NULL, 16) % FOUND_SLOTS];
}

static void refuse_caller(struct request *req, const char *code, const char *detail)
{
    if (!request_turn_of_address(req))
        return;
    reply_problem(req, 401, code,
                  "send the header Authorization: Bearer <token>; `pj login` or an admin gives one",
                  "%s", detail);
}

static void check_scope(struct request *req)
{
    unsigned need = req->route->scope;

    if ((req->who.scopes & need) == need) {
        request_authorised(req);
        return;
    }
    if ((need & (SCOPE_ADMIN_READ | SCOPE_ADMIN_WRITE | SCOPE_METRICS)) != 0 && !req->who.admin)
        reply_problem(req, 403, "forbidden", "ask an admin", "this is for admins");
    else
        reply_problem(req, 403, "insufficient_scope", "use a token that has this scope",
                      "this token lacks the scope %s", scope_name(need));
}

unsigned auth_scopes(const struct pj_token *token, bool admin)
{
    unsigned bits = SCOPE_SELF, one;

    if (token->scopes == NULL)
        return scopes_of_role(admin);
    for (size_t i = 0; token->scopes[i] != NULL; i++)
        if (scopes_parse(token->scopes[i], &one) == 0)
            bits |= one;
    return bits & scopes_of_role(admin);
}

static void on_found(struct request *req, const struct redisReply *reply)
{
    struct pj_user user = {0};
    struct pj_token token = {0};
    struct pj_err err;
    char *digest = req->ctx;

    if (pj_token_find_reply(reply, &user, &token, &err) < 0) {
        if (err.cls == PJ_E_AUTH)
            refuse_caller(req, err.code[0] != '\0' ? err.code : "unauthenticated", err.message);
        else
            reply_err(req, &err);
        return;
    }
    struct found *f = slot_of(req->api->auth, digest);
    memset(f, 0, sizeof *f);
    memcpy(f->who.digest, digest, sizeof f->who.digest);
    f->until_ms = pj_mono_ms() + FOUND_MS;
    f->expires_ms = token.expires_ms;
    f->who.admin = user.role == PJ_ROLE_ADMIN;
    f->who.scopes = auth_scopes(&token, f->who.admin);
    snprintf(f->who.user_id, sizeof f->who.user_id, "%s", user.id);
    snprintf(f->who.token_id, sizeof f->who.token_id, "%s", token.id);
    snprintf(f->who.email, sizeof f->who.email, "%s", user.email != NULL ? user.email : "");
    pj_user_release(&user);
    pj_token_release(&token);
    bool session = req->who.session;
    req->who = f->who;
    req->who.session = session;
    free(req->ctx);
    req->ctx = NULL;
    check_scope(req);
}

/* The token's text: from the header, else from the page's cookie. */
static int credentials(struct request *req, char *text, size_t cap)
{
    struct pj_view given = http_header(&req->head, "authorization");

    if (given.p == NULL)
        return auth_session_token(req, text, cap);
    if (given.n < 8 || !pj_view_is_nocase(pj_view_n(given.p, 7), "bearer ")) {
        refuse_caller(req, "unauthenticated", "only Bearer tokens are taken");
        return -1;
    }
    given = pj_view_trim(pj_view_n(given.p + 7, given.n - 7));
    if (given.n >= cap) {
        refuse_caller(req, "unauthenticated", "this is not a token");
        return -1;
    }
    memcpy(text, given.p, given.n);
    text[given.n] = '\0';
    return 0;
}

void auth_request(struct request *req)
{
    char text[256], digest[65];
    struct pj_cmd cmd = {0};

    int rc = credentials(req, text, sizeof text);
    if (rc == PJ_NONE)
        refuse_caller(req, "unauthenticated", "a token is needed");
    if (rc != 0)
        return;
    if (!pj_token_is_plausible(text)) {
        refuse_caller(req, "unauthenticated", "this is not a token");
        return;
    }
    pj_token_digest(text, digest);
    pj_wipe(text, sizeof text);
    const struct found *f = slot_of(req->api->auth, digest);
    if (memcmp(f->who.digest, digest, sizeof digest) == 0 && f->until_ms > pj_mono_ms() &&
        (f->expires_ms == 0 || f->expires_ms > pj_now_ms())) {
        bool session = req->who.session;
        req->who = f->who;
        req->who.session = session;
        check_scope(req);
        return;
    }
    memcpy(request_ctx(req, sizeof digest, NULL), digest, sizeof digest);
    pj_token_find_cmd(&cmd, digest);
    request_redis(req, &cmd, on_found);
}
