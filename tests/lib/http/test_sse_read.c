#include <criterion/criterion.h>
#include <string.h>
#include "lib/http/sse_read.h"

static int note(void *ctx, const char *event, struct pj_view data, struct pj_err *err)
{
    (void)err;
    return pj_str_putf(ctx, "%s=%.*s;", event, (int)data.n, data.n ? data.p : "");
}

static const char stream[] = "\xEF\xBB\xBF: hello\r\n"
                             "event: a\r\ndata: one\r\ndata:two\r\n\r\n"
                             "data\n\n"
                             "id: 7\ndata: Gr\xC3\xBC\xC3\x9F\x65\n\n"
                             ": OPENROUTER PROCESSING\n\n"
                             "event: lost\n\n"
                             "retry: 10\nunknown: x\ndata: {\"k\":\"v: w\"}\r\r"
                             "data: never ended";
static const char expected[] =
    "a=one\ntwo;message=;message=Gr\xC3\xBC\xC3\x9F\x65;message={\"k\":\"v: w\"};";

Test(sse_read, reads_the_same_events_at_every_split_point)
{
    for (size_t cut = 0; cut <= sizeof stream - 1; cut++) {
        struct pj_str seen;
        struct pj_sse_reader r;
        struct pj_err err;

        pj_str_init(&seen, 4096);
        pj_sse_reader_init(&r, 1024, note, &seen);
        cr_assert_eq(pj_sse_reader_feed(&r, stream, cut, &err), 0);
        cr_assert_eq(pj_sse_reader_feed(&r, stream + cut, sizeof stream - 1 - cut, &err), 0);
        cr_assert_str_eq(pj_str_cstr(&seen), expected, "cut at %zu: %s", cut, pj_str_cstr(&seen));
        cr_assert_str_eq(pj_sse_reader_id(&r), "7");
        pj_sse_reader_release(&r);
        pj_str_release(&seen);
    }
}

Test(sse_read, reads_byte_by_byte)
{
    struct pj_str seen;
    struct pj_sse_reader r;
    struct pj_err err;

    pj_str_init(&seen, 4096);
    pj_sse_reader_init(&r, 1024, note, &seen);
    for (size_t i = 0; i < sizeof stream - 1; i++)
        cr_assert_eq(pj_sse_reader_feed(&r, stream + i, 1, &err), 0);
    cr_assert_str_eq(pj_str_cstr(&seen), expected);
    pj_sse_reader_release(&r);
    pj_str_release(&seen);
}

Test(sse_read, refuses_an_event_above_its_maximum)
{
    struct pj_str seen;
    struct pj_sse_reader r;
    struct pj_err err;

    pj_str_init(&seen, 4096);
    pj_sse_reader_init(&r, 16, note, &seen);
    cr_assert_lt(pj_sse_reader_feed(&r, "data: 1234567890123456789\n\n", 27, &err), 0);
    cr_assert_eq(err.cls, PJ_E_LIMIT);
    pj_sse_reader_release(&r);
    pj_str_release(&seen);
}
