/* Sums of the hours that ends of tasks wrote (lua/fold.lua) as the document of CONTRACT.md section 8. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/json/codec.h"
#include "lib/store/keys.h"
#include "lib/store/usage.h"
#include "lib/task/state.h"

#define BINS 320            /* 2^40 ms */
#define BINS_PER_OCTAVE 8.0 /* lua/fold.lua, bin() */
#define MODELS_MAX 200
#define BUCKETS_MAX (92 * 24)

struct model_sum {
    char *name; /* provider/model */
    int64_t prompt, completion, cached, calls, unpriced, cost;
};

struct bucket {
    int64_t start_ms;
    int64_t ends[PJ_TASK_STATUS_COUNT];
    int64_t took_ms, took[BINS], waited[BINS];
    struct model_sum *models;
    size_t model_count;
};

struct pj_analytics {
    int64_t from_ms, bucket_ms;
    struct bucket *buckets;
    size_t count;
};

struct pj_analytics *pj_analytics_new(int64_t from_ms, int64_t to_ms, int64_t bucket_ms)
{
    struct pj_analytics *sums = pj_alloc(1, sizeof(*sums));
    int64_t first = from_ms - from_ms % bucket_ms;

    sums->from_ms = first;
    sums->bucket_ms = bucket_ms;
    sums->count = to_ms > first ? (size_t)((to_ms - first + bucket_ms - 1) / bucket_ms) : 0;
    if (sums->count > BUCKETS_MAX)
        sums->count = BUCKETS_MAX;
    sums->buckets = pj_alloc(sums->count + 1, sizeof(*sums->buckets));
    for (size_t i = 0; i < sums->count; i++)
        sums->buckets[i].start_ms = first + (int64_t)i * bucket_ms;
    return sums;
}

static void release_bucket(struct bucket *b)
{
    for (size_t i = 0; i < b->model_count; i++)
        free(b->models[i].name);
    free(b->models);
}

void pj_analytics_free(struct pj_analytics *sums)
{
    if (!sums)
        return;
    for (size_t i = 0; i < sums->count; i++)
        release_bucket(&sums->buckets[i]);
    free(sums->buckets);
    free(sums);
}

void pj_analytics_cmd(struct pj_cmd *cmd, unsigned partition, int64_t from_ms, int64_t to_ms)
{
    char key[PJ_KEY_SIZE];

    pj_cmd_script(cmd, "analytics");
    pj_cmd_text(cmd, pj_key_part(key, partition, "an"));
    pj_cmd_int(cmd, from_ms);
    pj_cmd_int(cmd, to_ms);
}

static struct model_sum *model_of(struct bucket *b, struct pj_view name)
{
    for (size_t i = 0; i < b->model_count; i++) {
        if (pj_view_is(name, b->models[i].name))
            return &b->models[i];
    }
    if (b->model_count == MODELS_MAX)
        return &b->models[MODELS_MAX - 1];
    b->models = pj_realloc(b->models, b->model_count + 1, sizeof(*b->models));
    b->models[b->model_count] = (struct model_sum){.name = pj_strndup(name.p, name.n)};
    return &b->models[b->model_count++];
}

/* "p:openai/gpt": what is summed, then the model. */
static void add_model(struct bucket *b, struct pj_view field, int64_t value)
{
    static const struct {
        const char *part;
        size_t offset;
    } parts[] = {
        {"c", offsetof(struct model_sum, calls)},  {"d", offsetof(struct model_sum, cost)},
        {"h", offsetof(struct model_sum, cached)}, {"o", offsetof(struct model_sum, completion)},
        {"p", offsetof(struct model_sum, prompt)}, {"u", offsetof(struct model_sum, unpriced)},
    };
    struct pj_view part = {0};

    (void)pj_view_cut(&field, ':', &part);
    for (size_t i = 0; i < PJ_COUNT_OF(parts); i++) {
        if (pj_view_is(part, parts[i].part))
            *(int64_t *)((char *)model_of(b, field) + parts[i].offset) += value;
    }
}

static void add_bin(int64_t *bins, struct pj_view bin, int64_t value)
{
    int64_t i;

    if (pj_parse_i64(bin, &i) == 0)
        bins[i < 0 ? 0 : i >= BINS ? BINS - 1 : i] += value;
}

static void add_field(struct bucket *b, struct pj_view name, int64_t value)
{
    struct pj_view rest = name, kind;

    if (pj_view_is(name, "ds")) {
        b->took_ms += value;
        return;
    }
    (void)pj_view_cut(&rest, ':', &kind);
    if (pj_view_is(kind, "s")) {
        PJ_CLEANUP(pj_freep) char *word = pj_strndup(rest.p, rest.n);
        int status = pj_word_index(pj_task_status_words, word);

        if (status >= 0)
            b->ends[status] += value;
    } else if (pj_view_is(kind, "d")) {
        add_bin(b->took, rest, value);
    } else if (pj_view_is(kind, "w")) {
        add_bin(b->waited, rest, value);
    } else if (pj_view_is(kind, "m")) {
        add_model(b, rest, value);
    }
}

int pj_analytics_reply(const struct redisReply *reply, struct pj_analytics *sums,
                       struct pj_err *err)
{
    if (pj_reply_word(reply, err) < 0)
        return -1;
    for (size_t i = 1; i + 1 < pj_reply_count(reply); i += 2) {
        int64_t hour = pj_reply_int(pj_reply_at(reply, i), 0),
                index = (hour - sums->from_ms) / sums->bucket_ms;
        const struct redisReply *hash = pj_reply_at(reply, i + 1);

        if (hour < sums->from_ms || index >= (int64_t)sums->count)
            continue;
        for (size_t k = 0; k + 1 < pj_reply_count(hash); k += 2)
            add_field(&sums->buckets[index], pj_reply_view(pj_reply_at(hash, k)),
                      pj_reply_int(pj_reply_at(hash, k + 1), 0));
    }
    return 0;
}

/* The value below which `share` of the counted ones lie; NULL stands for null when nothing was counted. */
static json_t *percentile(const int64_t *bins, double share)
{
    int64_t total = 0, seen = 0, want;

    for (size_t i = 0; i < BINS; i++)
        total += bins[i];
    if (total == 0)
        return json_null();
    want = (int64_t)ceil((double)total * share);
    for (size_t i = 0; i < BINS; i++) {
        seen += bins[i];
        if (seen >= want)
            return json_integer((int64_t)(exp2(((double)i + 0.5) / BINS_PER_OCTAVE) - 1));
    }
    return json_null();
}

static json_t *money(int64_t cost, int64_t calls, int64_t unpriced)
{
    return calls && calls == unpriced ? json_null() : json_real((double)cost / 1e6);
}

static json_t *tokens_json(const struct model_sum *m)
{
    json_t *doc = json_object();

    (void)json_object_set_new(doc, "prompt", json_integer(m->prompt));
    (void)json_object_set_new(doc, "completion", json_integer(m->completion));
    (void)json_object_set_new(doc, "cached", json_integer(m->cached));
    (void)json_object_set_new(doc, "total", json_integer(m->prompt + m->completion));
    return doc;
}

static json_t *model_json(const struct model_sum *m)
{
    const char *slash = strchr(m->name, '/');
    json_t *doc = json_object();

    (void)json_object_set_new(
        doc, "provider", slash ? json_stringn(m->name, (size_t)(slash - m->name)) : json_null());
    (void)json_object_set_new(doc, "model", json_string(slash ? slash + 1 : m->name));
    (void)json_object_set_new(doc, "calls", json_integer(m->calls));
    (void)json_object_set_new(doc, "unpricedCalls", json_integer(m->unpriced));
    (void)json_object_set_new(doc, "tokens", tokens_json(m));
    (void)json_object_set_new(doc, "costUsd", money(m->cost, m->calls, m->unpriced));
    return doc;
}

static void put_models(json_t *doc, const struct bucket *b)
{
    struct model_sum all = {0};
    json_t *list = json_array();

    for (size_t i = 0; i < b->model_count; i++) {
        const struct model_sum *m = &b->models[i];

        all.prompt += m->prompt;
        all.completion += m->completion;
        all.cached += m->cached;
        all.calls += m->calls;
        all.unpriced += m->unpriced;
        all.cost += m->cost;
        (void)json_array_append_new(list, model_json(m));
    }
    (void)json_object_set_new(doc, "tokens", tokens_json(&all));
    (void)json_object_set_new(doc, "costUsd", money(all.cost, all.calls, all.unpriced));
    (void)json_object_set_new(doc, "unpricedCalls", json_integer(all.unpriced));
    (void)json_object_set_new(doc, "byModel", list);
}

static void put_times(json_t *doc, const struct bucket *b)
{
    json_t *took = json_object(), *waited = json_object();
    int64_t n = 0;

    for (size_t i = 0; i < BINS; i++)
        n += b->took[i];
    (void)json_object_set_new(took, "mean", n ? json_integer(b->took_ms / n) : json_null());
    (void)json_object_set_new(took, "p50", percentile(b->took, 0.5));
    (void)json_object_set_new(took, "p95", percentile(b->took, 0.95));
    (void)json_object_set_new(waited, "p50", percentile(b->waited, 0.5));
    (void)json_object_set_new(waited, "p95", percentile(b->waited, 0.95));
    (void)json_object_set_new(doc, "durationMs", took);
    (void)json_object_set_new(doc, "queueWaitMs", waited);
}

static json_t *bucket_json(const struct bucket *b)
{
    json_t *doc = json_object(), *tasks = json_object();
    int64_t judged = 0;
    char when[PJ_RFC3339_SIZE];

    if (b->start_ms)
        (void)json_object_set_new(doc, "start", json_string(pj_rfc3339(b->start_ms, when)));
    for (int s = PJ_TASK_COMPLETED; s < PJ_TASK_STATUS_COUNT; s++) {
        (void)json_object_set_new(tasks, pj_task_status_words[s], json_integer(b->ends[s]));
        judged += s == PJ_TASK_CANCELLED ? 0 : b->ends[s];
    }
    (void)json_object_set_new(doc, "tasks", tasks);
    (void)json_object_set_new(
        doc, "successRate",
        judged ? json_real((double)b->ends[PJ_TASK_COMPLETED] / (double)judged) : json_null());
    put_models(doc, b);
    put_times(doc, b);
    return doc;
}

static void add_bucket(struct bucket *all, const struct bucket *b)
{
    for (int s = 0; s < PJ_TASK_STATUS_COUNT; s++)
        all->ends[s] += b->ends[s];
    all->took_ms += b->took_ms;
    for (size_t i = 0; i < BINS; i++) {
        all->took[i] += b->took[i];
        all->waited[i] += b->waited[i];
    }
    for (size_t i = 0; i < b->model_count; i++) {
        struct model_sum *m = model_of(all, pj_view_of(b->models[i].name));

        m->prompt += b->models[i].prompt;
        m->completion += b->models[i].completion;
        m->cached += b->models[i].cached;
        m->calls += b->models[i].calls;
        m->unpriced += b->models[i].unpriced;
        m->cost += b->models[i].cost;
    }
}

json_t *pj_analytics_json(const struct pj_analytics *sums)
{
    struct bucket *all = pj_alloc(1, sizeof(*all));
    json_t *doc = json_object(), *list = json_array();

    for (size_t i = 0; i < sums->count; i++) {
        (void)json_array_append_new(list, bucket_json(&sums->buckets[i]));
        add_bucket(all, &sums->buckets[i]);
    }
    (void)json_object_set_new(doc, "buckets", list);
    (void)json_object_set_new(doc, "totals", bucket_json(all));
    release_bucket(all);
    free(all);
    return doc;
}
