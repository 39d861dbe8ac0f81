#include "api/tasks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "api/access.h"
#include "api/api.h"
#include "api/audit.h"
#include "api/execute.h"
#include "api/page.h"
#include "api/reply.h"
#include "api/request.h"
#include "api/text.h"
#include "lib/base/branch.h"
#include "lib/base/mem.h"
#include "lib/store/async.h"
#include "lib/store/keys.h"
#include "lib/store/repos.h"
#include "lib/store/tasks.h"

struct create {
    struct pj_task task;
    bool execute;
};

#define IN_TASK(member) (offsetof(struct create, task) + offsetof(struct pj_task, member))

/* The two nested tables have sizes that only lib/task knows: filled in at each use. */
static void create_fields(struct pj_field *out)
{
    const struct pj_field fields[] = {
        {"repositoryId", PJ_F_STR, IN_TASK(repository_id), PJ_FF_REQUIRED, 1, 64},
        {"title", PJ_F_STR, IN_TASK(title), PJ_FF_REQUIRED, 1, PJ_TITLE_MAX},
        {"description", PJ_F_STR, IN_TASK(description), PJ_FF_REQUIRED, 1, PJ_DESCRIPTION_MAX},
        {"baseBranch", PJ_F_STR, IN_TASK(base_branch), 0, 1, 200},
        {"executor", PJ_F_WORD, IN_TASK(executor), .words = pj_task_executor_words},
        {"priority", PJ_F_WORD, IN_TASK(priority), .words = pj_task_priority_words},
        {"model", PJ_F_OBJ, IN_TASK(model), .sub = pj_task_model_fields,
         .sub_count = pj_task_model_field_count},
        {"limits", PJ_F_OBJ, IN_TASK(limits), .sub = pj_task_limits_fields,
         .sub_count = pj_task_limits_field_count},
        {"execute", PJ_F_BOOL, offsetof(struct create, execute)},
    };

    memcpy(out, fields, sizeof fields);
}
#define CREATE_FIELDS 9

static void create_free(void *ctx)
{
    struct create *c = ctx;

    pj_task_release(&c->task);
}

/* The title becomes the subject of a commit. NULL: it is not there. -1 when answered. */
static int check_words(struct request *req, const char *title, const char *description)
{
    if (title != NULL && (!text_is_one_line(title) || text_is_blank(title))) {
        reply_fault(req, "title", "is one line of text, not blank");
        return -1;
    }
    if (description != NULL && text_is_blank(description)) {
        reply_fault(req, "description", "is blank");
        return -1;
    }
    return 0;
}

static bool is_provider(const char *word)
{
    return strcmp(word, "openai") == 0 || strcmp(word, "anthropic") == 0 ||
           strcmp(word, "replay") == 0;
}

static void on_created(struct request *req, const struct redisReply *reply)
{
    struct create *c = req->ctx;
    struct pj_err err;
    bool existing = false;

    if (pj_task_create_reply(reply, &c->task, &existing, &err) < 0) {
        reply_err(req, &err);
        return;
    }
    reply_header(req, "Location", "/api/v1/tasks/%s", c->task.id);
    reply_json(req, 201, pj_task_json(&c->task));
}

static void store_task(struct request *req)
{
    struct create *c = req->ctx;
    char id[PJ_ID_SIZE];

    pj_id_new(pj_partition_of_user(req->who.user_id, req->api->partitions), id);
    pj_str_set(&c->task.id, id);
    pj_str_set(&c->task.owner, req->who.user_id);
    request_create(req, &c->task, c->execute, on_created);
}

static void on_create_repo(struct request *req, const struct redisReply *reply)
{
    struct create *c = req->ctx;
    struct pj_err err;

    req->repo = pj_alloc(1, sizeof *req->repo);
    pj_repo_init(req->repo);
    if (pj_repo_reply(reply, req->repo, &err) < 0) {
        if (err.cls == PJ_E_NOT_FOUND)
            reply_not_found(req, "repository");
        else
            reply_err(req, &err);
        return;
    }
    if (!req->who.admin && req->repo->visibility != PJ_REPO_SHARED &&
        strcmp(req->repo->owner, req->who.user_id) != 0) {
        reply_not_found(req, "repository");
        return;
    }
    c->task.executor = execute_choose(req, req->repo, c->task.executor);
    if (!c->execute || execute_allowed(req, req->repo, c->task.executor))
        store_task(req);
}

void task_create(struct request *req)
{
    struct create *c = request_ctx(req, sizeof *c, create_free);
    struct pj_field fields[CREATE_FIELDS];
    struct pj_cmd cmd = {0};

    create_fields(fields);
    pj_task_init(&c->task);
    if (request_json(req, fields, CREATE_FIELDS, c) < 0)
        return;
    if (check_words(req, c->task.title, c->task.description) < 0)
        return;
    if (c->task.base_branch != NULL && !pj_branch_name_valid(c->task.base_branch)) {
        reply_fault(req, "baseBranch", "is not a name that a branch can have");
        return;
    }
    if (c->task.model.provider != NULL && !is_provider(c->task.model.provider)) {
        reply_fault(req, "model.provider", "must be one of openai, anthropic, replay");
        return;
    }
    if (c->task.model.name != NULL && !text_is_one_line(c->task.model.name)) {
        reply_fault(req, "model.name", "has control characters");
        return;
    }
    if (!pj_id_is_valid(c->task.repository_id)) {
        reply_not_found(req, "repository");
        return;
    }
    if (c->task.priority < 0)
        c->task.priority = PJ_PRIORITY_NORMAL;
    pj_repo_get_cmd(&cmd, c->task.repository_id);
    request_redis(req, &cmd, on_create_repo);
}

static void show_task(struct request *req)
{
    reply_json_etag(req, pj_task_json(req->task));
}

void task_get(struct request *req)
{
    access_task(req, false, show_task);
}

struct edit {
    char *title, *description;
    struct pj_task_limits limits;
    bool has_limits;
};

static void edit_fields(struct pj_field *out)
{
    const struct pj_field fields[] = {
        {"title", PJ_F_STR, offsetof(struct edit, title), 0, 1, PJ_TITLE_MAX},
        {"description", PJ_F_STR, offsetof(struct edit, description), 0, 1, PJ_DESCRIPTION_MAX},
        {"limits", PJ_F_OBJ, offsetof(struct edit, limits), .sub = pj_task_limits_fields,
         .sub_count = pj_task_limits_field_count,
         .presence_offset = offsetof(struct edit, has_limits)},
    };

    memcpy(out, fields, sizeof fields);
}
#define EDIT_FIELDS 3

static void on_moved(struct request *req, const struct redisReply *reply)
{
    struct pj_task task;
    struct pj_err err;

    pj_task_init(&task);
    if (pj_task_move_reply(reply, &task, &err) < 0)
        reply_err(req, &err);
    else
        reply_json(req, 200, pj_task_json(&task));
    pj_task_release(&task);
}

static void edit_found(struct request *req)
{
    struct edit e = {0};
    struct pj_field fields[EDIT_FIELDS];
    struct pj_cmd cmd = {0};

    edit_fields(fields);
    if (request_json(req, fields, EDIT_FIELDS, &e) < 0) {
        pj_json_release(fields, EDIT_FIELDS, &e);
        return;
    }
    if (check_words(req, e.title, e.description) == 0) {
        const struct pj_task_edit edit = {e.title, e.description, e.has_limits ? &e.limits : NULL};
        pj_task_edit_cmd(&cmd, req->task->id, &edit);
        request_redis(req, &cmd, on_moved);
    }
    pj_json_release(fields, EDIT_FIELDS, &e);
}

void task_edit(struct request *req)
{
    access_task(req, true, edit_found);
}

static void on_deleted(struct request *req, const struct redisReply *reply)
{
    struct pj_err err;

    if (pj_task_delete_reply(reply, &err) < 0)
        reply_err(req, &err);
    else {
        audit(req, "task.delete", req->task->id, req->task->title);
        reply_empty(req, 204);
    }
}

static void delete_found(struct request *req)
{
    struct pj_cmd cmd = {0};

    pj_task_delete_cmd(&cmd, req->task->id);
    request_redis(req, &cmd, on_deleted);
}

void task_delete(struct request *req)
{
    access_task(req, true, delete_found);
}
