/* status.h - the changes of all tasks, for GET /events: kept for an hour, published on pj_key_status_channel().
 *
 * A channel message is "<stream id> <owner> <repositoryId>\n" and the JSON of the event `status`. */
#ifndef PJ_STORE_STATUS_H
#define PJ_STORE_STATUS_H

#include "lib/store/cmd.h"

#define PJ_STATUS_ID_SIZE 48
struct pj_status_event {
    char id[PJ_STATUS_ID_SIZE]; /* "<ms>-<seq>": the SSE id */
    struct pj_view owner;
    struct pj_view repository_id;
    struct pj_view json; /* {id,status,stage,attempt,updatedAt} */
};
/* Borrows from `payload`. */
int pj_status_message_parse(struct pj_view payload, struct pj_status_event *out,
                            struct pj_err *err) PJ_MUST_CHECK;

/* Events after `after` ("<ms>-<seq>"), oldest first, at most 1000. The reply lends; `items` is the caller's with room for 1000.
 * PJ_NONE: older than what is kept: send `reset`. */
#define PJ_STATUS_PAGE_MAX 1000
void pj_status_read_cmd(struct pj_cmd *cmd, unsigned partition, const char *after);
int pj_status_read_reply(const struct redisReply *reply, struct pj_status_event *items,
                         size_t *count, struct pj_err *err) PJ_MUST_CHECK;

#endif
