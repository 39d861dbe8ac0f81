#include "runner/handover.h"

#include <string.h>
#include "lib/base/fs.h"
#include "lib/base/mem.h"
#include "lib/json/codec.h"

#define SUMMARY_MAX 16384

struct facts {
    char *base_sha, *summary, *net_refused, *provider, *model;
    json_t *checks;
    int64_t files, added, removed, left_out;
    int64_t check_rounds, diff_rounds;
    int64_t turns, prompt_tokens, completion_tokens, cached_tokens, cost_microusd;
    bool checks_worse, is_replay;
};

#define AT(member) offsetof(struct facts, member)
#define COUNT_MAX INT64_C(1000000000000)
static const struct pj_field fields[] = {
    {"addedLines", PJ_F_INT, AT(added), 0, 0, COUNT_MAX},
    {"baseSha", PJ_F_STR, AT(base_sha), PJ_FF_REQUIRED, 40, 64},
    {"cachedTokens", PJ_F_INT, AT(cached_tokens), 0, 0, COUNT_MAX},
    {"checkRounds", PJ_F_INT, AT(check_rounds), 0, 0, 100},
    {"checks", PJ_F_JSON, AT(checks)},
    {"checksWorse", PJ_F_BOOL, AT(checks_worse)},
    {"completionTokens", PJ_F_INT, AT(completion_tokens), 0, 0, COUNT_MAX},
    {"costMicroUsd", PJ_F_INT, AT(cost_microusd), 0, -1, COUNT_MAX},
    {"diffRounds", PJ_F_INT, AT(diff_rounds), 0, 0, 100},
    {"files", PJ_F_INT, AT(files), 0, 0, COUNT_MAX},
    {"leftOut", PJ_F_INT, AT(left_out), 0, 0, COUNT_MAX},
    {"model", PJ_F_STR, AT(model), 0, 0, 200},
    {"netRefused", PJ_F_STR, AT(net_refused), 0, 0, 8192},
    {"promptTokens", PJ_F_INT, AT(prompt_tokens), 0, 0, COUNT_MAX},
    {"provider", PJ_F_STR, AT(provider), 0, 0, 40},
    {"removedLines", PJ_F_INT, AT(removed), 0, 0, COUNT_MAX},
    {"replay", PJ_F_BOOL, AT(is_replay)},
    {"summary", PJ_F_STR, AT(summary), 0, 0, SUMMARY_MAX},
    {"turns", PJ_F_INT, AT(turns), 0, 0, COUNT_MAX},
};

/* At most `max` bytes, whole characters, owned by the caller; NULL stays NULL. */
static char *bounded(const char *text, size_t max)
{
    size_t n = text != NULL ? strlen(text) : 0;

    if (text == NULL)
        return NULL;
    if (n > max)
        for (n = max; n > 0 && ((unsigned char)text[n] & 0xC0) == 0x80;)
            n--;
    return pj_strndup(text, n);
}

int handover_write(const struct job *job, const char *path, struct pj_err *err)
{
    struct facts facts = {
        .base_sha = pj_strdup(workspace_base_sha(job->ws)),
        .summary = bounded(job->summary, SUMMARY_MAX),
        .net_refused = bounded(job->net_refused, 8192),
        .provider = bounded(job->used.provider, 40),
        .model = bounded(job->used.model, 200),
        .checks = job->check_count > 0 ? checks_json(job) : NULL,
        .files = (int64_t)job->collected.files,
        .added = (int64_t)job->collected.added,
        .removed = (int64_t)job->collected.removed,
        .left_out = (int64_t)(job->collected.note_count + job->collected.notes_dropped),
        .check_rounds = job->check_rounds,
        .diff_rounds = job->diff_rounds,
        .turns = job->used.turns,
        .prompt_tokens = job->used.prompt_tokens,
        .completion_tokens = job->used.completion_tokens,
        .cached_tokens = job->used.cached_tokens,
        .cost_microusd = job->used.cost_microusd,
        .checks_worse = job->checks_worse,
        .is_replay = job->is_replay,
    };
    PJ_CLEANUP(pj_json_decrefp) json_t *doc = pj_json_encode(fields, PJ_COUNT_OF(fields), &facts);
    struct pj_str text;
    int rc;

    pj_str_init(&text, HANDOVER_MAX);
    rc = pj_json_dump(doc, &text);
    if (rc < 0)
        rc = pj_fail(err, PJ_E_LIMIT, "what is handed over has more than %zu bytes", HANDOVER_MAX);
    else
        rc = pj_fs_write_atomic(path, pj_str_cstr(&text), text.len, 0644, err);
    pj_str_release(&text);
    pj_json_release(fields, PJ_COUNT_OF(fields), &facts);
    return rc;
}

static void take_check(struct job *job, const json_t *check)
{
    struct job_check *to = &job->checks[job->check_count++];

    pj_str_set(&to->command, pj_json_str(check, "command", ""));
    pj_str_set(&to->before, pj_json_str(check, "before", NULL));
    pj_str_set(&to->after, pj_json_str(check, "after", NULL));
}

static void take(struct job *job, const struct facts *f)
{
    const json_t *check;
    size_t i;

    pj_str_set(&job->spec.task.base_sha, f->base_sha);
    pj_str_set(&job->summary, f->summary);
    pj_str_set(&job->net_refused, f->net_refused);
    pj_str_set(&job->used.provider, f->provider);
    pj_str_set(&job->used.model, f->model);
    json_array_foreach(f->checks, i, check)
    {
        if (job->check_count < JOB_CHECKS_MAX)
            take_check(job, check);
    }
    job->collected.files = (size_t)f->files;
    job->collected.added = (size_t)f->added;
    job->collected.removed = (size_t)f->removed;
    job->collected.notes_dropped = (size_t)f->left_out;
    job->check_rounds = (int)f->check_rounds;
    job->diff_rounds = (int)f->diff_rounds;
    job->used.turns = f->turns;
    job->used.prompt_tokens = f->prompt_tokens;
    job->used.completion_tokens = f->completion_tokens;
    job->used.cached_tokens = f->cached_tokens;
    job->used.cost_microusd = f->cost_microusd;
    job->checks_worse = f->checks_worse;
    job->is_replay = f->is_replay;
}

int handover_read(struct job *job, const char *path, struct pj_err *err)
{
    PJ_CLEANUP(pj_json_decrefp) json_t *doc = NULL;
    PJ_CLEANUP(pj_str_release) struct pj_str text;
    struct facts facts = {.cost_microusd = -1};
    int rc;

    pj_str_init(&text, HANDOVER_MAX);
    rc = pj_fs_read(path, &text, err);
    if (rc == 0)
        rc = pj_json_parse(pj_view_n(pj_str_cstr(&text), text.len), &doc, err);
    if (rc == 0)
        rc = pj_json_decode(doc, fields, PJ_COUNT_OF(fields), &facts, NULL, err);
    if (rc == 0)
        take(job, &facts);
    pj_json_release(fields, PJ_COUNT_OF(fields), &facts);
    return rc < 0 ? pj_err_wrap(err, "what the working job handed over") : 0;
}
