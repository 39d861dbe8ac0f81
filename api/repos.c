#include "api/repos.h"

#include <stdlib.h>
#include <string.h>
#include "api/access.h"
#include "api/api.h"
#include "api/audit.h"
#include "api/page.h"
#include "api/repo_body.h"
#include "api/repo_remote.h"
#include "api/repo_secret.h"
#include "api/reply.h"
#include "api/request.h"
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/crypto/secret.h"
#include "lib/store/repos.h"

#define ANSWER_REMEDY "check the address, the branch and the credential"

struct draft {
    struct repo_body body;
    char secret[REPO_SECRET_SIZE]; /* shown once */
    int credential_source;         /* of the remote that was reached */
};

static void draft_free(void *ctx)
{
    struct draft *d = ctx;

    repo_body_release(&d->body);
    pj_wipe(d->secret, sizeof d->secret);
}

static void unreachable(struct request *req, const struct pj_err *err)
{
    if (err->cls == PJ_E_CANCELLED)
        reply_problem(req, 503, "unavailable", "try again", "%s", err->message);
    else
        reply_problem(req, 422, "repository_unreachable",
                      err->remedy[0] != '\0' ? err->remedy : ANSWER_REMEDY, "%s", err->message);
}

static struct pj_repo *new_repo(struct request *req)
{
    req->repo = pj_alloc(1, sizeof *req->repo);
    pj_repo_init(req->repo);
    return req->repo;
}

static void on_created(struct request *req, const struct redisReply *reply)
{
    const struct draft *d = req->ctx;
    struct pj_repo repo;
    struct pj_err err;

    pj_repo_init(&repo);
    if (pj_repo_reply(reply, &repo, &err) < 0) {
        reply_err(req, &err);
    } else {
        json_t *doc = pj_repo_json(&repo);
        json_object_set_new(doc, "webhookSecret", json_string(d->secret));
        reply_header(req, "Location", "/api/v1/repositories/%s", repo.id);
        audit(req, "repository.connect", repo.id, repo.url);
        reply_json(req, 201, doc);
    }
    pj_repo_release(&repo);
}

static void on_reached(struct request *req, const struct repo_remote_answer *answer)
{
    struct draft *d = req->ctx;
    struct pj_repo *repo = req->repo;
    struct pj_cmd cmd = {0};
    struct pj_err err;

    if (!answer->reached) {
        unreachable(req, &answer->err);
        return;
    }
    repo_body_apply(&d->body, repo);
    pj_str_set(&repo->default_branch, answer->branch);
    repo->status = PJ_REPO_CONNECTED;
    repo->credential_source = answer->credential_source;
    repo->created_ms = repo->updated_ms = repo->verified_ms = pj_now_ms();
    repo_secret_make(d->secret);
    if (repo_secret_seal_credential(req->api, repo, d->body.credential.token,
                                    d->body.credential.username, &err) < 0 ||
        repo_secret_seal_webhook(req->api, repo, d->secret, &err) < 0) {
        reply_err_status(req, 500, &err);
        return;
    }
    pj_repo_create_cmd(&cmd, repo);
    request_redis(req, &cmd, on_created);
}

/* A path is read as the user that runs us; a credential for it would be kept for nothing. */
static bool credential_fits(struct request *req, const struct draft *d, const char *url)
{
    if (url[0] != '/' || d->body.credential.token == NULL)
        return true;
    reply_fault(req, "credential", "a repository that is a path takes none");
    return false;
}

void repo_create(struct request *req)
{
    struct draft *d = request_ctx(req, sizeof *d, draft_free);
    char id[PJ_ID_SIZE];

    if (repo_body_read(req, false, &d->body) < 0)
        return;
    struct pj_repo *repo = new_repo(req);
    if (repo_remote_address(req, d->body.url, &repo->url, &repo->name) < 0)
        return;
    if (!credential_fits(req, d, repo->url))
        return;
    pj_id_new(0, id);
    pj_str_set(&repo->id, id);
    pj_str_set(&repo->owner, req->who.user_id);
    repo_remote_check(req, repo->url, d->body.default_branch, d->body.credential.token,
                      d->body.credential.username, on_reached);
}

static void on_list(struct request *req, const struct redisReply *reply)
{
    struct pj_repo_page page = {0};
    struct pj_err err;

    if (pj_repo_list_reply(reply, &page, &err) < 0) {
        reply_err(req, &err);
        return;
    }
    json_t *items = json_array();
    for (size_t i = 0; i < page.count; i++)
        json_array_append_new(items, pj_repo_json(page.items[i]));
    page_reply(req, items, page.next);
    pj_repo_page_release(&page);
}

void repo_list(struct request *req)
{
    static const char *const known[] = {"limit", "cursor", NULL};
    struct page page;
    struct pj_cmd cmd = {0};

    if (request_query_known(req, known) < 0 || page_query(req, PJ_REPO_PAGE_MAX, &page) < 0)
        return;
    pj_repo_list_cmd(&cmd, req->who.admin ? NULL : req->who.user_id,
                     page.cursor[0] != '\0' ? page.cursor : NULL, page.limit);
    request_redis(req, &cmd, on_list);
}

static void show_repo(struct request *req)
{
    reply_json_etag(req, pj_repo_json(req->repo));
}

void repo_get(struct request *req)
{
    access_repo(req, req->param[0], false, show_repo);
}

/* Gone meanwhile is gone for the caller, too. */
static void refuse_repo(struct request *req, const struct pj_err *err)
{
    if (err->cls == PJ_E_NOT_FOUND)
        reply_not_found(req, "repository");
    else
        reply_err(req, err);
}

static void on_updated(struct request *req, const struct redisReply *reply)
{
    struct pj_repo repo;
    struct pj_err err;

    pj_repo_init(&repo);
    if (pj_repo_reply(reply, &repo, &err) < 0)
        refuse_repo(req, &err);
    else
        reply_json(req, 200, pj_repo_json(&repo));
    pj_repo_release(&repo);
}

static void on_edited(struct request *req, const struct redisReply *reply)
{
    struct pj_repo repo;
    struct pj_err err;

    pj_repo_init(&repo);
    if (pj_repo_reply(reply, &repo, &err) < 0) {
        refuse_repo(req, &err);
    } else {
        audit(req, "repository.edit", repo.id, NULL);
        reply_json(req, 200, pj_repo_json(&repo));
    }
    pj_repo_release(&repo);
}

static void store_repo(struct request *req)
{
    struct pj_cmd cmd = {0};

    req->repo->updated_ms = pj_now_ms();
    pj_repo_update_cmd(&cmd, req->repo);
    request_redis(req, &cmd, on_edited);
}

/* Asking a remote takes its time, and others may have changed the repository meanwhile: it is read again before it is written, so
 * that nothing of theirs is taken back. `then` finds it in req->repo. */
static void read_again(struct request *req, request_then *then)
{
    struct pj_cmd cmd = {0};

    pj_repo_get_cmd(&cmd, req->repo->id);
    request_redis(req, &cmd, then);
}

/* The remote was reached as `req->repo` says; 0 with what is stored now, as connected, or -1 when answered. */
static int take_again(struct request *req, const struct redisReply *reply, int credential_source)
{
    struct pj_repo *repo = pj_alloc(1, sizeof *repo);
    struct pj_err err;

    pj_repo_init(repo);
    pj_repo_free(req->repo);
    req->repo = repo;
    if (pj_repo_reply(reply, repo, &err) < 0) {
        refuse_repo(req, &err);
        return -1;
    }
    repo->status = PJ_REPO_CONNECTED;
    pj_str_set(&repo->status_cause, NULL);
    repo->credential_source = credential_source;
    repo->verified_ms = pj_now_ms();
    return 0;
}

static void on_edit_fresh(struct request *req, const struct redisReply *reply)
{
    struct draft *d = req->ctx;
    struct pj_err err;

    if (take_again(req, reply, d->credential_source) < 0)
        return;
    repo_body_apply(&d->body, req->repo);
    if (d->body.has_credential &&
        repo_secret_seal_credential(req->api, req->repo, d->body.credential.token,
                                    d->body.credential.username, &err) < 0) {
        reply_err_status(req, 500, &err);
        return;
    }
    store_repo(req);
}

/* A new credential or branch is tried before it replaces the old one. */
static void on_edit_reached(struct request *req, const struct repo_remote_answer *answer)
{
    struct draft *d = req->ctx;

    if (!answer->reached) {
        unreachable(req, &answer->err);
        return;
    }
    d->credential_source = answer->credential_source;
    read_again(req, on_edit_fresh);
}

static void edit_found(struct request *req)
{
    struct draft *d = request_ctx(req, sizeof *d, draft_free);
    struct pj_repo *repo = req->repo;
    PJ_CLEANUP(pj_freep) char *token = NULL;
    struct pj_err err;

    if (repo_body_read(req, true, &d->body) < 0 || !credential_fits(req, d, repo->url))
        return;
    bool branch = d->body.has_branch && d->body.default_branch != NULL;
    if (!branch && !d->body.has_credential) {
        repo_body_apply(&d->body, repo);
        store_repo(req);
        return;
    }
    const char *username =
        d->body.has_credential ? d->body.credential.username : repo->credential_username;
    if (d->body.has_credential) {
        token = pj_strdup_or_null(d->body.credential.token);
    } else if (repo_secret_open_credential(req->api, repo, &token, &err) < 0) {
        reply_err_status(req, 500, &err);
        return;
    }
    repo_remote_check(req, repo->url, branch ? d->body.default_branch : repo->default_branch, token,
                      username, on_edit_reached);
    if (token != NULL)
        pj_wipe(token, strlen(token));
}

void repo_edit(struct request *req)
{
    access_repo(req, req->param[0], true, edit_found);
}

static void on_deleted(struct request *req, const struct redisReply *reply)
{
    struct pj_err err;

    if (pj_repo_delete_reply(reply, &err) < 0) {
        reply_err(req, &err);
        return;
    }
    audit(req, "repository.delete", req->param[0], NULL);
    reply_empty(req, 204);
}

static void delete_found(struct request *req)
{
    struct pj_cmd cmd = {0};

    pj_repo_delete_cmd(&cmd, req->repo->id);
    request_redis(req, &cmd, on_deleted);
}

void repo_delete(struct request *req)
{
    access_repo(req, req->param[0], true, delete_found);
}

static void on_invalid(struct request *req, const struct redisReply *reply)
{
    const struct pj_err *cause = req->ctx;
    struct pj_repo repo;
    struct pj_err err;

    pj_repo_init(&repo);
    if (pj_repo_reply(reply, &repo, &err) < 0)
        reply_err(req, &err);
    else
        unreachable(req, cause);
    pj_repo_release(&repo);
}

static void on_verified_fresh(struct request *req, const struct redisReply *reply)
{
    struct pj_cmd cmd = {0};

    if (take_again(req, reply, *(const int *)req->ctx) < 0)
        return;
    req->repo->updated_ms = req->repo->verified_ms;
    pj_repo_update_cmd(&cmd, req->repo);
    request_redis(req, &cmd, on_updated);
}

static void on_verified(struct request *req, const struct repo_remote_answer *answer)
{
    struct pj_cmd cmd = {0};

    if (!answer->reached) {
        if (answer->err.cls == PJ_E_CANCELLED) {
            unreachable(req, &answer->err);
            return;
        }
        memcpy(request_ctx(req, sizeof(struct pj_err), NULL), &answer->err, sizeof(struct pj_err));
        pj_repo_status_cmd(&cmd, req->repo->id, PJ_REPO_INVALID, answer->err.message);
        request_redis(req, &cmd, on_invalid);
        return;
    }
    *(int *)request_ctx(req, sizeof(int), NULL) = answer->credential_source;
    read_again(req, on_verified_fresh);
}

static void verify_found(struct request *req)
{
    PJ_CLEANUP(pj_freep) char *token = NULL;
    const struct pj_repo *repo = req->repo;
    struct pj_err err;

    if (request_json(req, NULL, 0, NULL) < 0)
        return;
    if (repo_secret_open_credential(req->api, repo, &token, &err) < 0) {
        reply_err_status(req, 500, &err);
        return;
    }
    repo_remote_check(req, repo->url, repo->default_branch, token, repo->credential_username,
                      on_verified);
    if (token != NULL)
        pj_wipe(token, strlen(token));
}

void repo_verify(struct request *req)
{
    access_repo(req, req->param[0], true, verify_found);
}

static void on_secret(struct request *req, const struct redisReply *reply)
{
    const struct draft *d = req->ctx;
    struct pj_repo repo;
    struct pj_err err;

    pj_repo_init(&repo);
    if (pj_repo_reply(reply, &repo, &err) < 0) {
        reply_err(req, &err);
    } else {
        char until[PJ_RFC3339_SIZE];
        audit(req, "repository.webhook_secret", repo.id, NULL);
        reply_json(req, 201,
                   json_pack("{s:s, s:s}", "webhookSecret", d->secret, "oldValidUntil",
                             pj_rfc3339(repo.webhook_old_until_ms, until)));
    }
    pj_repo_release(&repo);
}

static void secret_found(struct request *req)
{
    struct draft *d = request_ctx(req, sizeof *d, draft_free);
    struct pj_repo *repo = req->repo;
    struct pj_cmd cmd = {0};
    struct pj_err err;

    if (request_json(req, NULL, 0, NULL) < 0)
        return;
    pj_str_set(&repo->webhook_old_sealed, repo->webhook_sealed);
    repo->updated_ms = pj_now_ms();
    repo->webhook_old_until_ms = repo->updated_ms + 24LL * 3600 * 1000;
    repo_secret_make(d->secret);
    if (repo_secret_seal_webhook(req->api, repo, d->secret, &err) < 0) {
        reply_err_status(req, 500, &err);
        return;
    }
    pj_repo_update_cmd(&cmd, repo);
    request_redis(req, &cmd, on_secret);
}

void repo_webhook_secret(struct request *req)
{
    access_repo(req, req->param[0], true, secret_found);
}
