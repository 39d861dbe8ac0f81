/* hook_run.c - GitHub tells of a workflow run: what the watch in the runner would see at its next look, at once.
 *
 * A run belongs to the task whose id its title holds and that has it on record, or, while no number is on record, to one of a
 * repository that the event is about. Runs of earlier attempts have lower numbers. */
#include <stdlib.h>
#include <string.h>
#include "api/api.h"
#include "api/hook_github.h"
#include "api/reply.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/forge/run.h"
#include "lib/store/lease.h"
#include "lib/store/tasks.h"

static const json_t *run_of(const struct github_hook *h)
{
    return json_object_get(h->doc, "workflow_run");
}

/* The task's id is a word of the title. */
static bool task_of(const struct github_hook *h, char id[PJ_ID_SIZE + 10])
{
    struct pj_view rest = pj_view_of(pj_json_str(run_of(h), "display_title", "")), word;

    while (pj_view_cut(&rest, ' ', &word)) {
        if (word.n >= PJ_ID_SIZE + 10 || word.n == 0)
            continue;
        memcpy(id, word.p, word.n);
        id[word.n] = '\0';
        if (pj_id_is_valid(id))
            return true;
    }
    return false;
}

static void answer(struct request *req, const char *status)
{
    reply_json(req, 200,
               json_pack("{s:s, s:b, s:s, s:s}", "event", "workflow_run", "handled", 1, "taskId",
                         req->task->id, "status", status));
}

/* Its own report, or another's, may have been faster. */
static void on_moved(struct request *req, const struct redisReply *reply)
{
    struct pj_finished done;
    struct pj_err err;

    if (pj_lease_finish_reply(reply, &done, &err) < 0) {
        if (err.cls == PJ_E_CONFLICT)
            hook_github_nothing(req, "workflow_run");
        else
            reply_err(req, &err);
        return;
    }
    const char *status = pj_task_status_word((enum pj_task_status)done.status);
    pj_log(PJ_LOG_INFO, "task_finished", "taskId", req->task->id, "status", status, "by", "github",
           NULL);
    answer(req, status);
}

static void on_noted(struct request *req, const struct redisReply *reply)
{
    struct pj_err err;

    if (pj_lease_write_reply(reply, &err) < 0 && err.cls != PJ_E_CONFLICT)
        reply_err(req, &err);
    else
        answer(req, "running");
}

static void apply(struct request *req)
{
    const struct github_hook *h = req->ctx;
    const struct pj_task *task = req->task;
    struct pj_cmd cmd = {0};
    struct pj_outcome out;
    struct pj_run run;

    pj_run_read(run_of(h), &run);
    if (!run.ended && task->run_id == 0) {
        pj_lease_run_cmd(&cmd, task->id, -1, run.id, task->run_floor);
        request_redis(req, &cmd, on_noted);
        return;
    }
    if (!run.ended) {
        hook_github_nothing(req, "workflow_run");
        return;
    }
    pj_run_outcome(&run, task->cancel_ms > 0, &out);
    pj_lease_finish_cmd(&cmd, task->id, -1, task->attempt, &out);
    pj_outcome_release(&out);
    request_redis(req, &cmd, on_moved);
}

static void on_repositories(struct request *req)
{
    const struct github_hook *h = req->ctx;

    for (size_t i = 0; i < h->repos.count; i++)
        if (strcmp(h->repos.items[i]->id, req->task->repository_id) == 0) {
            apply(req);
            return;
        }
    hook_github_nothing(req, "workflow_run");
}

static void on_task(struct request *req, const struct redisReply *reply)
{
    const struct github_hook *h = req->ctx;
    int64_t id = pj_json_i64(run_of(h), "id", 0);
    struct pj_err err;

    req->task = pj_alloc(1, sizeof *req->task);
    pj_task_init(req->task);
    if (pj_task_get_reply(reply, req->task, &err) < 0) {
        if (err.cls == PJ_E_NOT_FOUND)
            hook_github_nothing(req, "workflow_run");
        else
            reply_err(req, &err);
        return;
    }
    const struct pj_task *task = req->task;
    bool external = task->status == PJ_TASK_RUNNING && task->leased == 2;
    if (external && task->run_id > 0 && task->run_id == id)
        apply(req);
    else if (external && task->run_id == 0 && id > task->run_floor)
        hook_github_repositories(req, on_repositories);
    else
        hook_github_nothing(req, "workflow_run");
}

void hook_run(struct request *req)
{
    const struct github_hook *h = req->ctx;
    char id[PJ_ID_SIZE + 10];
    struct pj_cmd cmd = {0};

    if (!task_of(h, id) || strcmp(pj_json_str(run_of(h), "event", ""), "workflow_dispatch") != 0) {
        hook_github_nothing(req, "workflow_run");
        return;
    }
    pj_task_get_cmd(&cmd, id);
    request_redis(req, &cmd, on_task);
}
