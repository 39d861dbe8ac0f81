#include "lib/task/task.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "lib/base/mem.h"

#define AT(member) offsetof(struct pj_task, member)
#define LIMIT(member) offsetof(struct pj_task_limits, member)
#define MODEL(member) offsetof(struct pj_task_model, member)
#define UPSTREAM(member) offsetof(struct pj_task_upstream, member)
#define ERROR(member) offsetof(struct pj_task_error, member)
#define PR(member) offsetof(struct pj_task_pr, member)
#define USAGE(member) offsetof(struct pj_task_usage, member)
#define SUB(table) .sub = table, .sub_count = PJ_COUNT_OF(table)
#define DAY_MS (24 * 3600 * INT64_C(1000))

const struct pj_field pj_task_limits_fields[] = {
    {"timeoutMs", PJ_F_INT, LIMIT(timeout_ms), PJ_FF_NULL_NEG, 1, DAY_MS},
    {"tokens", PJ_F_INT, LIMIT(tokens), PJ_FF_NULL_NEG, 1, INT64_C(1000000000)},
    {"costUsd", PJ_F_MONEY, LIMIT(cost_microusd)},
    {"turns", PJ_F_INT, LIMIT(turns), PJ_FF_NULL_NEG, 1, 10000},
};
const size_t pj_task_limits_field_count = PJ_COUNT_OF(pj_task_limits_fields);

const struct pj_field pj_task_model_fields[] = {
    {"provider", PJ_F_STR, MODEL(provider), 0, 1, 40},
    {"name", PJ_F_STR, MODEL(name), 0, 1, 200},
};
const size_t pj_task_model_field_count = PJ_COUNT_OF(pj_task_model_fields);

static const struct pj_field upstream_fields[] = {
    {"status", PJ_F_INT, UPSTREAM(status), PJ_FF_NULL_ZERO},
    {"message", PJ_F_STR, UPSTREAM(message)},
    {"requestId", PJ_F_STR, UPSTREAM(request_id)},
};

const struct pj_field pj_task_error_fields[] = {
    {"code", PJ_F_STR, ERROR(code)},
    {"title", PJ_F_STR, ERROR(title)},
    {"detail", PJ_F_STR, ERROR(detail)},
    {"remedy", PJ_F_STR, ERROR(remedy)},
    {"retryable", PJ_F_BOOL, ERROR(retryable)},
    {"upstream", PJ_F_OBJ, ERROR(upstream), SUB(upstream_fields)},
};

static const struct pj_field pr_fields[] = {
    {"number", PJ_F_INT, PR(number), PJ_FF_NULL_ZERO},
    {"url", PJ_F_STR, PR(url)},
    {"state", PJ_F_STR, PR(state)},
};

static const struct pj_field usage_fields[] = {
    {"promptTokens", PJ_F_INT, USAGE(prompt_tokens)},
    {"completionTokens", PJ_F_INT, USAGE(completion_tokens)},
    {"cachedTokens", PJ_F_INT, USAGE(cached_tokens)},
    {"cacheWriteTokens", PJ_F_INT, USAGE(cache_write_tokens)},
    {"reasoningTokens", PJ_F_INT, USAGE(reasoning_tokens)},
    {"totalTokens", PJ_F_INT, USAGE(total_tokens)},
    {"costUsd", PJ_F_MONEY, USAGE(cost_microusd)},
};

/* The order is the contract's. What follows the first SHOWN rows is for daemons only. */
#define SHOWN 31
static const struct pj_field task_fields[] = {
    {"id", PJ_F_STR, AT(id)},
    {"repositoryId", PJ_F_STR, AT(repository_id)},
    {"owner", PJ_F_STR, AT(owner)},
    {"title", PJ_F_STR, AT(title)},
    {"description", PJ_F_STR, AT(description)},
    {"status", PJ_F_WORD, AT(status), .words = pj_task_status_words},
    {"stage", PJ_F_WORD, AT(stage), .words = pj_task_stage_words},
    {"executor", PJ_F_WORD, AT(executor), .words = pj_task_executor_words},
    {"priority", PJ_F_WORD, AT(priority), .words = pj_task_priority_words},
    {"attempt", PJ_F_INT, AT(attempt)},
    {"model", PJ_F_OBJ, AT(model), SUB(pj_task_model_fields)},
    {"baseBranch", PJ_F_STR, AT(base_branch)},
    {"branch", PJ_F_STR, AT(branch)},
    {"prUrl", PJ_F_STR, AT(pr_url)},
    {"pr", PJ_F_OBJ, AT(pr), SUB(pr_fields)},
    {"baseSha", PJ_F_STR, AT(base_sha)},
    {"commitSha", PJ_F_STR, AT(commit_sha)},
    {"runner", PJ_F_STR, AT(runner)},
    {"question", PJ_F_STR, AT(question)},
    {"answer", PJ_F_STR, AT(answer)},
    {"feedback", PJ_F_STR, AT(feedback)},
    {"error", PJ_F_OBJ, AT(error), SUB(pj_task_error_fields)},
    {"checks", PJ_F_JSON, AT(checks)},
    {"usage", PJ_F_OBJ, AT(usage), SUB(usage_fields)},
    {"limits", PJ_F_OBJ, AT(limits), SUB(pj_task_limits_fields)},
    {"source", PJ_F_JSON, AT(source)},
    {"createdAt", PJ_F_TIME, AT(created_ms)},
    {"executedAt", PJ_F_TIME, AT(executed_ms)},
    {"startedAt", PJ_F_TIME, AT(started_ms)},
    {"finishedAt", PJ_F_TIME, AT(finished_ms)},
    {"updatedAt", PJ_F_TIME, AT(updated_ms)},
    {"ran", PJ_F_OBJ, AT(ran), SUB(pj_task_model_fields)},
    {"epoch", PJ_F_INT, AT(epoch)},
    {"deliveries", PJ_F_INT, AT(deliveries)},
    {"loggedN", PJ_F_INT, AT(logged_n)},
    {"leased", PJ_F_INT, AT(leased)},
    {"cancelMs", PJ_F_INT, AT(cancel_ms)},
    {"logsGone", PJ_F_INT, AT(logs_gone)},
    {"hasPatch", PJ_F_INT, AT(has_patch)},
    {"timeoutDefaultMs", PJ_F_INT, AT(timeout_default_ms)},
    {"runId", PJ_F_INT, AT(run_id)},
    {"runFloor", PJ_F_INT, AT(run_floor)},
    {"mode", PJ_F_STR, AT(mode)},
    {"tips", PJ_F_STR, AT(tips)},
    {"rejects", PJ_F_JSON, AT(rejects)},
};

static const struct pj_field status_fields[] = {
    {"id", PJ_F_STR, AT(id)},
    {"status", PJ_F_WORD, AT(status), .words = pj_task_status_words},
    {"stage", PJ_F_WORD, AT(stage), .words = pj_task_stage_words},
    {"attempt", PJ_F_INT, AT(attempt)},
    {"updatedAt", PJ_F_TIME, AT(updated_ms)},
};

void pj_task_init(struct pj_task *task)
{
    *task =
        (struct pj_task){.stage = -1, .executor = -1, .priority = PJ_PRIORITY_NORMAL, .attempt = 1};
    task->usage.cost_microusd = -1;
    task->limits = (struct pj_task_limits){-1, -1, -1, -1};
}

void pj_task_release(struct pj_task *task)
{
    pj_json_release(task_fields, PJ_COUNT_OF(task_fields), task);
    pj_task_init(task);
}

void pj_task_free(struct pj_task *task)
{
    if (!task)
        return;
    pj_task_release(task);
    free(task);
}

void pj_task_freep(struct pj_task **task)
{
    pj_task_free(*task);
    *task = NULL;
}

const char *pj_task_branch(const char *task_id, char out[PJ_TASK_BRANCH_SIZE])
{
    (void)snprintf(out, PJ_TASK_BRANCH_SIZE, "pj/%.40s", task_id);
    return out;
}

static void put_link(json_t *links, const char *name, const char *fmt, const char *id)
{
    PJ_CLEANUP(pj_freep)
    char *path = pj_asprintf("/api/v1/%s/%s%s",
                             strcmp(name, "repository") == 0 ? "repositories" : "tasks", id, fmt);

    (void)json_object_set_new(links, name, json_string(path));
}

static json_t *links_of(const struct pj_task *task)
{
    json_t *links = json_object();

    put_link(links, "self", "", task->id);
    put_link(links, "repository", "", task->repository_id);
    put_link(links, "logs", "/logs", task->id);
    put_link(links, "stream", "/logs/stream", task->id);
    put_link(links, "usage", "/usage", task->id);
    put_link(links, "trajectory", "/trajectory", task->id);
    if (task->has_patch)
        put_link(links, "patch", "/patch", task->id);
    return links;
}

/* Objects whose every part is absent are null themselves. */
static void null_absent(const struct pj_task *task, json_t *doc)
{
    if (!task->model.provider && !task->model.name)
        (void)json_object_set_new(doc, "model", json_null());
    if (!task->pr.url)
        (void)json_object_set_new(doc, "pr", json_null());
    if (!task->error.code)
        (void)json_object_set_new(doc, "error", json_null());
    else if (!task->error.upstream.status && !task->error.upstream.message)
        (void)json_object_set_new(json_object_get(doc, "error"), "upstream", json_null());
}

json_t *pj_task_json(const struct pj_task *task)
{
    json_t *doc = pj_json_encode(task_fields, SHOWN, task);

    null_absent(task, doc);
    if ((!task->model.provider || !task->model.name) && task->ran.provider)
        (void)json_object_set_new(
            doc, "model",
            pj_json_encode(pj_task_model_fields, pj_task_model_field_count, &task->ran));
    if (!task->checks)
        (void)json_object_set_new(doc, "checks", json_array());
    (void)json_object_set_new(doc, "links", links_of(task));
    return doc;
}

json_t *pj_task_wire(const struct pj_task *task)
{
    json_t *doc = pj_json_encode(task_fields, PJ_COUNT_OF(task_fields), task);

    null_absent(task, doc);
    return doc;
}

int pj_task_from_wire(const json_t *doc, struct pj_task *out, struct pj_err *err)
{
    struct pj_task task;

    pj_task_init(&task);
    if (pj_json_decode(doc, task_fields, PJ_COUNT_OF(task_fields), &task, NULL, err) < 0) {
        pj_task_release(&task);
        return pj_err_wrap(err, "task");
    }
    *out = task;
    return 0;
}

json_t *pj_task_status_json(const struct pj_task *task)
{
    return pj_json_encode(status_fields, PJ_COUNT_OF(status_fields), task);
}
