/* sse_read.h - reader of text/event-stream, fed in pieces of any size.
 *
 * Follows the WHATWG HTML standard, section 9.2: CR, LF and CRLF end a line, ":" starts a comment, several data lines are
 * joined by LF, an event without data is dropped, unknown fields are ignored, a BOM at the start is skipped. */
#ifndef PJ_HTTP_SSE_READ_H
#define PJ_HTTP_SSE_READ_H

#include <stdbool.h>
#include <stddef.h>
#include "lib/base/err.h"
#include "lib/base/str.h"
#include "lib/base/view.h"

struct pj_sse_reader {
    struct pj_str line;
    struct pj_str data;
    struct pj_str event;
    struct pj_str id;
    bool has_data, after_cr, started;
    /* Called for each event. `event` is "message" when the stream names none. 0, or -1 with err to stop. */
    int (*on_event)(void *ctx, const char *event, struct pj_view data, struct pj_err *err);
    void *ctx;
};

/* `max_event`: bytes of one event's data and of one line; more is LIMIT. */
void pj_sse_reader_init(struct pj_sse_reader *r, size_t max_event,
                        int (*on_event)(void *, const char *, struct pj_view, struct pj_err *),
                        void *ctx);
void pj_sse_reader_release(struct pj_sse_reader *r);
int pj_sse_reader_feed(struct pj_sse_reader *r, const char *bytes, size_t n,
                       struct pj_err *err) PJ_MUST_CHECK;
/* The last `id:` seen, "" when none. */
const char *pj_sse_reader_id(const struct pj_sse_reader *r);

#endif
