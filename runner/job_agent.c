/* job_agent.c - one run of the agent: the gateway's configuration, its box, and what to make of its end. */
#include <stdlib.h>
#include <string.h>
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "runner/job.h"

#define AGENT_PATH "/opt/pj/pj-agent"
#define AGENT_LEAVES_MS 5000 /* after its end was accepted */
#define ANY_KEY "held-by-the-gateway"

static struct gateway_provider provider(const struct runner_settings *s, const char *name,
                                        const char *model)
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
    PJ_CLEANUP(pj_json_decrefp) json_t *calls = NULL;
    size_t i;
    const json_t *call;

    if (job->spec.deliveries <= 1)
        return 0;
    if (job->report->usage_list(job, &calls, err) < 0)
        return -1;
    json_array_foreach(calls, i, call)
    {
        if (pj_json_i64(call, "attempt", 0) != job->spec.task.attempt)
            continue;
        out->tokens +=
            pj_json_i64(call, "promptTokens", 0) + pj_json_i64(call, "completionTokens", 0);
        out->cost_microusd += (int64_t)(json_number_value(json_object_get(call, "costUsd")) * 1e6);
        if (pj_json_i64(call, "turn", 0) > out->turns)
            out->turns = pj_json_i64(call, "turn", 0);
    }
    return 0;
}

static int configure(struct job *job, const char *socket_path, const json_t *analysis,
                     struct gateway_config *out, struct pj_err *err)
{
    const struct runner_settings *s = job->settings;
    const struct pj_task *task = &job->spec.task;
    bool own = task->model.provider != NULL;

    *out = (struct gateway_config){
        .socket_path = socket_path,
        .primary = provider(s, own ? task->model.provider : s->model_provider,
                            own ? task->model.name : s->model_name),
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
    };
    job_hooks(job, &out->hooks);
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

static int start_agent(struct job *job, const char *socket_path, struct box *box,
                       struct pj_err *err)
{
    PJ_CLEANUP(pj_freep) char *at = pj_asprintf("127.0.0.1:%d", JOB_GATEWAY_PORT);
    PJ_CLEANUP(pj_freep) char *openai = pj_asprintf("OPENAI_BASE_URL=http://%s/v1", at);
    PJ_CLEANUP(pj_freep) char *anthropic = pj_asprintf("ANTHROPIC_BASE_URL=http://%s", at);
    PJ_CLEANUP(pj_freep) char *title = pj_asprintf("PJ_TASK_TITLE=%s", job->spec.task.title);
    PJ_CLEANUP(pj_freep)
    char *description = pj_asprintf("PJ_TASK_DESCRIPTION=%s", job->spec.task.description);
    const char *const argv[] = {AGENT_PATH, "--gateway", at, NULL};
    const char *const env[] = {
        openai,      anthropic, "OPENAI_API_KEY=" ANY_KEY, "ANTHROPIC_API_KEY=" ANY_KEY, title,
        description, NULL};
    struct box_spec spec;

    job_box_spec(job, &spec);
    job_box_tree(job, &spec);
    spec.gateway_socket = socket_path;
    spec.gateway_port = JOB_GATEWAY_PORT;
    spec.binds[0] = (struct box_bind){job->agent_program, AGENT_PATH};
    spec.bind_count = 1;
    spec.argv = argv;
    if (job->foreign) {
        spec.argv = (const char *const *)job->spec.repo.agent;
        spec.env = env;
    }
    if (job->spec.repo.agent_network)
        spec.net_allow = (const char *const *)job->spec.repo.network_allow;
    spec.output = agent_output;
    spec.ctx = job;
    if (box_start(&spec, box, err) < 0)
        return -1;
    return job_add_box(job, &spec, box, err);
}

/* The connection ended before the agent said why: the box knows. */
static int explain_lost(struct job *job, struct box *box, struct pj_err *err)
{
    struct box_result result = {0};
    struct pj_str text;
    struct pj_err why = {0};
    int rc;

    if (job_wait_box(job, box, &why) < 0 || box_result_get(box, &result, &why) < 0 ||
        job_box_failed(&result, &why) < 0) {
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
    bool told = box_result_get(box, &result, &err) == 0;
    if (told && result.isolation != NULL)
        job_log_mark(job->log, "isolation", result.isolation);
    if (told && result.net_refused != NULL && result.net_refused[0] != '\0') {
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
                          result->no_changes_reason != NULL ? result->no_changes_reason
                                                            : "the agent found nothing to change");
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

/* The task shows what really ran; a retry follows the task's choice, or the settings of then, all the same. */
static int note_model(struct job *job, const struct gateway_result *result, struct pj_err *err)
{
    const struct pj_lease_note note = {.provider = result->provider, .model = result->model};

    return job->report->note(job, &note, err);
}

/* Its files outgrew their bound: a person decides what is made of them. */
static int stopped(const struct box *box, struct pj_err *err)
{
    (void)pj_fail(err, PJ_E_FORBIDDEN, "the agent was stopped: %s", box->stopped);
    (void)pj_err_remedy(err,
                        "look at the patch, retry the task with feedback, or raise %s on the "
                        "runner",
                        strstr(box->stopped, "PJ_TASK_FILES") != NULL ? "PJ_TASK_FILES"
                                                                      : "PJ_TASK_DISK");
    return pj_err_code(err, "patch_policy");
}

static int serve(struct job *job, const struct gateway_config *config, struct pj_err *err)
{
    PJ_CLEANUP(gateway_freep) struct gateway *gw = NULL;
    struct gateway_result result = {0};
    struct box box = {0};
    struct pj_err no_tree;
    int rc;

    if (gateway_open(config, &gw, err) < 0)
        return -1;
    rc = start_agent(job, config->socket_path, &box, err);
    if (rc == 0) {
        bool served;

        job->agent_box = &box;
        rc = job->foreign ? gateway_serve_foreign(gw, &job->pump, &result, err)
                          : gateway_serve(gw, &job->pump, &result, err);
        job->agent_box = NULL;
        served = rc == 0;
        job->used.turns = result.turns;
        job->used.cost_microusd = result.cost_microusd;
        if (rc < 0 && result.upstream_message != NULL)
            pj_outcome_upstream(&job->outcome, result.upstream_status, result.upstream_message,
                                result.upstream_request_id);
        if (box.stopped[0] != '\0' && job->stop.cls == PJ_E_OK)
            rc = stopped(&box, err);
        else if (rc < 0 && strcmp(err->code, "agent_lost") == 0)
            rc = explain_lost(job, &box, err);
        else if (rc == 0)
            rc = note_model(job, &result, err);
        if (rc == 0)
            rc = end_of(job, &result, err);
        let_leave(job, &box, served);
        if (rc == 0)
            rc = job_take_tree(job, &box, err);
        else if (job_take_tree(job, &box, &no_tree) < 0)
            pj_log_err(PJ_LOG_WARN, "tree_lost", &no_tree, "taskId", job->spec.task.id);
        box_release(&box);
    }
    job_flush_trajectory(job);
    gateway_result_release(&result);
    return rc;
}

int job_agent(struct job *job, const json_t *analysis, struct pj_err *err)
{
    PJ_CLEANUP(pj_freep) char *socket_path = pj_asprintf("%s/gateway", workspace_dir(job->ws));
    struct gateway_config config;

    job->foreign = job->spec.repo.agent != NULL && job->spec.repo.agent[0] != NULL;
    if (configure(job, socket_path, analysis, &config, err) < 0)
        return -1;
    return serve(job, &config, err);
}
