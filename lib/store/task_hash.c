#include "lib/store/task_hash.h"

#include <stdlib.h>
#include <string.h>
#include "lib/base/mem.h"
#include "lib/base/str.h"

enum kind {
    STR,
    INT, /* absent: as pj_task_init() leaves it */
    WORD,
    BOOL,
    JSON,
};

/* A title, a description and the like: the API bounds them far below. */
#define GIVEN_MAX ((size_t)4 * 1024 * 1024)

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
    {"desc", STR, AT(description), NULL, GIVEN},
    {"errCode", STR, AT(error.code), NULL, ERROR},
    {"errDetail", STR, AT(error.detail), NULL, ERROR},
    {"errRemedy", STR, AT(error.remedy), NULL, ERROR},
    {"errRetry", BOOL, AT(error.retryable), NULL, ERROR},
    {"errTitle", STR, AT(error.title), NULL, ERROR},
    {"executed", INT, AT(executed_ms)},
    {"executor", WORD, AT(executor), pj_task_executor_words, GIVEN},
    {"feedback", STR, AT(feedback)},
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
    {"rejects", JSON, AT(rejects)},
    {"repo", STR, AT(repository_id)},
    {"runFloor", INT, AT(run_floor)},
    {"runId", INT, AT(run_id)},
    {"source", JSON, AT(source), NULL, GIVEN},
    {"stage", WORD, AT(stage), pj_task_stage_words},
    {"status", WORD, AT(status), pj_task_status_words},
    {"tips", STR, AT(tips)},
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
    size_t n;
    int order;

    if (name->n && name->p[0] != other[0]) /* most of the time */
        return (unsigned char)name->p[0] - (unsigned char)other[0];
    n = strlen(other);
    order = memcmp(name->p, other, name->n < n ? name->n : n);
    return order ? order : (name->n > n) - (name->n < n);
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

/* The text of one member, "" when it is absent. Lent until the next call; `digits` and *own hold it. */
static const char *text_of(const struct row *row, const void *slot, char digits[24], char **own)
{
    if (is_absent(row, slot))
        return "";
    switch (row->kind) {
    case STR:
        return *(char *const *)slot;
    case INT:
        (void)snprintf(digits, 24, "%lld", (long long)*(const int64_t *)slot);
        return digits;
    case WORD:
        return row->words[*(const int *)slot];
    case BOOL:
        return "1";
    case JSON:
        free(*own);
        *own = pj_json_text(*(json_t *const *)slot);
        return *own;
    }
    return "";
}

static void put_group(struct pj_cmd *cmd, int group, const void *task, bool absent_too)
{
    PJ_CLEANUP(pj_freep) char *own = NULL;
    char digits[24];

    for (size_t i = 0; i < PJ_COUNT_OF(rows); i++) {
        const void *slot = (const char *)task + rows[i].offset;

        if ((int)rows[i].group != group || (!absent_too && is_absent(&rows[i], slot)))
            continue;
        pj_cmd_text(cmd, rows[i].name);
        pj_cmd_text(cmd, text_of(&rows[i], slot, digits, &own));
    }
}

static void add_word(struct pj_str *out, const char *word)
{
    (void)pj_str_append(out, word ? word : "", (word ? strlen(word) : 0) + 1);
}

void pj_task_hash_put_given(struct pj_cmd *cmd, const struct pj_task *task)
{
    PJ_CLEANUP(pj_freep) char *own = NULL;
    PJ_CLEANUP(pj_str_release) struct pj_str text;
    char digits[24] = "";

    pj_str_init(&text, GIVEN_MAX);
    add_word(&text, task->owner);
    add_word(&text, task->repository_id);
    add_word(&text, task->priority < 0 ? "" : pj_task_priority_words[task->priority]);
    if (task->limits.timeout_ms >= 0)
        (void)snprintf(digits, sizeof(digits), "%lld", (long long)task->limits.timeout_ms);
    add_word(&text, digits);
    add_word(&text, task->id);
    for (size_t i = 0; i < PJ_COUNT_OF(rows); i++) {
        const void *slot = (const char *)task + rows[i].offset;

        if ((rows[i].group != GIVEN && rows[i].group != LIMITS) || is_absent(&rows[i], slot))
            continue;
        add_word(&text, rows[i].name);
        add_word(&text, text_of(&rows[i], slot, digits, &own));
    }
    pj_cmd_add(cmd, text.data, text.len);
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

static void get_json(struct pj_view v, json_t **slot)
{
    struct pj_err ignored;

    json_decref(*slot);
    *slot = NULL;
    if (v.n && pj_json_parse(v, slot, &ignored) < 0)
        *slot = NULL;
}

static void get(const struct row *row, struct pj_view v, struct pj_task *task)
{
    void *slot = (char *)task + row->offset;

    switch (row->kind) {
    case STR:
        free(*(char **)slot);
        *(char **)slot = v.n ? pj_strndup(v.p, v.n) : NULL;
        break;
    case INT:
        if (pj_parse_i64(v, slot) < 0) { /* cleared: as a new task has it */
            struct pj_task blank;

            pj_task_init(&blank);
            *(int64_t *)slot = *(int64_t *)((char *)&blank + row->offset);
        }
        break;
    case WORD:
        *(int *)slot = pj_word_index(row->words, v.p);
        break;
    case BOOL:
        *(bool *)slot = pj_view_is(v, "1");
        break;
    case JSON:
        get_json(v, slot);
        break;
    }
}

static const struct row *find_row(struct pj_view name)
{
    return bsearch(&name, rows, PJ_COUNT_OF(rows), sizeof(rows[0]), by_name);
}

static void get_named(const char *name, struct pj_view v, struct pj_task *task)
{
    get(find_row(pj_view_of(name)), v, task);
}

/* What a task was created with (lua/state.lua): words with a NUL after each. */
static void get_given(struct pj_view rest, struct pj_task *task)
{
    static const char *const head[] = {"created",  "",         "owner", "repo",
                                       "priority", "lTimeout", "id"};
    struct pj_view word, value;
    const struct row *row;

    for (size_t i = 0; i < PJ_COUNT_OF(head) && pj_view_cut(&rest, '\0', &word); i++) {
        bool running = i == 1 && pj_view_is(word, "1");

        if (head[i][0] && word.n)
            get_named(head[i], word, task);
        else if (i == 1)
            task->status = running ? PJ_TASK_RUNNING : PJ_TASK_QUEUED;
        if (running) {
            task->stage = PJ_STAGE_WAITING;
            task->executed_ms = task->created_ms;
        }
    }
    task->updated_ms = task->created_ms;
    task->attempt = 1;
    while (pj_view_cut(&rest, '\0', &word) && pj_view_cut(&rest, '\0', &value)) {
        row = find_row(word);
        if (row && (row->group == GIVEN || row->group == LIMITS))
            get(row, value, task);
    }
}

/* The last lease (lua/prelude.lua): epoch, deliveries, since when, first start, default time limit, deadline (answered), runner. */
static int64_t get_lease(struct pj_view rest, struct pj_task *task)
{
    int64_t taken = 0, deadline = 0, *const numbers[] = {&task->epoch,
                                                         &task->deliveries,
                                                         &taken,
                                                         &task->started_ms,
                                                         &task->timeout_default_ms,
                                                         &deadline};
    struct pj_view word;

    for (size_t i = 0; i < PJ_COUNT_OF(numbers) && pj_view_cut(&rest, ' ', &word); i++) {
        if (pj_parse_i64(word, numbers[i]) < 0)
            *numbers[i] = 0;
    }
    free(task->runner);
    task->runner = rest.n ? pj_strndup(rest.p, rest.n) : NULL;
    if (taken > task->updated_ms)
        task->updated_ms = taken;
    return deadline;
}

/* When it ended, and by which epoch. */
static void get_end(struct pj_view rest, struct pj_task *task)
{
    struct pj_view word;

    if (pj_view_cut(&rest, ' ', &word) && pj_parse_i64(word, &task->finished_ms) == 0 &&
        task->finished_ms > task->updated_ms)
        task->updated_ms = task->finished_ms;
}

/* Members that follow from others; then *task is handed over, or released when it is none. */
static int complete(struct pj_task *task, struct pj_view slot, int64_t unpriced,
                    struct pj_task *out, struct pj_err *err)
{
    task->leased = pj_view_is(slot, "l") ? 1 : pj_view_is(slot, "x") ? 2 : 0;
    if (unpriced > 0)
        task->usage.cost_microusd = -1;
    if (task->status != PJ_TASK_RUNNING)
        task->stage = -1;
    pj_str_set(&task->pr.url, task->pr_url);
    if (task->id && task->owner && task->repository_id && task->status >= 0) {
        *out = *task;
        return 0;
    }
    pj_task_release(task);
    return pj_fail(err, PJ_E_PROTOCOL, "a task in Redis is damaged");
}

/* A task that nothing is known of but what it was created with. */
static int given_get(const struct redisReply *given, struct pj_task *out, struct pj_err *err)
{
    struct pj_task task;

    pj_task_init(&task);
    get_given(pj_reply_view(given), &task);
    return complete(&task, pj_view_n("", 0), 0, out, err);
}

int pj_task_created(const struct redisReply *created, struct pj_task *task, struct pj_err *err)
{
    struct pj_view head = pj_reply_view(created);

    if (head.n < 3 || head.p[head.n - 1] != '\0')
        return pj_fail(err, PJ_E_PROTOCOL, "unexpected answer of Redis to a new task");
    get_given(head, task);
    for (size_t i = 0; i < PJ_COUNT_OF(rows); i++) { /* an empty text is as good as none */
        char **text = (char **)((char *)task + rows[i].offset);

        if (rows[i].group == GIVEN && rows[i].kind == STR && *text && !**text) {
            free(*text);
            *text = NULL;
        }
    }
    return 0;
}

int pj_task_leased_get(const struct redisReply *hash, const struct redisReply *lease,
                       struct pj_task *out, int64_t *deadline_ms, struct pj_err *err)
{
    bool known = pj_reply_count(hash) > 0;

    if ((known ? pj_task_hash_get(hash, out, err) : given_get(hash, out, err)) < 0)
        return -1;
    *deadline_ms = get_lease(pj_reply_view(lease), out);
    out->stage = PJ_STAGE_PREPARING;
    out->leased = 1;
    return 0;
}

int pj_task_hash_get(const struct redisReply *hash, struct pj_task *out, struct pj_err *err)
{
    struct pj_view slot = pj_view_n("", 0), lease = slot, end = slot;
    int64_t unpriced = 0;
    struct pj_task task;

    pj_task_init(&task);
    for (size_t i = 0; i + 1 < pj_reply_count(hash); i += 2) {
        if (pj_view_is(pj_reply_view(pj_reply_at(hash, i)), "d"))
            get_given(pj_reply_view(pj_reply_at(hash, i + 1)), &task);
    }
    for (size_t i = 0; i + 1 < pj_reply_count(hash); i += 2) {
        struct pj_view name = pj_reply_view(pj_reply_at(hash, i));
        const struct redisReply *value = pj_reply_at(hash, i + 1);
        const struct row *row = find_row(name);

        if (row)
            get(row, pj_reply_view(value), &task);
        else if (pj_view_is(name, "slot"))
            slot = pj_reply_view(value);
        else if (pj_view_is(name, "lease"))
            lease = pj_reply_view(value);
        else if (pj_view_is(name, "fin"))
            end = pj_reply_view(value);
        else if (pj_view_is(name, "uUnpriced"))
            unpriced = pj_reply_int(value, 0);
    }
    if (lease.n)
        get_lease(lease, &task);
    if (end.n)
        get_end(end, &task);
    return complete(&task, slot, unpriced, out, err);
}
