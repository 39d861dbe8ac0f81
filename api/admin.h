/* admin.h - handlers of /admin. */
#ifndef API_ADMIN_H
#define API_ADMIN_H

struct request;

void admin_runners(struct request *req);
void admin_drain(struct request *req);
void admin_audit(struct request *req);
void admin_outbox(struct request *req);
void admin_autoscale(struct request *req);
void admin_analytics(struct request *req); /* analytics.c */

#endif
