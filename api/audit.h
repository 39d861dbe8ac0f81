/* audit.h - who did what: one record in the store, and one line in the log. */
#ifndef API_AUDIT_H
#define API_AUDIT_H

struct request;

/* `target` and `detail` may be NULL. Never fails the request: a record that cannot be written is logged as `audit_failed`. */
void audit(struct request *req, const char *action, const char *target, const char *detail);

#endif
