/* outbox.h - notifications owed. `finish` writes one record for an end that its owner is told of; a deliverer claims what is due,
 * delivers, and settles: at least once, under a stable id. */
#ifndef PJ_STORE_OUTBOX_H
#define PJ_STORE_OUTBOX_H

#include <jansson.h>
#include "lib/store/cmd.h"

enum pj_outbox_state { PJ_OUTBOX_PENDING, PJ_OUTBOX_SENT, PJ_OUTBOX_FAILED, PJ_OUTBOX_SKIPPED };
extern const char *const pj_outbox_state_words[];

struct pj_outbox {
    char *
        id; /* "msg_<taskId>_<when it was executed>_<status>[_…]": the same end has it again, should Redis forget it */
    char *kind; /* "mail", "webhook", or "comment" on the issue that a task came from */
    char *task_id;
    char *owner;         /* user id */
    char *to;            /* address or URL, set when known */
    char *template_name; /* completed failed needs_review needs_clarification; triggered */
    int64_t attempts;
    int64_t created_ms;
    int state;
    char *last_error;
};
void pj_outbox_release(struct pj_outbox *records, size_t count);
#define PJ_OUTBOX_BATCH_MAX 32

/* What is due, hidden from other deliverers for hold_ms. */
void pj_outbox_claim_cmd(struct pj_cmd *cmd, unsigned partition, int64_t max, int64_t hold_ms);
int pj_outbox_claim_reply(const struct redisReply *reply, struct pj_outbox *records, size_t cap,
                          size_t *count, struct pj_err *err) PJ_MUST_CHECK;
/* PENDING: again in retry_ms. Others are final. `to` and `error` may be NULL. `attempts` as claimed: who was so slow that another
 * has claimed it changes nothing. */
void pj_outbox_settle_cmd(struct pj_cmd *cmd, unsigned partition, const char *id, int64_t attempts,
                          enum pj_outbox_state state, const char *to, const char *error,
                          int64_t retry_ms);
/* One more record of the same end ("webhook" to a URL), once: a second add of the same suffix does nothing. */
void pj_outbox_add_cmd(struct pj_cmd *cmd, unsigned partition, const char *of_id,
                       const char *suffix, const char *kind, const char *to);
/* Something owed for a task apart from its ends, once under `name`. It is due after delay_ms; asked again with 0, at once. */
struct pj_outbox_debt {
    const char *task_id, *owner;
    const char *name, *kind, *template_name, *to;
    int64_t delay_ms;
};
void pj_outbox_owe_cmd(struct pj_cmd *cmd, unsigned partition, const struct pj_outbox_debt *debt);
/* Reply of the three above. */
int pj_outbox_reply(const struct redisReply *reply, struct pj_err *err) PJ_MUST_CHECK;
/* Items of GET /admin/outbox: {"items":[…],"nextCursor":…}; task_id may be NULL. */
void pj_outbox_list_cmd(struct pj_cmd *cmd, unsigned partition, const char *task_id,
                        const char *before, int64_t limit);
int pj_outbox_list_reply(const struct redisReply *reply, json_t **out,
                         struct pj_err *err) PJ_MUST_CHECK;

#endif
