/* auth.h - who is calling, and what he may.
 *
 * A caller is found by the SHA-256 of his token's text. Findings are kept for at most one second, so that a revoked token is
 * refused within that time and a busy client costs one look-up a second. */
#ifndef API_AUTH_H
#define API_AUTH_H

#include <stdbool.h>
#include <stdint.h>
#include "lib/base/id.h"

struct api;
struct auth;
struct request;

/* Rights of a token. An admin's token has them all unless it was made with fewer. */
enum scope {
    SCOPE_PUBLIC = 0, /* no token needed */
    SCOPE_SELF = 1,   /* any valid token */
    SCOPE_TASKS_READ = 2,
    SCOPE_TASKS_WRITE = 4,
    SCOPE_REPOS_READ = 8,
    SCOPE_REPOS_WRITE = 16,
    SCOPE_TOKENS_WRITE = 32,
    SCOPE_METRICS = 64,     /* given to admins, and to tokens made with it */
    SCOPE_ADMIN_READ = 128, /* these two: role admin as well */
    SCOPE_ADMIN_WRITE = 256,
};

struct scope_row {
    const char *name; /* "tasks:read" */
    unsigned bit;
    bool admin; /* only an admin's token can have it */
    const char *help;
};

extern const struct scope_row scope_table[]; /* ends with a NULL name */
/* Bits of a comma- or space-separated list; -1 when one is unknown. "*" is all. */
int scopes_parse(const char *text, unsigned *bits);
/* What a role may at most. */
unsigned scopes_of_role(bool admin);
const char *scope_name(unsigned bit);

struct pj_token;
/* What a token may of what its user's role may. */
unsigned auth_scopes(const struct pj_token *token, bool admin);

struct caller {
    char user_id[PJ_ID_SIZE + 12];
    char token_id[PJ_ID_SIZE + 12];
    char email[256];
    char digest[65]; /* of the token's text */
    bool admin;
    bool session; /* came by cookie */
    unsigned scopes;
};

struct auth *auth_new(void);
void auth_free(struct auth *auth);
/* Forget all findings (a token or user was changed through this process). */
void auth_forget(struct auth *auth);

/* Find the caller, check the route's scope, then call request_authorised(); or answer 401, 403 or 503. */
void auth_request(struct request *req);
/* What follows once req->who is known (request.c). */
void request_authorised(struct request *req);

#endif
