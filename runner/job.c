#include "runner/job.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "lib/base/clock.h"
#include "lib/base/fs.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/json/codec.h"
#include "runner/spawner.h"

#define SPEC_MAX ((size_t)8 * 1024 * 1024)
#define LAST_LOG_MS 3000      /* for the log's rest after an order to stop; else until the lease is gone */
#define LAST_LOG_FINE_MS 60000
#define STORE_RETRY_MS 300
#define TRAJECTORY_MAX ((size_t)4 * 1024 * 1024) /* of what is not stored yet */

static const struct {
    enum pj_task_stage stage;
    int (*run)(struct job *job, struct pj_err *err);
    const char *fallback_code; /* of an end without a code of its own; NULL: the attempt is given back */
} steps[] = {
    {PJ_STAGE_PREPARING,    step_prepare,  NULL                 },
    {PJ_STAGE_ANALYZING,    step_analyze,  "repository_analysis"},
    {PJ_STAGE_GENERATING,   step_generate, NULL                 },
    {PJ_STAGE_APPLYING,     step_apply,    "patch_conflict"     },
    {PJ_STAGE_PUSHING,      step_push,     "github_service"     },
    {PJ_STAGE_PULL_REQUEST, step_pull,     "pr_failed"          },
};

/* ---- secrets of this task ---- */

static int unseal(struct job *job, struct pj_err *err)
{
    const struct pj_repo *repo = &job->spec.repo;
    PJ_CLEANUP(pj_freep) char *context = pj_asprintf("repo:%s:credential", repo->id);
    struct pj_str plain;

    if (repo->credential_sealed == NULL)
        return 0;
    pj_str_init(&plain, 65536);
    if (pj_unseal(job->settings->keyring, context, pj_view_of(repo->credential_sealed), &plain, err) < 0) {
        pj_str_release(&plain);
        (void)pj_err_code(err, "repository_unavailable");
        (void)pj_err_remedy(err, "give the repository its credential again, or put the old key back into PJ_SECRET_KEY");
        return pj_err_wrap(err, "credential of the repository");
    }
    job->repo_token = pj_str_take(&plain);
    pj_str_release(&plain);
    pj_redact_add(job->settings->redact, job->repo_token);
    return 0;
}

static int open_address(struct job *job, struct pj_err *err)
{
    const struct runner_settings *s = job->settings;
    const struct pj_forges_spec spec = {.file = s->forges, .github_api_url = s->github_api_url, .redact = s->redact};

    if (pj_forges_load(&spec, &job->forges, err) < 0 || pj_prices_load(s->prices, &job->prices, err) < 0)
        return -1;
    if (pj_repo_address_parse(job->forges, job->spec.repo.url, &job->address, err) < 0)
        return pj_err_code(err, "repository_unavailable");
    return 0;
}

/* ---- start and end of the process ---- */

static int read_spec(struct job *job, struct pj_err *err)
{
    struct pj_str text;
    int rc;

    pj_str_init(&text, SPEC_MAX);
    rc = pj_fs_read_fd(SPAWNER_FD_SPEC, &text, err);
    if (rc == 0)
        rc = job_spec_parse(pj_view_n(text.data, text.len), &job->spec, err);
    pj_str_release(&text);
    (void)close(SPAWNER_FD_SPEC);
    return rc;
}

static int open_job(struct job *job, struct pj_err *err)
{
    const struct runner_settings *s = job->settings;
    const struct pj_redis_options redis = {
        .url = s->redis_url,
        .password = s->redis_password,
        .name = "pj-job",
        .retry_ms = STORE_RETRY_MS,
    };
    struct job_log_config log = {.send = job_send_log, .ctx = job, .redact = s->redact};
    const char *rootfs;
    int rc;

    if (read_spec(job, err) < 0 || pj_redis_new(&redis, &job->redis, err) < 0)
        return -1;
    rc = unseal(job, err);
    log.attempt = job->spec.task.attempt;
    log.last_n = job->spec.next_n - 1;
    job->log = job_log_new(&log);
    rootfs = job->spec.repo.rootfs != NULL ? job->spec.repo.rootfs : s->sandbox_rootfs;
    if (rootfs != NULL)
        job->rootfs = pj_asprintf("%s/rootfs/%s", s->state_dir, rootfs);
    return rc;
}

static void close_job(struct job *job)
{
    workspace_close(job->ws);
    collect_baseline_free(job->baseline);
    if (job->has_collected)
        collect_result_release(&job->collected);
    for (size_t i = 0; i < job->check_count; i++) {
        free(job->checks[i].command);
        free(job->checks[i].before);
        free(job->checks[i].after);
    }
    free(job->summary);
    free(job->net_refused);
    free(job->question);
    free(job->check_report);
    free(job->last_diff);
    pj_str_release(&job->trajectory);
    free(job->used.provider);
    free(job->used.model);
    free(job->sandbox_program);
    free(job->agent_program);
    free(job->rootfs);
    if (job->repo_token != NULL)
        pj_wipe(job->repo_token, strlen(job->repo_token));
    free(job->repo_token);
    credential_release(&job->owned);
    pj_repo_address_release(&job->address);
    pj_forges_free(job->forges);
    pj_prices_free(job->prices);
    job_log_free(job->log);
    pj_redis_free(job->redis);
    pj_outcome_release(&job->outcome);
    job_spec_release(&job->spec);
}

static int write_outcome(const struct job *job, struct pj_err *err)
{
    PJ_CLEANUP(pj_json_decrefp) json_t *doc = pj_outcome_json(&job->outcome);
    PJ_CLEANUP(pj_freep) char *text = pj_json_text(doc);

    if (pj_write_all(SPAWNER_FD_OUTCOME, text, strlen(text)) < 0)
        return pj_fail_errno(err, errno, "outcome");
    return 0;
}

/* ---- the attempt ---- */

static int run_steps(struct job *job, const char **fallback, struct pj_err *err)
{
    for (size_t i = 0; i < PJ_COUNT_OF(steps); i++) {
        *fallback = steps[i].fallback_code;
        if (job_stage(job, steps[i].stage, err) < 0 || steps[i].run(job, err) < 0)
            return -1;
    }
    return 0;
}

/* What the agent had written when it was stopped. */
static void keep_partial(struct job *job)
{
    struct pj_err err;

    if (job->ws == NULL || job->spec.task.mode != NULL || job->commit_sha[0] != '\0')
        return;
    if (job->last_diff != NULL) {
        if (job_keep_patch(job, pj_view_of(job->last_diff), &err) < 0)
            job_log_say(job->log, PJ_EVENT_WARN, "the model's diff could not be kept: %s", err.message);
        return;
    }
    if (job_collect(job, &err) < 0) {
        job_log_say(job->log, PJ_EVENT_WARN, "no partial patch: %s", err.message);
        return;
    }
    if (job->collected.empty)
        return;
    if (job_keep_patch(job, pj_view_n(job->collected.diff.data, job->collected.diff.len), &err) == 0)
        job_log_say(job->log, PJ_EVENT_PATCH, "kept what was there: %zu files changed", job->collected.files);
}

/* Is this error one that ends the task, or one that ends only this delivery? */
static bool is_end(const struct pj_err *err, const char *fallback)
{
    if (strcmp(err->code, "stale_lease") == 0 || strcmp(err->code, "runner_gone") == 0)
        return false;
    return err->cls == PJ_E_CANCELLED || pj_end_find(err->code) != NULL || fallback != NULL;
}

static void masked(const struct job *job, char **text)
{
    struct pj_str out;

    if (*text == NULL)
        return;
    pj_str_init(&out, 65536);
    (void)pj_redact_append(job->settings->redact, &out, pj_view_of(*text));
    free(*text);
    *text = pj_str_take(&out);
    pj_str_release(&out);
}

static void fill_outcome(struct job *job, const struct pj_err *err, const char *fallback)
{
    struct pj_outcome *out = &job->outcome;

    if (err == NULL)
        pj_outcome_complete(out);
    else
        pj_outcome_from_err(out, err, fallback);
    if (job->question != NULL && out->status == PJ_TASK_NEEDS_CLARIFICATION)
        pj_str_set(&out->question, job->question);
    if (job->ws != NULL)
        pj_str_set(&out->base_sha, workspace_base_sha(job->ws));
    if (job->check_count > 0 && out->checks == NULL)
        out->checks = checks_json(job);
    masked(job, &out->error.detail);
    masked(job, &out->error.upstream.message);
    masked(job, &out->question);
}

static void say_end(struct job *job, const struct pj_err *err)
{
    if (err == NULL)
        job_log_say(job->log, PJ_EVENT_STATUS, "completed");
    else if (err->cls == PJ_E_CANCELLED)
        job_log_say(job->log, PJ_EVENT_STATUS, "cancelled");
    else if (job->question != NULL)
        job_log_say(job->log, PJ_EVENT_STATUS, "needs clarification: %s", job->question);
    else
        job_log_say(job->log, PJ_EVENT_ERROR, "%s: %s", pj_err_code_of(err), err->message);
}

/* The attempt ended, well or not: say so, keep what there is, report. */
static int report(struct job *job, int rc, struct pj_err *err, const char *fallback)
{
    struct pj_err trouble;
    bool told = job->stop.cls != PJ_E_OK;

    if (rc < 0 && told)
        *err = job->stop; /* whatever the interrupted call made of it */
    if (rc < 0 && !is_end(err, fallback)) {
        pj_log_err(PJ_LOG_ERROR, "job_given_back", err, "taskId", job->spec.task.id);
        if (strcmp(err->code, "stale_lease") != 0)
            job_log_say(job->log, PJ_EVENT_ERROR, "%s", err->message);
        if (job_log_drain(job->log, pj_mono_ms() + LAST_LOG_MS, &trouble) < 0)
            pj_log_err(PJ_LOG_WARN, "log_incomplete", &trouble, "taskId", job->spec.task.id);
        return 3;
    }
    if (rc < 0 && job->question == NULL)
        keep_partial(job);
    say_end(job, rc < 0 ? err : NULL);
    fill_outcome(job, rc < 0 ? err : NULL, fallback);
    if (job_log_drain(job->log, pj_mono_ms() + (told ? LAST_LOG_MS : LAST_LOG_FINE_MS), &trouble) < 0) {
        pj_log_err(PJ_LOG_ERROR, "log_incomplete", &trouble, "taskId", job->spec.task.id);
        if (strcmp(trouble.code, "stale_lease") == 0)
            return 3;
    }
    if (write_outcome(job, &trouble) < 0) {
        pj_log_err(PJ_LOG_ERROR, "outcome_not_written", &trouble, "taskId", job->spec.task.id);
        return 3;
    }
    return 0;
}

static int work(struct job *job, const char **fallback, struct pj_err *err)
{
    const struct pj_task *task = &job->spec.task;

    job_log_say(job->log, PJ_EVENT_INFO, "attempt %lld%s on runner %s", (long long)task->attempt,
                job->spec.deliveries > 1 ? ", taken up again" : "", job->spec.runner);
    if (job_log_flush(job->log, true, err) < 0 || open_address(job, err) < 0)
        return -1;
    return run_steps(job, fallback, err);
}

/* Descriptors 3 to 5 came without CLOEXEC, and no child of ours may have them. */
static int take_descriptors(void)
{
    if (fcntl(SPAWNER_FD_SPEC, F_SETFD, FD_CLOEXEC) < 0 || fcntl(SPAWNER_FD_OUTCOME, F_SETFD, FD_CLOEXEC) < 0 ||
        fcntl(SPAWNER_FD_CONTROL, F_SETFD, FD_CLOEXEC) < 0)
        return -1;
    return fcntl(SPAWNER_FD_CONTROL, F_SETFL, O_NONBLOCK);
}

int job_main(const struct runner_settings *settings)
{
    struct job job = {.settings = settings};
    struct pj_err err = {0};
    const char *fallback = NULL;
    int rc;

    (void)signal(SIGPIPE, SIG_IGN); /* peers close when they like; write() says so */
    if (take_descriptors() < 0) {
        (void)pj_fail(&err, PJ_E_INVALID, "`pj-runner job` is started by the daemon, not by hand");
        pj_log_err(PJ_LOG_ERROR, "job_not_started", &err, NULL, NULL);
        return 1;
    }
    pj_outcome_init(&job.outcome);
    job.used.cost_microusd = -1;
    pj_str_init(&job.trajectory, TRAJECTORY_MAX);
    job_pump_init(&job);
    rc = open_job(&job, &err);
    if (job.log == NULL) {
        pj_log_err(PJ_LOG_ERROR, "job_not_started", &err, NULL, NULL);
        rc = 1;
    } else {
        if (rc == 0)
            rc = work(&job, &fallback, &err);
        rc = report(&job, rc, &err, fallback);
    }
    close_job(&job);
    return rc;
}
