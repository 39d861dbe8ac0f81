/* audit.h - who did what, newest first; the last 100,000 are kept. */
#ifndef PJ_STORE_AUDIT_H
#define PJ_STORE_AUDIT_H

#include <jansson.h>
#include "lib/store/cmd.h"

struct pj_audit {
    const char *actor;   /* user id, or "host" */
    const char *action;  /* "task.publish", "user.create", … */
    const char *target;  /* id; may be NULL */
    const char *detail;  /* may be NULL */
    const char *address; /* of the client; may be NULL */
};
void pj_audit_add_cmd(struct pj_cmd *cmd, const struct pj_audit *entry);
/* {"items":[{id,at,actor,action,target,detail,address}],"nextCursor":…}; the caller decrefs. */
void pj_audit_list_cmd(struct pj_cmd *cmd, const char *before, int64_t limit);
int pj_audit_list_reply(const struct redisReply *reply, json_t **out,
                        struct pj_err *err) PJ_MUST_CHECK;

#endif
