/* auth_session.h - the session of the pages: a token in a cookie that scripts cannot read.
 *
 * The cookie is `__Host-pj_session` when the client speaks TLS, else `pj_session`; HttpOnly, SameSite=Strict. A request that
 * changes something must come from our own pages: Sec-Fetch-Site says so, or where a browser does not send it, Origin. */
#ifndef API_AUTH_SESSION_H
#define API_AUTH_SESSION_H

#include <stddef.h>

struct request;

/* The cookie's token into `text`. 0; PJ_NONE without a cookie; -1 when answered (a forged request: 403). */
int auth_session_token(struct request *req, char *text, size_t cap);

void session_create(struct request *req); /* POST /session */
void session_delete(struct request *req); /* DELETE /session */

#endif
