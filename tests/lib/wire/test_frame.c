#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "lib/base/mem.h"
#include "lib/wire/frame.h"

Test(frame, decodes_what_it_encoded_at_every_length)
{
    struct pj_str out;
    struct pj_err err;
    struct pj_view payload;
    size_t used;

    pj_str_init(&out, 1000);
    cr_assert_eq(pj_frame_encode(&out, pj_view_of("{\"type\":\"hello\"}"), &err), 0);
    for (size_t n = 0; n < out.len; n++)
        cr_assert_eq(pj_frame_decode(pj_view_n(out.data, n), &payload, &used, &err), PJ_NONE);
    cr_assert_eq(pj_frame_decode(pj_view_n(out.data, out.len), &payload, &used, &err), 0);
    cr_assert_eq(used, out.len);
    cr_assert(pj_view_is(payload, "{\"type\":\"hello\"}"));
    pj_str_release(&out);
}

Test(frame, refuses_lengths_that_cannot_be)
{
    struct pj_err err;
    struct pj_view payload;
    size_t used;

    cr_assert_lt(pj_frame_decode(pj_view_n("\0\0\0\0x", 5), &payload, &used, &err), 0);
    cr_assert_eq(err.cls, PJ_E_PROTOCOL);
    cr_assert_lt(pj_frame_decode(pj_view_n("GET / HTTP/1.1", 14), &payload, &used, &err), 0);
}

Test(link, carries_frames_larger_than_any_buffer_both_ways)
{
    enum { SIZE = 3 << 20 };
    int ends[2];
    struct pj_link a, b;
    struct pj_err err;
    struct pj_view payload;
    char *big = pj_alloc(SIZE, 1);

    memset(big, 'z', SIZE);
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    pj_link_init(&a, ends[0]);
    pj_link_init(&b, ends[1]);
    if (fork() == 0) {
        int rc = pj_link_send(&b, pj_view_n(big, SIZE), 5000, NULL, &err);
        rc |= pj_link_recv(&b, &payload, 5000, NULL, &err);
        _exit(rc == 0 && payload.n == 2 ? 0 : 1);
    }
    pj_link_release(&b);
    cr_assert_eq(pj_link_recv(&a, &payload, 5000, NULL, &err), 0);
    cr_assert_eq(payload.n, SIZE);
    cr_assert_eq(pj_link_send(&a, pj_view_of("ok"), 5000, NULL, &err), 0);
    cr_assert_eq(pj_link_recv(&a, &payload, 5000, NULL, &err), PJ_NONE,
                 "the peer leaves between frames");
    pj_link_release(&a);
    free(big);
}

Test(link, times_out_and_notices_an_end_inside_a_frame)
{
    int ends[2];
    struct pj_link a;
    struct pj_err err;
    struct pj_view payload;

    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    pj_link_init(&a, ends[0]);
    cr_assert_lt(pj_link_recv(&a, &payload, 20, NULL, &err), 0);
    cr_assert_eq(err.cls, PJ_E_TIMEOUT);
    cr_assert_eq(write(ends[1], "\0\0\0\5ab", 6), 6);
    close(ends[1]);
    cr_assert_lt(pj_link_recv(&a, &payload, 1000, NULL, &err), 0);
    cr_assert_eq(err.cls, PJ_E_PROTOCOL);
    pj_link_release(&a);
}
