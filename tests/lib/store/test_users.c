#include <stdlib.h>
#include <string.h>
#include "lib/base/mem.h"
#include "lib/store/users.h"
#include "tests/lib/store/fixture.h"

static struct fixture f;

static void up(void)
{
    fixture_up(&f);
}

static void down(void)
{
    fixture_down(&f);
}

TestSuite(users, .init = up, .fini = down);

static int put_user(bool first, const char *id, const char *email, int role, const char *token_text,
                    struct pj_err *err)
{
    struct pj_user user = {.id = pj_strdup(id), .email = pj_strdup(email), .role = role}, made;
    struct pj_token token = {
        .id = pj_asprintf("tok%s", id), .user_id = pj_strdup(id), .name = pj_strdup("first")};
    struct pj_cmd cmd = {0};
    char digest[65];
    int rc;

    pj_token_digest(token_text, digest);
    if (first)
        pj_user_bootstrap_cmd(&cmd, &user, &token, digest);
    else
        pj_user_create_cmd(&cmd, &user, &token, digest);
    pj_user_release(&user);
    pj_token_release(&token);
    PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = run_cmd(&f, &cmd);

    rc = pj_user_reply(reply, &made, err);
    if (rc == 0)
        pj_user_release(&made);
    return rc;
}

static int who_is(const char *token_text, char *email, size_t size, struct pj_err *err)
{
    struct pj_cmd cmd = {0};
    struct pj_user user;
    struct pj_token token;
    char digest[65];
    int rc;

    pj_token_digest(token_text, digest);
    pj_token_find_cmd(&cmd, digest);
    PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = run_cmd(&f, &cmd);

    rc = pj_token_find_reply(reply, &user, &token, err);
    if (rc == 0) {
        (void)snprintf(email, size, "%s", user.email);
        pj_user_release(&user);
        pj_token_release(&token);
    }
    return rc;
}

Test(users, first_admin_is_made_once)
{
    struct pj_err err = {0};
    char email[80];

    cr_assert_eq(put_user(true, "u1", "A@example.com", PJ_ROLE_ADMIN, "first token text", &err), 0,
                 "%s", err.message);
    cr_assert_lt(put_user(true, "u2", "b@example.com", PJ_ROLE_ADMIN, "second token text", &err),
                 0);
    cr_assert_str_eq(err.code, "users_exist");
    cr_assert_eq(who_is("first token text", email, sizeof(email), &err), 0, "%s", err.message);
    cr_assert_str_eq(email, "A@example.com");
    cr_assert_lt(who_is("second token text", email, sizeof(email), &err), 0);
    cr_assert_eq(err.cls, PJ_E_AUTH);
    cr_assert_lt(put_user(false, "u3", "a@EXAMPLE.com", PJ_ROLE_USER, "third token text", &err), 0);
    cr_assert_str_eq(err.code, "email_exists");
}

Test(users, last_admin_stays)
{
    struct pj_err err = {0};
    struct pj_cmd cmd = {0};
    struct pj_user_edit edit = {.role = PJ_ROLE_USER};
    struct pj_user user;

    cr_assert_eq(put_user(true, "u1", "a@example.com", PJ_ROLE_ADMIN, "first token text", &err), 0);
    pj_user_edit_cmd(&cmd, "u1", &edit);
    {
        PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = run_cmd(&f, &cmd);

        cr_assert_lt(pj_user_reply(reply, &user, &err), 0);
        cr_assert_str_eq(err.code, "last_admin");
    }
    pj_user_delete_cmd(&cmd, "u1");
    {
        PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = run_cmd(&f, &cmd);

        cr_assert_lt(pj_user_delete_reply(reply, &err), 0);
        cr_assert_str_eq(err.code, "last_admin");
    }
    cr_assert_eq(put_user(false, "u2", "b@example.com", PJ_ROLE_ADMIN, "second token text", &err),
                 0);
    pj_user_delete_cmd(&cmd, "u1");
    {
        PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = run_cmd(&f, &cmd);
        char email[80];

        cr_assert_eq(pj_user_delete_reply(reply, &err), 0, "%s", err.message);
        cr_assert_lt(who_is("first token text", email, sizeof(email), &err), 0,
                     "his tokens went with him");
    }
}

Test(users, token_expires_and_is_revoked)
{
    struct pj_err err = {0};
    struct pj_cmd cmd = {0};
    char text[PJ_TOKEN_TEXT_SIZE], digest[65], email[80],
        *scopes[] = {pj_strdup("tasks:read"), NULL};
    struct pj_token token = {.id = pj_strdup("t2"),
                             .user_id = pj_strdup("u1"),
                             .name = pj_strdup("old"),
                             .expires_ms = 1};
    struct pj_token_page page;

    cr_assert_eq(put_user(true, "u1", "a@example.com", PJ_ROLE_ADMIN, "first token text", &err), 0);
    pj_token_make(PJ_TOKEN_PERSONAL, text);
    cr_assert(pj_token_is_plausible(text));
    token.scopes = scopes;
    pj_token_digest(text, digest);
    pj_token_create_cmd(&cmd, &token, digest);
    {
        PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = run_cmd(&f, &cmd);

        cr_assert_eq(pj_token_create_reply(reply, &err), 0, "%s", err.message);
    }
    token.scopes = NULL;
    free(scopes[0]);
    pj_token_release(&token);
    cr_assert_lt(who_is(text, email, sizeof(email), &err), 0);
    cr_assert_str_eq(err.code, "token_expired");
    pj_token_list_cmd(&cmd, "u1");
    {
        PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = run_cmd(&f, &cmd);

        cr_assert_eq(pj_token_list_reply(reply, &page, &err), 0, "%s", err.message);
        cr_assert_eq(page.count, 2);
        cr_assert_str_eq(page.items[1].scopes ? page.items[1].scopes[0] : page.items[0].scopes[0],
                         "tasks:read");
        pj_token_page_release(&page);
    }
    /* The other one has expired: without this one nobody could administer. */
    pj_token_revoke_cmd(&cmd, "u1", "toku1");
    {
        PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = run_cmd(&f, &cmd);

        cr_assert_lt(pj_token_revoke_reply(reply, &err), 0);
        cr_assert_str_eq(err.code, "last_admin_token");
    }
    cr_assert_eq(who_is("first token text", email, sizeof(email), &err), 0, "%s", err.message);
    cr_assert_eq(put_user(false, "u2", "b@example.com", PJ_ROLE_ADMIN, "second token text", &err),
                 0);
    pj_token_revoke_cmd(&cmd, "u1", "toku1");
    {
        PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = run_cmd(&f, &cmd);

        cr_assert_eq(pj_token_revoke_reply(reply, &err), 0);
    }
    cr_assert_lt(who_is("first token text", email, sizeof(email), &err), 0);
}

static int open_session(const char *id, const char *of, struct pj_err *err)
{
    struct pj_token token = {.id = pj_strdup(id),
                             .user_id = pj_strdup("u1"),
                             .name = pj_asprintf("session of %s", of),
                             .kind = PJ_TOKEN_SESSION,
                             .expires_ms = INT64_C(4102444800000)};
    struct pj_cmd cmd = {0};
    char digest[65];

    pj_token_digest(id, digest);
    pj_token_create_cmd(&cmd, &token, digest);
    pj_token_release(&token);
    PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = run_cmd(&f, &cmd);

    return pj_token_create_reply(reply, err);
}

/* Between the look at the token and the session it was revoked: a session made now would be one that no revocation ends. */
Test(users, no_session_comes_of_a_token_that_was_revoked_meanwhile)
{
    struct pj_err err = {0};
    struct pj_cmd cmd = {0};
    char email[80];

    cr_assert_eq(put_user(true, "u1", "a@example.com", PJ_ROLE_ADMIN, "first token text", &err), 0);
    cr_assert_eq(put_user(false, "u2", "b@example.com", PJ_ROLE_ADMIN, "second token text", &err),
                 0);
    cr_assert_eq(open_session("session before", "toku1", &err), 0, "%s", err.message);
    cr_assert_eq(who_is("session before", email, sizeof(email), &err), 0, "%s", err.message);
    pj_token_revoke_cmd(&cmd, "u1", "toku1");
    {
        PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = run_cmd(&f, &cmd);

        cr_assert_eq(pj_token_revoke_reply(reply, &err), 0, "%s", err.message);
    }
    cr_assert_lt(who_is("session before", email, sizeof(email), &err), 0);
    cr_assert_lt(open_session("session after", "toku1", &err), 0);
    cr_assert_eq(err.cls, PJ_E_AUTH);
    cr_assert_lt(who_is("session after", email, sizeof(email), &err), 0);
}
