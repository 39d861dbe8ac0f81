#include "api/access.h"

#include <stdlib.h>
#include <string.h>
#include "api/reply.h"
#include "lib/base/id.h"
#include "lib/base/mem.h"
#include "lib/store/repos.h"
#include "lib/store/tasks.h"

struct access {
    bool change;
    access_then *then;
};

static struct access *begin(struct request *req, bool change, access_then *then)
{
    struct access *a = request_ctx(req, sizeof *a, NULL);

    a->change = change;
    a->then = then;
    return a;
}

static void granted(struct request *req)
{
    struct access *a = req->ctx;
    access_then *then = a->then;

    req->ctx = NULL;
    free(a);
    then(req);
}

/* 0 with *repo, -1 when answered. */
static int read_repo(struct request *req, const struct redisReply *reply)
{
    struct pj_repo *repo = pj_alloc(1, sizeof *repo);
    struct pj_err err;

    pj_repo_init(repo);
    req->repo = repo;
    if (pj_repo_reply(reply, repo, &err) == 0)
        return 0;
    if (err.cls == PJ_E_NOT_FOUND)
        return PJ_NONE;
    reply_err(req, &err);
    return -1;
}

static bool is_mine(const struct request *req, const char *owner)
{
    return req->who.admin || (owner != NULL && strcmp(owner, req->who.user_id) == 0);
}

/* A stranger's task: visible when its repository is shared. */
static void on_task_repo(struct request *req, const struct redisReply *reply)
{
    const struct access *a = req->ctx;

    int rc = read_repo(req, reply);
    if (rc < 0)
        return;
    if (rc == PJ_NONE || req->repo->visibility != PJ_REPO_SHARED)
        reply_not_found(req, "task");
    else if (a->change)
        reply_problem(req, 403, "forbidden", "ask its owner or an admin",
                      "only the task's owner may change it");
    else
        granted(req);
}

static void on_task(struct request *req, const struct redisReply *reply)
{
    struct pj_cmd cmd = {0};
    struct pj_err err;

    req->task = pj_alloc(1, sizeof *req->task);
    pj_task_init(req->task);
    if (pj_task_get_reply(reply, req->task, &err) < 0) {
        if (err.cls == PJ_E_NOT_FOUND)
            reply_not_found(req, "task");
        else
            reply_err(req, &err);
        return;
    }
    if (is_mine(req, req->task->owner)) {
        granted(req);
        return;
    }
    pj_repo_get_cmd(&cmd, req->task->repository_id);
    request_redis(req, &cmd, on_task_repo);
}

void access_task(struct request *req, bool change, access_then *then)
{
    struct pj_cmd cmd = {0};

    if (!pj_id_is_valid(req->param[0])) {
        reply_not_found(req, "task");
        return;
    }
    begin(req, change, then);
    pj_task_get_cmd(&cmd, req->param[0]);
    request_redis(req, &cmd, on_task);
}

static void on_repo(struct request *req, const struct redisReply *reply)
{
    const struct access *a = req->ctx;

    int rc = read_repo(req, reply);
    if (rc < 0)
        return;
    bool mine = rc == 0 && is_mine(req, req->repo->owner);
    if (rc == PJ_NONE || (!mine && req->repo->visibility != PJ_REPO_SHARED))
        reply_not_found(req, "repository");
    else if (a->change && !mine)
        reply_problem(req, 403, "forbidden", "ask its owner or an admin",
                      "only the repository's owner may change it");
    else
        granted(req);
}

void access_repo(struct request *req, const char *id, bool change, access_then *then)
{
    struct pj_cmd cmd = {0};

    if (!pj_id_is_valid(id)) {
        reply_not_found(req, "repository");
        return;
    }
    begin(req, change, then);
    pj_repo_get_cmd(&cmd, id);
    request_redis(req, &cmd, on_repo);
}
