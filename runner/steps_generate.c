/* steps_generate.c - the repository's own set-up, then the agent in its box, then the tree as a diff. */
#include <stdlib.h>
#include <string.h>
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/store/usage.h"
#include "runner/gateway/gateway.h"
#include "runner/job.h"

#define AGENT_PATH "/opt/pj/pj-agent"
#define SETUP_TIMEOUT_MS ((int64_t)5 * 60 * 1000)
#define AGENT_LEAVES_MS 5000 /* after its end was accepted */

/* ---- set-up ---- */

static int run_setup(struct job *job, struct pj_err *err)
{
    const char *const argv[] = {"/bin/sh", "-c", job->spec.repo.setup_command, NULL};
    struct box_result result;
    struct pj_str text;
    int64_t timeout = job->spec.repo.setup_timeout_ms;
    struct job_command command = {
        .dir = workspace_tree(job->ws),
        .argv = argv,
        .timeout_ms = timeout > 0 ? timeout : SETUP_TIMEOUT_MS,
        .network = true,
    };
    int rc;

    job_log_say(job->log, PJ_EVENT_INFO, "setup: %s", job->spec.repo.setup_command);
    rc = job_run(job, &command, &result, err);
    pj_str_init(&text, 200);
    job_result_text(&result, &text);
    if (rc == 0 && (result.exit_code != 0 || result.timed_out)) {
        (void)pj_fail(err, PJ_E_INVALID, "the repository's setup command failed: %s", pj_str_cstr(&text));
        (void)pj_err_remedy(err, "see the log; hosts it needs must be in networkAllow%s%s",
                            result.net_refused != NULL && result.net_refused[0] != '\0' ? "; refused: " : "",
                            result.net_refused != NULL ? result.net_refused : "");
        rc = pj_err_code(err, "setup_failed");
    }
    pj_str_release(&text);
    box_result_release(&result);
    return rc;
}

/* ---- the gateway's call-backs ---- */

static void on_event(void *ctx, const char *stream, const char *type, const char *message, const json_t *data)
{
    struct job *job = ctx;
    int s = pj_word_index(pj_event_stream_words, stream);
    int t = pj_word_index(pj_event_type_words, type);

    job_log_event(job->log, s < 0 ? PJ_STREAM_AGENT : (enum pj_event_stream)s, t < 0 ? PJ_EVENT_INFO : (enum pj_event_type)t,
                  message, data);
}

static int on_usage(void *ctx, const struct gateway_call *call, struct pj_err *err)
{
    struct job *job = ctx;
    PJ_CLEANUP(pj_json_decrefp) json_t *price = pj_price_json(call->price);
    PJ_CLEANUP(pj_cmd_release) struct pj_cmd cmd = {0};
    PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = NULL;
    char id[PJ_ID_SIZE];
    int64_t before, after;
    struct pj_usage_call record = {
        .id = id,
        .provider = call->provider,
        .model = call->model,
        .prompt_tokens = pj_usage_prompt(&call->usage),
        .completion_tokens = call->usage.output,
        .cached_tokens = call->usage.cached,
        .cache_write_tokens = call->usage.cache_write,
        .reasoning_tokens = call->usage.reasoning,
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
    pj_usage_record_cmd(&cmd, job->spec.task.id, job->spec.epoch, job->spec.task.attempt, &record);
    if (job_ask(job, &cmd, &reply, err) < 0)
        return -1;
    return pj_usage_record_reply(reply, &before, &after, err);
}

static int on_finish(void *ctx, const char *summary, const char *no_changes_reason, char **feedback, struct pj_err *err)
{
    struct job *job = ctx;
    int rc;

    pj_str_set(&job->summary, summary);
    if (job_stage(job, PJ_STAGE_CHECKING, err) < 0 || job_collect(job, err) < 0)
        return -1;
    if (job->collected.empty) {
        if (no_changes_reason == NULL)
            job_log_say(job->log, PJ_EVENT_WARN, "the agent ended without changing a file");
        return 0;
    }
    rc = checks_run(job, feedback, err);
    if (rc == PJ_NONE && job_stage(job, PJ_STAGE_GENERATING, err) < 0)
        return -1;
    return rc;
}

/* ---- the agent ---- */

struct provider_settings {
    const char *key, *base_url, *api, *replay_file;
};

static struct gateway_provider provider(const struct runner_settings *s, const char *name, const char *model)
{
    struct gateway_provider p = {.provider = name, .model = model};

    if (name != NULL && strcmp(name, "openai") == 0) {
        p.base_url = s->openai_base_url;
        p.api = s->openai_api;
        p.api_key = s->openai_api_key;
    } else if (name != NULL && strcmp(name, "anthropic") == 0) {
        p.base_url = s->anthropic_base_url;
        p.api_key = s->anthropic_api_key;
    } else if (name != NULL) {
        p.replay_file = s->replay_file;
    }
    return p;
}

static int64_t lower(int64_t ours, int64_t theirs)
{
    return theirs >= 0 && theirs < ours ? theirs : ours;
}

static struct gateway_limits limits(const struct job *job)
{
    const struct runner_settings *s = job->settings;
    const struct pj_task_limits *t = &job->spec.task.limits;
    struct gateway_limits l = {
        .tokens = lower(s->max_task_tokens, t->tokens),
        .cost_microusd = s->max_task_cost_microusd,
        .turns = lower(s->max_task_turns, t->turns),
        .deadline_mono_ms = job->spec.deadline_mono_ms,
    };

    if (t->cost_microusd >= 0 && (l.cost_microusd < 0 || t->cost_microusd < l.cost_microusd))
        l.cost_microusd = t->cost_microusd;
    return l;
}

/* What earlier deliveries of this attempt spent. The task's sums run over all attempts, so only these count. */
static int spent(struct job *job, struct gateway_spent *out, struct pj_err *err)
{
    PJ_CLEANUP(pj_cmd_release) struct pj_cmd cmd = {0};
    PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = NULL;
    PJ_CLEANUP(pj_json_decrefp) json_t *calls = NULL;
    size_t i;
    const json_t *call;

    if (job->spec.deliveries <= 1)
        return 0;
    pj_usage_list_cmd(&cmd, job->spec.task.id);
    if (job_ask(job, &cmd, &reply, err) < 0 || pj_usage_list_reply(reply, &calls, err) < 0)
        return -1;
    json_array_foreach(calls, i, call) {
        if (pj_json_i64(call, "attempt", 0) != job->spec.task.attempt)
            continue;
        out->tokens += pj_json_i64(call, "promptTokens", 0) + pj_json_i64(call, "completionTokens", 0);
        out->cost_microusd += (int64_t)(json_number_value(json_object_get(call, "costUsd")) * 1e6);
        if (pj_json_i64(call, "turn", 0) > out->turns)
            out->turns = pj_json_i64(call, "turn", 0);
    }
    return 0;
}

static int configure(struct job *job, const char *socket_path, const json_t *analysis, struct gateway_config *out,
                     struct pj_err *err)
{
    const struct runner_settings *s = job->settings;
    const struct pj_task *task = &job->spec.task;
    bool own = task->model.provider != NULL;

    *out = (struct gateway_config){
        .socket_path = socket_path,
        .primary = provider(s, own ? task->model.provider : s->model_provider, own ? task->model.name : s->model_name),
        .fallback = provider(s, s->model_fallback_provider, s->model_fallback_name),
        .prices = job->prices,
        .limits = limits(job),
        .llm_timeout_ms = s->llm_timeout_ms,
        .retry_base_ms = s->retry_base_ms,
        .token_alert = s->token_alert,
        .ca_file = s->ca_file,
        .redact = s->redact,
        .task =
            {
                .id = task->id,
                .title = task->title,
                .description = task->description,
                .question = task->question,
                .answer = task->answer,
                .feedback = task->feedback,
                .check_command = job->spec.repo.check_command,
                .analysis_summary = pj_json_str(analysis, "summary", NULL),
                .findings = json_object_get(analysis, "findings"),
            },
        .hooks = {.ctx = job, .event = on_event, .usage = on_usage, .finish = on_finish},
    };
    job->is_replay = out->primary.provider != NULL && strcmp(out->primary.provider, "replay") == 0;
    return spent(job, &out->spent, err);
}

static void agent_output(void *ctx, bool error, struct pj_view bytes)
{
    struct job *job = ctx;
    enum pj_event_stream stream = error ? PJ_STREAM_STDERR : PJ_STREAM_STDOUT;

    if (bytes.n == 0)
        job_log_output_end(job->log, stream);
    else
        job_log_output(job->log, stream, bytes);
}

static int start_agent(struct job *job, const char *socket_path, struct box *box, struct pj_err *err)
{
    PJ_CLEANUP(pj_freep) char *at = pj_asprintf("127.0.0.1:%d", JOB_GATEWAY_PORT);
    const char *const argv[] = {AGENT_PATH, "--gateway", at, NULL};
    struct box_spec spec;

    job_box_spec(job, &spec);
    spec.workspace = workspace_tree(job->ws);
    spec.gateway_socket = socket_path;
    spec.gateway_port = JOB_GATEWAY_PORT;
    spec.binds[0] = (struct box_bind){job->agent_program, AGENT_PATH};
    spec.bind_count = 1;
    spec.argv = argv;
    if (job->spec.repo.agent_network)
        spec.net_allow = (const char *const *)job->spec.repo.network_allow;
    spec.output = agent_output;
    spec.ctx = job;
    if (box_start(&spec, box, err) < 0)
        return -1;
    return job_add_box(job, box, err);
}

/* The connection ended before the agent said why: the box knows. */
static int explain_lost(struct job *job, struct box *box, struct pj_err *err)
{
    struct box_result result = {0};
    struct pj_str text;
    struct pj_err why = {0};
    int rc;

    if (job_wait_box(job, box, &why) < 0 || box_result_get(box, &result, &why) < 0 || job_box_failed(&result, &why) < 0) {
        *err = why;
        box_result_release(&result);
        return -1;
    }
    pj_str_init(&text, 200);
    job_result_text(&result, &text);
    rc = pj_fail(err, PJ_E_INTERNAL, "the agent ended early: %s", pj_str_cstr(&text));
    (void)pj_err_code(err, "model_protocol");
    pj_str_release(&text);
    box_result_release(&result);
    return rc;
}

/* After its end was accepted the agent leaves by itself. */
static void let_leave(struct job *job, struct box *box, bool accepted)
{
    struct box_result result = {0};
    struct pj_err err;

    job_end_box(job, box, accepted ? AGENT_LEAVES_MS : 0);
    if (box_result_get(box, &result, &err) == 0 && result.net_refused != NULL && result.net_refused[0] != '\0') {
        job_log_say(job->log, PJ_EVENT_WARN, "the box was refused: %s", result.net_refused);
        pj_str_set(&job->net_refused, result.net_refused);
    }
    box_result_release(&result);
}

static int end_of(struct job *job, const struct gateway_result *result, struct pj_err *err)
{
    switch (result->end) {
    case GATEWAY_FINISHED:
        return 0;
    case GATEWAY_NO_CHANGES:
        if (!job->has_collected || job->collected.empty) {
            (void)pj_fail(err, PJ_E_INVALID, "%s",
                          result->no_changes_reason != NULL ? result->no_changes_reason : "the agent found nothing to change");
            return pj_err_code(err, "no_changes");
        }
        return 0;
    case GATEWAY_ASKED:
        pj_str_set(&job->question, result->question);
        (void)pj_fail(err, PJ_E_INVALID, "the agent asks for more details");
        return pj_err_code(err, "needs_clarification");
    }
    return 0;
}

/* The task shows what really ran. Only of a run that came to its end: after another, a retry is to follow the settings of then. */
static int note_model(struct job *job, const struct gateway_result *result, struct pj_err *err)
{
    const struct pj_lease_note note = {.provider = result->provider, .model = result->model};

    return job->spec.task.model.provider != NULL ? 0 : job_note(job, &note, err);
}

static int serve_agent(struct job *job, const struct gateway_config *config, struct pj_err *err)
{
    PJ_CLEANUP(gateway_freep) struct gateway *gw = NULL;
    struct gateway_result result = {0};
    struct box box = {0};
    int rc;

    if (gateway_open(config, &gw, err) < 0)
        return -1;
    rc = start_agent(job, config->socket_path, &box, err);
    if (rc == 0) {
        bool served;

        job->agent_box = &box;
        rc = gateway_serve(gw, &job->pump, &result, err);
        job->agent_box = NULL;
        served = rc == 0;
        job->used.turns = result.turns;
        job->used.cost_microusd = result.cost_microusd;
        if (rc < 0 && result.upstream_message != NULL)
            pj_outcome_upstream(&job->outcome, result.upstream_status, result.upstream_message, result.upstream_request_id);
        if (rc < 0 && strcmp(err->code, "agent_lost") == 0)
            rc = explain_lost(job, &box, err);
        else if (rc == 0)
            rc = note_model(job, &result, err);
        if (rc == 0)
            rc = end_of(job, &result, err);
        let_leave(job, &box, served);
        box_release(&box);
    }
    gateway_result_release(&result);
    return rc;
}

/* What the collector left out of the change, and why. */
static void say_left_out(struct job *job)
{
    const struct collect_result *c = &job->collected;

    for (size_t i = 0; i < c->note_count; i++)
        job_log_say(job->log, PJ_EVENT_WARN, "left out: %s: %s", c->notes[i].path, c->notes[i].why);
    if (c->notes_dropped > 0)
        job_log_say(job->log, PJ_EVENT_WARN, "left out: %zu more", c->notes_dropped);
}

int step_generate(struct job *job, struct pj_err *err)
{
    PJ_CLEANUP(pj_json_decrefp) json_t *analysis = NULL;
    PJ_CLEANUP(pj_freep) char *socket_path = pj_asprintf("%s/gateway", workspace_dir(job->ws));
    struct gateway_config config;

    if (job->spec.task.mode != NULL)
        return 0; /* the kept patch is published as it is */
    if (job->spec.repo.setup_command != NULL &&
        (run_setup(job, err) < 0 || collect_baseline_take(job->ws, -1, NULL, &job->baseline, err) < 0))
        return -1;
    if (job_analysis(job, &analysis, err) < 0 || configure(job, socket_path, analysis, &config, err) < 0 ||
        serve_agent(job, &config, err) < 0)
        return -1;
    /* The box is dead now: what counts is what it left, and that is what must have been checked. */
    if (job_collect(job, err) < 0)
        return -1;
    say_left_out(job);
    if (!job->collected.empty && strcmp(job->checked_tree, job->collected.tree_sha) != 0 && checks_run(job, NULL, err) < 0)
        return -1;
    if (job->collected.empty) {
        (void)pj_fail(err, PJ_E_INVALID, "the agent ended without changing a file");
        return pj_err_code(err, "no_changes");
    }
    return 0;
}

int job_collect(struct job *job, struct pj_err *err)
{
    struct collect_result fresh = {0};

    if (collect_run(job->ws, -1, job->baseline, NULL, &fresh, err) < 0) {
        collect_result_release(&fresh);
        return -1;
    }
    if (job->has_collected)
        collect_result_release(&job->collected);
    job->collected = fresh;
    job->has_collected = true;
    return 0;
}
