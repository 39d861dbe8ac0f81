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
#define LAST_LOG_MS                                                                                \
    3000 /* for the log's rest after an order to stop; else until the lease is gone */
#define LAST_LOG_FINE_MS 60000
#define STORE_RETRY_MS 300
#define TRAJECTORY_MAX ((size_t)4 * 1024 * 1024) /* of what is not stored yet */

struct step {
    enum pj_task_stage stage;
    int (*run)(struct job *job, struct pj_err *err);
    const char
        *fallback_code; /* of an end without a code of its own; NULL: the attempt is given back */
};

/* Here, or in a workflow's own process: from the repository to the pull request. */
static const struct step steps[] = {
    {PJ_STAGE_PREPARING, step_prepare, NULL},
    {PJ_STAGE_ANALYZING, step_analyze, "repository_analysis"},
    {PJ_STAGE_GENERATING, step_generate, NULL},
    {PJ_STAGE_APPLYING, step_apply, "patch_conflict"},
    {PJ_STAGE_PUSHING, step_push, "github_service"},
    {PJ_STAGE_PULL_REQUEST, step_pull, "pr_failed"},
};

/* The same in two parts, for the two jobs of a workflow. */
static const struct step work_steps[] = {
    {PJ_STAGE_PREPARING, step_prepare, NULL},
    {PJ_STAGE_ANALYZING, step_analyze, "repository_analysis"},
    {PJ_STAGE_GENERATING, step_generate, NULL},
    {PJ_STAGE_APPLYING, step_apply, "patch_conflict"},
};
static const struct step publish_steps[] = {
    {PJ_STAGE_APPLYING, step_prepare, NULL},
    {PJ_STAGE_APPLYING, step_apply, "patch_conflict"},
    {PJ_STAGE_PUSHING, step_push, "github_service"},
    {PJ_STAGE_PULL_REQUEST, step_pull, "pr_failed"},
};

/* Executor github_actions: a workflow takes it from there. */
static const struct step dispatch_steps[] = {
    {PJ_STAGE_PREPARING, step_dispatch, "github_service"},
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
    if (pj_unseal(job->settings->keyring, context, pj_view_of(repo->credential_sealed), &plain,
                  err) < 0) {
        pj_str_release(&plain);
        (void)pj_err_code(err, "repository_unavailable");
        (void)pj_err_remedy(
            err,
            "give the repository its credential again, or put the old key back into PJ_SECRET_KEY");
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
    const struct pj_forges_spec spec = {
        .file = s->forges, .github_api_url = s->github_api_url, .redact = s->redact};

    if (pj_forges_load(&spec, &job->forges, err) < 0 ||
        pj_prices_load(s->prices, &job->prices, err) < 0)
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

void job_begin(struct job *job)
{
    const struct runner_settings *s = job->settings;
    const struct job_log_config log = {
        .attempt = job->spec.task.attempt,
        .last_n = job->spec.next_n - 1,
        .redact = s->redact,
        .send = job->report->send_log,
        .ctx = job,
    };
    const char *rootfs = job->spec.repo.rootfs != NULL ? job->spec.repo.rootfs : s->sandbox_rootfs;

    pj_outcome_init(&job->outcome);
    pj_str_init(&job->trajectory, TRAJECTORY_MAX);
    job->used.cost_microusd = -1;
    job_pump_init(job);
    job->log = job_log_new(&log);
    if (rootfs != NULL)
        job->rootfs = pj_asprintf("%s/rootfs/%s", s->state_dir, rootfs);
}

void job_close(struct job *job)
{
    box_ahead_end(&job->ahead);
    pj_fd_close(&job->tree_fd);
    workspace_close(job->ws);
    collect_baseline_free(job->baseline);
    if (job->has_collected)
        collect_result_release(&job->collected);
    for (size_t i = 0; i < job->check_count; i++)
        job_check_release(&job->checks[i]);
    free(job->summary);
    free(job->co_author);
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

/* ---- the attempt ---- */

int job_stage(struct job *job, enum pj_task_stage stage, struct pj_err *err)
{
    if (job_log_flush(job->log, true, err) < 0 || job->report->stage(job, stage, err) < 0)
        return -1;
    job_log_mark(job->log, "stage", pj_task_stage_words[stage]);
    return 0;
}

/* Ours to hand over: in the workflow the same task runs the steps itself. */
static bool is_dispatched(const struct job *job)
{
    return job->remote == NULL && job->spec.task.executor == PJ_EXECUTOR_GITHUB_ACTIONS &&
           job->spec.task.mode == NULL;
}

struct plan {
    const struct step *steps;
    size_t count;
};

static struct plan plan_of(const struct job *job)
{
    static const struct plan parts[] = {
        [JOB_WHOLE] = {steps, PJ_COUNT_OF(steps)},
        [JOB_WORK] = {work_steps, PJ_COUNT_OF(work_steps)},
        [JOB_PUBLISH] = {publish_steps, PJ_COUNT_OF(publish_steps)},
    };

    return is_dispatched(job) ? (struct plan){dispatch_steps, PJ_COUNT_OF(dispatch_steps)}
                              : parts[job->part];
}

static int run_steps(struct job *job, const char **fallback, struct pj_err *err)
{
    const struct plan plan = plan_of(job);

    if (job->remote == NULL && !is_dispatched(job) && job->spec.task.mode == NULL &&
        !runner_makes_boxes(job->settings)) {
        (void)pj_fail(err, PJ_E_UNAVAILABLE,
                      "runner %s makes no boxes: it only starts workflows (PJ_RUNNER_EXECUTORS)",
                      job->settings->name);
        (void)pj_err_remedy(err, "run the task with executor github_actions, or start runners with "
                                 "PJ_RUNNER_EXECUTORS=all and no others");
        return pj_err_code(err, "sandbox_unavailable");
    }
    for (size_t i = 0; i < plan.count; i++) {
        *fallback = plan.steps[i].fallback_code;
        if (job_stage(job, plan.steps[i].stage, err) < 0 || plan.steps[i].run(job, err) < 0)
            return -1;
    }
    return 0;
}

/* What the agent had written when it was stopped. */
static void keep_partial(struct job *job)
{
    struct pj_err err;

    if (job->ws == NULL || job->spec.task.mode != NULL || job->part == JOB_PUBLISH ||
        job->commit_sha[0] != '\0')
        return;
    if (workspace_shared(job->ws) != NULL && job->tree_fd < 0 && job->last_diff == NULL)
        return; /* no box has touched the tree */
    if (job->last_diff != NULL) {
        if (job->report->keep_patch(job, pj_view_of(job->last_diff), &err) < 0)
            job_log_say(job->log, PJ_EVENT_WARN, "the model's diff could not be kept: %s",
                        err.message);
        return;
    }
    if (job_collect(job, &err) < 0) {
        job_log_say(job->log, PJ_EVENT_WARN, "no partial patch: %s", err.message);
        return;
    }
    if (job->collected.empty)
        return;
    if (job->report->keep_patch(job, pj_view_n(job->collected.diff.data, job->collected.diff.len),
                                &err) == 0)
        job_log_say(job->log, PJ_EVENT_PATCH, "kept what was there: %zu file%s changed",
                    job->collected.files, job->collected.files == 1 ? "" : "s");
}

/* Is this error one that ends the task, or one that ends only this delivery? */
static bool is_end(const struct pj_err *err, const char *fallback)
{
    static const char *const delivery[] = {"stale_lease", "runner_gone", "log_lost"};

    for (size_t i = 0; i < PJ_COUNT_OF(delivery); i++)
        if (strcmp(err->code, delivery[i]) == 0)
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

/* The other job of the workflow goes on from here: the task has not ended. */
static int hand_over(struct job *job)
{
    struct pj_err err;

    job_log_say(job->log, PJ_EVENT_INFO, "the change is handed over to be published");
    if (job_log_drain(job->log, pj_mono_ms() + LAST_LOG_FINE_MS, &err) == 0)
        return JOB_EXIT_HANDED_OVER;
    pj_log_err(PJ_LOG_ERROR, "log_incomplete", &err, "taskId", job->spec.task.id);
    return 3;
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
    if (rc == 0 && is_dispatched(job))
        return JOB_EXIT_EXTERNAL;
    if (rc == 0 && job->part == JOB_WORK)
        return hand_over(job);
    if (rc < 0 && job->question == NULL)
        keep_partial(job);
    if (rc < 0 && strcmp(err->code, "patch_conflict") == 0)
        job_note_rejects(job);
    say_end(job, rc < 0 ? err : NULL);
    fill_outcome(job, rc < 0 ? err : NULL, fallback);
    if (job_log_drain(job->log, pj_mono_ms() + (told ? LAST_LOG_MS : LAST_LOG_FINE_MS), &trouble) <
        0) {
        pj_log_err(PJ_LOG_ERROR, "log_incomplete", &trouble, "taskId", job->spec.task.id);
        if (strcmp(trouble.code, "stale_lease") == 0)
            return 3;
    }
    if (job->report->outcome(job, &trouble) < 0) {
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
    if (fcntl(SPAWNER_FD_SPEC, F_SETFD, FD_CLOEXEC) < 0 ||
        fcntl(SPAWNER_FD_OUTCOME, F_SETFD, FD_CLOEXEC) < 0 ||
        fcntl(SPAWNER_FD_CONTROL, F_SETFD, FD_CLOEXEC) < 0)
        return -1;
    return fcntl(SPAWNER_FD_CONTROL, F_SETFL, O_NONBLOCK);
}

int job_attempt(struct job *job)
{
    struct pj_err err = {0};
    const char *fallback = NULL;
    int rc = unseal(job, &err);

    if (rc == 0)
        rc = work(job, &fallback, &err);
    return report(job, rc, &err, fallback);
}

int job_main(const struct runner_settings *settings)
{
    struct job job = {.settings = settings,
                      .report = &job_store_report,
                      .control_fd = SPAWNER_FD_CONTROL,
                      .tree_fd = -1};
    struct pj_redis_options redis =
        pj_redis_options_of(&settings->redis, settings->ca_file, "pj-job");
    struct pj_err err = {0};
    int rc = 1;

    redis.retry_ms = STORE_RETRY_MS;
    (void)signal(SIGPIPE, SIG_IGN); /* peers close when they like; write() says so */
    if (take_descriptors() < 0)
        (void)pj_fail(&err, PJ_E_INVALID, "`pj-runner job` is started by the daemon, not by hand");
    else if (read_spec(&job, &err) == 0 && pj_redis_new(&redis, &job.redis, &err) == 0)
        rc = 0;
    if (rc == 0) {
        job_begin(&job);
        rc = job_attempt(&job);
    } else {
        pj_log_err(PJ_LOG_ERROR, "job_not_started", &err, NULL, NULL);
    }
    job_close(&job);
    return rc;
}
