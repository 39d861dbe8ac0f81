/* idem.h - same key, same answer: Idempotency-Key of users and webhook-id of senders, kept 24 hours.
 *
 *     begin -> FRESH: carry out, then `complete` with the answer, or `abandon` when nothing was done, or nobody knows what
 *           -> DONE: send the stored answer     -> RUNNING: 409     -> OTHER_BODY: 422
 * A begin whose process died is FRESH again after 60 s; pj_task_create_cmd() with the same key then finds the task it made, as it
 * does after an `abandon`. Who comes to an end after another has begun changes nothing. */
#ifndef PJ_STORE_IDEM_H
#define PJ_STORE_IDEM_H

#include "lib/store/cmd.h"
#include "lib/store/keys.h"

enum pj_idem { PJ_IDEM_FRESH, PJ_IDEM_DONE, PJ_IDEM_RUNNING, PJ_IDEM_OTHER_BODY };

/* The key text: `scope` is "u:<userId>" or "h:<repositoryId>"; `key` is any text (hashed). */
const char *pj_idem_key(char out[PJ_KEY_SIZE], unsigned partition, const char *scope,
                        const char *key);
/* `fingerprint`: of method, path and body. */
void pj_idem_begin_cmd(struct pj_cmd *cmd, const char *idem_key, const char *fingerprint);
/* What begin told. DONE: `answer` is a copy of what complete was given. FRESH: `since` is for complete and abandon. */
struct pj_idem_begun {
    enum pj_idem state;
    int64_t since;
    char *answer; /* owned, or NULL */
    size_t answer_len;
};
int pj_idem_begin_reply(const struct redisReply *reply, struct pj_idem_begun *out,
                        struct pj_err *err) PJ_MUST_CHECK;
void pj_idem_complete_cmd(struct pj_cmd *cmd, const char *idem_key, int64_t since,
                          struct pj_view answer);
void pj_idem_abandon_cmd(struct pj_cmd *cmd, const char *idem_key, int64_t since);

#endif
