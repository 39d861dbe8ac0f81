/* people.h - handlers of /me, /tokens and /users. */
#ifndef API_PEOPLE_H
#define API_PEOPLE_H

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

#endif
