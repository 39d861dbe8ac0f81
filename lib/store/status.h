/* status.h - the changes of all tasks, for GET /events: kept for an hour, published on pj_key_status_channel().
 *
 * A channel message is "<stream id>\n" and a line for each of at most PJ_STATUS_LINES changes that one script made. */
#ifndef PJ_STORE_STATUS_H
#define PJ_STORE_STATUS_H

#include "lib/base/id.h"
#include "lib/store/cmd.h"

#define PJ_STATUS_LINES 64
#define PJ_STATUS_ID_SIZE 48
struct pj_status_event {
    char id[PJ_STATUS_ID_SIZE]; /* "<ms>-<n>": the SSE id */
    char task_id[PJ_ID_SIZE + 10];
    struct pj_view owner, repository_id, status; /* lent by the message or reply */
    int64_t attempt, logged_n;
    char json[256]; /* {id,status,stage,attempt,updatedAt} */
};
/* items[] has PJ_STATUS_LINES; they borrow from `payload`. */
int pj_status_message_parse(struct pj_view payload, struct pj_status_event *items, size_t *count,
                            struct pj_err *err) PJ_MUST_CHECK;

/* Events after `after` (the id of one), oldest first, at most 1000. The reply lends; `items` is the caller's with room for 1000.
 * PJ_NONE: older than what is kept: send `reset`. */
#define PJ_STATUS_PAGE_MAX 1000
void pj_status_read_cmd(struct pj_cmd *cmd, unsigned partition, const char *after);
int pj_status_read_reply(const struct redisReply *reply, struct pj_status_event *items,
                         size_t *count, struct pj_err *err) PJ_MUST_CHECK;

#endif
