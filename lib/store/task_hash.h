/* task_hash.h - a task's hash in Redis and struct pj_task, by one table. */
#ifndef PJ_STORE_TASK_HASH_H
#define PJ_STORE_TASK_HASH_H

#include "lib/store/cmd.h"
#include "lib/task/task.h"

/* Add, as one argument, what a task is created with (owner, title, limits, model, …): `d` of lua/state.lua without its first two. */
void pj_task_hash_put_given(struct pj_cmd *cmd, const struct pj_task *task);
/* Only the limits. */
void pj_task_hash_put_limits(struct pj_cmd *cmd, const struct pj_task_limits *limits);
/* Only the error. */
void pj_task_hash_put_error(struct pj_cmd *cmd, const struct pj_task_error *error);
/* A reply name, value, name, value …; names of no member are passed over. *out is initialised here. PROTOCOL when it is no task. */
int pj_task_hash_get(const struct redisReply *hash, struct pj_task *out,
                     struct pj_err *err) PJ_MUST_CHECK;
/* *task was sent a moment ago, and stored: `created` says when and how. PROTOCOL when it does not. */
int pj_task_created(const struct redisReply *created, struct pj_task *task,
                    struct pj_err *err) PJ_MUST_CHECK;
/* A task that was taken a moment ago: its hash, or what it was created with; its lease. */
int pj_task_leased_get(const struct redisReply *hash, const struct redisReply *lease,
                       struct pj_task *out, int64_t *deadline_ms, struct pj_err *err) PJ_MUST_CHECK;

#endif
