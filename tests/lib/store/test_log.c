#include <stdlib.h>
#include <string.h>
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/store/keys.h"
#include "lib/store/status.h"
#include "lib/store/usage.h"
#include "tests/lib/store/log_rig.h"

TestSuite(log, .init = log_up, .fini = log_down);

Test(log, a_chunk_is_stored_once_and_a_hole_is_refused)
{
    int64_t next;

    cr_assert_eq(append(1, 3, &next), 0);
    cr_assert_eq(next, 4);
    cr_assert_eq(append(1, 3, &next), 0, "again: fine");
    cr_assert_eq(next, 4);
    cr_assert_eq(append(5, 2, &next), PJ_NONE, "4 is missing");
    cr_assert_eq(next, 4);
    cr_assert_eq(append(2, 5, &next), PJ_NONE, "a part of it is there: resend from 4");
    cr_assert_eq(next, 4);
    cr_assert_eq(append(4, 3, &next), 0);
    cr_assert_eq(next, 7);
    cr_assert_eq(ask_int(&f, "XLEN", pj_key_task_sub((char[PJ_KEY_SIZE]){0}, id, "log"), NULL), 2);
}

/* Two webhooks read the same last number, or a note of ours came in between: neither has another's line for its own. */
Test(log, of_two_who_take_the_same_number_both_are_stored)
{
    static const struct {
        int64_t first;
        const char *line;
        int want;
        int64_t next;
    } steps[] = {
        {1, "{\"m\":\"a\"}\n", 0, 2},       {1, "{\"m\":\"b\"}\n", PJ_NONE, 2},
        {2, "{\"m\":\"b\"}\n", 0, 3},       {1, "{\"m\":\"a\"}\n", 0, 3},
        {2, "{\"m\":\"b\"}\n", 0, 3},       {2, "{\"m\":\"c\"}\n", PJ_NONE, 3},
        {1, "{\"m\":\"d\"}\n", PJ_NONE, 3},
    };

    for (size_t i = 0; i < PJ_COUNT_OF(steps); i++) {
        struct pj_cmd cmd = {0};
        struct pj_err err = {0};
        int64_t next;

        pj_events_append_cmd(&cmd, id, -1, 1, steps[i].first, 1, pj_view_of(steps[i].line));
        PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = run_cmd(&f, &cmd);

        cr_expect_eq(pj_events_append_reply(reply, &next, &err), steps[i].want, "step %zu", i);
        cr_expect_eq(next, steps[i].next, "step %zu: %lld", i, (long long)next);
    }
    cr_assert_eq(ask_int(&f, "XLEN", pj_key_task_sub((char[PJ_KEY_SIZE]){0}, id, "log"), NULL), 2);
}

/* A job counts what it says, a workflow of somebody's own does not: Redis is not to be filled by one. */
Test(log, what_webhooks_send_in_one_attempt_has_an_end)
{
    static const int want[] = {0, -1, -1};
    char key[PJ_KEY_SIZE];
    int64_t next;
    PJ_CLEANUP(pj_reply_freep)
    struct redisReply *reply =
        test_redis_words(f.redis, "HSET", pj_key_task(key, id), "sent:1", "134217720", NULL);

    for (int i = 0; i < 3; i++) {
        struct pj_cmd cmd = {0};
        struct pj_err err = {0};

        pj_events_append_cmd(&cmd, id, -1, 1, i ? 2 : 1, 1, pj_view_of("12345\n"));
        PJ_CLEANUP(pj_reply_freep) struct redisReply *got = run_cmd(&f, &cmd);

        cr_expect_eq(pj_events_append_reply(got, &next, &err), want[i], "%d: %s", i, err.message);
        if (want[i] < 0)
            cr_expect_str_eq(err.code, "log_full");
        cr_expect_eq(next, i == 0 ? 2 : i == 1 ? 1 : 0, "told once that it is the first time");
    }
    cr_assert_eq(append(2, 1, &next), 0, "who holds the lease goes on");
}

Test(log, pages_meet_without_gap_or_overlap)
{
    int64_t next, n = 0, first = 1;
    struct pj_events_page page;

    for (int i = 0; i < 60; i++) {
        cr_assert_eq(append(first, 1 + i % 7, &next), 0);
        first = next;
    }
    for (;;) {
        page_after(n ? 1 : 0, n, 17, 0, &page);
        for (size_t i = 0; i < page.count; i++) {
            int64_t attempt, got;

            cr_assert_eq(pj_event_line_id(page.lines[i], &attempt, &got), 0);
            cr_assert_eq(got, ++n);
        }
        cr_assert_eq(page.more, n < first - 1);
        cr_assert_eq(page.logged_n, first - 1);
        pj_events_page_release(&page);
        if (n == first - 1)
            break;
    }
    page_after(1, n, 10, 0, &page);
    cr_assert_eq(page.count, 0);
    cr_assert_not(page.more);
    cr_assert_eq(page.last_n, n, "the question's own numbers");
    pj_events_page_release(&page);
}

Test(log, one_attempt_can_be_asked_for)
{
    int64_t next;
    struct pj_events_page page;
    struct pj_cmd cmd = {0};
    struct pj_err err = {0};

    cr_assert_eq(append(1, 5, &next), 0);
    cr_assert_eq(finish_as(&f, id, lease.epoch, 0, "no_changes", NULL, &err), 0);
    pj_task_retry_cmd(&cmd, id, NULL, true);
    cr_assert_eq(run_move(&f, &cmd, NULL, &err), 0);
    page_after(0, 0, 100, 2, &page);
    cr_assert_eq(page.count, 0);
    pj_events_page_release(&page);
    page_after(0, 0, 100, 1, &page);
    cr_assert_eq(page.count, 5);
    pj_events_page_release(&page);
    page_after(1, 3, 100, 1, &page);
    cr_assert_eq(page.count, 2);
    pj_events_page_release(&page);
    page_after(1, 99, 100, 0, &page);
    cr_assert_eq(page.count, 0, "nothing after the end of attempt 1 yet");
    pj_events_page_release(&page);
}

Test(log, calls_add_up_in_task_and_analytics)
{
    struct pj_usage_call call = {.id = "c1",
                                 .provider = "openai",
                                 .model = "m1",
                                 .prompt_tokens = 100,
                                 .completion_tokens = 10,
                                 .cached_tokens = 40,
                                 .cost_microusd = 1234};
    struct pj_cmd cmd = {0};
    struct pj_err err = {0};
    struct pj_task task;
    int64_t before, after;
    struct pj_analytics *sums =
        pj_analytics_new(lease.now_ms - 3600000, lease.now_ms + 3600000, 3600000);
    PJ_CLEANUP(pj_json_decrefp) json_t *doc = NULL;
    json_t *totals;

    for (int i = 0; i < 3; i++) {
        call.id = i == 2 ? "c2" : "c1"; /* the second is the first again */
        if (i == 2)
            call.cost_microusd = -1;
        pj_usage_record_cmd(&cmd, id, lease.epoch, 1, &call);
        PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = run_cmd(&f, &cmd);

        cr_assert_eq(pj_usage_record_reply(reply, &before, &after, &err), 0, "%s", err.message);
        cr_assert_eq(after, i == 2 ? 220 : 110);
    }
    cr_assert_eq(finish_as(&f, id, lease.epoch, PJ_TASK_COMPLETED, NULL, NULL, &err), 0);
    pj_task_get_cmd(&cmd, id);
    cr_assert_eq(run_move(&f, &cmd, &task, &err), 0);
    cr_assert_eq(task.usage.total_tokens, 220);
    cr_assert_eq(task.usage.cached_tokens, 80);
    cr_assert_eq(task.usage.cost_microusd, -1, "one call has no price");
    pj_task_release(&task);
    pj_analytics_cmd(&cmd, 0, 0, lease.now_ms + 3600000);
    {
        PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = run_cmd(&f, &cmd);

        cr_assert_eq(pj_analytics_reply(reply, sums, &err), 0, "%s", err.message);
    }
    doc = pj_analytics_json(sums);
    pj_analytics_free(sums);
    totals = json_object_get(doc, "totals");
    cr_assert_eq(pj_json_i64(json_object_get(totals, "tokens"), "total", -1), 220);
    cr_assert_eq(pj_json_i64(json_object_get(totals, "tasks"), "completed", -1), 1);
    cr_assert_eq(pj_json_i64(totals, "unpricedCalls", -1), 1);
    cr_assert_float_eq(json_real_value(json_object_get(totals, "costUsd")), 0.001234, 1e-9);
    cr_assert_float_eq(json_real_value(json_object_get(totals, "successRate")), 1.0, 1e-9);
    cr_assert(json_is_integer(json_object_get(json_object_get(totals, "durationMs"), "p95")));
}

Test(log, messages_parse_and_nothing_else_does)
{
    static const char *const bad[] = {
        "", "X", "L 1 2\n", "L a b c\nx", "S nothing 1 2\n{}", "S running\n{}", "S running 1 x\n"};
    struct pj_message m;
    struct pj_err err = {0};

    cr_assert_eq(pj_message_parse(pj_view_of("L 1 5 2\na\nb\n"), &m, &err), 0);
    cr_assert_eq(m.kind, PJ_MESSAGE_LOG);
    cr_assert_eq(m.first, 5);
    cr_assert_eq(m.count, 2);
    cr_assert(pj_view_is(m.body, "a\nb\n"));
    cr_assert_eq(pj_message_parse(pj_view_of("S needs_review 2 17\n{}"), &m, &err), 0);
    cr_assert_eq(m.kind, PJ_MESSAGE_STATUS);
    cr_assert_eq(m.status, PJ_TASK_NEEDS_REVIEW);
    cr_assert_eq(m.status_attempt, 2);
    cr_assert_eq(m.logged_n, 17);
    cr_assert(pj_view_is(m.body, "{}"));
    for (size_t i = 0; i < PJ_COUNT_OF(bad); i++)
        cr_assert_lt(pj_message_parse(pj_view_of(bad[i]), &m, &err), 0, "%s", bad[i]);
}

Test(log, status_events_are_kept_in_order_with_right_times)
{
    struct pj_status_event *events = pj_alloc(PJ_STATUS_PAGE_MAX, sizeof(*events));
    struct pj_cmd cmd = {0};
    struct pj_err err = {0};
    size_t count;
    PJ_CLEANUP(pj_freep) char *after = pj_asprintf("%lld-0", (long long)(lease.now_ms - 60000));

    cr_assert_eq(finish_as(&f, id, lease.epoch, PJ_TASK_COMPLETED, NULL, NULL, &err), 0);
    pj_status_read_cmd(&cmd, 0, after);
    {
        PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = run_cmd(&f, &cmd);
        PJ_CLEANUP(pj_json_decrefp) json_t *doc = NULL;

        cr_assert_eq(pj_status_read_reply(reply, events, &count, &err), 0);
        cr_assert_eq(count, 3, "waiting, preparing, completed");
        cr_assert(pj_view_is(events[2].owner, "user1"));
        cr_assert_eq(pj_json_parse(pj_view_of(events[2].json), &doc, &err), 0, "%s", err.message);
        cr_assert_str_eq(pj_json_str(doc, "status", ""), "completed");
        cr_assert(json_is_null(json_object_get(doc, "stage")));
        {
            int64_t at;

            cr_assert_eq(pj_rfc3339_parse(pj_json_str(doc, "updatedAt", ""), &at), 0);
            cr_assert_geq(at, lease.now_ms);
            cr_assert_lt(at, lease.now_ms + 60000);
        }
    }
    pj_status_read_cmd(&cmd, 0, "1-0");
    {
        PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = run_cmd(&f, &cmd);

        cr_assert_eq(pj_status_read_reply(reply, events, &count, &err), PJ_NONE,
                     "older than an hour");
    }
    free(events);
}
