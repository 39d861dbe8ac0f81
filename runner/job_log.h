/* job_log.h - the task's log on its way to the store (DESIGN.md section 4).
 *
 * Output of the box is split into lines, masked, made valid UTF-8, cut at PJ_EVENT_MESSAGE_MAX, numbered without a gap, and sent
 * in chunks: when 16 KiB are waiting, or 50 ms after the first of them. A chunk that could not be sent stays and is sent again;
 * what the store says it lacks (it lost its last second) is sent again from the chunks kept for that. Memory is bounded:
 * job_log_is_full() tells the owner to stop reading the box, which then waits at its pipe. */
#ifndef RUNNER_JOB_LOG_H
#define RUNNER_JOB_LOG_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include "lib/base/err.h"
#include "lib/base/redact.h"
#include "lib/base/view.h"
#include "lib/task/event.h"

#define JOB_LOG_CHUNK_BYTES ((size_t)16 * 1024)
#define JOB_LOG_CHUNK_MS 50
#define JOB_LOG_WAITING_MAX ((size_t)4 * 1024 * 1024) /* beyond: full */
#define JOB_LOG_KEPT_MAX ((size_t)1024 * 1024) /* sent chunks kept for a store that lost them */
/* Of output an attempt, and of what the agent says, as it came and as it is stored: the rest is dropped, and said so. */
#define JOB_LOG_OUTPUT_MAX ((int64_t)64 * 1024 * 1024)

/* Store entries first..first+count-1 (`lines`: one entry a line, each ended by LF). 0: stored. PJ_NONE: nothing was stored,
 * *resend_from is the number that the store expects (a hole, or a part was there). UNAVAILABLE: try later. Any other failure
 * is final (the lease is another's). */
typedef int job_log_send(void *ctx, int64_t first, size_t count, struct pj_view lines,
                         int64_t *resend_from, struct pj_err *err);

struct job_log;

struct job_log_config {
    int64_t attempt;
    int64_t last_n; /* number of the last entry that an earlier delivery stored */
    const struct pj_redact *redact;
    job_log_send *send;
    void *ctx;
};

struct job_log *job_log_new(const struct job_log_config *config);
void job_log_free(struct job_log *log);
void job_log_freep(struct job_log **log);

/* One entry. `message` may hold anything; it is masked and cut like output. `data` may be NULL. */
void job_log_event(struct job_log *log, enum pj_event_stream stream, enum pj_event_type type,
                   const char *message, const json_t *data);
/* A member of the next entry, whatever that will be: where a stage begins, what the box was. */
void job_log_mark(struct job_log *log, const char *name, const char *value);
/* info, warn, error of stream `system`, formatted. */
void job_log_say(struct job_log *log, enum pj_event_type type, const char *fmt, ...)
    PJ_PRINTF(3, 4);
/* Bytes of the box's stdout or stderr, in pieces as they came; each line becomes an entry. */
void job_log_output(struct job_log *log, enum pj_event_stream stream, struct pj_view bytes);
/* The stream ended: an unfinished line becomes an entry. */
void job_log_output_end(struct job_log *log, enum pj_event_stream stream);

bool job_log_is_full(const struct job_log *log);
/* Milliseconds until job_log_flush() has something to do; -1: nothing waits. */
int job_log_timeout_ms(const struct job_log *log);
/* Send what is due (all of it with `force`). 0 also when the store is away: it is tried again. Fails only for good. */
int job_log_flush(struct job_log *log, bool force, struct pj_err *err) PJ_MUST_CHECK;
/* Send all, trying again until `deadline_mono_ms`. UNAVAILABLE when the store stayed away. */
int job_log_drain(struct job_log *log, int64_t deadline_mono_ms, struct pj_err *err) PJ_MUST_CHECK;
int64_t job_log_last_n(const struct job_log *log);

#endif
