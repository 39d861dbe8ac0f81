#include <stdlib.h>
#include <string.h>
#include "api/api.h"
#include "api/audit.h"
#include "api/page.h"
#include "api/people.h"
#include "api/reply.h"
#include "api/request.h"
#include "api/text.h"
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/store/users.h"

static json_t *scope_names(unsigned bits)
{
    json_t *names = json_array();

    for (size_t i = 0; scope_table[i].name != NULL; i++)
        if ((bits & scope_table[i].bit) != 0)
            json_array_append_new(names, json_string(scope_table[i].name));
    return names;
}

static void on_me(struct request *req, const struct redisReply *reply)
{
    struct pj_user user = {0};
    struct pj_err err;

    if (pj_user_reply(reply, &user, &err) < 0) {
        reply_err(req, &err);
        return;
    }
    json_t *doc = pj_user_json(&user);
    json_object_set_new(doc, "scopes", scope_names(req->who.scopes));
    json_object_set_new(doc, "tokenId", json_string(req->who.token_id));
    pj_user_release(&user);
    reply_json_etag(req, doc);
}

void me_get(struct request *req)
{
    struct pj_cmd cmd = {0};

    pj_user_get_cmd(&cmd, req->who.user_id);
    request_redis(req, &cmd, on_me);
}

static void on_list(struct request *req, const struct redisReply *reply)
{
    struct pj_token_page page = {0};
    struct pj_err err;

    if (pj_token_list_reply(reply, &page, &err) < 0) {
        reply_err(req, &err);
        return;
    }
    json_t *items = json_array();
    for (size_t i = 0; i < page.count; i++)
        if (page.items[i].kind == PJ_TOKEN_PERSONAL)
            json_array_append_new(items, pj_token_json(&page.items[i]));
    pj_token_page_release(&page);
    page_reply_of(req, items);
}

void token_list(struct request *req)
{
    struct pj_cmd cmd = {0};

    pj_token_list_cmd(&cmd, req->who.user_id);
    request_redis(req, &cmd, on_list);
}

struct draft {
    char *name;
    char **scopes;
    int64_t expires_ms;
    char id[PJ_ID_SIZE];
    char text[PJ_TOKEN_TEXT_SIZE];
};

static const struct pj_field draft_fields[] = {
    {"name", PJ_F_STR, offsetof(struct draft, name), PJ_FF_REQUIRED, 1, 100},
    {"scopes", PJ_F_STRS, offsetof(struct draft, scopes), 0, 0, 16},
    {"expiresAt", PJ_F_TIME, offsetof(struct draft, expires_ms)},
};

static void draft_free(void *ctx)
{
    struct draft *d = ctx;

    pj_wipe(d->text, sizeof d->text);
    pj_json_release(draft_fields, PJ_COUNT_OF(draft_fields), d);
}

static void on_created(struct request *req, const struct redisReply *reply)
{
    struct draft *d = req->ctx;
    struct pj_err err;

    if (pj_token_create_reply(reply, &err) < 0) {
        reply_err(req, &err);
        return;
    }
    const struct pj_token token = {.id = d->id,
                                   .user_id = req->who.user_id,
                                   .name = d->name,
                                   .scopes = d->scopes,
                                   .kind = PJ_TOKEN_PERSONAL,
                                   .created_ms = pj_now_ms(),
                                   .expires_ms = d->expires_ms};
    json_t *doc = pj_token_json(&token);
    json_object_set_new(doc, "token", json_string(d->text));
    audit(req, "token.create", d->id, d->name);
    reply_json(req, 201, doc);
}

/* A token never has more rights than the one that made it. */
static int check_scopes(struct request *req, struct draft *d)
{
    unsigned bits, all = 0;

    if (d->scopes == NULL) {
        if (req->who.scopes == scopes_of_role(req->who.admin))
            return 0;
        reply_fault(req, "scopes",
                    "name them: your own token does not have all that your role has");
        return -1;
    }
    for (size_t i = 0; d->scopes[i] != NULL; i++) {
        if (d->scopes[i][0] == '\0' || strpbrk(d->scopes[i], ", ") != NULL ||
            scopes_parse(d->scopes[i], &bits) < 0) {
            reply_fault(req, "scopes", "'%.60s' is no scope", d->scopes[i]);
            return -1;
        }
        all |= bits;
    }
    if (d->scopes[0] == NULL) {
        reply_fault(req, "scopes", "has at least one entry");
        return -1;
    }
    if ((all & ~req->who.scopes) != 0) {
        reply_problem(req, 403, "insufficient_scope", "ask for fewer scopes",
                      "a token cannot have more rights than yours");
        return -1;
    }
    return 0;
}

void token_create(struct request *req)
{
    struct draft *d = request_ctx(req, sizeof *d, draft_free);
    struct pj_cmd cmd = {0};
    char digest[65];

    if (request_json(req, draft_fields, PJ_COUNT_OF(draft_fields), d) < 0 ||
        check_scopes(req, d) < 0)
        return;
    if (!text_is_one_line(d->name)) {
        reply_fault(req, "name", "has control characters");
        return;
    }
    if (d->expires_ms != 0 && d->expires_ms <= pj_now_ms()) {
        reply_fault(req, "expiresAt", "is in the past");
        return;
    }
    pj_id_new(0, d->id);
    pj_token_make(PJ_TOKEN_PERSONAL, d->text);
    pj_token_digest(d->text, digest);
    const struct pj_token token = {.id = d->id,
                                   .user_id = req->who.user_id,
                                   .name = d->name,
                                   .scopes = d->scopes,
                                   .kind = PJ_TOKEN_PERSONAL,
                                   .created_ms = pj_now_ms(),
                                   .expires_ms = d->expires_ms};
    pj_token_create_cmd(&cmd, &token, digest);
    request_redis(req, &cmd, on_created);
}

static void on_revoked(struct request *req, const struct redisReply *reply)
{
    struct pj_err err;
    int rc = pj_token_revoke_reply(reply, &err);

    person_removed(req, "token", "token.revoke", rc, &err);
}

void token_delete(struct request *req)
{
    struct pj_cmd cmd = {0};

    if (!person_id(req, "token"))
        return;
    pj_token_revoke_cmd(&cmd, req->who.user_id, req->param[0]);
    request_redis(req, &cmd, on_revoked);
}
