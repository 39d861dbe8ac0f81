/* people.h - handlers of /me, /tokens and /users, and what these share. */
#ifndef API_PEOPLE_H
#define API_PEOPLE_H

#include <stdbool.h>
#include "lib/base/err.h"

struct request;

void me_get(struct request *req);
/* tokens.c */
void token_list(struct request *req);
void token_create(struct request *req);
void token_delete(struct request *req);
/* users.c */
void user_list(struct request *req);
void user_create(struct request *req);
void user_edit(struct request *req);
void user_delete(struct request *req);

/* The path's id can be one; else it was answered: there is no such `what`. */
bool person_id(struct request *req, const char *what) PJ_MUST_CHECK;
/* The store's refusal: 404 when there is no such `what`. */
void person_refused(struct request *req, const char *what, const struct pj_err *err);
/* The answer to a removal; rc and err are the store's. What was known of callers is forgotten, and the removal audited as `action`. */
void person_removed(struct request *req, const char *what, const char *action, int rc,
                    const struct pj_err *err);

#endif
