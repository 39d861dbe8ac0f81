/* job_hooks.c - what the gateway tells the job while it serves the agent: entries, model calls, ends to be judged. */
#include <stdlib.h>
#include <string.h>
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "runner/job.h"
#include "runner/publish.h"

#define TRAJECTORY_STORED_MAX ((int64_t)32 << 20) /* lib/store/lua/lease_text.1.lua */
#define TRAJECTORY_BATCH ((size_t)32 * 1024)
#define DIFF_ROUNDS_MAX 3
#define REJECTS_MAX ((size_t)8 * 1024)

static void on_event(void *ctx, const char *stream, const char *type, const char *message,
                     const json_t *data)
{
    struct job *job = ctx;
    int s = pj_word_index(pj_event_stream_words, stream);
    int t = pj_word_index(pj_event_type_words, type);

    job_log_event(job->log, s < 0 ? PJ_STREAM_AGENT : (enum pj_event_stream)s,
                  t < 0 ? PJ_EVENT_INFO : (enum pj_event_type)t, message, data);
}

static int on_usage(void *ctx, const struct gateway_call *call, struct pj_err *err)
{
    struct job *job = ctx;
    PJ_CLEANUP(pj_json_decrefp) json_t *price = pj_price_json(call->price);
    char id[PJ_ID_SIZE];
    struct pj_usage_call record = {
        .id = id,
        .provider = call->provider,
        .model = call->model,
        .prompt_tokens = pj_usage_prompt(&call->usage),
        .completion_tokens = call->usage.output,
        .cached_tokens = call->usage.cached,
        .cache_write_tokens = call->usage.cache_write,
        .reasoning_tokens = call->usage.reasoning,
        .estimated = call->usage.estimated,
        .cost_microusd = call->cost_microusd,
        .price = price,
        .duration_ms = call->duration_ms,
        .turn = call->turn,
        .purpose = "agent",
        .request_id = call->request_id,
    };

    pj_id_new(0, id);
    job->used.prompt_tokens += record.prompt_tokens;
    job->used.completion_tokens += record.completion_tokens;
    job->used.cached_tokens += record.cached_tokens;
    pj_str_set(&job->used.provider, call->provider);
    pj_str_set(&job->used.model, call->model);
    return job->report->usage(job, &record, err);
}

void job_flush_trajectory(struct job *job)
{
    struct pj_err err;

    job->trajectory_sent += (int64_t)job->trajectory.len;
    /* Nothing depends on it but a later look at what the model did. What the store would not keep is not sent. */
    if (job->trajectory.len > 0 && job->trajectory_sent <= TRAJECTORY_STORED_MAX &&
        job->report->trajectory != NULL &&
        job->report->trajectory(job, pj_view_n(job->trajectory.data, job->trajectory.len), &err) <
            0)
        pj_log_err(PJ_LOG_WARN, "trajectory_not_kept", &err, "taskId", job->spec.task.id);
    pj_str_clear(&job->trajectory);
}

static void on_trajectory(void *ctx, const char *line)
{
    struct job *job = ctx;

    if (pj_str_puts(&job->trajectory, line) < 0 || pj_str_putc(&job->trajectory, '\n') < 0)
        pj_str_clear(&job->trajectory);
    if (job->trajectory.len >= TRAJECTORY_BATCH)
        job_flush_trajectory(job);
}

/* Checks of what was collected; the agent is sent back with what they say. */
static int judge(struct job *job, char **feedback, struct pj_err *err)
{
    int rc = checks_run(job, feedback, err);

    if (rc == PJ_NONE && job_stage(job, PJ_STAGE_GENERATING, err) < 0)
        return -1;
    return rc;
}

static int on_finish(void *ctx, const char *summary, const char *no_changes_reason, char **feedback,
                     struct pj_err *err)
{
    struct job *job = ctx;

    pj_str_set(&job->summary, summary);
    if (job_stage(job, PJ_STAGE_CHECKING, err) < 0 || job_collect(job, err) < 0)
        return -1;
    if (job->collected.empty) {
        if (no_changes_reason == NULL)
            job_log_say(job->log, PJ_EVENT_WARN, "the agent ended without changing a file");
        return 0;
    }
    return judge(job, feedback, err);
}

/* ---- a model that answers with a diff ---- */

/* What did not fit, hunk by hunk. */
static char *rejects_text(const struct workspace *ws, const struct pj_err *err)
{
    const struct patch_rejects *rejects = publish_rejects(ws);
    struct pj_str out;
    char *text;

    pj_str_init(&out, REJECTS_MAX);
    (void)pj_str_putf(&out, "The diff cannot be taken: %s.\n", err->message);
    for (size_t i = 0; i < rejects->count && i < PATCH_REJECTS_MAX; i++) {
        const struct patch_reject *r = &rejects->item[i];
        if (r->number > 0)
            (void)pj_str_putf(&out, "- %s, hunk %zu: %s\n", r->path, r->number, r->why);
        else
            (void)pj_str_putf(&out, "- %s %s\n", r->path, r->why);
    }
    (void)pj_str_puts(&out, "Answer with the whole diff again, corrected.");
    text = pj_str_take(&out);
    pj_str_release(&out);
    return text;
}

/* The diff as if it had been collected: the tree it makes, and its size. */
static int take_diff(struct job *job, const char *diff, struct pj_err *err)
{
    PJ_CLEANUP(patch_freep) struct patch *patch = NULL;
    struct collect_result fresh = {0};
    struct pj_view text = pj_view_of(diff);
    int rc = patch_parse(text, NULL, &patch, err);

    if (rc == PJ_NONE) {
        (void)pj_fail(err, PJ_E_INVALID, "it holds no change");
        return pj_err_code(err, "patch_malformed");
    }
    if (rc < 0 || job_apply(job, text, NULL, fresh.tree_sha, err) < 0)
        return -1;
    pj_str_init(&fresh.diff, COLLECT_DIFF_MAX);
    (void)pj_str_append(&fresh.diff, text.p, text.n);
    fresh.files = patch->file_count;
    fresh.added = patch->added;
    fresh.removed = patch->removed;
    if (job->has_collected)
        collect_result_release(&job->collected);
    job->collected = fresh;
    job->has_collected = job->from_diff = true;
    return 0;
}

static int on_diff(void *ctx, const char *diff, const char *summary, char **feedback,
                   struct pj_err *err)
{
    struct job *job = ctx;

    pj_str_set(&job->summary, summary);
    pj_str_set(&job->last_diff, diff);
    if (job_stage(job, PJ_STAGE_CHECKING, err) < 0)
        return -1;
    if (take_diff(job, diff, err) < 0) {
        bool correctable =
            strcmp(err->code, "patch_malformed") == 0 || strcmp(err->code, "patch_conflict") == 0;

        if (!correctable || job->diff_rounds >= DIFF_ROUNDS_MAX)
            return -1;
        job->diff_rounds++;
        job_log_say(job->log, PJ_EVENT_PATCH, "%s: %s; back to the model, round %d of %d",
                    err->code, err->message, job->diff_rounds, DIFF_ROUNDS_MAX);
        *feedback = rejects_text(job->ws, err);
        return job_stage(job, PJ_STAGE_GENERATING, err) < 0 ? -1 : PJ_NONE;
    }
    return judge(job, feedback, err);
}

static bool on_busy(void *ctx)
{
    const struct job *job = ctx;

    return job_log_is_full(job->log);
}

static bool on_over(void *ctx)
{
    const struct job *job = ctx;

    return job->agent_box != NULL && box_is_over(job->agent_box);
}

void job_hooks(struct job *job, struct gateway_hooks *hooks)
{
    *hooks = (struct gateway_hooks){
        .ctx = job,
        .event = on_event,
        .trajectory = on_trajectory,
        .usage = on_usage,
        .finish = on_finish,
        .diff = on_diff,
        .busy = on_busy,
        .over = on_over,
    };
}
