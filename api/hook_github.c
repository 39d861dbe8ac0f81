/* hook_github.c - GitHub's own webhook: what became of our pull requests. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "api/api.h"
#include "api/hooks.h"
#include "api/reply.h"
#include "api/request.h"
#include "lib/base/id.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/store/async.h"
#include "lib/store/tasks.h"

struct pull {
    char task_id[64];
    char url[512];
    char state[16];
};

static void nothing_to_do(struct request *req, const char *event)
{
    reply_json(req, 202, json_pack("{s:s, s:b}", "event", event, "handled", 0));
}

static void on_changed(struct request *req, const struct redisReply *reply)
{
    const struct pull *p = req->ctx;
    struct pj_task task;
    struct pj_err err;

    pj_task_init(&task);
    if (pj_task_move_reply(reply, &task, &err) < 0)
        reply_err(req, &err);
    else
        reply_json(req, 200, json_pack("{s:s, s:s, s:s}", "event", "pull_request", "taskId", p->task_id, "state", p->state));
    pj_task_release(&task);
}

/* The branch names the task; its pull request must be the one that was told. */
static void on_task(struct request *req, const struct redisReply *reply)
{
    const struct pull *p = req->ctx;
    struct pj_task task;
    struct pj_cmd cmd = {0};
    struct pj_err err;

    pj_task_init(&task);
    if (pj_task_get_reply(reply, &task, &err) < 0) {
        if (err.cls == PJ_E_NOT_FOUND)
            nothing_to_do(req, "pull_request");
        else
            reply_err(req, &err);
    } else if (task.pr_url == NULL || strcmp(task.pr_url, p->url) != 0) {
        nothing_to_do(req, "pull_request");
    } else {
        pj_task_pr_state_cmd(&cmd, p->task_id, p->state);
        request_redis(req, &cmd, on_changed);
    }
    pj_task_release(&task);
}

static void on_pull_request(struct request *req, const json_t *doc)
{
    const json_t *pr = json_object_get(doc, "pull_request");
    const char *action = pj_json_str(doc, "action", ""), *ref = pj_json_str(json_object_get(pr, "head"), "ref", "");
    struct pull *p = request_ctx(req, sizeof *p, NULL);
    struct pj_cmd cmd = {0};

    bool closed = strcmp(action, "closed") == 0, reopened = strcmp(action, "reopened") == 0;
    if ((!closed && !reopened) || strncmp(ref, "pj/", 3) != 0 || !pj_id_is_valid(ref + 3)) {
        nothing_to_do(req, "pull_request");
        return;
    }
    snprintf(p->task_id, sizeof p->task_id, "%s", ref + 3);
    snprintf(p->url, sizeof p->url, "%s", pj_json_str(pr, "html_url", ""));
    snprintf(p->state, sizeof p->state, "%s", reopened ? "open" : pj_json_bool(pr, "merged", false) ? "merged" : "closed");
    pj_task_get_cmd(&cmd, p->task_id);
    request_redis(req, &cmd, on_task);
}

void hook_github(struct request *req)
{
    const char *secret = req->api->settings.github_webhook_secret;
    const struct pj_view body = pj_view_n(req->body.data, req->body.len);
    const struct pj_view event = http_header(&req->head, "x-github-event");
    PJ_CLEANUP(pj_json_decrefp) json_t *doc = NULL;
    struct pj_err err;

    if (secret == NULL) {
        hook_reject(req, "github", "GITHUB_WEBHOOK_SECRET is not set");
        return;
    }
    if (!hook_signed_github(secret, body, http_header(&req->head, "x-hub-signature-256"))) {
        hook_reject(req, "github", "the signature does not fit");
        return;
    }
    if (pj_json_parse(body, &doc, &err) < 0 || !json_is_object(doc)) {
        reply_problem(req, 400, "malformed_json", "choose the content type application/json for the webhook",
                      "the body is not a JSON object");
        return;
    }
    if (pj_view_is(event, "pull_request"))
        on_pull_request(req, doc);
    else if (pj_view_is(event, "ping"))
        reply_json(req, 200, json_pack("{s:s, s:b}", "event", "ping", "handled", 1));
    else
        nothing_to_do(req, "other");
}
