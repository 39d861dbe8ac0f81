/* queue.h - bells: the stream that wakes runners.
 *
 * `execute` puts a task into its user's backlog; the scripts keep a few bells in a short stream while there is a backlog. A bell says
 * "somebody waits" and names nobody: lease_take decides who is next. */
#ifndef PJ_STORE_QUEUE_H
#define PJ_STORE_QUEUE_H

#include "lib/store/cmd.h"
#include "lib/store/keys.h"

#define PJ_BELLS_MAX PJ_PARTITIONS_MAX /* one a partition */
struct pj_bell {
    char stream_id[48];
    unsigned partition;
};

/* Make the consumer group; repeat at start and after a NOGROUP error (code `no_group`, UNAVAILABLE) of pj_queue_wait. */
void pj_queue_init_cmd(struct pj_cmd *cmd, unsigned partition);
int pj_queue_init_reply(const struct redisReply *reply, struct pj_err *err) PJ_MUST_CHECK;

/* Wait for a bell on each of all `partitions` streams, at most block_ms (> 0), as consumer `runner`. Needs a connection of its own:
 * nothing else is answered meanwhile. PJ_NONE when none came. bells[] has PJ_BELLS_MAX. */
void pj_queue_wait_cmd(struct pj_cmd *cmd, unsigned partitions, const char *runner, int block_ms);
int pj_queue_wait_reply(const struct redisReply *reply, struct pj_bell *bells, size_t *count,
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
