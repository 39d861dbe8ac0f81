/* runners.h - the fleet: heartbeats of runners and the wish to drain one. */
#ifndef PJ_STORE_RUNNERS_H
#define PJ_STORE_RUNNERS_H

#include <jansson.h>
#include "lib/store/cmd.h"

struct pj_runner_beat { /* strings borrowed */
    const char *name;
    const char *
        instance; /* of this process: a runner that comes back under its name replaces the old one */
    const char *version;
    const char *labels;    /* comma separated; may be NULL */
    const char *isolation; /* level, one word or a JSON text; may be NULL */
    const char *state;     /* "ready", "draining", "stopped" */
    int64_t slots;
    int64_t busy;
    const char *tasks; /* ids, comma separated; may be NULL */
    int64_t started_ms;
};
/* Upsert; *drain: an admin wishes it to drain (pj_runner_drain_cmd). */
void pj_runner_beat_cmd(struct pj_cmd *cmd, const struct pj_runner_beat *beat);
int pj_runner_beat_reply(const struct redisReply *reply, bool *drain,
                         struct pj_err *err) PJ_MUST_CHECK;
/* Wish on or off; rings the runner's channel with "drain". NOT_FOUND. */
void pj_runner_drain_cmd(struct pj_cmd *cmd, const char *name, bool on);
int pj_runner_drain_reply(const struct redisReply *reply, struct pj_err *err) PJ_MUST_CHECK;
/* A runner that ended in order. */
void pj_runner_gone_cmd(struct pj_cmd *cmd, const char *name, const char *instance);
/* Array of {name,state,slots,busy,version,isolation,labels,heartbeatAgeMs,startedAt,tasks:[…]}; the caller decrefs. Silent for
 * 60 s: state "lost"; for a day: dropped. */
void pj_runner_list_cmd(struct pj_cmd *cmd);
int pj_runner_list_reply(const struct redisReply *reply, json_t **out,
                         struct pj_err *err) PJ_MUST_CHECK;

#endif
