#include "lib/http/sse_read.h"

#include <string.h>

void pj_sse_reader_init(struct pj_sse_reader *r, size_t max_event,
                        int (*on_event)(void *, const char *, struct pj_view, struct pj_err *),
                        void *ctx)
{
    memset(r, 0, sizeof *r);
    pj_str_init(&r->line, max_event);
    pj_str_init(&r->data, max_event);
    pj_str_init(&r->event, 256);
    pj_str_init(&r->id, 256);
    r->on_event = on_event;
    r->ctx = ctx;
}

void pj_sse_reader_release(struct pj_sse_reader *r)
{
    pj_str_release(&r->line);
    pj_str_release(&r->data);
    pj_str_release(&r->event);
    pj_str_release(&r->id);
}

static int too_long(const struct pj_sse_reader *r, struct pj_err *err)
{
    return pj_fail(err, PJ_E_LIMIT, "an event of the stream has more than %zu bytes", r->data.max);
}

static int dispatch(struct pj_sse_reader *r, struct pj_err *err)
{
    int rc = 0;

    if (r->has_data)
        rc = r->on_event(r->ctx, r->event.len ? pj_str_cstr(&r->event) : "message",
                         pj_view_n(pj_str_cstr(&r->data), r->data.len), err);
    r->has_data = false;
    pj_str_clear(&r->data);
    pj_str_clear(&r->event);
    return rc < 0 ? -1 : 0;
}

static int take_line(struct pj_sse_reader *r, struct pj_err *err)
{
    struct pj_view value = pj_view_n(pj_str_cstr(&r->line), r->line.len), field;

    if (value.n == 0)
        return dispatch(r, err);
    if (value.p[0] == ':')
        return 0;
    if (!pj_view_cut(&value, ':', &field))
        return 0;
    if (value.n > 0 && value.p[0] == ' ')
        value = pj_view_n(value.p + 1, value.n - 1);
    if (pj_view_is(field, "data")) {
        if (r->has_data && pj_str_putc(&r->data, '\n') < 0)
            return too_long(r, err);
        r->has_data = true;
        if (value.n > 0 && pj_str_append(&r->data, value.p, value.n) < 0)
            return too_long(r, err);
    } else if (pj_view_is(field, "event")) {
        pj_str_clear(&r->event);
        if (value.n > 0 && pj_str_append(&r->event, value.p, value.n) < 0)
            return pj_fail(err, PJ_E_LIMIT, "an event's name has more than %zu bytes",
                           r->event.max);
    } else if (pj_view_is(field, "id") && value.n <= r->id.max) {
        pj_str_clear(&r->id);
        if (value.n > 0 && !memchr(value.p, '\0', value.n))
            (void)pj_str_append(&r->id, value.p, value.n);
    }
    return 0;
}

int pj_sse_reader_feed(struct pj_sse_reader *r, const char *bytes, size_t n, struct pj_err *err)
{
    size_t start = 0;

    for (size_t i = 0; i < n; i++) {
        char c = bytes[i];
        if (c != '\n' && c != '\r') {
            r->after_cr = false;
            continue;
        }
        if (c == '\n' && r->after_cr) { /* the second half of CRLF */
            r->after_cr = false;
            start = i + 1;
            continue;
        }
        r->after_cr = c == '\r';
        if (i > start && pj_str_append(&r->line, bytes + start, i - start) < 0)
            return too_long(r, err);
        start = i + 1;
        if (!r->started) {
            r->started = true;
            if (r->line.len >= 3 && memcmp(r->line.data, "\xEF\xBB\xBF", 3) == 0)
                pj_str_shift(&r->line, 3);
        }
        if (take_line(r, err) < 0)
            return -1;
        pj_str_clear(&r->line);
    }
    if (n > start && pj_str_append(&r->line, bytes + start, n - start) < 0)
        return too_long(r, err);
    return 0;
}

const char *pj_sse_reader_id(const struct pj_sse_reader *r)
{
    return pj_str_cstr(&r->id);
}
