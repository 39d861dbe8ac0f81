/* tasks.h - tasks at rest, and the moves that users make. Moves of runners are in lease.h.
 *
 * Every script checks the states a move may start from (lib/task/state.h); a refusal is CONFLICT with the move's code and the
 * current status in the message. Unknown ids are NOT_FOUND. */
#ifndef PJ_STORE_TASKS_H
#define PJ_STORE_TASKS_H

#include "lib/store/cmd.h"
#include "lib/task/task.h"

/* Store new tasks. pj_task_create_add() adds one more of the same partition to a command (an empty one is begun): it is repeatable when
 * all of its tasks have an idem_key, and pj_reply_at(reply, i) is the answer for the i-th. */
#define PJ_CREATE_MAX 500
void pj_task_create_add(struct pj_cmd *cmd, const struct pj_task *task, bool execute,
                        const char *idem_key);
/* One, with the members of `task` that a client gives (id, repository_id, owner, title, … and status ignored):
 * queued, attempt 1; with `execute`, running and waiting in the same step. `idem_key` (may be NULL): the full key text of idem.h;
 * when a task was made under it, that task is answered and *existing set. The id must be of the owner's partition
 * (pj_id_new(pj_partition_of_user(…))). */
void pj_task_create_cmd(struct pj_cmd *cmd, const struct pj_task *task, bool execute,
                        const char *idem_key);
/* *task, as it was sent, becomes as it was stored. On failure it is as it was. */
int pj_task_create_reply(const struct redisReply *reply, struct pj_task *task, bool *existing,
                         struct pj_err *err) PJ_MUST_CHECK;

void pj_task_get_cmd(struct pj_cmd *cmd, const char *task_id);
int pj_task_get_reply(const struct redisReply *reply, struct pj_task *out,
                      struct pj_err *err) PJ_MUST_CHECK;

/* Newest first. Run it per partition and merge by id (pj_task_list_merge). A page may be short and still have a cursor: the scan
 * of one call is bounded. */
#define PJ_TASK_PAGE_MAX 200
struct pj_task_query {
    const char *
        viewer; /* NULL: sees everything (admin); else own tasks and those in shared repositories */
    const char *const *shared; /* ids of shared repositories, NULL-terminated; may be NULL */
    const char *owner;         /* filters; NULL: any */
    const char *repository_id;
    int status;         /* -1: any */
    const char *text;   /* case-insensitive in title and description */
    const char *before; /* cursor: ids below this one; NULL: from the newest */
    int64_t limit;
};
struct pj_task_page {
    struct pj_task **items; /* owned, `count` entries */
    size_t count;
    char *next; /* cursor, NULL at the end */
};
void pj_task_list_cmd(struct pj_cmd *cmd, unsigned partition, const struct pj_task_query *query);
int pj_task_list_reply(const struct redisReply *reply, struct pj_task_page *out,
                       struct pj_err *err) PJ_MUST_CHECK;
/* Merge pages of all partitions (consumed) into one of at most `limit`. */
void pj_task_list_merge(struct pj_task_page *pages, size_t count, size_t limit,
                        struct pj_task_page *out);
void pj_task_page_release(struct pj_task_page *page);

/* Each move answers the task as it is afterwards: pj_task_move_reply(). */
void pj_task_execute_cmd(struct pj_cmd *cmd, const char *task_id, int executor /* -1: keep */);
/* queued and waiting: cancelled at once; held by somebody: flagged, its runner rung (status stays running; repeatable). */
void pj_task_cancel_cmd(struct pj_cmd *cmd, const char *task_id);
void pj_task_answer_cmd(struct pj_cmd *cmd, const char *task_id, const char *answer, bool execute);
void pj_task_retry_cmd(struct pj_cmd *cmd, const char *task_id, const char *feedback /* or NULL */,
                       bool execute);
/* needs_review with a kept patch (else CONFLICT `no_patch`): runs again in mode "publish". */
void pj_task_publish_cmd(struct pj_cmd *cmd, const char *task_id);
struct pj_task_edit { /* NULL: keep */
    const char *title;
    const char *description;
    const struct pj_task_limits *limits;
};
void pj_task_edit_cmd(struct pj_cmd *cmd, const char *task_id, const struct pj_task_edit *edit);
int pj_task_move_reply(const struct redisReply *reply, struct pj_task *out,
                       struct pj_err *err) PJ_MUST_CHECK;

/* With log, patch, usage and outbox. */
void pj_task_delete_cmd(struct pj_cmd *cmd, const char *task_id);
int pj_task_delete_reply(const struct redisReply *reply, struct pj_err *err) PJ_MUST_CHECK;

/* The pull request's state changed at the forge ("open", "closed", "merged"): any status. */
void pj_task_pr_state_cmd(struct pj_cmd *cmd, const char *task_id, const char *state);

/* The patch text: NOT_FOUND with code `no_patch` when there is none. Owned by the caller. */
void pj_task_patch_cmd(struct pj_cmd *cmd, const char *task_id);
int pj_task_patch_reply(const struct redisReply *reply, char **text, size_t *len,
                        struct pj_err *err) PJ_MUST_CHECK;
/* JSON lines; empty when there are none. */
void pj_task_trajectory_cmd(struct pj_cmd *cmd, const char *task_id);
int pj_task_trajectory_reply(const struct redisReply *reply, char **text, size_t *len,
                             struct pj_err *err) PJ_MUST_CHECK;

#endif
