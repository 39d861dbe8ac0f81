#include "lib/store/task_hash.h"

#include <stdlib.h>
#include <string.h>
#include "lib/base/mem.h"

enum kind {
    STR,
    INT, /* absent: as pj_task_init() leaves it */
    WORD,
    BOOL,
    JSON,
};

struct row {
    const char *name;
    enum kind kind;
    size_t offset;
    const char *const *words;
    enum { KEEP, GIVEN, LIMITS, ERROR } group; /* what the putters write */
};

#define AT(member) offsetof(struct pj_task, member)
/* Sorted by name: found by bisection. */
static const struct row rows[] = {
    {"answer", STR, AT(answer)},
    {"attempt", INT, AT(attempt)},
    {"baseBranch", STR, AT(base_branch), NULL, GIVEN},
    {"baseSha", STR, AT(base_sha)},
    {"branch", STR, AT(branch)},
    {"cancel", INT, AT(cancel_ms)},
    {"checks", JSON, AT(checks)},
    {"commitSha", STR, AT(commit_sha)},
    {"created", INT, AT(created_ms)},
    {"dTimeout", INT, AT(timeout_default_ms)},
    {"deliveries", INT, AT(deliveries)},
    {"desc", STR, AT(description), NULL, GIVEN},
    {"epoch", INT, AT(epoch)},
    {"errCode", STR, AT(error.code), NULL, ERROR},
    {"errDetail", STR, AT(error.detail), NULL, ERROR},
    {"errRemedy", STR, AT(error.remedy), NULL, ERROR},
    {"errRetry", BOOL, AT(error.retryable), NULL, ERROR},
    {"errTitle", STR, AT(error.title), NULL, ERROR},
    {"executed", INT, AT(executed_ms)},
    {"executor", WORD, AT(executor), pj_task_executor_words, GIVEN},
    {"feedback", STR, AT(feedback)},
    {"finished", INT, AT(finished_ms)},
    {"hasPatch", INT, AT(has_patch)},
    {"id", STR, AT(id)},
    {"lCost", INT, AT(limits.cost_microusd), NULL, LIMITS},
    {"lTimeout", INT, AT(limits.timeout_ms), NULL, LIMITS},
    {"lTokens", INT, AT(limits.tokens), NULL, LIMITS},
    {"lTurns", INT, AT(limits.turns), NULL, LIMITS},
    {"logsGone", INT, AT(logs_gone)},
    {"mode", STR, AT(mode)},
    {"model", STR, AT(model.name), NULL, GIVEN},
    {"n", INT, AT(logged_n)},
    {"owner", STR, AT(owner)},
    {"prNumber", INT, AT(pr.number)},
    {"prState", STR, AT(pr.state)},
    {"prUrl", STR, AT(pr_url)},
    {"priority", WORD, AT(priority), pj_task_priority_words, GIVEN},
    {"provider", STR, AT(model.provider), NULL, GIVEN},
    {"question", STR, AT(question)},
    {"ranModel", STR, AT(ran.name)},
    {"ranProvider", STR, AT(ran.provider)},
    {"repo", STR, AT(repository_id)},
    {"runFloor", INT, AT(run_floor)},
    {"runId", INT, AT(run_id)},
    {"runner", STR, AT(runner)},
    {"source", JSON, AT(source), NULL, GIVEN},
    {"stage", WORD, AT(stage), pj_task_stage_words},
    {"started", INT, AT(started_ms)},
    {"status", WORD, AT(status), pj_task_status_words},
    {"title", STR, AT(title), NULL, GIVEN},
    {"uCacheWrite", INT, AT(usage.cache_write_tokens)},
    {"uCached", INT, AT(usage.cached_tokens)},
    {"uCompletion", INT, AT(usage.completion_tokens)},
    {"uCost", INT, AT(usage.cost_microusd)},
    {"uPrompt", INT, AT(usage.prompt_tokens)},
    {"uReasoning", INT, AT(usage.reasoning_tokens)},
    {"uTotal", INT, AT(usage.total_tokens)},
    {"upMessage", STR, AT(error.upstream.message), NULL, ERROR},
    {"upRequest", STR, AT(error.upstream.request_id), NULL, ERROR},
    {"upStatus", INT, AT(error.upstream.status), NULL, ERROR},
    {"updated", INT, AT(updated_ms)},
};

static int by_name(const void *key, const void *row)
{
    const struct pj_view *name = key;
    const char *other = ((const struct row *)row)->name;
    size_t n = strlen(other);
    int order = memcmp(name->p, other, name->n < n ? name->n : n);

    return order ? order : (name->n > n) - (name->n < n);
}

static void put_json(struct pj_cmd *cmd, const json_t *doc)
{
    PJ_CLEANUP(pj_freep) char *text = doc ? pj_json_text(doc) : NULL;

    pj_cmd_text(cmd, text);
}

static bool is_absent(const struct row *row, const void *slot)
{
    switch (row->kind) {
    case STR:
        return !*(char *const *)slot;
    case INT:
        return *(const int64_t *)slot < 0;
    case WORD:
        return *(const int *)slot < 0;
    case BOOL:
        return !*(const bool *)slot;
    case JSON:
        return !*(json_t *const *)slot;
    }
    return false;
}

/* One member; an absent one is the empty string, or left out. */
static void put(struct pj_cmd *cmd, const struct row *row, const char *in, bool absent_too)
{
    const void *slot = in + row->offset;
    int word;

    if (!absent_too && is_absent(row, slot))
        return;
    pj_cmd_text(cmd, row->name);
    switch (row->kind) {
    case STR:
        pj_cmd_text(cmd, *(char *const *)slot);
        break;
    case INT:
        if (*(const int64_t *)slot < 0)
            pj_cmd_text(cmd, "");
        else
            pj_cmd_int(cmd, *(const int64_t *)slot);
        break;
    case WORD:
        word = *(const int *)slot;
        pj_cmd_text(cmd, word < 0 ? "" : row->words[word]);
        break;
    case BOOL:
        pj_cmd_text(cmd, *(const bool *)slot ? "1" : "");
        break;
    case JSON:
        put_json(cmd, *(json_t *const *)slot);
        break;
    }
}

static void put_group(struct pj_cmd *cmd, int group, const void *task, bool absent_too)
{
    for (size_t i = 0; i < PJ_COUNT_OF(rows); i++) {
        if ((int)rows[i].group == group)
            put(cmd, &rows[i], task, absent_too);
    }
}

void pj_task_hash_put(struct pj_cmd *cmd, const struct pj_task *task)
{
    put_group(cmd, GIVEN, task, false);
    put_group(cmd, LIMITS, task, false);
}

void pj_task_hash_put_limits(struct pj_cmd *cmd, const struct pj_task_limits *limits)
{
    struct pj_task task = {.limits = *limits};

    put_group(cmd, LIMITS, &task, true);
}

void pj_task_hash_put_error(struct pj_cmd *cmd, const struct pj_task_error *error)
{
    struct pj_task task = {.error = *error};

    if (!error->code)
        return; /* what an earlier attempt left was cleared when this one was started */
    put_group(cmd, ERROR, &task, false);
}

static void get(const struct row *row, const struct redisReply *value, char *out)
{
    void *slot = out + row->offset;
    struct pj_view v = pj_reply_view(value);
    struct pj_err ignored;

    switch (row->kind) {
    case STR:
        free(*(char **)slot);
        *(char **)slot = pj_reply_dup(value);
        break;
    case INT:
        *(int64_t *)slot = pj_reply_int(value, *(int64_t *)slot);
        break;
    case WORD:
        *(int *)slot = pj_word_index(row->words, v.p);
        break;
    case BOOL:
        *(bool *)slot = pj_view_is(v, "1");
        break;
    case JSON:
        if (v.n && pj_json_parse(v, (json_t **)slot, &ignored) < 0)
            *(json_t **)slot = NULL;
        break;
    }
}

/* Members that follow from others. */
static void complete(struct pj_task *task, struct pj_view slot, int64_t unpriced)
{
    task->leased = pj_view_is(slot, "l") ? 1 : pj_view_is(slot, "x") ? 2 : 0;
    if (unpriced > 0)
        task->usage.cost_microusd = -1;
    pj_str_set(&task->pr.url, task->pr_url);
}

int pj_task_hash_get(const struct redisReply *hash, struct pj_task *out, struct pj_err *err)
{
    struct pj_view slot = pj_view_n("", 0);
    int64_t unpriced = 0;
    struct pj_task task;

    pj_task_init(&task);
    for (size_t i = 0; i + 1 < pj_reply_count(hash); i += 2) {
        struct pj_view name = pj_reply_view(pj_reply_at(hash, i));
        const struct redisReply *value = pj_reply_at(hash, i + 1);
        const struct row *row = bsearch(&name, rows, PJ_COUNT_OF(rows), sizeof(rows[0]), by_name);

        if (row)
            get(row, value, (char *)&task);
        else if (pj_view_is(name, "slot"))
            slot = pj_reply_view(value);
        else if (pj_view_is(name, "uUnpriced"))
            unpriced = pj_reply_int(value, 0);
    }
    complete(&task, slot, unpriced);
    if (task.id && task.owner && task.repository_id && task.status >= 0) {
        *out = task;
        return 0;
    }
    pj_task_release(&task);
    return pj_fail(err, PJ_E_PROTOCOL, "a task in Redis is damaged");
}
