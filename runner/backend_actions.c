/* backend_actions.c - executor github_actions: the task goes to a workflow of the repository, which runs `pj-runner job --remote`.
 *
 * Before the dispatch the lease is given up: the task is external from then on, and only the deadline, the workflow's webhooks and
 * external.c end it. Should this process die between the two, the deadline does. */
#include <string.h>
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/forge/actions.h"
#include "lib/http/client.h"
#include "lib/store/events.h"
#include "runner/external.h"
#include "runner/job.h"
#include "runner/retry.h"

static int give_up_lease(struct job *job, struct pj_err *err)
{
    struct pj_cmd cmd = {0};

    pj_lease_external_cmd(&cmd, job->spec.task.id, job->spec.epoch);
    return job_write(job, &cmd, err);
}

/* On record: the run that has the task, and the last one of an earlier attempt. */
static int note_run(struct job *job, int64_t run_id, int64_t floor, struct pj_err *err)
{
    struct pj_cmd cmd = {0};

    pj_lease_run_cmd(&cmd, job->spec.task.id, job->spec.epoch, run_id, floor);
    return job_write(job, &cmd, err);
}

/* The newest run of this task above `floor`. PJ_NONE: none. */
static int find_run(struct job *job, const struct pj_rest *rest, const struct external_workflow *w,
                    int64_t floor, struct pj_run *run, struct pj_err *err)
{
    struct retry retry = {
        .base_ms = job->settings->retry_base_ms,
        .deadline_ms = job->spec.deadline_mono_ms,
        .pump = &job->pump,
    };
    int rc;

    while ((rc = pj_actions_find(rest, &w->workflow, job->spec.task.id, floor, run, err)) < 0)
        if (retry_forge(&retry, -1, err) <= 0)
            return -1;
    return rc;
}

/* The run of an attempt before this one must not be taken for ours. Only asked where there may have been one. */
static int find_floor(struct job *job, const struct pj_rest *rest,
                      const struct external_workflow *w, int64_t *floor, struct pj_err *err)
{
    struct pj_run run = {0};

    *floor = 0;
    if (job->spec.task.attempt == 1)
        return 0;
    if (find_run(job, rest, w, 0, &run, err) < 0)
        return -1;
    *floor = run.id;
    return 0;
}

/* Nothing that the repository can show goes as an input: inputs are shown to whoever may read it. */
static json_t *inputs_of(const struct job *job)
{
    PJ_CLEANUP(pj_freep)
    char *callback = pj_asprintf("%s/api/v1/webhooks/execution/%s", job->settings->public_url,
                                 job->spec.repo.id);

    return json_pack("{s:s, s:s}", "task_id", job->spec.task.id, "callback", callback);
}

/* A line of the log once the task is external: the workflow writes to it, too, so the store gives the number. */
static void say(struct job *job, enum pj_event_type type, const char *text)
{
    PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = NULL;
    PJ_CLEANUP(pj_cmd_release) struct pj_cmd cmd = {0};
    struct pj_str line;
    struct pj_err err;

    pj_str_init(&line, 16384);
    (void)pj_redact_append(job->settings->redact, &line, pj_view_of(text));
    pj_events_note_cmd(&cmd, job->spec.task.id, type, pj_str_cstr(&line));
    if (job_ask(job, &cmd, &reply, &err) < 0 || pj_events_note_reply(reply, &err) < 0)
        pj_log_err(PJ_LOG_INFO, "log_incomplete", &err, "taskId", job->spec.task.id);
    pj_str_release(&line);
}

static int dispatch(struct job *job, const struct pj_rest *rest, const struct external_workflow *w,
                    int64_t floor, struct pj_run *run, struct pj_err *err)
{
    PJ_CLEANUP(pj_json_decrefp) json_t *inputs = inputs_of(job);
    struct retry retry = {
        .base_ms = job->settings->retry_base_ms,
        .deadline_ms = job->spec.deadline_mono_ms,
        .pump = &job->pump,
    };
    struct pj_rest_answer answer = {0};
    int rc;

    while ((rc = pj_actions_dispatch(rest, &w->workflow, inputs, run, &answer, err)) < 0) {
        pj_outcome_upstream(&job->outcome, answer.status, answer.message, answer.request_id);
        int again = retry_forge(&retry, answer.retry_after_ms, err);
        pj_rest_answer_release(&answer);
        if (again <= 0)
            return -1;
        PJ_CLEANUP(pj_freep) char *line = pj_asprintf("dispatch: %s; tried again", err->message);
        say(job, PJ_EVENT_WARN, line);
        /* The one before may have started it, though its answer was lost or an error. */
        if (find_run(job, rest, w, floor, run, err) == 0)
            return 0;
    }
    pj_rest_answer_release(&answer);
    return rc;
}

/* The end of a task that is no longer leased: what a webhook would do. */
static int end_external(struct job *job, const struct pj_err *why)
{
    PJ_CLEANUP(pj_freep)
    char *line = pj_asprintf("%s: %s", pj_err_code_of(why), why->message);
    PJ_CLEANUP(pj_cmd_release) struct pj_cmd cmd = {0};
    PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = NULL;
    struct pj_err err;

    say(job, PJ_EVENT_ERROR, line);
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

/* From here on the task is external. Whatever happens now, it ends by a webhook, by the watch, or by its deadline. */
static int hand_over(struct job *job, const struct pj_rest *rest, const struct external_workflow *w,
                     struct pj_err *err)
{
    struct pj_run run = {0};
    struct pj_err trouble;
    int64_t floor;

    job_log_say(job->log, PJ_EVENT_INFO, "dispatching %s of %s/%s at %s", w->workflow.file,
                w->workflow.owner, w->workflow.name, w->workflow.ref);
    if (job_log_flush(job->log, true, err) < 0 || find_floor(job, rest, w, &floor, err) < 0 ||
        note_run(job, 0, floor, err) < 0 || give_up_lease(job, err) < 0)
        return -1;
    if (dispatch(job, rest, w, floor, &run, err) < 0)
        return end_external(job, err);
    /* The workflow may have been so fast that the task is over. */
    if (run.id > 0 && note_run(job, run.id, floor, &trouble) < 0)
        pj_log_err(PJ_LOG_INFO, "run_not_noted", &trouble, "taskId", job->spec.task.id);
    PJ_CLEANUP(pj_freep)
    char *line =
        pj_asprintf("the workflow was started%s%s", run.url[0] != '\0' ? ": " : "", run.url);
    say(job, PJ_EVENT_INFO, line);
    return 0;
}

int step_dispatch(struct job *job, struct pj_err *err)
{
    struct external_workflow w;
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
    rc = hand_over(job, &rest, &w, err);
    pj_http_free(rest.http);
    external_workflow_release(&w);
    return rc;
}
