#include <stdlib.h>
#include <string.h>
#include "api/admin.h"
#include "api/api.h"
#include "api/reply.h"
#include "api/request.h"
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/store/async.h"
#include "lib/store/usage.h"

#define HOUR_MS 3600000LL
#define DAY_MS (24 * HOUR_MS)
#define RANGE_MAX_MS (92 * DAY_MS)

struct analysis {
    struct request *req;
    struct pj_analytics *sums;
    size_t asked, come;
    bool csv;
    struct pj_err err;
};

static void analysis_free(void *ctx)
{
    struct analysis *a = ctx;

    pj_analytics_free(a->sums);
}

/* A number of a nested object, empty when it is null. */
static void put_cell(struct pj_str *out, const json_t *bucket, const char *group, const char *name)
{
    const json_t *object = group != NULL ? json_object_get(bucket, group) : bucket;
    const json_t *v = json_object_get(object, name);

    pj_str_putc(out, ',');
    if (json_is_integer(v))
        pj_str_putf(out, "%lld", (long long)json_integer_value(v));
    else if (json_is_real(v))
        pj_str_putf(out, "%.6g", json_real_value(v));
}

static const struct column {
    const char *title, *group, *name;
} columns[] = {
    {"completed", "tasks", "completed"},
    {"failed", "tasks", "failed"},
    {"needs_review", "tasks", "needs_review"},
    {"needs_clarification", "tasks", "needs_clarification"},
    {"cancelled", "tasks", "cancelled"},
    {"success_rate", NULL, "successRate"},
    {"prompt_tokens", "tokens", "prompt"},
    {"completion_tokens", "tokens", "completion"},
    {"cached_tokens", "tokens", "cached"},
    {"total_tokens", "tokens", "total"},
    {"cost_usd", NULL, "costUsd"},
    {"duration_mean_ms", "durationMs", "mean"},
    {"duration_p50_ms", "durationMs", "p50"},
    {"duration_p95_ms", "durationMs", "p95"},
    {"queue_wait_p50_ms", "queueWaitMs", "p50"},
    {"queue_wait_p95_ms", "queueWaitMs", "p95"},
};

static void reply_csv(struct request *req, json_t *doc)
{
    struct pj_str out;
    size_t i;
    json_t *bucket;

    pj_str_init(&out, 4 * 1024 * 1024);
    pj_str_puts(&out, "start");
    for (size_t c = 0; c < PJ_COUNT_OF(columns); c++)
        pj_str_putf(&out, ",%s", columns[c].title);
    pj_str_puts(&out, "\r\n");
    json_array_foreach(json_object_get(doc, "buckets"), i, bucket)
    {
        pj_str_puts(&out, pj_json_str(bucket, "start", ""));
        for (size_t c = 0; c < PJ_COUNT_OF(columns); c++)
            put_cell(&out, bucket, columns[c].group, columns[c].name);
        pj_str_puts(&out, "\r\n");
    }
    json_decref(doc);
    size_t n = out.len;
    reply_header(req, "Content-Disposition", "attachment; filename=\"analytics.csv\"");
    reply_bytes(req, 200, "text/csv; charset=utf-8", pj_str_take(&out), n);
    pj_str_release(&out);
}

static void on_sums(void *arg, const struct redisReply *reply, struct pj_err *err)
{
    struct analysis *a = arg;

    if (reply == NULL)
        a->err = *err;
    else if (a->err.cls == PJ_E_OK && pj_analytics_reply(reply, a->sums, &a->err) == 0)
        pj_err_clear(&a->err);
    if (++a->come < a->asked)
        return;
    struct request *req = a->req;
    if (a->err.cls != PJ_E_OK) {
        request_store_failed(req, &a->err);
        return;
    }
    json_t *doc = pj_analytics_json(a->sums);
    if (a->csv)
        reply_csv(req, doc);
    else
        reply_json(req, 200, doc);
}

static int query_time(struct request *req, const char *name, int64_t def, int64_t *out)
{
    char text[48];

    *out = def;
    int rc = request_query(req, name, text, sizeof text);
    if (rc != 0)
        return rc < 0 ? -1 : 0;
    if (pj_rfc3339_parse(text, out) < 0 || *out < 0) {
        reply_fault(req, name, "must be a time as RFC 3339 writes it");
        return -1;
    }
    return 0;
}

/* "hour" or "day", "json" or "csv"; -1 when answered. */
static int query_word(struct request *req, const char *name, const char *first, const char *second,
                      int *out)
{
    char text[16];

    *out = 0;
    int rc = request_query(req, name, text, sizeof text);
    if (rc != 0)
        return rc < 0 ? -1 : 0;
    *out = strcmp(text, second) == 0;
    if (*out == 0 && strcmp(text, first) != 0) {
        reply_fault(req, name, "must be %s or %s", first, second);
        return -1;
    }
    return 0;
}

void admin_analytics(struct request *req)
{
    static const char *const known[] = {"from", "to", "bucket", "format", NULL};
    struct analysis *a = request_ctx(req, sizeof *a, analysis_free);
    int64_t now = pj_now_ms(), from, to;
    int hourly, csv;

    if (request_query_known(req, known) < 0 || query_time(req, "to", now, &to) < 0 ||
        query_time(req, "from", to - 30 * DAY_MS, &from) < 0 ||
        query_word(req, "bucket", "day", "hour", &hourly) < 0 ||
        query_word(req, "format", "json", "csv", &csv) < 0)
        return;
    int64_t bucket = hourly ? HOUR_MS : DAY_MS;
    from -= from % bucket;
    to += (bucket - to % bucket) % bucket;
    if (from >= to || to - from > RANGE_MAX_MS + DAY_MS) {
        reply_fault(req, "from", "lies before `to`, at most 92 days");
        return;
    }
    a->req = req;
    a->csv = csv == 1;
    a->sums = pj_analytics_new(from, to, bucket);
    a->asked = req->api->partitions;
    for (unsigned k = 0; k < req->api->partitions; k++) {
        struct pj_cmd cmd = {0};
        pj_analytics_cmd(&cmd, k, from, to);
        pj_aredis_submit(req->api->redis, &cmd, on_sums, a);
    }
}
