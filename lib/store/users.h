/* users.h - users and their tokens. A token is stored only as the SHA-256 of its text. */
#ifndef PJ_STORE_USERS_H
#define PJ_STORE_USERS_H

#include <stdbool.h>
#include <stdint.h>
#include "lib/base/id.h"
#include "lib/json/codec.h"
#include "lib/store/cmd.h"

enum pj_role { PJ_ROLE_USER, PJ_ROLE_ADMIN };
extern const char *const pj_role_words[];

struct pj_user {
    char *id;
    char *email;
    int role;
    char *github_login;
    int64_t created_ms;
    int64_t updated_ms;
};
void pj_user_release(struct pj_user *user);
json_t *pj_user_json(const struct pj_user *user);

enum pj_token_kind { PJ_TOKEN_PERSONAL, PJ_TOKEN_SESSION };
struct pj_token {
    char *id;
    char *user_id;
    char *name;
    char **scopes; /* NULL-terminated; NULL: all that the role may */
    int kind;      /* enum pj_token_kind; sessions are not listed */
    int64_t created_ms;
    int64_t expires_ms; /* 0: never */
    int64_t used_ms;    /* last use, to the minute */
};
void pj_token_release(struct pj_token *token);
json_t *pj_token_json(const struct pj_token *token);

/* Text of a new token: "pj_pat_" or "pj_ses_", 30 random characters and 6 of a CRC-32 in base 62. */
#define PJ_TOKEN_TEXT_SIZE 64
void pj_token_make(enum pj_token_kind kind, char out[PJ_TOKEN_TEXT_SIZE]);
/* What the store knows: 64 hex characters. */
void pj_token_digest(const char *text, char out[65]);
/* May `text` be a token at all: 16 to 200 visible ASCII characters. */
bool pj_token_is_plausible(const char *text);

/* The first admin and a token of his, only while no user exists: CONFLICT `users_exist` otherwise. */
void pj_user_bootstrap_cmd(struct pj_cmd *cmd, const struct pj_user *user,
                           const struct pj_token *token, const char *digest);
/* Number of users. */
void pj_user_count_cmd(struct pj_cmd *cmd);
int pj_user_count_reply(const struct redisReply *reply, int64_t *count,
                        struct pj_err *err) PJ_MUST_CHECK;
/* CONFLICT `email_exists`. */
void pj_user_create_cmd(struct pj_cmd *cmd, const struct pj_user *user,
                        const struct pj_token *token, const char *digest);
void pj_user_get_cmd(struct pj_cmd *cmd, const char *id);
void pj_user_by_email_cmd(struct pj_cmd *cmd, const char *email);
void pj_user_by_login_cmd(struct pj_cmd *cmd, const char *github_login);
struct pj_user_edit { /* NULL, -1: keep */
    const char *email;
    int role;
    const char *github_login;
};
/* CONFLICT `email_exists`, `last_admin`. */
void pj_user_edit_cmd(struct pj_cmd *cmd, const char *id, const struct pj_user_edit *edit);
/* Reply of the six above (not count). */
int pj_user_reply(const struct redisReply *reply, struct pj_user *out,
                  struct pj_err *err) PJ_MUST_CHECK;
/* With all tokens; CONFLICT `last_admin`. */
void pj_user_delete_cmd(struct pj_cmd *cmd, const char *id);
int pj_user_delete_reply(const struct redisReply *reply, struct pj_err *err) PJ_MUST_CHECK;
struct pj_user_page {
    struct pj_user *items;
    size_t count;
    char *next;
};
void pj_user_list_cmd(struct pj_cmd *cmd, const char *before, int64_t limit);
int pj_user_list_reply(const struct redisReply *reply, struct pj_user_page *out,
                       struct pj_err *err) PJ_MUST_CHECK;
void pj_user_page_release(struct pj_user_page *page);

/* NOT_FOUND when the user is gone; AUTH `unauthenticated` for a session ("session of <token id>") whose token is. */
void pj_token_create_cmd(struct pj_cmd *cmd, const struct pj_token *token, const char *digest);
int pj_token_create_reply(const struct redisReply *reply, struct pj_err *err) PJ_MUST_CHECK;
/* One call answers who is calling: AUTH `unauthenticated` when unknown, AUTH `token_expired`. */
void pj_token_find_cmd(struct pj_cmd *cmd, const char *digest);
int pj_token_find_reply(const struct redisReply *reply, struct pj_user *user,
                        struct pj_token *token, struct pj_err *err) PJ_MUST_CHECK;
struct pj_token_page {
    struct pj_token *items;
    size_t count;
};
void pj_token_list_cmd(struct pj_cmd *cmd, const char *user_id);
int pj_token_list_reply(const struct redisReply *reply, struct pj_token_page *out,
                        struct pj_err *err) PJ_MUST_CHECK;
void pj_token_page_release(struct pj_token_page *page);
/* One of the user's tokens (also a session); NOT_FOUND when it is not his, CONFLICT `last_admin_token` when no other token of any
 * administrator opens the administration. */
void pj_token_revoke_cmd(struct pj_cmd *cmd, const char *user_id, const char *token_id);
/* All of a user's tokens and sessions. */
void pj_token_revoke_all_cmd(struct pj_cmd *cmd, const char *user_id);
int pj_token_revoke_reply(const struct redisReply *reply, struct pj_err *err) PJ_MUST_CHECK;

#endif
