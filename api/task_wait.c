/* task_wait.c - why a task waits: what the fleet looks like to it. */
#include <string.h>
#include "api/access.h"
#include "api/reply.h"
#include "api/request.h"
#include "api/tasks.h"
#include "lib/base/clock.h"
#include "lib/json/codec.h"
#include "lib/store/keys.h"
#include "lib/store/queue.h"
#include "lib/store/runners.h"
#include "lib/task/task.h"

#define STARTS_WITHIN_MS 10000 /* a free slot takes a task within a heartbeat */

struct fleet {
    json_int_t ready, draining, slots, busy;
};

static void count(struct fleet *fleet, const json_t *runner)
{
    const char *state = pj_json_str(runner, "state", "");

    if (strcmp(state, "draining") == 0)
        fleet->draining++;
    if (strcmp(state, "ready") != 0)
        return;
    fleet->ready++;
    fleet->slots += pj_json_i64(runner, "slots", 0);
    fleet->busy += pj_json_i64(runner, "busy", 0);
}

/* NULL: it does not wait. */
static const char *reason_of(const struct pj_task *task, const struct fleet *fleet)
{
    if (task->status != PJ_TASK_RUNNING || task->stage != PJ_STAGE_WAITING)
        return NULL;
    if (fleet->ready == 0)
        return "no_runner";
    if (fleet->busy >= fleet->slots)
        return "slots_busy";
    return pj_now_ms() - task->executed_ms > STARTS_WITHIN_MS ? "held_back" : "starting";
}

static void on_depth(struct request *req, const struct redisReply *reply)
{
    const struct fleet *fleet = req->ctx;
    struct pj_queue_depth depth;
    struct pj_err err;

    if (pj_queue_depth_reply(reply, &depth, &err) < 0) {
        reply_err(req, &err);
        return;
    }
    reply_json(req, 200,
               json_pack("{s:s?, s:I, s:I, s:I, s:I, s:I}", "reason", reason_of(req->task, fleet),
                         "runners", fleet->ready, "draining", fleet->draining, "slots",
                         fleet->slots, "busy", fleet->busy, "waiting", (json_int_t)depth.queued));
}

static void on_runners(struct request *req, const struct redisReply *reply)
{
    struct fleet *fleet = request_ctx(req, sizeof *fleet, NULL);
    struct pj_cmd cmd = {0};
    struct pj_err err;
    json_t *list = NULL, *runner;
    size_t i;

    if (pj_runner_list_reply(reply, &list, &err) < 0) {
        reply_err(req, &err);
        return;
    }
    json_array_foreach(list, i, runner)
    {
        count(fleet, runner);
    }
    json_decref(list);
    pj_queue_depth_cmd(&cmd, pj_partition_of_task(req->task->id));
    request_redis(req, &cmd, on_depth);
}

static void found(struct request *req)
{
    struct pj_cmd cmd = {0};

    pj_runner_list_cmd(&cmd);
    request_redis(req, &cmd, on_runners);
}

void task_wait(struct request *req)
{
    access_task(req, false, found);
}
