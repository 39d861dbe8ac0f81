/* job_claim.c - what the API tells a workflow's job of its task. */
#include <string.h>
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/crypto/hmac.h"
#include "lib/json/codec.h"
#include "runner/job_remote.h"

/* Only members that the plain structs know: what clients are shown has some more. */
static json_t *only(const json_t *doc, const char *const *names)
{
    json_t *out = json_object();

    for (; *names != NULL; names++)
        if (json_object_get(doc, *names) != NULL && !json_is_null(json_object_get(doc, *names)))
            (void)json_object_set(out, *names, json_object_get(doc, *names));
    return out;
}

static int read_patch(struct remote *r, const char *base64)
{
    size_t cap = base64 != NULL ? strlen(base64) : 0, n = 0;
    PJ_CLEANUP(pj_freep) char *bytes = pj_alloc(1, cap + 1);

    if (base64 == NULL)
        return 0;
    if (pj_base64_decode(pj_view_of(base64), bytes, cap, &n) < 0)
        return -1;
    return pj_str_append(&r->patch, bytes, n);
}

static int read_claim(struct job *job, const struct pj_str *text, struct pj_err *err)
{
    static const char *const task_names[] = {
        "id",       "repositoryId", "owner",      "title",      "description", "status",
        "executor", "attempt",      "model",      "baseBranch", "branch",      "prUrl",
        "pr",       "baseSha",      "commitSha",  "question",   "answer",      "feedback",
        "limits",   "createdAt",    "executedAt", "startedAt",  "source",      NULL};
    static const char *const repo_names[] = {"id",
                                             "owner",
                                             "url",
                                             "name",
                                             "defaultBranch",
                                             "rootfs",
                                             "setupCommand",
                                             "setupTimeoutMs",
                                             "checkCommand",
                                             "onCheckFailure",
                                             "networkAllow",
                                             "agentNetwork",
                                             "agent",
                                             "publish",
                                             NULL};
    PJ_CLEANUP(pj_json_decrefp) json_t *doc = NULL;
    PJ_CLEANUP(pj_json_decrefp) json_t *task = NULL;
    PJ_CLEANUP(pj_json_decrefp) json_t *repo = NULL;
    int64_t timeout, passed;

    pj_task_init(&job->spec.task);
    pj_repo_init(&job->spec.repo);
    if (pj_json_parse(pj_view_n(text->data, text->len), &doc, err) < 0)
        return pj_err_wrap(err, "answer to the claim");
    task = only(json_object_get(doc, "task"), task_names);
    repo = only(json_object_get(doc, "repository"), repo_names);
    if (pj_task_from_wire(task, &job->spec.task, err) < 0 ||
        pj_repo_from_wire(repo, &job->spec.repo, err) < 0)
        return pj_err_wrap(err, "answer to the claim");
    job->spec.repo.code_rabbit =
        strcmp(pj_json_str(json_object_get(doc, "repository"), "codeRabbit", "on"), "off") != 0;
    if (json_is_object(json_object_get(doc, "analysis")))
        job->remote->analysis = json_incref(json_object_get(doc, "analysis"));
    job->remote->requester = json_incref(json_object_get(doc, "requester"));
    if (read_patch(job->remote, pj_json_str(doc, "patchBase64", NULL)) < 0)
        return pj_fail(err, PJ_E_PROTOCOL, "answer to the claim: patchBase64 is no base64");
    timeout = job->spec.task.limits.timeout_ms >= 0 ? job->spec.task.limits.timeout_ms
                                                    : job->settings->task_timeout_ms;
    passed = job->spec.task.started_ms > 0 ? pj_now_ms() - job->spec.task.started_ms : 0;
    job->spec.deadline_mono_ms = pj_mono_ms() + timeout - (passed > 0 ? passed : 0);
    return 0;
}

int remote_claim(struct job *job, struct pj_err *err)
{
    struct pj_str answer;
    int rc;

    json_t *body = json_pack("{s:s}", "type", "task.claim");
    if (job->part == JOB_PUBLISH)
        (void)json_object_set_new(body, "stage",
                                  json_string(pj_task_stage_word(PJ_STAGE_APPLYING)));
    pj_str_init(&answer, ANSWER_MAX);
    rc = remote_send(job, "claim", body, &answer, err);
    if (rc == 0)
        rc = read_claim(job, &answer, err);
    pj_str_release(&answer);
    return rc;
}
