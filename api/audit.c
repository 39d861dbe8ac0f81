#include "api/audit.h"

#include "api/api.h"
#include "api/request.h"
#include "lib/base/log.h"
#include "lib/store/async.h"
#include "lib/store/audit.h"

static void on_added(void *arg, const struct redisReply *reply, struct pj_err *err)
{
    (void)arg;
    if (reply == NULL)
        pj_log_err(PJ_LOG_WARN, "audit_failed", err, NULL, NULL);
}

void audit(struct request *req, const char *action, const char *target, const char *detail)
{
    const struct pj_audit entry = {req->who.user_id, action, target, detail, req->client};
    struct pj_cmd cmd = {0};

    pj_log(PJ_LOG_INFO, "audit", "action", action, "actor", req->who.user_id, "target", target,
           "detail", detail, "client", req->client, "requestId", req->id, NULL);
    pj_audit_add_cmd(&cmd, &entry);
    pj_aredis_submit(req->api->redis, &cmd, on_added, NULL);
}
