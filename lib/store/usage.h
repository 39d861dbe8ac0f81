/* usage.h - model calls, one by one, and the sums that analytics shows. */
#ifndef PJ_STORE_USAGE_H
#define PJ_STORE_USAGE_H

#include <jansson.h>
#include <stdbool.h>
#include "lib/store/cmd.h"

struct pj_usage_call { /* strings borrowed */
    const char *id; /* of the call, unique within the task: a second record of it changes nothing */
    const char *provider;
    const char *model;
    int64_t prompt_tokens; /* includes cached ones */
    int64_t completion_tokens;
    int64_t cached_tokens;
    int64_t cache_write_tokens;
    int64_t reasoning_tokens;
    bool
        estimated; /* the answer broke off before it said; the numbers are a guess on the high side */
    int64_t cost_microusd; /* -1: no price */
    const json_t *price;   /* the row used, or NULL */
    int64_t duration_ms;
    int64_t turn;
    const char *purpose;    /* "agent", … may be NULL */
    const char *request_id; /* may be NULL */
};
/* epoch -1: whoever holds it (webhooks). */
void pj_usage_record_cmd(struct pj_cmd *cmd, const char *task_id, int64_t epoch, int64_t attempt,
                         const struct pj_usage_call *call);
/* *total_tokens of the task, before and after: the caller sees a threshold being crossed. */
int pj_usage_record_reply(const struct redisReply *reply, int64_t *before, int64_t *after,
                          struct pj_err *err) PJ_MUST_CHECK;
/* An array of {id,at,attempt,turn,purpose,provider,model,promptTokens,…,estimated,costUsd,price,durationMs,requestId}; the caller decrefs. */
void pj_usage_list_cmd(struct pj_cmd *cmd, const char *task_id);
int pj_usage_list_reply(const struct redisReply *reply, json_t **out,
                        struct pj_err *err) PJ_MUST_CHECK;

/* Analytics of CONTRACT.md section 8 over [from, to), whole hours, from the sums `finish` wrote. Run per partition with one and the
 * same `sums`, then make the document. bucket_ms: 3,600,000 or 86,400,000. At most 92 days. */
struct pj_analytics;
struct pj_analytics *pj_analytics_new(int64_t from_ms, int64_t to_ms, int64_t bucket_ms);
void pj_analytics_free(struct pj_analytics *sums);
void pj_analytics_cmd(struct pj_cmd *cmd, unsigned partition, int64_t from_ms, int64_t to_ms);
int pj_analytics_reply(const struct redisReply *reply, struct pj_analytics *sums,
                       struct pj_err *err) PJ_MUST_CHECK;
json_t *pj_analytics_json(const struct pj_analytics *sums);

#endif
