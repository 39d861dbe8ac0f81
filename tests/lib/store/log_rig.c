#include "tests/lib/store/log_rig.h"

#include <stdlib.h>
#include "lib/base/mem.h"

struct fixture f;
char id[PJ_ID_SIZE];
struct pj_lease lease;

void log_up(void)
{
    fixture_up(&f);
    make_task(&f, "user1", true, id);
    take_one(&f, "r1", &lease);
}

void log_down(void)
{
    pj_leases_release(&lease, 1);
    fixture_down(&f);
}

void put_lines(struct pj_str *out, int64_t attempt, int64_t first, int64_t count)
{
    pj_str_init(out, PJ_CHUNK_BYTES_MAX);
    for (int64_t n = first; n < first + count; n++) {
        PJ_CLEANUP(pj_freep) char *text = pj_asprintf("line %lld", (long long)n);
        struct pj_event event = {.attempt = attempt,
                                 .n = n,
                                 .ts_ms = 1000,
                                 .stream = PJ_STREAM_STDOUT,
                                 .message = pj_view_of(text)};

        cr_assert_eq(pj_event_encode(&event, out), 0);
        (void)pj_str_putc(out, '\n');
    }
}

int append(int64_t first, int64_t count, int64_t *next)
{
    struct pj_cmd cmd = {0};
    struct pj_str lines;
    struct pj_err err = {0};

    put_lines(&lines, 1, first, count);
    pj_events_append_cmd(&cmd, id, lease.epoch, 1, first, count, pj_view_n(lines.data, lines.len));
    pj_str_release(&lines);
    PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = run_cmd(&f, &cmd);

    return pj_events_append_reply(reply, next, &err);
}

void page_after(int64_t attempt, int64_t n, int64_t limit, int64_t only,
                struct pj_events_page *page)
{
    struct pj_cmd cmd = {0};
    struct pj_err err = {0};

    pj_events_page_cmd(&cmd, id, attempt, n, limit, only);
    PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = run_cmd(&f, &cmd);

    cr_assert_eq(pj_events_page_reply(reply, page, &err), 0, "%s", err.message);
}

char *whole_log(int64_t limit)
{
    struct pj_str all;
    struct pj_events_page page;
    int64_t attempt = 0, n = 0;
    bool more;

    pj_str_init(&all, 64 * 1024 * 1024);
    do {
        page_after(attempt, n, limit, 0, &page);
        for (size_t i = 0; i < page.count; i++) {
            (void)pj_str_append(&all, page.lines[i].p, page.lines[i].n);
            (void)pj_str_putc(&all, '\n');
        }
        attempt = page.last_attempt;
        n = page.last_n;
        more = page.more;
        pj_events_page_release(&page);
    } while (more);
    return pj_str_take(&all);
}
