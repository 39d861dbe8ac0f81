#include <stdlib.h>
#include <string.h>
#include "api/access.h"
#include "api/diff_view.h"
#include "api/page.h"
#include "api/reply.h"
#include "api/request.h"
#include "api/tasks.h"
#include "lib/base/mem.h"
#include "lib/store/tasks.h"
#include "lib/store/usage.h"

static void on_patch(struct request *req, const struct redisReply *reply)
{
    char *text = NULL;
    size_t n = 0;
    struct pj_err err;
    char format[16];

    if (pj_task_patch_reply(reply, &text, &n, &err) < 0) {
        reply_err(req, &err);
        return;
    }
    int rc = request_query(req, "format", format, sizeof format);
    if (rc == 0 && strcmp(format, "json") == 0) {
        reply_json(req, 200, diff_view(pj_view_n(text, n), req->task));
        free(text);
    } else if (rc == 0 && strcmp(format, "diff") != 0) {
        free(text);
        reply_fault(req, "format", "is diff or json");
    } else if (rc >= 0) {
        reply_header(req, "Content-Disposition", "inline; filename=\"%s.diff\"", req->task->id);
        reply_bytes(req, 200, "text/x-diff; charset=utf-8", text, n);
    } else {
        free(text);
    }
}

static void patch_found(struct request *req)
{
    struct pj_cmd cmd = {0};

    pj_task_patch_cmd(&cmd, req->task->id);
    request_redis(req, &cmd, on_patch);
}

void task_patch(struct request *req)
{
    access_task(req, false, patch_found);
}

static void on_usage(struct request *req, const struct redisReply *reply)
{
    json_t *calls = NULL;
    struct pj_err err;

    if (pj_usage_list_reply(reply, &calls, &err) < 0)
        reply_err(req, &err);
    else
        page_reply_of(req, calls);
}

static void usage_found(struct request *req)
{
    struct pj_cmd cmd = {0};

    pj_usage_list_cmd(&cmd, req->task->id);
    request_redis(req, &cmd, on_usage);
}

void task_usage(struct request *req)
{
    access_task(req, false, usage_found);
}

static void on_trajectory(struct request *req, const struct redisReply *reply)
{
    char *text = NULL;
    size_t n = 0;
    struct pj_err err;

    if (pj_task_trajectory_reply(reply, &text, &n, &err) < 0)
        reply_err(req, &err);
    else
        reply_bytes(req, 200, "application/jsonl", text, n);
}

static void trajectory_found(struct request *req)
{
    struct pj_cmd cmd = {0};

    pj_task_trajectory_cmd(&cmd, req->task->id);
    request_redis(req, &cmd, on_trajectory);
}

void task_trajectory(struct request *req)
{
    access_task(req, false, trajectory_found);
}
