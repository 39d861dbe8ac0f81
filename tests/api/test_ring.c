#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include "api/ring.h"

static void add(struct ring *ring, int64_t attempt, int64_t first, int64_t count, size_t size)
{
    struct pj_str frames;
    int64_t forgot_attempt, forgot_n;

    pj_str_init(&frames, 1 << 20);
    for (int64_t n = first; n < first + count; n++) {
        pj_str_putf(&frames, "id: %lld-%lld\ndata: ", (long long)attempt, (long long)n);
        for (size_t i = 0; i < size; i++)
            pj_str_putc(&frames, 'x');
        pj_str_puts(&frames, "\n\n");
    }
    ring_append(ring, pj_view_n(frames.data, frames.len), attempt, first, count, &forgot_attempt,
                &forgot_n);
    pj_str_release(&frames);
}

static void expect_entry(const struct ring *ring, uint64_t offset, const char *id)
{
    struct pj_view bytes = ring_at(ring, offset);
    char line[64];

    snprintf(line, sizeof line, "id: %s\n", id);
    cr_expect(pj_view_starts(bytes, line), "expected %s, found %.20s", id, bytes.p);
}

Test(ring, finds_the_entry_after_any_other)
{
    struct ring ring = {0};

    for (int64_t n = 1; n <= 400; n += 4)
        add(&ring, 1, n, 4, 100);
    add(&ring, 2, 1, 3, 10);
    expect_entry(&ring, ring_seek(&ring, 0, 0), "1-1");
    for (int64_t n = 1; n < 400; n++) {
        char id[32];
        snprintf(id, sizeof id, "1-%lld", (long long)n + 1);
        expect_entry(&ring, ring_seek(&ring, 1, n), id);
    }
    expect_entry(&ring, ring_seek(&ring, 1, 400), "2-1");
    expect_entry(&ring, ring_seek(&ring, 1, 999), "2-1");
    expect_entry(&ring, ring_seek(&ring, 2, 2), "2-3");
    cr_expect_eq(ring_seek(&ring, 2, 3), ring.end);
    ring_release(&ring);
}

Test(ring, keeps_bounded_memory_and_tells_what_it_forgot)
{
    struct ring ring = {0};
    int64_t attempt = 0, n = 0;

    for (int64_t i = 1; i <= 20000; i++) {
        struct pj_str frame;
        pj_str_init(&frame, 4096);
        for (int k = 0; k < 1000; k++)
            pj_str_putc(&frame, 'y');
        pj_str_puts(&frame, "\n\n");
        ring_append(&ring, pj_view_n(frame.data, frame.len), 1, i, 1, &attempt, &n);
        pj_str_release(&frame);
    }
    cr_expect_leq(ring.kept, (size_t)RING_MAX + 65536);
    cr_expect_eq(attempt, 1);
    cr_expect_gt(n, 10000);
    cr_expect_eq(ring_seek(&ring, 1, n), ring.base);
    ring_release(&ring);
}

Test(ring, a_quiet_one_is_small)
{
    struct ring ring = {0};

    add(&ring, 1, 1, 1, 50);
    cr_expect_leq(ring.kept, 4096);
    ring_release(&ring);
}
