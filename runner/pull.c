#include "runner/pull.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/forge/rest.h"
#include "lib/http/client.h"
#include "lib/json/codec.h"
#include "runner/pull_impl.h"

void pull_op_begin(struct pull_op *op)
{
    op->rest = (struct pj_rest){
        .http = pj_http_new(op->forge->ca_file),
        .forge = op->forge->forge,
        .token = op->forge->token,
        .timeout_ms = op->forge->timeout_ms,
        .pump = op->forge->pump,
    };
    op->retry = (struct retry){
        .base_ms = op->forge->retry_base_ms,
        .deadline_ms = op->forge->deadline_ms,
        .pump = op->forge->pump,
        .on_retry = op->forge->on_retry,
        .on_retry_ctx = op->forge->on_retry_ctx,
    };
}

void pull_op_end(struct pull_op *op)
{
    pj_rest_answer_release(&op->answer);
    pj_http_free(op->rest.http);
}

bool pull_op_is_gitea(const struct pull_op *op)
{
    return op->forge->forge->kind == PJ_FORGE_GITEA;
}

int pull_op_call(struct pull_op *op, const char *method, const char *path, const json_t *body,
                 struct pj_err *err)
{
    pj_rest_answer_release(&op->answer);
    int rc = pj_rest_call(&op->rest, method, path, body, &op->answer, err);
    op->upstream->status = op->answer.status;
    (void)snprintf(op->upstream->message, sizeof(op->upstream->message), "%s", op->answer.message);
    (void)snprintf(op->upstream->request_id, sizeof(op->upstream->request_id), "%s",
                   op->answer.request_id);
    if (rc < 0 && (err->cls == PJ_E_UNAVAILABLE || err->cls == PJ_E_TIMEOUT) &&
        strncmp(err->code, "http_", 5) == 0) {
        (void)pj_err_remedy(err, "the forge cannot be reached: retry the task later");
        (void)pj_err_code(err, "github_service");
    }
    return rc;
}

/* After a failure: 1 to try again, 0 to give up, -1 when the pump ended the wait. */
int pull_op_again(struct pull_op *op, struct pj_err *err)
{
    return retry_forge(&op->retry, op->answer.retry_after_ms, err);
}

/* "/repos/<owner>/<name>" and what follows. */
char *pull_op_path(const struct pull_op *op, const char *rest)
{
    struct pj_str path;

    pj_str_init(&path, 8192);
    (void)pj_str_puts(&path, "/repos/");
    pj_url_escape(&path, op->spec->owner);
    (void)pj_str_putc(&path, '/');
    pj_url_escape(&path, op->spec->name);
    (void)pj_str_puts(&path, rest);
    return pj_str_take(&path);
}

static char *lookup_path(const struct pull_op *op)
{
    struct pj_str rest;

    pj_str_init(&rest, 4096);
    if (pull_op_is_gitea(op)) {
        (void)pj_str_puts(&rest, "/pulls/");
        pj_url_escape(&rest, op->spec->base);
        (void)pj_str_putc(&rest, '/');
        pj_url_escape(&rest, op->spec->head);
    } else {
        (void)pj_str_puts(&rest, "/pulls?state=open&per_page=10&head=");
        pj_url_escape(&rest, op->spec->owner);
        (void)pj_str_puts(&rest, "%3A");
        pj_url_escape(&rest, op->spec->head);
    }
    char *path = pull_op_path(op, pj_str_cstr(&rest));
    pj_str_release(&rest);
    return path;
}

static int take_pull(const json_t *doc, bool adopted, struct pull_result *out, struct pj_err *err)
{
    int64_t number = pj_json_i64(doc, "number", 0);
    const char *url = pj_json_str(doc, "html_url", NULL);

    if (number <= 0 || url == NULL ||
        (strncmp(url, "https://", 8) != 0 && strncmp(url, "http://", 7) != 0)) {
        (void)pj_fail(err, PJ_E_PROTOCOL,
                      "the forge's answer has no number or address of the pull request");
        return pj_err_code(err, "pr_failed");
    }
    out->number = number;
    pj_str_set(&out->url, url);
    out->adopted = adopted;
    return 0;
}

/* Is there an open pull request from our branch? PJ_NONE: no. */
static int lookup(struct pull_op *op, struct pull_result *out, struct pj_err *err)
{
    PJ_CLEANUP(pj_freep) char *path = lookup_path(op);
    const json_t *found = NULL;

    if (pull_op_call(op, "GET", path, NULL, err) < 0)
        return -1;
    if (pull_op_is_gitea(op)) {
        if (op->answer.status == 404)
            return PJ_NONE;
        if (op->answer.status == 200 &&
            strcmp(pj_json_str(op->answer.doc, "state", ""), "open") != 0)
            return PJ_NONE;
        found = op->answer.doc;
    } else {
        const json_t *item = NULL;
        size_t i = 0;
        json_array_foreach(op->answer.doc, i, item)
        {
            /* The filter is the forge's; a fork's branch of the same name is not ours. */
            if (strcmp(pj_json_str(json_object_get(item, "head"), "ref", ""), op->spec->head) ==
                    0 &&
                found == NULL)
                found = item;
        }
    }
    if (op->answer.status != 200)
        return pj_rest_fail(&op->answer, "look for the pull request", err);
    return found != NULL ? take_pull(found, true, out, err) : PJ_NONE;
}

static json_t *create_body(const struct pull_op *op)
{
    const struct pull_spec *spec = op->spec;
    bool wip = spec->draft && pull_op_is_gitea(op);
    /* Gitea has no drafts: a title that begins with WIP: is one. */
    PJ_CLEANUP(pj_freep) char *title = pj_asprintf("%s%s", wip ? "WIP: " : "", spec->title);
    json_t *body = json_pack("{s:s, s:s, s:s, s:s}", "title", title, "head", spec->head, "base",
                             spec->base, "body", spec->body);

    if (body != NULL && !pull_op_is_gitea(op))
        (void)json_object_set_new(body, "draft", json_boolean(spec->draft));
    return body;
}

static int refused(struct pull_op *op, struct pull_result *out, struct pj_err *err)
{
    const char *words = op->answer.message;
    bool exists = strstr(words, "already exists") != NULL || op->answer.status == 409;

    if (exists) {
        int rc = lookup(op, out, err);
        if (rc <= 0)
            return rc;
    }
    if (strstr(words, "No commits between") != NULL) {
        (void)pj_rest_fail(&op->answer, "create the pull request", err);
        (void)pj_err_remedy(err, "the branch has nothing that its base lacks");
        return pj_err_code(err, op->lagged ? "no_changes" : "github_service");
    }
    (void)pj_rest_fail(&op->answer, "create the pull request", err);
    if (op->answer.status == 422 && strstr(words, "base") != NULL)
        (void)pj_err_remedy(err, "check that the base branch %s exists", op->spec->base);
    return -1;
}

static int create(struct pull_op *op, struct pull_result *out, struct pj_err *err)
{
    PJ_CLEANUP(pj_json_decrefp) json_t *body = create_body(op);
    PJ_CLEANUP(pj_freep) char *path = pull_op_path(op, "/pulls");

    if (body == NULL)
        return pj_fail(err, PJ_E_INTERNAL, "the pull request's text is not valid UTF-8");
    if (pull_op_call(op, "POST", path, body, err) < 0)
        return -1;
    if (op->answer.status == 201 || op->answer.status == 200)
        return take_pull(op->answer.doc, false, out, err);
    int rc = refused(op, out, err);
    if (rc < 0 && strstr(op->answer.message, "No commits between") != NULL)
        op->lagged = true;
    return rc;
}

int pull_check_forge(const struct pull_forge *forge, struct pj_err *err)
{
    if (forge->token != NULL && forge->token[0] != '\0')
        return 0;
    (void)pj_fail(err, PJ_E_AUTH, "there is no token for %s", forge->forge->host);
    (void)pj_err_remedy(
        err,
        "set GITHUB_TOKEN, a token for the forge in PJ_FORGES, or the repository's credential");
    return pj_err_code(err, "github_auth");
}

int pull_open(const struct pull_forge *forge, const struct pull_spec *spec, struct pull_result *out,
              struct pj_err *err)
{
    struct pull_op op = {.forge = forge, .spec = spec, .upstream = &out->upstream};
    int rc = 0;
    int more = 1;

    memset(out, 0, sizeof(*out));
    if (pull_check_forge(forge, err) < 0)
        return -1;
    pull_op_begin(&op);
    do {
        /* Looked up before every try: the last one may have made it, though its answer was lost. */
        rc = lookup(&op, out, err);
        bool creating = rc == PJ_NONE;
        if (creating)
            rc = create(&op, out, err);
        if (rc < 0)
            more = pull_op_again(&op, err);
        /* R4.2: what could not be created after all retries is pr_failed, with the forge's answer beside it. */
        if (rc < 0 && more == 0 && creating && strcmp(err->code, "github_service") == 0)
            (void)pj_err_code(err, "pr_failed");
    } while (rc < 0 && more > 0);
    pull_op_end(&op);
    return rc;
}

void pull_result_release(struct pull_result *result)
{
    free(result->url);
    result->url = NULL;
}
