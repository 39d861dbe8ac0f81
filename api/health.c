#include "api/health.h"

#include "api/api.h"
#include "api/reply.h"
#include "api/request.h"
#include "lib/store/async.h"

void health_live(struct request *req)
{
    reply_json(req, 200, json_pack("{s:s, s:s}", "status", "ok", "version", PJ_VERSION));
}

void health_ready(struct request *req)
{
    const struct api *api = req->api;

    if (api->draining)
        reply_problem(req, 503, "draining", NULL, "this process is stopping");
    else if (!pj_aredis_is_up(api->redis))
        reply_problem(req, 503, "store_unavailable", "check PJ_REDIS_URL and the Redis server",
                      "%s", pj_aredis_last_error(api->redis));
    else
        reply_json(req, 200, json_pack("{s:s, s:s}", "status", "ready", "version", PJ_VERSION));
}
