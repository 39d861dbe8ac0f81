/* Logs of ended tasks: packed, and dropped when they are old. */
#include <stdlib.h>
#include <string.h>
#include "lib/base/mem.h"
#include "lib/store/keys.h"
#include "lib/store/pack.h"
#include "tests/lib/store/log_rig.h"

TestSuite(pack, .init = log_up, .fini = log_down);

/* Pack until nothing is left; how many stretches there were. */
static int pack_all(void)
{
    int rounds = 0;

    for (;; rounds++) {
        struct pj_cmd cmd = {0}, put = {0};
        struct pj_err err = {0};
        int rc;

        pj_pack_next_cmd(&cmd, 0, -86400000);
        {
            PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = run_cmd(&f, &cmd);

            rc = pj_pack_next_reply(reply, 0, &put, &err);
            cr_assert_geq(rc, 0, "%s", err.message);
        }
        if (rc == PJ_NONE)
            return rounds;
        PJ_CLEANUP(pj_reply_freep) struct redisReply *done = run_cmd(&f, &put);

        cr_assert_eq(pj_pack_put_reply(done, &err), 0, "%s", err.message);
    }
}

Test(pack, retention_takes_logs_and_keeps_the_task)
{
    int64_t next, dropped;
    struct pj_cmd cmd = {0};
    struct pj_err err = {0};

    cr_assert_eq(append(1, 5, &next), 0);
    cr_assert_eq(finish_as(&f, id, lease.epoch, PJ_TASK_COMPLETED, NULL, NULL, &err), 0);
    for (int round = 0; round < 2; round++) { /* ended just now; then the clock is turned */
        pj_events_retain_cmd(&cmd, 0, round ? -7 * 86400000LL : 86400000LL, 100);
        PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = run_cmd(&f, &cmd);

        cr_assert_eq(pj_events_retain_reply(reply, &dropped, &err), 0);
        cr_assert_eq(dropped, round);
    }
    cr_assert_eq(status_of(&f, id), PJ_TASK_COMPLETED);
    pj_events_page_cmd(&cmd, id, 0, 0, 10, 0);
    {
        PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = run_cmd(&f, &cmd);
        struct pj_events_page page;

        cr_assert_lt(pj_events_page_reply(reply, &page, &err), 0);
        cr_assert_str_eq(err.code, "logs_expired");
    }
}

Test(pack, packed_log_reads_the_same_and_is_smaller)
{
    int64_t next, first = 1, before_bytes, after_bytes;
    struct pj_err err = {0};
    char key[PJ_KEY_SIZE];

    for (int i = 0; i < 400; i++) {
        cr_assert_eq(append(first, 1 + i % 20, &next), 0);
        first = next;
    }
    cr_assert_eq(pack_all(), 0, "a running task's log is left alone");
    cr_assert_eq(finish_as(&f, id, lease.epoch, 0, "no_changes", NULL, &err), 0);
    before_bytes = ask_int(&f, "MEMORY", "USAGE", pj_key_task_sub(key, id, "log"));
    {
        PJ_CLEANUP(pj_freep) char *before = whole_log(700), *after = NULL, *small = NULL;

        cr_assert_eq(pack_all(), 1);
        after = whole_log(5000);
        small = whole_log(33);
        cr_assert_str_eq(before, after);
        cr_assert_str_eq(before, small);
    }
    after_bytes = ask_int(&f, "MEMORY", "USAGE", key);
    cr_assert_lt(after_bytes * 4, before_bytes, "%lld of %lld bytes", (long long)after_bytes,
                 (long long)before_bytes);
    cr_assert_eq(ask_int(&f, "XLEN", key, NULL), 5, "about a thousand entries a piece");
    cr_assert_eq(pack_all(), 0);
}

Test(pack, next_attempt_goes_on_after_a_packed_one)
{
    int64_t next;
    struct pj_cmd cmd = {0};
    struct pj_err err = {0};
    struct pj_lease again;
    struct pj_str lines;
    PJ_CLEANUP(pj_freep) char *unpacked = NULL, *packed = NULL;

    cr_assert_eq(append(1, 50, &next), 0);
    cr_assert_eq(finish_as(&f, id, lease.epoch, 0, "no_changes", NULL, &err), 0);
    cr_assert_eq(pack_all(), 1);
    pj_task_retry_cmd(&cmd, id, NULL, true);
    cr_assert_eq(run_move(&f, &cmd, NULL, &err), 0);
    take_one(&f, "r1", &again);
    put_lines(&lines, 2, 1, 70);
    pj_events_append_cmd(&cmd, id, again.epoch, 2, 1, 70, pj_view_n(lines.data, lines.len));
    pj_str_release(&lines);
    {
        PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = run_cmd(&f, &cmd);

        cr_assert_eq(pj_events_append_reply(reply, &next, &err), 0, "%s", err.message);
    }
    unpacked = whole_log(40);
    cr_assert_eq(finish_as(&f, id, again.epoch, PJ_TASK_COMPLETED, NULL, NULL, &err), 0);
    cr_assert_eq(pack_all(), 1);
    packed = whole_log(40);
    cr_assert_str_eq(unpacked, packed);
    pj_leases_release(&again, 1);
}

/* The second attempt was cancelled before it said anything; the log of the first is still there, and still to be dropped. */
Test(pack, retention_takes_the_log_of_an_attempt_before_a_silent_one)
{
    int64_t next, dropped;
    struct pj_cmd cmd = {0};
    struct pj_err err = {0};
    struct pj_events_page page;

    cr_assert_eq(append(1, 5, &next), 0);
    cr_assert_eq(finish_as(&f, id, lease.epoch, 0, "no_changes", NULL, &err), 0);
    pj_task_retry_cmd(&cmd, id, NULL, false);
    cr_assert_eq(run_move(&f, &cmd, NULL, &err), 0);
    pj_task_cancel_cmd(&cmd, id);
    cr_assert_eq(run_move(&f, &cmd, NULL, &err), 0);
    cr_assert_eq(pack_all(), 1);
    page_after(0, 0, 100, 0, &page);
    cr_assert_eq(page.count, 5);
    pj_events_page_release(&page);
    pj_events_retain_cmd(&cmd, 0, -86400000, 100);
    {
        PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = run_cmd(&f, &cmd);

        cr_assert_eq(pj_events_retain_reply(reply, &dropped, &err), 0);
        cr_assert_eq(dropped, 1);
    }
    cr_assert_eq(ask_int(&f, "EXISTS", pj_key_task_sub((char[PJ_KEY_SIZE]){0}, id, "log"), NULL),
                 0);
    pj_events_page_cmd(&cmd, id, 0, 0, 10, 0);
    PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = run_cmd(&f, &cmd);

    cr_assert_lt(pj_events_page_reply(reply, &page, &err), 0);
    cr_assert_str_eq(err.code, "logs_expired");
}

static void pack_next(struct pj_cmd *put)
{
    struct pj_cmd cmd = {0};
    struct pj_err err = {0};

    pj_pack_next_cmd(&cmd, 0, -86400000);
    PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = run_cmd(&f, &cmd);

    cr_assert_eq(pj_pack_next_reply(reply, 0, put, &err), 0, "%s", err.message);
}

/* Somebody packs the second stretch when the first is taken back: the task ran once more meanwhile, without a word. */
Test(pack, a_stretch_without_the_one_before_it_is_not_kept)
{
    static char big[900 * 1024];
    struct pj_cmd cmd = {0}, late = {0};
    struct pj_err err = {0};
    int64_t next;
    PJ_CLEANUP(pj_freep) char *before = NULL, *after = NULL;

    memset(big, 'x', sizeof(big) - 1);
    for (int64_t n = 1; n <= 12; n++) { /* more than two stretches of 4 MiB */
        struct pj_str line;

        pj_str_init(&line, PJ_CHUNK_BYTES_MAX);
        pj_str_putf(&line, "{\"id\":\"1-%lld\",\"m\":\"%s\"}\n", (long long)n, big);
        pj_events_append_cmd(&cmd, id, lease.epoch, 1, n, 1, pj_view_n(line.data, line.len));
        pj_str_release(&line);
        PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = run_cmd(&f, &cmd);

        cr_assert_eq(pj_events_append_reply(reply, &next, &err), 0, "%s", err.message);
    }
    cr_assert_eq(finish_as(&f, id, lease.epoch, 0, "no_changes", NULL, &err), 0);
    before = whole_log(5000);
    pack_next(&cmd);
    {
        PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = run_cmd(&f, &cmd);
    }
    pack_next(&late);
    {
        PJ_CLEANUP(pj_reply_freep)
        struct redisReply *gone = test_redis_words(
            f.redis, "DEL", pj_key_task_sub((char[PJ_KEY_SIZE]){0}, id, "pack"), NULL);

        cr_assert_eq(pj_reply_int(gone, 0), 1);
    }
    {
        PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = run_cmd(&f, &late);

        cr_assert_eq(pj_pack_put_reply(reply, &err), 0);
    }
    cr_assert_eq(pack_all(), 3);
    after = whole_log(5000);
    cr_assert_str_eq(before, after);
}

/* A log that a hand has damaged is passed over: it would stand before all others for ever. */
Test(pack, a_log_that_cannot_be_read_holds_up_no_other)
{
    int64_t next;
    struct pj_cmd put = {0};
    struct pj_err err = {0};
    char key[PJ_KEY_SIZE], other[PJ_ID_SIZE];
    struct pj_lease second;

    cr_assert_eq(append(1, 5, &next), 0);
    {
        PJ_CLEANUP(pj_reply_freep)
        struct redisReply *bad = test_redis_words(f.redis, "XADD", pj_key_task_sub(key, id, "log"),
                                                  "1-6", "c", "1", "z", "x", "r", "-7", NULL);

        cr_assert_eq(pj_reply_error(bad, &err), 0, "%s", err.message);
    }
    cr_assert_eq(finish_as(&f, id, lease.epoch, 0, "no_changes", NULL, &err), 0);
    make_task(&f, "user1", true, other);
    take_one(&f, "r1", &second);
    {
        struct pj_cmd cmd = {0};
        struct pj_str lines;

        put_lines(&lines, 1, 1, 3);
        pj_events_append_cmd(&cmd, other, second.epoch, 1, 1, 3, pj_view_n(lines.data, lines.len));
        pj_str_release(&lines);
        PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = run_cmd(&f, &cmd);

        cr_assert_eq(pj_events_append_reply(reply, &next, &err), 0);
    }
    cr_assert_eq(finish_as(&f, other, second.epoch, 0, "no_changes", NULL, &err), 0);
    pj_leases_release(&second, 1);
    {
        struct pj_cmd cmd = {0};

        pj_pack_next_cmd(&cmd, 0, -86400000);
        PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = run_cmd(&f, &cmd);

        cr_assert_lt(pj_pack_next_reply(reply, 0, &put, &err), 0);
        cr_assert_eq(err.cls, PJ_E_PROTOCOL);
        PJ_CLEANUP(pj_reply_freep) struct redisReply *done = run_cmd(&f, &put);

        cr_assert_eq(pj_pack_put_reply(done, &err), 0, "%s", err.message);
    }
    cr_assert_eq(pack_all(), 1, "the other one");
    cr_assert_eq(ask_int(&f, "XLEN", pj_key_task_sub(key, id, "log"), NULL), 2, "left as it was");
}
