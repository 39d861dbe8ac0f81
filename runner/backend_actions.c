/* backend_actions.c - executor github_actions: the task goes to a workflow of the repository, which runs `pj-runner job --remote`.
 *
 * Before the dispatch the lease is given up: the task is external from then on, and only the deadline, the workflow's webhooks and
 * external.c end it. Should this process die between the two, the deadline does. */
#include <string.h>
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/forge/actions.h"
#include "lib/http/client.h"
#include "runner/external.h"
#include "runner/job.h"
#include "runner/retry.h"

static int give_up_lease(struct job *job, struct pj_err *err)
{
    struct pj_cmd cmd = {0};

    pj_lease_external_cmd(&cmd, job->spec.task.id, job->spec.epoch);
    return job_write(job, &cmd, err);
}

static int dispatch(struct job *job, const struct pj_rest *rest, const struct external_workflow *w,
                    struct pj_run *run, struct pj_err *err)
{
    PJ_CLEANUP(pj_freep)
    char *callback = pj_asprintf("%s/api/v1/webhooks/execution/%s", job->settings->public_url,
                                 job->spec.repo.id);
    PJ_CLEANUP(pj_json_decrefp)
    json_t *inputs = json_pack("{s:s, s:s}", "task_id", job->spec.task.id, "callback", callback);
    struct retry retry = {
        .base_ms = job->settings->retry_base_ms,
        .deadline_ms = job->spec.deadline_mono_ms,
        .pump = &job->pump,
    };
    struct pj_rest_answer answer = {0};
    int rc;

    while ((rc = pj_actions_dispatch(rest, &w->workflow, inputs, run, &answer, err)) < 0) {
        int again = retry_transient(&retry, err);

        pj_outcome_upstream(&job->outcome, answer.status, answer.message, answer.request_id);
        pj_rest_answer_release(&answer);
        if (again <= 0)
            return -1;
        job_log_say(job->log, PJ_EVENT_WARN, "dispatch: %s; tried again", err->message);
    }
    pj_rest_answer_release(&answer);
    return rc;
}

/* The end of a task that is no longer leased: what a webhook would do. */
static int end_external(struct job *job, const struct pj_err *why)
{
    PJ_CLEANUP(pj_cmd_release) struct pj_cmd cmd = {0};
    PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = NULL;
    struct pj_err err;

    job_log_say(job->log, PJ_EVENT_ERROR, "%s: %s", pj_err_code_of(why), why->message);
    if (job_log_flush(job->log, true, &err) < 0)
        pj_log_err(PJ_LOG_WARN, "log_incomplete", &err, "taskId", job->spec.task.id);
    pj_outcome_from_err(&job->outcome, why, "github_service");
    pj_lease_finish_cmd(&cmd, job->spec.task.id, -1, job->spec.task.attempt, &job->outcome);
    if (job_ask(job, &cmd, &reply, &err) < 0) {
        pj_log_err(PJ_LOG_ERROR, "finish_refused", &err, "taskId", job->spec.task.id);
        return -1;
    }
    pj_log(PJ_LOG_ERROR, "github_error", "taskId", job->spec.task.id, "code", pj_err_code_of(why),
           "detail", why->message, NULL);
    return 0;
}

int step_dispatch(struct job *job, struct pj_err *err)
{
    struct external_workflow w;
    struct pj_run run = {0};
    struct pj_rest rest = {0};
    int rc;

    if (job->settings->public_url == NULL) {
        (void)pj_fail(err, PJ_E_INVALID,
                      "PJ_PUBLIC_URL is not set, so that a workflow could not report");
        (void)pj_err_remedy(err, "set PJ_PUBLIC_URL for pj-runner to the address of the API");
        return pj_err_code(err, "github_service");
    }
    if (job->address.forge->kind != PJ_FORGE_GITHUB) {
        (void)pj_fail(err, PJ_E_INVALID, "%s is no GitHub repository", job->address.url);
        (void)pj_err_remedy(err, "use the executor sandbox");
        return pj_err_code(err, "github_permission");
    }
    if (job_credential(job, err) < 0 || job_ask_forge(job, err) < 0 ||
        external_workflow_of(job->settings, &job->address, &job->spec.repo, &w, err) < 0)
        return -1;
    rest.http = pj_http_new(job->settings->ca_file);
    rest.forge = job->address.forge;
    rest.token = job->credential.token;
    rest.pump = &job->pump;
    job_log_say(job->log, PJ_EVENT_INFO, "dispatching %s of %s/%s at %s", w.workflow.file,
                w.workflow.owner, w.workflow.name, w.workflow.ref);
    rc = job_log_flush(job->log, true, err);
    if (rc == 0)
        rc = give_up_lease(job, err);
    if (rc == 0 && dispatch(job, &rest, &w, &run, err) < 0) {
        rc = end_external(job, err);
    } else if (rc == 0) {
        job_log_say(job->log, PJ_EVENT_INFO, "the workflow was started%s%s",
                    run.url[0] != '\0' ? ": " : "", run.url);
        rc = job_log_flush(job->log, true, err);
    }
    pj_http_free(rest.http);
    external_workflow_release(&w);
    return rc;
}
