#include "api/hook_github.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "api/api.h"
#include "api/hooks.h"
#include "api/reply.h"
#include "lib/base/id.h"
#include "lib/base/mem.h"
#include "lib/crypto/hmac.h"
#include "lib/forge/hosts.h"
#include "lib/store/tasks.h"

void hook_github_nothing(struct request *req, const char *event)
{
    reply_json(req, 202, json_pack("{s:s, s:b}", "event", event, "handled", 0));
}

static void hook_free(void *ctx)
{
    struct github_hook *h = ctx;

    json_decref(h->doc);
    json_decref(h->made);
    pj_repo_page_release(&h->repos);
}

static void on_repositories(struct request *req, const struct redisReply *reply)
{
    struct github_hook *h = req->ctx;
    struct pj_err err;

    if (pj_repo_list_reply(reply, &h->repos, &err) < 0)
        reply_err(req, &err);
    else
        h->then(req);
}

void hook_github_repositories(struct request *req, void (*then)(struct request *req))
{
    struct github_hook *h = req->ctx;
    struct pj_repo_address address = {0};
    struct pj_cmd cmd = {0};
    struct pj_err err;
    const char *url = pj_json_str(json_object_get(h->doc, "repository"), "html_url", "");

    if (pj_repo_address_parse(req->api->forges, url, &address, &err) < 0) {
        hook_github_nothing(req, "repository");
        return;
    }
    h->then = then;
    pj_repo_by_url_cmd(&cmd, address.url);
    pj_repo_address_release(&address);
    request_redis(req, &cmd, on_repositories);
}

static const char *pull_state(const json_t *doc)
{
    const char *action = pj_json_str(doc, "action", "");

    if (strcmp(action, "reopened") == 0)
        return "open";
    if (strcmp(action, "closed") == 0)
        return pj_json_bool(json_object_get(doc, "pull_request"), "merged", false) ? "merged"
                                                                                   : "closed";
    return NULL;
}

static void on_changed(struct request *req, const struct redisReply *reply)
{
    const struct github_hook *h = req->ctx;
    struct pj_task task;
    struct pj_err err;

    pj_task_init(&task);
    if (pj_task_move_reply(reply, &task, &err) < 0)
        reply_err(req, &err);
    else
        reply_json(req, 200,
                   json_pack("{s:s, s:s, s:s}", "event", "pull_request", "taskId", task.id, "state",
                             pull_state(h->doc)));
    pj_task_release(&task);
}

/* The branch names the task; its pull request must be the one that was told. */
static void on_task(struct request *req, const struct redisReply *reply)
{
    const struct github_hook *h = req->ctx;
    const char *url = pj_json_str(json_object_get(h->doc, "pull_request"), "html_url", "");
    struct pj_task task;
    struct pj_cmd cmd = {0};
    struct pj_err err;

    pj_task_init(&task);
    if (pj_task_get_reply(reply, &task, &err) < 0) {
        if (err.cls == PJ_E_NOT_FOUND)
            hook_github_nothing(req, "pull_request");
        else
            reply_err(req, &err);
    } else if (task.pr_url == NULL || strcmp(task.pr_url, url) != 0) {
        hook_github_nothing(req, "pull_request");
    } else {
        pj_task_pr_state_cmd(&cmd, task.id, pull_state(h->doc));
        request_redis(req, &cmd, on_changed);
    }
    pj_task_release(&task);
}

static void on_pull_request(struct request *req)
{
    const struct github_hook *h = req->ctx;
    const json_t *head = json_object_get(json_object_get(h->doc, "pull_request"), "head");
    const char *ref = pj_json_str(head, "ref", "");
    struct pj_cmd cmd = {0};

    if (pull_state(h->doc) == NULL || strncmp(ref, "pj/", 3) != 0 || !pj_id_is_valid(ref + 3)) {
        hook_github_nothing(req, "pull_request");
        return;
    }
    pj_task_get_cmd(&cmd, ref + 3);
    request_redis(req, &cmd, on_task);
}

static void on_ping(struct request *req)
{
    reply_json(req, 200, json_pack("{s:s, s:b}", "event", "ping", "handled", 1));
}

/* A comment on a pull request may be CodeRabbit's walkthrough, one on an issue a trigger. */
static void on_comment(struct request *req)
{
    const struct github_hook *h = req->ctx;
    const json_t *issue = json_object_get(h->doc, "issue");

    if (json_object_get(issue, "pull_request") != NULL)
        hook_coderabbit(req);
    else
        hook_trigger(req);
}

static const struct event_row {
    const char *name;
    void (*handle)(struct request *req);
} events[] = {
    {"issue_comment", on_comment},
    {"issues", hook_trigger},
    {"ping", on_ping},
    {"pull_request", on_pull_request},
    {"pull_request_review", hook_coderabbit},
    {"pull_request_review_comment", hook_coderabbit},
    {"workflow_run", hook_run},
};

static void dispatch(struct request *req)
{
    const struct pj_view event = http_header(&req->head, "x-github-event");

    for (size_t i = 0; i < PJ_COUNT_OF(events); i++)
        if (pj_view_is(event, events[i].name)) {
            events[i].handle(req);
            return;
        }
    hook_github_nothing(req, "other");
}

void hook_github(struct request *req)
{
    const char *secret = req->api->settings.github_webhook_secret;
    const struct pj_view body = pj_view_n(req->body.data, req->body.len);
    struct github_hook *h = request_ctx(req, sizeof *h, hook_free);
    struct pj_err err;

    if (secret == NULL) {
        hook_reject(req, "github", "GITHUB_WEBHOOK_SECRET is not set");
        return;
    }
    if (!hook_signed_github(secret, body, http_header(&req->head, "x-hub-signature-256"))) {
        hook_reject(req, "github", "the signature does not fit");
        return;
    }
    if (pj_json_parse(body, &h->doc, &err) < 0 || !json_is_object(h->doc)) {
        reply_problem(req, 400, "malformed_json",
                      "choose the content type application/json for the webhook",
                      "the body is not a JSON object");
        return;
    }
    /* The signature covers the body alone, not X-GitHub-Delivery: who replays a delivery may give it another id, not another
     * body. A redelivery has the same body, too. */
    pj_sha256_hex(body.p != NULL ? body.p : "", body.n, h->digest);
    dispatch(req);
}
