#include <stdio.h>
#include <string.h>
#include "api/access.h"
#include "api/api.h"
#include "api/audit.h"
#include "api/execute.h"
#include "api/reply.h"
#include "api/request.h"
#include "api/tasks.h"
#include "lib/base/mem.h"
#include "lib/store/repos.h"
#include "lib/store/tasks.h"

/* A move's body and what it is about to do. */
struct move {
    char *text; /* answer or feedback */
    bool execute;
    void (*submit)(struct request *req);
};

static void move_free(void *ctx)
{
    struct move *m = ctx;

    pj_freep(&m->text);
}

static void answer_moved(struct request *req, const struct redisReply *reply, int status)
{
    struct pj_task task;
    struct pj_err err;

    pj_task_init(&task);
    if (pj_task_move_reply(reply, &task, &err) < 0)
        reply_err(req, &err);
    else
        reply_json(req, status, pj_task_json(&task));
    pj_task_release(&task);
}

static void on_accepted(struct request *req, const struct redisReply *reply)
{
    answer_moved(req, reply, 202);
}

static void on_done(struct request *req, const struct redisReply *reply)
{
    answer_moved(req, reply, 200);
}

/* True when the move may start from the task's status; else the request was answered. The script decides again. */
static bool may(struct request *req, enum pj_task_move move)
{
    enum pj_task_status status = (enum pj_task_status)req->task->status;

    if (pj_task_may(move, status))
        return true;
    reply_problem(req, 409, pj_task_move_refusal(move), NULL,
                  "the task is %s; this can be done while it is %s", pj_task_status_word(status),
                  pj_task_move_from(move));
    return false;
}

static void on_repo(struct request *req, const struct redisReply *reply)
{
    struct move *m = req->ctx;
    struct pj_err err;

    req->repo = pj_alloc(1, sizeof *req->repo);
    pj_repo_init(req->repo);
    int rc = pj_repo_reply(reply, req->repo, &err);
    if (rc < 0 && err.cls != PJ_E_NOT_FOUND)
        reply_err(req, &err);
    else if (execute_allowed(req, rc == 0 ? req->repo : NULL, req->task->executor))
        m->submit(req);
}

/* Run `submit` once the repository was found connected; at once when nothing is going to run. */
static void checked(struct request *req, bool runs, void (*submit)(struct request *req))
{
    struct move *m = req->ctx;
    struct pj_cmd cmd = {0};

    m->submit = submit;
    if (!runs) {
        submit(req);
        return;
    }
    pj_repo_free(req->repo);
    req->repo = NULL;
    pj_repo_get_cmd(&cmd, req->task->repository_id);
    request_redis(req, &cmd, on_repo);
}

static int read_body(struct request *req, const struct pj_field *fields, size_t count)
{
    struct move *m = request_ctx(req, sizeof *m, move_free);

    return request_json(req, fields, count, m);
}

static void submit_execute(struct request *req)
{
    struct pj_cmd cmd = {0};

    pj_task_execute_cmd(&cmd, req->task->id, -1);
    request_redis(req, &cmd, on_accepted);
}

static void execute_found(struct request *req)
{
    if (read_body(req, NULL, 0) == 0 && may(req, PJ_MOVE_EXECUTE))
        checked(req, true, submit_execute);
}

void task_execute(struct request *req)
{
    access_task(req, true, execute_found);
}

/* 202 while something of it runs. What the store refused was not done, and is not on record as if it was. */
static void answer_audited(struct request *req, const struct redisReply *reply, const char *action)
{
    struct pj_task task;
    struct pj_err err;

    pj_task_init(&task);
    if (pj_task_move_reply(reply, &task, &err) < 0)
        reply_err(req, &err);
    else {
        audit(req, action, task.id, NULL);
        reply_json(req, task.status == PJ_TASK_CANCELLED ? 200 : 202, pj_task_json(&task));
    }
    pj_task_release(&task);
}

static void on_cancelled(struct request *req, const struct redisReply *reply)
{
    answer_audited(req, reply, "task.cancel");
}

static void cancel_found(struct request *req)
{
    struct pj_cmd cmd = {0};

    if (read_body(req, NULL, 0) < 0)
        return;
    pj_task_cancel_cmd(&cmd, req->task->id);
    request_redis(req, &cmd, on_cancelled);
}

void task_cancel(struct request *req)
{
    access_task(req, true, cancel_found);
}

static void submit_answer(struct request *req)
{
    const struct move *m = req->ctx;
    struct pj_cmd cmd = {0};

    pj_task_answer_cmd(&cmd, req->task->id, m->text, m->execute);
    request_redis(req, &cmd, m->execute ? on_accepted : on_done);
}

static void answer_found(struct request *req)
{
    static const struct pj_field fields[] = {
        {"answer", PJ_F_STR, offsetof(struct move, text), PJ_FF_REQUIRED, 1, PJ_ANSWER_MAX},
        {"execute", PJ_F_BOOL, offsetof(struct move, execute)},
    };

    if (read_body(req, fields, PJ_COUNT_OF(fields)) == 0 && may(req, PJ_MOVE_ANSWER))
        checked(req, ((const struct move *)req->ctx)->execute, submit_answer);
}

void task_answer(struct request *req)
{
    access_task(req, true, answer_found);
}

static void submit_retry(struct request *req)
{
    const struct move *m = req->ctx;
    struct pj_cmd cmd = {0};

    pj_task_retry_cmd(&cmd, req->task->id, m->text, m->execute);
    request_redis(req, &cmd, m->execute ? on_accepted : on_done);
}

static void retry_found(struct request *req)
{
    static const struct pj_field fields[] = {
        {"feedback", PJ_F_STR, offsetof(struct move, text), 0, 1, PJ_ANSWER_MAX},
        {"execute", PJ_F_BOOL, offsetof(struct move, execute)},
    };

    if (read_body(req, fields, PJ_COUNT_OF(fields)) == 0 && may(req, PJ_MOVE_RETRY))
        checked(req, ((const struct move *)req->ctx)->execute, submit_retry);
}

void task_retry(struct request *req)
{
    access_task(req, true, retry_found);
}

static void on_published(struct request *req, const struct redisReply *reply)
{
    answer_audited(req, reply, "task.publish");
}

static void submit_publish(struct request *req)
{
    struct pj_cmd cmd = {0};

    pj_task_publish_cmd(&cmd, req->task->id);
    request_redis(req, &cmd, on_published);
}

static void publish_found(struct request *req)
{
    if (read_body(req, NULL, 0) == 0 && may(req, PJ_MOVE_PUBLISH))
        checked(req, true, submit_publish);
}

void task_publish(struct request *req)
{
    access_task(req, true, publish_found);
}
