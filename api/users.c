#include <stdlib.h>
#include <string.h>
#include "api/api.h"
#include "api/audit.h"
#include "api/page.h"
#include "api/people.h"
#include "api/reply.h"
#include "api/request.h"
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/store/users.h"

#define USER_PAGE_MAX 200

struct draft {
    char *email, *github_login;
    int role;
    bool has_login;
    char id[PJ_ID_SIZE], token_id[PJ_ID_SIZE];
    char text[PJ_TOKEN_TEXT_SIZE];
};

static const struct pj_field create_fields[] = {
    {"email", PJ_F_STR, offsetof(struct draft, email), PJ_FF_REQUIRED, 3, 254},
    {"role", PJ_F_WORD, offsetof(struct draft, role), .words = pj_role_words},
    {"githubLogin", PJ_F_STR, offsetof(struct draft, github_login), 0, 1, 100,
     .presence_offset = offsetof(struct draft, has_login)},
};

static const struct pj_field edit_fields[] = {
    {"email", PJ_F_STR, offsetof(struct draft, email), 0, 3, 254},
    {"role", PJ_F_WORD, offsetof(struct draft, role), .words = pj_role_words},
    {"githubLogin", PJ_F_STR, offsetof(struct draft, github_login), 0, 1, 100,
     .presence_offset = offsetof(struct draft, has_login)},
};

static void draft_free(void *ctx)
{
    struct draft *d = ctx;

    pj_wipe(d->text, sizeof d->text);
    pj_json_release(create_fields, PJ_COUNT_OF(create_fields), d);
}

/* One @ with something on both sides, no blanks: whether it is delivered the mail server knows. */
static bool is_email(const char *text)
{
    const char *at = strchr(text, '@');

    if (at == NULL || at == text || at[1] == '\0' || strchr(at + 1, '@') != NULL)
        return false;
    for (const char *p = text; *p != '\0'; p++)
        if ((unsigned char)*p <= ' ' || *p == 0x7f || strchr("<>,;:\"\\", *p) != NULL)
            return false;
    return true;
}

/* Letters, digits, '-' and '_', and what GitHub puts behind an App's name. */
static bool is_login(const char *text)
{
    size_t n = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_");

    return n > 0 && (text[n] == '\0' || strcmp(text + n, "[bot]") == 0);
}

/* Of a new user and of an edit; what is NULL is not there. -1 when answered. */
static int check_draft(struct request *req, const struct draft *d)
{
    if (d->email != NULL && !is_email(d->email)) {
        reply_fault(req, "email", "is not an address");
        return -1;
    }
    if (d->github_login != NULL && !is_login(d->github_login)) {
        reply_fault(req, "githubLogin", "is not a login of GitHub");
        return -1;
    }
    return 0;
}

bool person_id(struct request *req, const char *what)
{
    bool valid = pj_id_is_valid(req->param[0]);

    if (!valid)
        reply_not_found(req, what);
    return valid;
}

void person_refused(struct request *req, const char *what, const struct pj_err *err)
{
    if (err->cls == PJ_E_NOT_FOUND)
        reply_not_found(req, what);
    else
        reply_err(req, err);
}

void person_removed(struct request *req, const char *what, const char *action, int rc,
                    const struct pj_err *err)
{
    if (rc < 0) {
        person_refused(req, what, err);
        return;
    }
    auth_forget(req->api->auth);
    audit(req, action, req->param[0], NULL);
    reply_empty(req, 204);
}

static void on_list(struct request *req, const struct redisReply *reply)
{
    struct pj_user_page page = {0};
    struct pj_err err;

    if (pj_user_list_reply(reply, &page, &err) < 0) {
        reply_err(req, &err);
        return;
    }
    json_t *items = json_array();
    for (size_t i = 0; i < page.count; i++)
        json_array_append_new(items, pj_user_json(&page.items[i]));
    page_reply(req, items, page.next);
    pj_user_page_release(&page);
}

void user_list(struct request *req)
{
    static const char *const known[] = {"limit", "cursor", NULL};
    struct page page;
    struct pj_cmd cmd = {0};

    if (request_query_known(req, known) < 0 || page_query(req, USER_PAGE_MAX, &page) < 0)
        return;
    pj_user_list_cmd(&cmd, page.cursor[0] != '\0' ? page.cursor : NULL, page.limit);
    request_redis(req, &cmd, on_list);
}

static void on_created(struct request *req, const struct redisReply *reply)
{
    const struct draft *d = req->ctx;
    struct pj_user user = {0};
    struct pj_err err;

    if (pj_user_reply(reply, &user, &err) < 0) {
        reply_err(req, &err);
        return;
    }
    json_t *doc = pj_user_json(&user);
    json_object_set_new(doc, "token", json_string(d->text));
    audit(req, "user.create", user.id, user.email);
    reply_header(req, "Location", "/api/v1/users/%s", user.id);
    pj_user_release(&user);
    reply_json(req, 201, doc);
}

void user_create(struct request *req)
{
    struct draft *d = request_ctx(req, sizeof *d, draft_free);
    struct pj_cmd cmd = {0};
    char digest[65], name[] = "first";

    if (request_json(req, create_fields, PJ_COUNT_OF(create_fields), d) < 0 ||
        check_draft(req, d) < 0)
        return;
    int64_t now = pj_now_ms();
    pj_id_new(0, d->id);
    pj_id_new(0, d->token_id);
    pj_token_make(PJ_TOKEN_PERSONAL, d->text);
    pj_token_digest(d->text, digest);
    const struct pj_user user = {.id = d->id,
                                 .email = d->email,
                                 .role = d->role >= 0 ? d->role : PJ_ROLE_USER,
                                 .github_login = d->github_login,
                                 .created_ms = now,
                                 .updated_ms = now};
    const struct pj_token token = {.id = d->token_id,
                                   .user_id = d->id,
                                   .name = name,
                                   .kind = PJ_TOKEN_PERSONAL,
                                   .created_ms = now};
    pj_user_create_cmd(&cmd, &user, &token, digest);
    request_redis(req, &cmd, on_created);
}

static void on_edited(struct request *req, const struct redisReply *reply)
{
    struct pj_user user = {0};
    struct pj_err err;

    if (pj_user_reply(reply, &user, &err) < 0) {
        person_refused(req, "user", &err);
        return;
    }
    auth_forget(req->api->auth);
    audit(req, "user.edit", user.id, user.email);
    json_t *doc = pj_user_json(&user);
    pj_user_release(&user);
    reply_json(req, 200, doc);
}

void user_edit(struct request *req)
{
    struct draft *d = request_ctx(req, sizeof *d, draft_free);
    struct pj_cmd cmd = {0};

    if (request_json(req, edit_fields, PJ_COUNT_OF(edit_fields), d) < 0 || check_draft(req, d) < 0)
        return;
    if (!person_id(req, "user"))
        return;
    const char *login = d->has_login && d->github_login == NULL ? "" : d->github_login;
    const struct pj_user_edit edit = {d->email, d->role, login};
    pj_user_edit_cmd(&cmd, req->param[0], &edit);
    request_redis(req, &cmd, on_edited);
}

static void on_deleted(struct request *req, const struct redisReply *reply)
{
    struct pj_err err;
    int rc = pj_user_delete_reply(reply, &err);

    person_removed(req, "user", "user.delete", rc, &err);
}

void user_delete(struct request *req)
{
    struct pj_cmd cmd = {0};

    if (!person_id(req, "user"))
        return;
    pj_user_delete_cmd(&cmd, req->param[0]);
    request_redis(req, &cmd, on_deleted);
}
