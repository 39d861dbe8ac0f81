/* events.h - a task's log in the store, and the messages on its channel.
 *
 * A chunk of encoded entries (lib/task/event.h) is one stream entry whose id is "<attempt>-<first n>": order, place and
 * duplicates are decided by the id. Storing and publishing are one script. */
#ifndef PJ_STORE_EVENTS_H
#define PJ_STORE_EVENTS_H

#include "lib/store/cmd.h"
#include "lib/task/event.h"
#include "lib/task/state.h"

/* A chunk is refused above these (LIMIT). */
#define PJ_CHUNK_BYTES_MAX (1024 * 1024)
#define PJ_CHUNK_LINES_MAX 4096

/* Append `count` entries, the first numbered `first`: `lines` is one JSON text a line, each ended by '\n'. epoch -1: whoever
 * holds it (webhooks), with `attempt` the current one; several may number at once, and who comes second is told to resend. */
void pj_events_append_cmd(struct pj_cmd *cmd, const char *task_id, int64_t epoch, int64_t attempt,
                          int64_t first, int64_t count, struct pj_view lines);
/* *next is the number expected next. 0: stored, now or before. PJ_NONE: nothing was stored, resend from *next (a hole, or part of
 * it was there). CONFLICT `stale_lease`, `stale_attempt`. LIMIT `log_full` (epoch -1; *next 1: for the first time). UNAVAILABLE `store_full` when Redis is full. */
int pj_events_append_reply(const struct redisReply *reply, int64_t *next,
                           struct pj_err *err) PJ_MUST_CHECK;
/* As append, but the store numbers it: one entry of the system at the end of the current attempt's log, whatever the state. */
void pj_events_note_cmd(struct pj_cmd *cmd, const char *task_id, enum pj_event_type type,
                        const char *message);
int pj_events_note_reply(const struct redisReply *reply, struct pj_err *err) PJ_MUST_CHECK;

struct pj_events_page {
    struct pj_view *lines; /* one encoded entry each, without line feed; they point into `text` */
    size_t count;
    char *text;
    int64_t last_attempt, last_n; /* of the last line; those of the question when there is none */
    bool more;                    /* there may be entries after the last line */
    /* The task at the same instant: */
    int status;
    int stage;
    int64_t attempt;
    int64_t logged_n; /* last number stored for `attempt` */
};
/* Entries after (after_attempt, after_n), oldest first, at most `limit` (<= 5000); attempt > 0 narrows to that one. */
void pj_events_page_cmd(struct pj_cmd *cmd, const char *task_id, int64_t after_attempt,
                        int64_t after_n, int64_t limit, int64_t attempt);
/* NOT_FOUND `not_found` for the task, NOT_FOUND `logs_expired` after retention. The question's numbers are in the reply. */
int pj_events_page_reply(const struct redisReply *reply, struct pj_events_page *out,
                         struct pj_err *err) PJ_MUST_CHECK;
void pj_events_page_release(struct pj_events_page *page);

/* A message of the task's channel (pj_key_task_channel). */
enum pj_message_kind { PJ_MESSAGE_LOG, PJ_MESSAGE_STATUS };
struct pj_message {
    enum pj_message_kind kind;
    int64_t attempt, first, count; /* LOG */
    struct pj_view
        body; /* LOG: the lines, each with its '\n'; STATUS: the JSON of the event `status` */
    /* STATUS, read from body: */
    int status;
    int64_t status_attempt;
    int64_t
        logged_n; /* STATUS of an end: the last number, so that `end` is <attempt>-<logged_n + 1> */
};
/* PROTOCOL when it is none. Borrows from `payload`. */
int pj_message_parse(struct pj_view payload, struct pj_message *out,
                     struct pj_err *err) PJ_MUST_CHECK;

/* Retention: drop logs of tasks that ended `age_ms` ago or earlier by the clock of Redis, at most `max`; *dropped tells how many. */
void pj_events_retain_cmd(struct pj_cmd *cmd, unsigned partition, int64_t age_ms, int64_t max);
int pj_events_retain_reply(const struct redisReply *reply, int64_t *dropped,
                           struct pj_err *err) PJ_MUST_CHECK;

#endif
