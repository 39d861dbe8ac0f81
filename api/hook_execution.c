/* hook_execution.c - how a workflow reports (R5.1 to R5.4, R6.4). The order of the checks is the contract's. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "api/api.h"
#include "api/hook_body.h"
#include "api/hook_logs.h"
#include "api/hooks.h"
#include "api/idempotency.h"
#include "api/reply.h"
#include "api/repo_secret.h"
#include "api/request.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/crypto/hmac.h"
#include "lib/model/prices.h"
#include "lib/store/async.h"
#include "lib/store/events.h"
#include "lib/store/keys.h"
#include "lib/store/lease.h"
#include "lib/store/repos.h"
#include "lib/store/tasks.h"
#include "lib/store/users.h"

#define WEBHOOK_ID_MAX 200

struct hook {
    struct hook_body body;
    struct hook_logs *logs;
    json_t *requester; /* of a claim: who asked for the task, NULL when nobody is to be named */
    json_t *patch;     /* of a claim: base64, NULL when there is none or it was not asked for */
    bool too_large;
    char webhook_id[WEBHOOK_ID_MAX + 1];
};

static void hook_free(void *ctx)
{
    struct hook *h = ctx;

    hook_logs_free(h->logs);
    hook_body_release(&h->body);
    json_decref(h->requester);
    json_decref(h->patch);
}

static void answer(struct request *req, const char *status)
{
    const struct hook *h = req->ctx;

    if (h->too_large)
        reply_problem_members(
            req, 413, "logs_too_large",
            json_pack("{s:s, s:s}", "taskId", req->task->id, "taskStatus", status),
            "logs of more than 100 KB were dropped; the rest was applied, the task is %s", status);
    else
        reply_json(req, 200, json_pack("{s:s, s:s}", "taskId", req->task->id, "status", status));
}

static void on_finished(struct request *req, const struct redisReply *reply)
{
    struct pj_finished finished;
    struct pj_err err;

    if (pj_lease_finish_reply(reply, &finished, &err) < 0) {
        reply_err(req, &err);
        return;
    }
    const char *status = pj_task_status_word((enum pj_task_status)finished.status);
    pj_log(PJ_LOG_INFO, "task_finished", "taskId", req->task->id, "status", status, "by", "webhook",
           NULL);
    answer(req, status);
}

static void on_stage(struct request *req, const struct redisReply *reply)
{
    struct pj_err err;

    if (pj_lease_write_reply(reply, &err) < 0)
        reply_err(req, &err);
    else
        answer(req, "running");
}

static void apply_end(struct request *req)
{
    const struct hook *h = req->ctx;
    const struct hook_body *b = &h->body;
    struct pj_cmd cmd = {0};

    if (b->type == HOOK_PROGRESS && b->stage >= 0) {
        pj_lease_stage_cmd(&cmd, req->task->id, -1, (enum pj_task_stage)b->stage);
        request_redis(req, &cmd, on_stage);
        return;
    }
    if (b->type == HOOK_PROGRESS) {
        answer(req, "running");
        return;
    }
    struct pj_outcome out;
    pj_outcome_init(&out);
    hook_body_outcome(b, &out);
    if (b->type == HOOK_FAILED &&
        req->task->cancel_ms > 0) /* it failed because it was told to stop */
        pj_outcome_cancel(&out);
    pj_lease_finish_cmd(&cmd, req->task->id, -1, b->attempt > 0 ? b->attempt : 0, &out);
    pj_outcome_release(&out);
    request_redis(req, &cmd, on_finished);
}

static void on_note(struct request *req, const struct redisReply *reply)
{
    struct pj_err err;

    if (pj_events_note_reply(reply, &err) < 0)
        reply_err(req, &err);
    else
        apply_end(req);
}

static void apply_logs(struct request *req)
{
    struct hook *h = req->ctx;
    struct pj_cmd cmd = {0};

    if (h->body.logs == NULL) {
        apply_end(req);
        return;
    }
    h->logs = hook_logs_new(h->body.logs);
    h->too_large = hook_logs_too_large(h->logs);
    if (!h->too_large) {
        hook_logs_store(req, h->logs, apply_end);
        return;
    }
    pj_events_note_cmd(&cmd, req->task->id, PJ_EVENT_WARN,
                       "The workflow sent more than 100 KB of logs; they were dropped.");
    request_redis(req, &cmd, on_note);
}

static void on_alert(struct request *req, const struct redisReply *reply)
{
    struct pj_err err;

    if (pj_events_note_reply(reply, &err) < 0)
        pj_log_err(PJ_LOG_WARN, "note_failed", &err, "taskId", req->task->id);
    apply_logs(req);
}

/* R11.2 */
static void on_usage(struct request *req, const struct redisReply *reply)
{
    int64_t before, after, alert = req->api->settings.token_alert;
    char text[120];
    struct pj_cmd cmd = {0};
    struct pj_err err;

    if (pj_usage_record_reply(reply, &before, &after, &err) < 0) {
        reply_err(req, &err);
        return;
    }
    if (alert == 0 || before > alert || after <= alert) {
        apply_logs(req);
        return;
    }
    pj_log(PJ_LOG_WARN, "token_alert", "taskId", req->task->id, "tokens", PJ_I64(after),
           "threshold", PJ_I64(alert), "title", req->task->title, "description",
           req->task->description, NULL);
    snprintf(text, sizeof text, "The task has used %lld tokens, more than %lld.", (long long)after,
             (long long)alert);
    pj_events_note_cmd(&cmd, req->task->id, PJ_EVENT_WARN, text);
    request_redis(req, &cmd, on_alert);
}

static void apply_usage(struct request *req);

static void on_part(struct request *req, const struct redisReply *reply)
{
    struct pj_err err;

    if (pj_lease_write_reply(reply, &err) < 0)
        reply_err(req, &err);
    else
        apply_usage(req);
}

/* A part of a long patch goes where it belongs; the rest of the webhook follows. */
static void apply_part(struct request *req)
{
    const struct hook *h = req->ctx;
    const struct hook_part *part = &h->body.part;
    size_t cap = part->base64 != NULL ? strlen(part->base64) : 0, n = 0;
    struct pj_cmd cmd = {0};

    if (part->base64 == NULL) {
        apply_usage(req);
        return;
    }
    PJ_CLEANUP(pj_freep) char *bytes = pj_alloc(1, cap + 1);
    if (pj_base64_decode(pj_view_of(part->base64), bytes, cap, &n) < 0 ||
        memchr(bytes, '\0', n) != NULL) {
        reply_fault(req, "patchPart.base64", "is not the base64 of a patch's text");
        return;
    }
    pj_lease_patch_part_cmd(&cmd, req->task->id, -1, req->task->attempt, part->offset,
                            pj_view_n(bytes, n));
    request_redis(req, &cmd, on_part);
}

static void apply_usage(struct request *req)
{
    const struct hook *h = req->ctx;
    const struct hook_usage *u = &h->body.usage;
    struct pj_cmd cmd = {0};

    if (!h->body.has_usage || u->model.name == NULL) {
        apply_logs(req);
        return;
    }
    /* What is told on the way is one call; at the end it may be the sum of many, whose length says nothing. */
    const struct pj_price *price =
        pj_prices_find(req->api->prices, u->model.provider, u->model.name, pj_now_ms(),
                       h->body.type == HOOK_PROGRESS ? u->prompt : 0);
    const struct pj_usage tokens = {.uncached = u->prompt > u->cached ? u->prompt - u->cached : 0,
                                    .cached = u->cached,
                                    .output = u->completion,
                                    .reported_microusd = -1};
    PJ_CLEANUP(pj_json_decrefp) json_t *row = pj_price_json(price);
    const struct pj_usage_call call = {.id = h->webhook_id,
                                       .provider = u->model.provider,
                                       .model = u->model.name,
                                       .prompt_tokens = u->prompt,
                                       .completion_tokens = u->completion,
                                       .cached_tokens = u->cached,
                                       .cost_microusd = pj_price_cost(price, &tokens),
                                       .price = row,
                                       .purpose = "workflow"};
    pj_usage_record_cmd(&cmd, req->task->id, -1, req->task->attempt, &call);
    request_redis(req, &cmd, on_usage);
}

static void answer_claim(struct request *req, json_t *analysis)
{
    const struct hook *h = req->ctx;

    reply_json(req, 200,
               json_pack("{s:s, s:s, s:o, s:o, s:o, s:O?, s:O?}", "taskId", req->task->id, "status",
                         "running", "task", pj_task_json(req->task), "analysis", analysis,
                         "repository", pj_repo_json(req->repo), "requester", h->requester,
                         "patchBase64", h->patch));
}

static void on_analysis(struct request *req, const struct redisReply *reply)
{
    PJ_CLEANUP(pj_freep) char *text = NULL;
    json_t *analysis = NULL;
    struct pj_err err;

    if (pj_repo_analysis_get_reply(reply, &text, &err) < 0) {
        if (err.cls == PJ_E_NOT_FOUND)
            answer_claim(req, json_null());
        else
            reply_err(req, &err);
        return;
    }
    answer_claim(req,
                 pj_json_parse(pj_view_of(text), &analysis, &err) == 0 ? analysis : json_null());
}

static void claim_analysis(struct request *req);

/* Who claims from "applying" on goes on with the patch that another job of the workflow has sent. */
static void on_patch(struct request *req, const struct redisReply *reply)
{
    struct hook *h = req->ctx;
    PJ_CLEANUP(pj_freep) char *text = NULL;
    PJ_CLEANUP(pj_str_release) struct pj_str encoded;
    size_t n = 0;
    struct pj_err err;

    pj_str_init(&encoded, 2 * (size_t)PJ_PATCH_MAX);
    if (pj_task_patch_reply(reply, &text, &n, &err) < 0 ||
        pj_base64_encode(&encoded, text, n) < 0) {
        if (err.cls != PJ_E_NOT_FOUND) {
            reply_err(req, &err);
            return;
        }
    } else {
        h->patch = json_stringn(pj_str_cstr(&encoded), encoded.len);
    }
    claim_analysis(req);
}

static void claim_patch(struct request *req)
{
    const struct hook *h = req->ctx;
    struct pj_cmd cmd = {0};

    if (h->body.stage < (int)PJ_STAGE_APPLYING) {
        claim_analysis(req);
        return;
    }
    pj_task_patch_cmd(&cmd, req->task->id);
    request_redis(req, &cmd, on_patch);
}

static void claim_analysis(struct request *req)
{
    struct pj_cmd cmd = {0};

    pj_repo_analysis_get_cmd(&cmd, req->repo->id);
    request_redis(req, &cmd, on_analysis);
}

/* For the commit's co-author. A user who is gone is nobody's loss. */
static void on_requester(struct request *req, const struct redisReply *reply)
{
    struct hook *h = req->ctx;
    struct pj_user user = {0};
    struct pj_err err;

    if (pj_user_reply(reply, &user, &err) == 0)
        h->requester =
            json_pack("{s:s?, s:s?}", "email", user.email, "githubLogin", user.github_login);
    pj_user_release(&user);
    claim_patch(req);
}

static void claim(struct request *req)
{
    struct pj_cmd cmd = {0};

    if (req->repo->publish.co_author == 0 || req->task->owner == NULL) {
        claim_patch(req);
        return;
    }
    pj_user_get_cmd(&cmd, req->task->owner);
    request_redis(req, &cmd, on_requester);
}

/* Does a workflow speak that has not got the task, or has it no longer? */
static bool is_stale_run(const struct pj_task *task, int64_t run_id)
{
    return run_id > 0 &&
           ((task->run_id > 0 && task->run_id != run_id) || run_id <= task->run_floor);
}

/* The first delivery of this id. */
static void apply(struct request *req)
{
    const struct hook *h = req->ctx;
    const struct pj_task *task = req->task;

    if (task->status != PJ_TASK_RUNNING) {
        reply_problem(req, 409, "not_running", NULL, "the task is %s",
                      pj_task_status_word((enum pj_task_status)task->status));
    } else if (h->body.attempt > 0 && h->body.attempt != task->attempt) {
        reply_problem(req, 409, "stale_attempt", NULL, "the task is at attempt %lld",
                      (long long)task->attempt);
    } else if (is_stale_run(task, h->body.run_id)) {
        reply_problem(req, 409, "stale_attempt", NULL, "another workflow run has the task");
    } else if (h->body.type == HOOK_CLAIM) {
        claim(req);
    } else {
        apply_part(req);
    }
}

static void unknown_task(struct request *req, const char *task_id)
{
    pj_log(PJ_LOG_WARN, "webhook_unknown_task", "taskId", task_id, "repositoryId", req->repo->id,
           "client", req->client, "requestId", req->id, NULL);
    reply_not_found(req, "task in this repository");
}

static void on_task(struct request *req, const struct redisReply *reply)
{
    const struct hook *h = req->ctx;
    char scope[80];
    struct pj_err err;

    req->task = pj_alloc(1, sizeof *req->task);
    pj_task_init(req->task);
    if (pj_task_get_reply(reply, req->task, &err) < 0) {
        if (err.cls == PJ_E_NOT_FOUND)
            unknown_task(req, h->body.task_id);
        else
            reply_err(req, &err);
        return;
    }
    if (strcmp(req->task->repository_id, req->repo->id) != 0) {
        unknown_task(req, h->body.task_id);
        return;
    }
    snprintf(scope, sizeof scope, "h:%s", req->repo->id);
    idempotency_with(req, scope, h->webhook_id, pj_partition_of_task(req->task->id), "h", apply);
}

/* Under the present secret, or the one before. */
static bool is_signed(struct request *req)
{
    const struct http_head *head = &req->head;
    const struct pj_view body = pj_view_n(req->body.data, req->body.len);
    bool ok = false;

    for (int old = 0; old < 2 && !ok; old++) {
        PJ_CLEANUP(pj_freep) char *secret = NULL;
        struct pj_err err;
        if (repo_secret_open_webhook(req->api, req->repo, old == 1, &secret, &err) < 0) {
            pj_log_err(PJ_LOG_ERROR, "webhook_secret", &err, "repositoryId", req->repo->id);
            continue;
        }
        if (secret == NULL)
            continue;
        ok = hook_signed(secret, http_header(head, "webhook-id"),
                         http_header(head, "webhook-timestamp"), body,
                         http_header(head, "webhook-signature"));
        pj_wipe(secret, strlen(secret));
    }
    return ok;
}

static void on_repo(struct request *req, const struct redisReply *reply)
{
    struct hook *h = req->ctx;
    struct pj_cmd cmd = {0};
    struct pj_err err;

    req->repo = pj_alloc(1, sizeof *req->repo);
    pj_repo_init(req->repo);
    if (pj_repo_reply(reply, req->repo, &err) < 0) {
        if (err.cls == PJ_E_NOT_FOUND)
            hook_reject(req, "execution", "there is no such repository");
        else
            reply_err(req, &err);
        return;
    }
    if (!is_signed(req)) {
        hook_reject(req, "execution", "the signature does not fit");
        return;
    }
    if (hook_body_read(req, &h->body) < 0)
        return;
    if (!pj_id_is_valid(h->body.task_id)) {
        unknown_task(req, h->body.task_id);
        return;
    }
    pj_task_get_cmd(&cmd, h->body.task_id);
    request_redis(req, &cmd, on_task);
}

void hook_execution(struct request *req)
{
    struct hook *h = request_ctx(req, sizeof *h, hook_free);
    const struct pj_view id = http_header(&req->head, "webhook-id");
    struct pj_cmd cmd = {0};

    if (id.n == 0 || id.n > WEBHOOK_ID_MAX || http_header(&req->head, "webhook-signature").n == 0) {
        hook_reject(req, "execution", "webhook-id or webhook-signature is missing");
        return;
    }
    if (!hook_is_fresh(http_header(&req->head, "webhook-timestamp"), pj_now_ms())) {
        hook_reject(req, "execution", "webhook-timestamp is missing or more than five minutes off");
        return;
    }
    if (!pj_id_is_valid(req->param[0])) {
        hook_reject(req, "execution", "there is no such repository");
        return;
    }
    memcpy(h->webhook_id, id.p, id.n);
    pj_repo_get_cmd(&cmd, req->param[0]);
    request_redis(req, &cmd, on_repo);
}
