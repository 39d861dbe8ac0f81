#include "api/repo_remote.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "api/api.h"
#include "api/helpers.h"
#include "api/remote/wire.h"
#include "api/reply.h"
#include "api/repo_secret.h"
#include "lib/base/mem.h"
#include "lib/forge/hosts.h"

#define CALL_MS 20000 /* the App's token and the remote: two calls */
#define PERSON_MS                                                                                  \
    3000 /* GitHub waits ten seconds for a webhook's answer; three calls with an App */

struct check {
    struct request *req;
    repo_remote_then *then;
};

int repo_remote_address(struct request *req, const char *text, char **url, char **name)
{
    struct pj_repo_address address = {0};
    struct pj_err err;

    if (pj_repo_address_parse(req->api->forges, text, &address, &err) < 0) {
        if (err.cls == PJ_E_NOT_FOUND) {
            pj_err_code(&err, "repository_unreachable");
            reply_err_status(req, 422, &err);
        } else if (err.cls == PJ_E_FORBIDDEN) {
            reply_err_status(req, 422, &err);
        } else if (err.cls == PJ_E_INVALID) {
            reply_fault(req, "url", "%.150s", err.message);
        } else {
            reply_err(req, &err);
        }
        return -1;
    }
    *url = pj_strdup(address.url);
    *name = address.owner != NULL && address.owner[0] != '\0'
                ? pj_asprintf("%s/%s", address.owner, address.name)
                : pj_strdup(address.name);
    pj_repo_address_release(&address);
    return 0;
}

static void on_answer(void *arg, struct pj_view text, const struct pj_err *err)
{
    struct check *check = arg;
    struct remote_answer said = {0};
    struct repo_remote_answer answer = {.credential_source = -1};

    if (err != NULL) {
        answer.err = *err;
    } else if (remote_answer_read(text, &said, &answer.err) < 0) {
        pj_err_wrap(&answer.err, "answer of pj-remote");
        answer.err.cls = PJ_E_INTERNAL;
    } else if (said.permission != NULL) {
        snprintf(answer.permission, sizeof answer.permission, "%s", said.permission);
    } else if (said.reached && said.branch != NULL) {
        answer.reached = true;
        snprintf(answer.branch, sizeof answer.branch, "%s", said.branch);
    } else {
        pj_fail(&answer.err, said.cls == PJ_E_OK ? PJ_E_INTERNAL : (enum pj_err_class)said.cls,
                "%s", said.message != NULL ? said.message : "pj-remote gave no cause");
        pj_err_code(&answer.err, said.code != NULL ? said.code : "");
        if (said.remedy != NULL && said.remedy[0] != '\0')
            pj_err_remedy(&answer.err, "%s", said.remedy);
    }
    answer.credential_source = (int)said.credential_source;
    check->then(check->req, &answer);
    remote_answer_release(&said);
    free(check);
}

static void fill_question(const struct request *req, const char *url, struct remote_question *q)
{
    const struct settings *settings = &req->api->settings;

    *q = (struct remote_question){
        .url = pj_strdup(url),
        .env_token = pj_strdup_or_null(settings->github_token),
        .app_id = pj_strdup_or_null(settings->github_app_id),
        .app_private_key = pj_strdup_or_null(settings->github_app_private_key),
        .ca_file = pj_strdup_or_null(settings->ca_file),
        .forges = pj_strdup_or_null(settings->forges),
        .github_api_url = pj_strdup_or_null(settings->github_api_url),
        .timeout_ms = CALL_MS,
    };
}

/* The question is consumed. */
static void ask(struct request *req, struct remote_question *q, repo_remote_then *then)
{
    struct check *check = pj_alloc(1, sizeof *check);
    struct pj_str question;

    *check = (struct check){req, then};
    pj_str_init(&question, REMOTE_QUESTION_MAX);
    int rc = remote_question_put(q, &question);
    remote_question_release(q);
    if (rc < 0) {
        free(check);
        reply_problem(req, 422, "repository_unreachable",
                      "give a shorter credential, or ask the operator to look at the settings",
                      "the question to the remote has more than %d bytes", REMOTE_QUESTION_MAX);
    } else if (!helpers_ask(req->api->helpers, &question, on_answer, check)) {
        free(check);
        reply_problem(req, 503, "busy", "try again in a moment",
                      "too many repositories are being checked at once");
    }
    if (question.data != NULL)
        pj_wipe(question.data, question.len);
    pj_str_release(&question);
}

void repo_remote_check(struct request *req, const char *url, const char *branch, const char *token,
                       const char *username, repo_remote_then *then)
{
    struct remote_question q;

    fill_question(req, url, &q);
    q.branch = pj_strdup_or_null(branch);
    q.token = token != NULL && token[0] != '\0' ? pj_strdup(token) : NULL;
    q.username = pj_strdup_or_null(username);
    ask(req, &q, then);
}

void repo_remote_permission(struct request *req, const struct pj_repo *repo, const char *login,
                            repo_remote_then *then)
{
    struct remote_question q;
    struct repo_remote_answer answer = {.credential_source = -1};

    fill_question(req, repo->url, &q);
    q.login = pj_strdup(login);
    q.username = pj_strdup_or_null(repo->credential_username);
    q.timeout_ms = PERSON_MS;
    if (repo_secret_open_credential(req->api, repo, &q.token, &answer.err) < 0) {
        remote_question_release(&q);
        then(req, &answer);
        return;
    }
    ask(req, &q, then);
}
