/* hooks.h - webhooks that come in: signature, duplicate, order (CONTRACT.md section 5). */
#ifndef API_HOOKS_H
#define API_HOOKS_H

struct request;

void hook_execution(struct request *req);
void hook_github(struct request *req);

#endif
