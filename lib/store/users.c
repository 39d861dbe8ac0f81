#include "lib/store/users.h"

#include <stdlib.h>
#include <string.h>
#include "lib/base/mem.h"
#include "lib/crypto/hmac.h"
#include "lib/crypto/random.h"
#include "lib/store/keys.h"
#include "lib/task/state.h"

const char *const pj_role_words[] = {"user", "admin", NULL};
static const char *const kind_words[] = {"personal", "session", NULL};

static const struct pj_field user_fields[] = {
    {"id", PJ_F_STR, offsetof(struct pj_user, id)},
    {"email", PJ_F_STR, offsetof(struct pj_user, email)},
    {"role", PJ_F_WORD, offsetof(struct pj_user, role), .words = pj_role_words},
    {"githubLogin", PJ_F_STR, offsetof(struct pj_user, github_login)},
    {"createdAt", PJ_F_TIME, offsetof(struct pj_user, created_ms)},
    {"updatedAt", PJ_F_TIME, offsetof(struct pj_user, updated_ms)},
};

static const struct pj_field token_fields[] = {
    {"id", PJ_F_STR, offsetof(struct pj_token, id)},
    {"name", PJ_F_STR, offsetof(struct pj_token, name)},
    {"scopes", PJ_F_STRS, offsetof(struct pj_token, scopes)},
    {"createdAt", PJ_F_TIME, offsetof(struct pj_token, created_ms)},
    {"expiresAt", PJ_F_TIME, offsetof(struct pj_token, expires_ms)},
    {"lastUsedAt", PJ_F_TIME, offsetof(struct pj_token, used_ms)},
};

void pj_user_release(struct pj_user *user)
{
    pj_json_release(user_fields, PJ_COUNT_OF(user_fields), user);
    *user = (struct pj_user){0};
}

json_t *pj_user_json(const struct pj_user *user)
{
    return pj_json_encode(user_fields, PJ_COUNT_OF(user_fields), user);
}

void pj_token_release(struct pj_token *token)
{
    free(token->user_id);
    pj_json_release(token_fields, PJ_COUNT_OF(token_fields), token);
    *token = (struct pj_token){0};
}

json_t *pj_token_json(const struct pj_token *token)
{
    return pj_json_encode(token_fields, PJ_COUNT_OF(token_fields), token);
}

void pj_token_make(enum pj_token_kind kind, char out[PJ_TOKEN_TEXT_SIZE])
{
    static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    char *p = out + snprintf(out, PJ_TOKEN_TEXT_SIZE, "%s",
                             kind == PJ_TOKEN_SESSION ? "pj_ses_" : "pj_pat_");
    uint32_t crc;

    pj_random_text(p, 30);
    crc = pj_crc32(p, 30);
    for (int i = 5; i >= 0; i--) {
        p[30 + i] = digits[crc % 62];
        crc /= 62;
    }
    p[36] = '\0';
}

void pj_token_digest(const char *text, char out[65])
{
    pj_sha256_hex(text, strlen(text), out);
}

bool pj_token_is_plausible(const char *text)
{
    size_t n = 0;

    for (; text[n]; n++) {
        if (text[n] <= ' ' || text[n] > '~' || n == 200)
            return false;
    }
    return n >= 16;
}

static const char *user_key(char out[PJ_KEY_SIZE], const char *id)
{
    char name[PJ_KEY_SIZE];

    (void)snprintf(name, sizeof(name), "u:%.100s", id);
    return pj_key_global(out, name);
}

static void pair(struct pj_cmd *cmd, const char *name, const char *value)
{
    pj_cmd_text(cmd, name);
    pj_cmd_text(cmd, value);
}

static void put_token(struct pj_cmd *cmd, const struct pj_token *token)
{
    struct pj_str scopes;

    pj_str_init(&scopes, 4096);
    for (char **s = token->scopes; s && *s; s++)
        (void)pj_str_putf(&scopes, "%s%s", scopes.len ? " " : "", *s);
    pair(cmd, "id", token->id);
    pair(cmd, "name", token->name);
    pair(cmd, "kind", kind_words[token->kind]);
    pair(cmd, "scopes", pj_str_cstr(&scopes));
    pj_cmd_text(cmd, "all"); /* no list of scopes is all; an empty one is none */
    pj_cmd_int(cmd, token->scopes == NULL);
    pj_cmd_text(cmd, "expires");
    pj_cmd_int(cmd, token->expires_ms);
    pj_str_release(&scopes);
}

static void put_user(struct pj_cmd *cmd, bool first, const struct pj_user *user,
                     const struct pj_token *token, const char *digest)
{
    char key[PJ_KEY_SIZE];

    pj_cmd_script(cmd, "user_put");
    pj_cmd_text(cmd, user_key(key, user->id));
    pj_cmd_int(cmd, first);
    pj_cmd_text(cmd, user->id);
    pj_cmd_text(cmd, user->email);
    pj_cmd_text(cmd, pj_role_words[user->role]);
    pj_cmd_text(cmd, user->github_login);
    pj_cmd_text(cmd, token ? digest : "");
    if (token)
        put_token(cmd, token);
}

void pj_user_bootstrap_cmd(struct pj_cmd *cmd, const struct pj_user *user,
                           const struct pj_token *token, const char *digest)
{
    put_user(cmd, true, user, token, digest);
}

void pj_user_create_cmd(struct pj_cmd *cmd, const struct pj_user *user,
                        const struct pj_token *token, const char *digest)
{
    put_user(cmd, false, user, token, digest);
}

void pj_user_count_cmd(struct pj_cmd *cmd)
{
    char key[PJ_KEY_SIZE];

    pj_cmd_start(cmd, "ZCARD");
    pj_cmd_text(cmd, pj_key_global(key, "users"));
    cmd->repeatable = true;
}

int pj_user_count_reply(const struct redisReply *reply, int64_t *count, struct pj_err *err)
{
    *count = pj_reply_int(reply, -1);
    return *count < 0 ? pj_fail(err, PJ_E_PROTOCOL, "unexpected answer of Redis") : 0;
}

static void get_user(struct pj_cmd *cmd, const char *by, const char *value)
{
    char key[PJ_KEY_SIZE];

    pj_cmd_script(cmd, "user_get");
    pj_cmd_text(cmd, pj_key_global(key, "users"));
    pair(cmd, by, value);
}

void pj_user_get_cmd(struct pj_cmd *cmd, const char *id)
{
    get_user(cmd, "id", id);
}

void pj_user_by_email_cmd(struct pj_cmd *cmd, const char *email)
{
    get_user(cmd, "email", email);
}

void pj_user_by_login_cmd(struct pj_cmd *cmd, const char *github_login)
{
    get_user(cmd, "login", github_login);
}

void pj_user_edit_cmd(struct pj_cmd *cmd, const char *id, const struct pj_user_edit *edit)
{
    char key[PJ_KEY_SIZE];

    pj_cmd_script(cmd, "user_edit");
    pj_cmd_text(cmd, user_key(key, id));
    pj_cmd_text(cmd, id);
    if (edit->email)
        pair(cmd, "email", edit->email);
    if (edit->role >= 0)
        pair(cmd, "role", pj_role_words[edit->role]);
    if (edit->github_login)
        pair(cmd, "login", edit->github_login);
}

static int user_from(const struct redisReply *hash, struct pj_user *out, struct pj_err *err)
{
    struct pj_user user = {0};

    for (size_t i = 0; i + 1 < pj_reply_count(hash); i += 2) {
        struct pj_view name = pj_reply_view(pj_reply_at(hash, i));
        const struct redisReply *value = pj_reply_at(hash, i + 1);

        if (pj_view_is(name, "id"))
            user.id = pj_reply_dup(value);
        else if (pj_view_is(name, "email"))
            user.email = pj_reply_dup(value);
        else if (pj_view_is(name, "role"))
            user.role = pj_word_index(pj_role_words, pj_reply_view(value).p);
        else if (pj_view_is(name, "login"))
            user.github_login = pj_reply_dup(value);
        else if (pj_view_is(name, "created"))
            user.created_ms = pj_reply_int(value, 0);
        else if (pj_view_is(name, "updated"))
            user.updated_ms = pj_reply_int(value, 0);
    }
    if (user.id && user.email && user.role >= 0) {
        *out = user;
        return 0;
    }
    pj_user_release(&user);
    return pj_fail(err, PJ_E_PROTOCOL, "a user in Redis is damaged");
}

int pj_user_reply(const struct redisReply *reply, struct pj_user *out, struct pj_err *err)
{
    if (pj_reply_word(reply, err) < 0)
        return -1;
    return user_from(pj_reply_at(reply, 1), out, err);
}

void pj_user_delete_cmd(struct pj_cmd *cmd, const char *id)
{
    char key[PJ_KEY_SIZE];

    pj_cmd_script(cmd, "user_delete");
    pj_cmd_text(cmd, user_key(key, id));
    pj_cmd_text(cmd, id);
}

int pj_user_delete_reply(const struct redisReply *reply, struct pj_err *err)
{
    return pj_reply_word(reply, err);
}

void pj_user_list_cmd(struct pj_cmd *cmd, const char *before, int64_t limit)
{
    char key[PJ_KEY_SIZE];

    pj_cmd_script(cmd, "user_list");
    pj_cmd_text(cmd, pj_key_global(key, "users"));
    pj_cmd_int(cmd, limit);
    pj_cmd_text(cmd, before);
}

int pj_user_list_reply(const struct redisReply *reply, struct pj_user_page *out, struct pj_err *err)
{
    struct pj_user_page page = {0};
    size_t n = pj_reply_count(reply);

    if (pj_reply_word(reply, err) < 0)
        return -1;
    page.items = pj_alloc(n, sizeof(*page.items));
    for (size_t i = 2; i < n; i++) {
        if (user_from(pj_reply_at(reply, i), &page.items[page.count], err) < 0) {
            pj_user_page_release(&page);
            return -1;
        }
        page.count++;
    }
    page.next = pj_reply_dup(pj_reply_at(reply, 1));
    *out = page;
    return 0;
}

void pj_user_page_release(struct pj_user_page *page)
{
    for (size_t i = 0; i < page->count; i++)
        pj_user_release(&page->items[i]);
    free(page->items);
    free(page->next);
    *page = (struct pj_user_page){0};
}

void pj_token_create_cmd(struct pj_cmd *cmd, const struct pj_token *token, const char *digest)
{
    char key[PJ_KEY_SIZE];

    pj_cmd_script(cmd, "token_create");
    pj_cmd_text(cmd, user_key(key, token->user_id));
    pj_cmd_text(cmd, token->user_id);
    pj_cmd_text(cmd, token->id);
    pj_cmd_text(cmd, digest);
    put_token(cmd, token);
}

int pj_token_create_reply(const struct redisReply *reply, struct pj_err *err)
{
    return pj_reply_word(reply, err);
}

void pj_token_find_cmd(struct pj_cmd *cmd, const char *digest)
{
    char key[PJ_KEY_SIZE], name[80];

    (void)snprintf(name, sizeof(name), "tok:%.64s", digest);
    pj_cmd_script(cmd, "token_find");
    pj_cmd_text(cmd, pj_key_global(key, name));
}

static char **scopes_of(struct pj_view text)
{
    char **out = pj_alloc(text.n / 2 + 2, sizeof(*out));
    struct pj_view one;
    size_t n = 0;

    while (pj_view_cut(&text, ' ', &one)) {
        if (one.n)
            out[n++] = pj_strndup(one.p, one.n);
    }
    return out;
}

static int token_from(const struct redisReply *hash, struct pj_token *out, struct pj_err *err)
{
    struct pj_token token = {0};
    struct pj_view scopes = {0};
    bool all = true;

    for (size_t i = 0; i + 1 < pj_reply_count(hash); i += 2) {
        struct pj_view name = pj_reply_view(pj_reply_at(hash, i));
        const struct redisReply *value = pj_reply_at(hash, i + 1);

        if (pj_view_is(name, "id"))
            token.id = pj_reply_dup(value);
        else if (pj_view_is(name, "user"))
            token.user_id = pj_reply_dup(value);
        else if (pj_view_is(name, "name"))
            token.name = pj_reply_dup(value);
        else if (pj_view_is(name, "scopes"))
            scopes = pj_reply_view(value);
        else if (pj_view_is(name, "all"))
            all = pj_reply_int(value, 1) != 0;
        else if (pj_view_is(name, "kind"))
            token.kind = pj_word_index(kind_words, pj_reply_view(value).p);
        else if (pj_view_is(name, "created"))
            token.created_ms = pj_reply_int(value, 0);
        else if (pj_view_is(name, "expires"))
            token.expires_ms = pj_reply_int(value, 0);
        else if (pj_view_is(name, "used"))
            token.used_ms = pj_reply_int(value, 0);
    }
    if (!token.id || !token.user_id || token.kind < 0) {
        pj_token_release(&token);
        return pj_fail(err, PJ_E_PROTOCOL, "a token in Redis is damaged");
    }
    if (!all)
        token.scopes = scopes_of(scopes);
    *out = token;
    return 0;
}

int pj_token_find_reply(const struct redisReply *reply, struct pj_user *user,
                        struct pj_token *token, struct pj_err *err)
{
    if (pj_reply_word(reply, err) < 0 || user_from(pj_reply_at(reply, 1), user, err) < 0)
        return -1;
    if (token_from(pj_reply_at(reply, 2), token, err) == 0)
        return 0;
    pj_user_release(user);
    return -1;
}

void pj_token_list_cmd(struct pj_cmd *cmd, const char *user_id)
{
    char key[PJ_KEY_SIZE];

    pj_cmd_script(cmd, "token_list");
    pj_cmd_text(cmd, user_key(key, user_id));
}

static int newest_first(const void *a, const void *b)
{
    return strcmp(((const struct pj_token *)b)->id, ((const struct pj_token *)a)->id);
}

int pj_token_list_reply(const struct redisReply *reply, struct pj_token_page *out,
                        struct pj_err *err)
{
    struct pj_token_page page = {0};
    size_t n = pj_reply_count(reply);

    if (pj_reply_word(reply, err) < 0)
        return -1;
    page.items = pj_alloc(n, sizeof(*page.items));
    for (size_t i = 1; i < n; i++) {
        if (token_from(pj_reply_at(reply, i), &page.items[page.count], err) < 0) {
            pj_token_page_release(&page);
            return -1;
        }
        page.count++;
    }
    qsort(page.items, page.count, sizeof(*page.items), newest_first);
    *out = page;
    return 0;
}

void pj_token_page_release(struct pj_token_page *page)
{
    for (size_t i = 0; i < page->count; i++)
        pj_token_release(&page->items[i]);
    free(page->items);
    *page = (struct pj_token_page){0};
}

static void revoke(struct pj_cmd *cmd, const char *user_id, const char *token_id)
{
    char key[PJ_KEY_SIZE];

    pj_cmd_script(cmd, "token_revoke");
    pj_cmd_text(cmd, user_key(key, user_id));
    pj_cmd_text(cmd, token_id);
}

void pj_token_revoke_cmd(struct pj_cmd *cmd, const char *user_id, const char *token_id)
{
    revoke(cmd, user_id, token_id);
}

void pj_token_revoke_all_cmd(struct pj_cmd *cmd, const char *user_id)
{
    revoke(cmd, user_id, "");
    cmd->repeatable = true; /* none is left either way */
}

int pj_token_revoke_reply(const struct redisReply *reply, struct pj_err *err)
{
    return pj_reply_word(reply, err);
}
