/* event.h - one entry of a task's log, in exactly the form of CONTRACT.md section 4.
 *
 * `n` counts from 1 within the attempt and never skips. An entry is encoded once, by the job; from then on the store and the
 * API carry its bytes. */
#ifndef PJ_TASK_EVENT_H
#define PJ_TASK_EVENT_H

#include <jansson.h>
#include <stdint.h>
#include "lib/base/err.h"
#include "lib/base/str.h"
#include "lib/base/view.h"

enum pj_event_stream { PJ_STREAM_SYSTEM, PJ_STREAM_AGENT, PJ_STREAM_STDOUT, PJ_STREAM_STDERR };

enum pj_event_type {
    PJ_EVENT_INFO,
    PJ_EVENT_WARN,
    PJ_EVENT_ERROR,
    PJ_EVENT_LLM_REQUEST,
    PJ_EVENT_TOOL,
    PJ_EVENT_PATCH,
    PJ_EVENT_CHECK,
    PJ_EVENT_PR_CREATED,
    PJ_EVENT_STATUS
};

extern const char *const pj_event_stream_words[];
extern const char *const pj_event_type_words[];

/* A longer message is cut at a character's end and marked. */
#define PJ_EVENT_MESSAGE_MAX (16 * 1024)
/* More than any encoded entry: the message all escaped, and its members. */
#define PJ_EVENT_ENTRY_MAX (256 * 1024)

struct pj_event {
    int64_t attempt;
    int64_t n;
    int64_t ts_ms;
    enum pj_event_stream stream;
    enum pj_event_type type;
    struct pj_view message; /* borrowed; any bytes: invalid UTF-8 and NUL become U+FFFD */
    const json_t *data;     /* borrowed; NULL, or an object whose members are added to the entry */
};

/* Append the entry as one line of JSON, without a line feed. Members of `data` named like a fixed one are dropped. -1 only when `out` is full. */
int pj_event_encode(const struct pj_event *event, struct pj_str *out);

/* Room for "<attempt>-<n>" and NUL. */
#define PJ_EVENT_ID_SIZE 48
const char *pj_event_id(int64_t attempt, int64_t n, char out[PJ_EVENT_ID_SIZE]);
/* The reverse: INVALID with code `invalid_event_id` when it is no such id. "" and "0" mean the beginning (0, 0). */
int pj_event_id_parse(struct pj_view id, int64_t *attempt, int64_t *n,
                      struct pj_err *err) PJ_MUST_CHECK;
/* Attempt and n of an encoded entry (pj_event_encode() writes the id first). -1 when `line` does not start like one. */
int pj_event_line_id(struct pj_view line, int64_t *attempt, int64_t *n) PJ_MUST_CHECK;

#endif
