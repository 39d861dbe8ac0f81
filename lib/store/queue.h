/* queue.h - tickets: the stream that wakes runners.
 *
 * `execute` puts a task into its user's backlog; admission (inside the scripts) moves the next fair ones into a short stream.
 * A ticket only says "look at this task"; the task's hash is the truth, and lease_take decides. */
#ifndef PJ_STORE_QUEUE_H
#define PJ_STORE_QUEUE_H

#include "lib/base/id.h"
#include "lib/store/cmd.h"

#define PJ_TICKET_ID_SIZE 48
struct pj_ticket {
    char stream_id[PJ_TICKET_ID_SIZE];
    unsigned partition;
    char task_id[PJ_ID_SIZE + 10];
};

#define PJ_TICKETS_MAX 64

/* Make the consumer group; repeat at start and after a NOGROUP error (code `no_group`, UNAVAILABLE) of pj_queue_wait. */
void pj_queue_init_cmd(struct pj_cmd *cmd, unsigned partition);
int pj_queue_init_reply(const struct redisReply *reply, struct pj_err *err) PJ_MUST_CHECK;

/* Wait for up to `max` tickets on all `partitions` streams, at most block_ms (> 0), as consumer `runner`. Needs a connection of
 * its own: nothing else is answered meanwhile. PJ_NONE when none came. tickets[] has PJ_TICKETS_MAX. */
void pj_queue_wait_cmd(struct pj_cmd *cmd, unsigned partitions, const char *runner, int max,
                       int block_ms);
int pj_queue_wait_reply(const struct redisReply *reply, struct pj_ticket *tickets, size_t *count,
                        struct pj_err *err) PJ_MUST_CHECK;

struct pj_queue_depth {
    int64_t queued;         /* status running, stage waiting */
    int64_t running;        /* leased */
    int64_t external;       /* held by a workflow */
    int64_t oldest_wait_ms; /* age of the longest waiting, 0 when none */
};
void pj_queue_depth_cmd(struct pj_cmd *cmd, unsigned partition);
int pj_queue_depth_reply(const struct redisReply *reply, struct pj_queue_depth *out,
                         struct pj_err *err) PJ_MUST_CHECK;

/* Store limits that admission applies (PJ_USER_MAX_RUNNING, 0: none), for all programs; runners set it at start. */
void pj_queue_config_cmd(struct pj_cmd *cmd, unsigned partition, int64_t user_max_running);

#endif
