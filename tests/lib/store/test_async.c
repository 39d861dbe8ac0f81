#include <event2/event.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include "lib/base/mem.h"
#include "lib/store/async.h"
#include "tests/lib/store/fixture.h"

static struct fixture f;
static struct event_base *base;

static void up(void)
{
    fixture_up(&f);
    base = event_base_new();
}

static void down(void)
{
    event_base_free(base);
    fixture_down(&f);
}

TestSuite(async, .init = up, .fini = down);

struct answer {
    int count, failed;
    int64_t number;
    char text[64];
    char error[300];
};

static void on_answer(void *arg, const struct redisReply *reply, struct pj_err *err)
{
    struct answer *a = arg;
    struct pj_view text = pj_reply_view(reply);

    a->count++;
    a->failed += reply == NULL;
    a->number = pj_reply_int(reply, -1);
    (void)snprintf(a->text, sizeof(a->text), "%.*s", (int)text.n, text.p);
    (void)snprintf(a->error, sizeof(a->error), "%.290s", reply ? "" : err->message);
}

static struct pj_aredis *connect_to(const char *url, int command_ms)
{
    struct pj_redis_options options = {.url = url, .command_ms = command_ms, .name = "test"};
    struct pj_aredis *r = NULL;
    struct pj_err err = {0};

    cr_assert_eq(pj_aredis_new(base, &options, &r, &err), 0, "%s", err.message);
    return r;
}

static void submit(struct pj_aredis *r, bool repeatable, struct answer *a, const char *one,
                   const char *two, const char *three)
{
    struct pj_cmd cmd = {0};

    pj_cmd_start(&cmd, one);
    if (two)
        pj_cmd_text(&cmd, two);
    if (three)
        pj_cmd_text(&cmd, three);
    cmd.repeatable = repeatable;
    pj_aredis_submit(r, &cmd, on_answer, a);
}

static void run_until(const int *count, int want)
{
    while (*count < want)
        cr_assert_eq(event_base_loop(base, EVLOOP_ONCE), 0);
}

Test(async, answers_in_order_also_what_came_before_the_connection)
{
    struct pj_aredis *r = connect_to(f.server.url, 0);
    struct answer a[100] = {{0}}, last = {0};

    for (int i = 0; i < 100; i++)
        submit(r, false, &a[i], "INCR", "n", NULL);
    submit(r, false, &last, "GET", "n", NULL);
    cr_assert_eq(last.count, 0, "never inside the call");
    run_until(&last.count, 1);
    for (int i = 0; i < 100; i++)
        cr_assert_eq(a[i].number, i + 1);
    cr_assert_str_eq(last.text, "100");
    cr_assert(pj_aredis_is_up(r));
    cr_assert_eq(pj_aredis_pending(r), 0);
    pj_aredis_free(r);
}

Test(async, script_unknown_to_the_server_is_sent_whole)
{
    struct pj_aredis *r = connect_to(f.server.url, 0);
    struct answer a = {0};
    struct pj_cmd cmd = {0};
    PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = NULL;

    reply = test_redis_words(f.redis, "SCRIPT", "FLUSH", NULL);
    pj_queue_init_cmd(&cmd, 0);
    pj_aredis_submit(r, &cmd, on_answer, &a);
    run_until(&a.count, 1);
    cr_assert_eq(a.failed, 0, "%s", a.error);
    pj_aredis_free(r);
}

Test(async, without_a_server_each_fails_once_in_time)
{
    struct pj_aredis *r = connect_to("unix:///tmp/pj-nothing-listens-here.sock", 200);
    struct answer a = {0}, b = {0};

    submit(r, true, &a, "PING", NULL, NULL);
    submit(r, false, &b, "PING", NULL, NULL);
    run_until(&b.count, 1);
    run_until(&a.count, 1);
    cr_assert_eq(a.failed, 1);
    cr_assert_not_null(strstr(a.error, "no connection to Redis"));
    cr_assert_not(pj_aredis_is_up(r));
    cr_assert_neq(pj_aredis_last_error(r)[0], '\0');
    pj_aredis_free(r);
}

/* ---- a connection that is never idle ---- */

#define BUSY_TEXT ((size_t)64 * 1024)
#define BUSY_AT_ONCE 64 /* far more than a socket takes */
#define BUSY_TIMES 1500
#define BUSY_HELD_MAX ((size_t)21 * 1024 * 1024)

size_t __sanitizer_get_current_allocated_bytes(void) __attribute__((weak));

static size_t bytes_held(void)
{
    return __sanitizer_get_current_allocated_bytes ? __sanitizer_get_current_allocated_bytes()
                                                   : mallinfo2().uordblks + mallinfo2().hblkhd;
}

struct busy {
    struct pj_aredis *r;
    char *text;
    int begun, done;
    size_t most;
};

static void go_on(struct busy *b);

static void on_busy(void *arg, const struct redisReply *reply, struct pj_err *err)
{
    struct busy *b = arg;
    size_t held = bytes_held();

    cr_assert_not_null(reply, "%s", err->message);
    b->most = held > b->most ? held : b->most;
    b->done++;
    if (b->begun < BUSY_TIMES)
        go_on(b);
}

static void go_on(struct busy *b)
{
    struct pj_cmd cmd = {0};

    b->begun++;
    pj_cmd_start(&cmd, "SET");
    pj_cmd_text(&cmd, "k");
    pj_cmd_text(&cmd, b->text);
    pj_aredis_submit(b->r, &cmd, on_busy, b);
}

/* What was sent is let go of, though more has always come to wait behind it. */
Test(async, a_connection_that_is_never_idle_does_not_hold_what_it_sent)
{
    struct busy b = {.r = connect_to(f.server.url, 60000), .text = pj_alloc(BUSY_TEXT, 1)};
    size_t before;

    memset(b.text, 'x', BUSY_TEXT - 1);
    before = bytes_held();
    for (int i = 0; i < BUSY_AT_ONCE; i++)
        go_on(&b);
    run_until(&b.done, BUSY_TIMES);
    cr_expect_lt(b.most - before, BUSY_HELD_MAX, "%zu bytes", b.most - before);
    pj_aredis_free(b.r);
    free(b.text);
}

Test(async, comes_back_after_a_restart)
{
    struct pj_aredis *r = connect_to(f.server.url, 20000);
    struct answer a = {0}, b = {0};

    submit(r, true, &a, "PING", NULL, NULL);
    run_until(&a.count, 1);
    test_redis_restart(&f.server);
    submit(r, true, &b, "INCR", "n", NULL);
    run_until(&b.count, 1);
    cr_assert_eq(b.failed, 0, "%s", b.error);
    cr_assert_eq(b.number, 1);
    pj_aredis_free(r);
}

Test(async, what_may_not_be_repeated_fails_when_the_connection_goes)
{
    struct pj_aredis *r = connect_to(f.server.url, 20000);
    struct answer a = {0}, once = {0}, again = {0};

    submit(r, true, &a, "PING", NULL, NULL);
    run_until(&a.count, 1);
    {
        struct pj_cmd cmd = {0};

        pj_cmd_start(&cmd, "BLPOP");
        pj_cmd_text(&cmd, "never");
        pj_cmd_text(&cmd, "0");
        pj_aredis_submit(r, &cmd, on_answer, &once);
    }
    submit(r, true, &again, "INCR", "n", NULL);
    (void)event_base_loop(base, EVLOOP_NONBLOCK);
    (void)event_base_loop(base, EVLOOP_NONBLOCK);
    test_redis_restart(&f.server);
    run_until(&again.count, 1);
    cr_assert_eq(once.count, 1);
    cr_assert_eq(once.failed, 1);
    cr_assert_eq(again.failed, 0, "%s", again.error);
    pj_aredis_free(r);
}

Test(async, freeing_answers_what_is_pending)
{
    struct pj_aredis *r = connect_to(f.server.url, 0);
    struct answer a = {0}, b = {0};

    submit(r, true, &a, "PING", NULL, NULL);
    run_until(&a.count, 1);
    submit(r, true, &b, "PING", NULL, NULL);
    pj_aredis_free(r);
    cr_assert_eq(b.count, 1);
    cr_assert_eq(b.failed, 1);
}

static void free_in_callback(void *arg, const struct redisReply *reply, struct pj_err *err)
{
    struct pj_aredis **r = arg;

    (void)reply;
    (void)err;
    pj_aredis_free(*r);
    *r = NULL;
}

Test(async, may_be_freed_from_its_callback)
{
    struct pj_aredis *r = connect_to(f.server.url, 0);
    struct pj_cmd cmd = {0};

    pj_cmd_start(&cmd, "PING");
    pj_aredis_submit(r, &cmd, free_in_callback, &r);
    while (r)
        cr_assert_eq(event_base_loop(base, EVLOOP_ONCE), 0);
}

Test(async, too_many_pending_are_refused)
{
    struct pj_aredis *r = connect_to("unix:///tmp/pj-nothing-listens-here.sock", 20000);
    struct answer many = {0}, one = {0};

    for (int i = 0; i < PJ_AREDIS_PENDING_MAX; i++)
        submit(r, true, &many, "PING", NULL, NULL);
    submit(r, true, &one, "PING", NULL, NULL);
    run_until(&one.count, 1);
    cr_assert_eq(one.failed, 1);
    cr_assert_not_null(strstr(one.error, "too many"));
    pj_aredis_free(r);
    cr_assert_eq(many.count, PJ_AREDIS_PENDING_MAX);
}

struct heard {
    int confirmed, messages, lost, back;
    char last[64];
};

static void on_confirmed(void *arg)
{
    ((struct heard *)arg)->confirmed++;
}

static void on_message(void *arg, const char *channel, struct pj_view payload)
{
    struct heard *h = arg;

    h->messages++;
    (void)snprintf(h->last, sizeof(h->last), "%s %.*s", channel, (int)payload.n, payload.p);
}

static void on_lost(void *arg)
{
    ((struct heard *)arg)->lost++;
}

static void on_back(void *arg)
{
    ((struct heard *)arg)->back++;
}

static struct pj_sub *listen_to(struct heard *h)
{
    static const struct pj_sub_events events = {on_message, on_lost, on_back};
    struct pj_redis_options options = {.url = f.server.url};
    struct pj_sub *sub = NULL;
    struct pj_err err = {0};

    cr_assert_eq(pj_sub_new(base, &options, &events, h, &sub, &err), 0, "%s", err.message);
    return sub;
}

static void say(const char *channel, const char *text)
{
    PJ_CLEANUP(pj_reply_freep)
    struct redisReply *reply = test_redis_words(f.redis, "PUBLISH", channel, text, NULL);
}

Test(async, subscriber_hears_what_follows_its_confirmation)
{
    struct heard h = {0};
    struct pj_sub *sub = listen_to(&h);

    pj_sub_add(sub, "a", on_confirmed, &h);
    run_until(&h.confirmed, 1);
    say("a", "one");
    run_until(&h.messages, 1);
    cr_assert_str_eq(h.last, "a one");
    pj_sub_add(sub, "a", on_confirmed, &h);
    cr_assert_eq(h.confirmed, 1, "never inside the call");
    run_until(&h.confirmed, 2);
    pj_sub_remove(sub, "a");
    say("a", "two");
    run_until(&h.messages, 2);
    pj_sub_free(sub);
}

Test(async, leaving_and_joining_at_once_ends_joined)
{
    struct heard h = {0};
    struct pj_sub *sub = listen_to(&h);

    pj_sub_add(sub, "a", on_confirmed, &h);
    run_until(&h.confirmed, 1);
    for (int i = 0; i < 5; i++) {
        pj_sub_remove(sub, "a");
        pj_sub_add(sub, "a", on_confirmed, &h);
    }
    run_until(&h.confirmed, 2);
    say("a", "one");
    run_until(&h.messages, 1);
    pj_sub_remove(sub, "a");
    pj_sub_add(sub, "b", on_confirmed, &h);
    run_until(&h.confirmed, 3);
    say("a", "unheard");
    say("b", "heard");
    run_until(&h.messages, 2);
    cr_assert_str_eq(h.last, "b heard");
    pj_sub_free(sub);
}

Test(async, subscriber_tells_of_loss_and_return)
{
    struct heard h = {0};
    struct pj_sub *sub = listen_to(&h);

    pj_sub_add(sub, "a", on_confirmed, &h);
    run_until(&h.confirmed, 1);
    cr_assert(pj_sub_is_up(sub));
    test_redis_kill(&f.server);
    run_until(&h.lost, 1);
    cr_assert_not(pj_sub_is_up(sub));
    test_redis_restart(&f.server);
    run_until(&h.back, 1);
    say("a", "again");
    run_until(&h.messages, 1);
    cr_assert_eq(h.lost, 1);
    pj_sub_free(sub);
}
