/* Notifications when deliverers are slow, and when Redis forgets. */
#include <stdlib.h>
#include <string.h>
#include "lib/base/mem.h"
#include "lib/json/codec.h"
#include "lib/store/outbox.h"
#include "tests/lib/store/fixture.h"

static struct fixture f;

static void up(void)
{
    fixture_up(&f);
}

static void down(void)
{
    fixture_down(&f);
}

TestSuite(outbox, .init = up, .fini = down);

static size_t claim(struct pj_outbox *records, size_t cap, int64_t hold_ms)
{
    struct pj_cmd cmd = {0};
    struct pj_err err = {0};
    size_t count;

    pj_outbox_claim_cmd(&cmd, 0, (int64_t)cap, hold_ms);
    PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = run_cmd(&f, &cmd);

    cr_assert_eq(pj_outbox_claim_reply(reply, records, cap, &count, &err), 0);
    return count;
}

static void settle(const char *id, int64_t attempts, enum pj_outbox_state state)
{
    struct pj_cmd cmd = {0};
    struct pj_err err = {0};

    pj_outbox_settle_cmd(&cmd, 0, id, attempts, state, NULL, NULL, 0);
    PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = run_cmd(&f, &cmd);

    cr_assert_eq(pj_outbox_reply(reply, &err), 0, "%s", err.message);
}

static void word(const char *a, const char *b, const char *c, const char *d)
{
    PJ_CLEANUP(pj_reply_freep)
    struct redisReply *reply = test_redis_words(f.redis, a, b, c, d, NULL);
    struct pj_err err;

    cr_assert_eq(pj_reply_error(reply, &err), 0, "%s", err.message);
}

static void end_one(char id[PJ_ID_SIZE], const char *code)
{
    struct pj_lease lease;
    struct pj_err err = {0};

    take_one(&f, "r1", &lease);
    (void)snprintf(id, PJ_ID_SIZE, "%s", lease.task->id);
    cr_assert_eq(finish_as(&f, id, lease.epoch, PJ_TASK_COMPLETED, code, NULL, &err), 0, "%s",
                 err.message);
    pj_leases_release(&lease, 1);
}

/* The first deliverer hung until its claim had run out; the second has delivered. */
Test(outbox, who_was_too_slow_does_not_have_it_delivered_again)
{
    char id[PJ_ID_SIZE];
    struct pj_outbox slow, quick;

    make_task(&f, "u", true, id);
    end_one(id, NULL);
    cr_assert_eq(claim(&slow, 1, 0), 1);
    cr_assert_eq(claim(&quick, 1, 60000), 1, "the claim of the first has run out");
    settle(quick.id, quick.attempts, PJ_OUTBOX_SENT);
    settle(slow.id, slow.attempts, PJ_OUTBOX_PENDING);
    pj_outbox_release(&slow, 1);
    cr_assert_eq(claim(&slow, 1, 0), 0, "delivered");
    pj_outbox_release(&quick, 1);
}

static char *name_of_the_end(const char *code)
{
    char id[PJ_ID_SIZE];
    struct pj_outbox record;
    char *name;

    end_one(id, code);
    cr_assert_eq(claim(&record, 1, 60000), 1);
    name = pj_strdup(record.id);
    settle(name, record.attempts, PJ_OUTBOX_SENT);
    pj_outbox_release(&record, 1);
    return name;
}

static void forget_since_save(void)
{
    test_redis_restart(&f.server);
    pj_redis_free(f.redis);
    f.redis = test_redis_connect(&f.server);
}

/* Redis loses its last second, and with it an end that somebody was told of. The task runs again: the same end has the same name, by
 * which a receiver knows it, and another end has another. */
Test(outbox, an_end_that_redis_forgot_is_told_again_under_its_name)
{
    char id[PJ_ID_SIZE];

    make_task(&f, "u", true, id);
    word("CONFIG", "SET", "save", "");
    word("SAVE", NULL, NULL, NULL);
    PJ_CLEANUP(pj_freep) char *first = name_of_the_end(NULL);
    forget_since_save();
    PJ_CLEANUP(pj_freep) char *again = name_of_the_end(NULL);
    forget_since_save();
    PJ_CLEANUP(pj_freep) char *other = name_of_the_end("patch_conflict");
    cr_assert_str_eq(first, again);
    cr_assert_str_neq(first, other);
}

/* What is told twice on purpose: the user has ordered it twice. */
Test(outbox, ends_of_two_orders_have_two_names)
{
    char id[PJ_ID_SIZE];
    struct pj_cmd cmd = {0};
    struct pj_err err = {0};

    make_task(&f, "u", true, id);
    PJ_CLEANUP(pj_freep) char *first = name_of_the_end("no_changes");
    pj_task_retry_cmd(&cmd, id, NULL, true);
    cr_assert_eq(run_move(&f, &cmd, NULL, &err), 0, "%s", err.message);
    PJ_CLEANUP(pj_freep) char *second = name_of_the_end("no_changes");
    cr_assert_str_neq(first, second);
}

/* An old task that was run again yesterday stands before all others. */
Test(outbox, old_records_are_forgotten_also_behind_a_young_one)
{
    char young[PJ_ID_SIZE], old[PJ_ID_SIZE];
    struct pj_outbox record;

    make_task(&f, "u", true, young);
    PJ_CLEANUP(pj_freep) char *first = name_of_the_end(NULL);
    make_task(&f, "u", true, old);
    PJ_CLEANUP(pj_freep) char *second = name_of_the_end(NULL);
    PJ_CLEANUP(pj_freep) char *key = pj_asprintf("pj:{p0}:ob:%s", second);
    cr_assert_lt(strcmp(first, second), 0);
    word("HSET", key, "created", "1");
    cr_assert_eq(claim(&record, 1, 0), 0);
    cr_assert_eq(ask_int(&f, "EXISTS", key, NULL), 0);
    cr_assert_eq(ask_int(&f, "ZCARD", "pj:{p0}:ob", NULL), 1);
}
