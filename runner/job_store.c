#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "lib/base/fs.h"
#include "lib/base/mem.h"
#include "lib/http/client.h"
#include "lib/json/codec.h"
#include "lib/store/events.h"
#include "lib/store/repos.h"
#include "lib/store/tasks.h"
#include "lib/store/users.h"
#include "runner/job.h"
#include "runner/spawner.h"

#define AWAY_PAUSE_MS 250

/* Send until the store answers: when it stays away, the daemon cannot renew either and ends us in time. */
int job_ask(struct job *job, const struct pj_cmd *cmd, struct redisReply **reply,
            struct pj_err *err)
{
    while (pj_redis_do(job->redis, cmd, reply, err) < 0) {
        if (err->cls != PJ_E_UNAVAILABLE || pj_http_pause(AWAY_PAUSE_MS, &job->pump, err) < 0)
            return -1;
    }
    return 0;
}

int job_write(struct job *job, struct pj_cmd *cmd, struct pj_err *err)
{
    PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = NULL;
    int rc = job_ask(job, cmd, &reply, err);

    if (rc == 0)
        rc = pj_lease_write_reply(reply, err);
    pj_cmd_release(cmd);
    return rc;
}

static int stage(struct job *job, enum pj_task_stage value, struct pj_err *err)
{
    struct pj_cmd cmd = {0};

    pj_lease_stage_cmd(&cmd, job->spec.task.id, job->spec.epoch, value);
    return job_write(job, &cmd, err);
}

static int note(struct job *job, const struct pj_lease_note *facts, struct pj_err *err)
{
    struct pj_cmd cmd = {0};

    pj_lease_note_cmd(&cmd, job->spec.task.id, job->spec.epoch, facts);
    return job_write(job, &cmd, err);
}

static int keep_patch(struct job *job, struct pj_view patch, struct pj_err *err)
{
    struct pj_cmd cmd = {0};

    pj_lease_patch_cmd(&cmd, job->spec.task.id, job->spec.epoch, patch);
    return job_write(job, &cmd, err);
}

static int trajectory(struct job *job, struct pj_view lines, struct pj_err *err)
{
    struct pj_cmd cmd = {0};

    pj_lease_trajectory_cmd(&cmd, job->spec.task.id, job->spec.epoch, lines);
    return job_write(job, &cmd, err);
}

/* Not job_ask(): the log keeps what could not be sent, and the pump that sends it must not wait inside itself. */
static int send_log(void *ctx, int64_t first, size_t count, struct pj_view lines,
                    int64_t *resend_from, struct pj_err *err)
{
    struct job *job = ctx;
    PJ_CLEANUP(pj_cmd_release) struct pj_cmd cmd = {0};
    PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = NULL;

    pj_events_append_cmd(&cmd, job->spec.task.id, job->spec.epoch, job->spec.task.attempt, first,
                         (int64_t)count, lines);
    if (pj_redis_do(job->redis, &cmd, &reply, err) < 0)
        return -1;
    return pj_events_append_reply(reply, resend_from, err);
}

static int usage(struct job *job, const struct pj_usage_call *call, struct pj_err *err)
{
    PJ_CLEANUP(pj_cmd_release) struct pj_cmd cmd = {0};
    PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = NULL;
    int64_t before, after;

    pj_usage_record_cmd(&cmd, job->spec.task.id, job->spec.epoch, job->spec.task.attempt, call);
    if (job_ask(job, &cmd, &reply, err) < 0)
        return -1;
    return pj_usage_record_reply(reply, &before, &after, err);
}

static int usage_list(struct job *job, json_t **out, struct pj_err *err)
{
    PJ_CLEANUP(pj_cmd_release) struct pj_cmd cmd = {0};
    PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = NULL;

    pj_usage_list_cmd(&cmd, job->spec.task.id);
    if (job_ask(job, &cmd, &reply, err) < 0)
        return -1;
    return pj_usage_list_reply(reply, out, err);
}

static int analysis(struct job *job, json_t **out, struct pj_err *err)
{
    PJ_CLEANUP(pj_cmd_release) struct pj_cmd cmd = {0};
    PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = NULL;
    PJ_CLEANUP(pj_freep) char *text = NULL;

    *out = NULL;
    pj_repo_analysis_get_cmd(&cmd, job->spec.repo.id);
    if (job_ask(job, &cmd, &reply, err) < 0)
        return -1;
    if (pj_repo_analysis_get_reply(reply, &text, err) < 0)
        return err->cls == PJ_E_NOT_FOUND ? 0 : -1;
    return pj_json_parse(pj_view_of(text), out, err);
}

static int requester(struct job *job, char **login, char **email, struct pj_err *err)
{
    PJ_CLEANUP(pj_cmd_release) struct pj_cmd cmd = {0};
    PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = NULL;
    struct pj_user user = {0};

    if (job->spec.task.owner == NULL)
        return 0;
    pj_user_get_cmd(&cmd, job->spec.task.owner);
    if (job_ask(job, &cmd, &reply, err) < 0)
        return -1;
    if (pj_user_reply(reply, &user, err) < 0)
        return err->cls == PJ_E_NOT_FOUND ? 0 : -1;
    *login = pj_strdup_or_null(user.github_login);
    *email = pj_strdup_or_null(user.email);
    pj_user_release(&user);
    return 0;
}

static int stored_patch(struct job *job, char **text, size_t *n, struct pj_err *err)
{
    PJ_CLEANUP(pj_cmd_release) struct pj_cmd cmd = {0};
    PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = NULL;

    pj_task_patch_cmd(&cmd, job->spec.task.id);
    if (job_ask(job, &cmd, &reply, err) < 0)
        return -1;
    return pj_task_patch_reply(reply, text, n, err);
}

/* To the daemon, which stores it once nothing of the task runs any more. */
static int outcome(struct job *job, struct pj_err *err)
{
    PJ_CLEANUP(pj_json_decrefp) json_t *doc = pj_outcome_json(&job->outcome);
    PJ_CLEANUP(pj_freep) char *text = pj_json_text(doc);

    if (pj_write_all(SPAWNER_FD_OUTCOME, text, strlen(text)) < 0)
        return pj_fail_errno(err, errno, "outcome");
    return 0;
}

const struct job_report job_store_report = {
    .stage = stage,
    .note = note,
    .keep_patch = keep_patch,
    .send_log = send_log,
    .usage = usage,
    .usage_list = usage_list,
    .trajectory = trajectory,
    .analysis = analysis,
    .requester = requester,
    .stored_patch = stored_patch,
    .outcome = outcome,
};
