/* What a key promises when something goes wrong in between. */
#include <stdlib.h>
#include <string.h>
#include "lib/base/mem.h"
#include "lib/store/idem.h"
#include "lib/store/script.h"
#include "tests/lib/store/fixture.h"

static struct fixture f;
static char key[PJ_KEY_SIZE];

static void up(void)
{
    fixture_up(&f);
    (void)pj_idem_key(key, 0, "u:u1", "my key");
}

static void down(void)
{
    fixture_down(&f);
}

TestSuite(idem, .init = up, .fini = down);

static int64_t begin(const char *fingerprint, enum pj_idem want)
{
    struct pj_cmd cmd = {0};
    struct pj_err err = {0};
    struct pj_idem_begun begun;

    pj_idem_begin_cmd(&cmd, key, fingerprint);
    PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = run_cmd(&f, &cmd);

    cr_assert_eq(pj_idem_begin_reply(reply, &begun, &err), 0, "%s", err.message);
    cr_assert_eq(begun.state, want, "%d", (int)begun.state);
    if (want == PJ_IDEM_DONE)
        cr_assert_str_eq(begun.answer, "mine");
    free(begun.answer);
    return begun.since;
}

static void end(bool complete, int64_t since, const char *answer)
{
    struct pj_cmd cmd = {0};

    if (complete)
        pj_idem_complete_cmd(&cmd, key, since, pj_view_of(answer));
    else
        pj_idem_abandon_cmd(&cmd, key, since);
    PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = run_cmd(&f, &cmd);
}

/* True when it was there already. */
static bool create(char id[PJ_ID_SIZE])
{
    struct pj_task task;
    struct pj_cmd cmd = {0};
    struct pj_err err = {0};
    bool existing;

    pj_id_new(0, id);
    pj_task_init(&task);
    task.id = pj_strdup(id);
    task.owner = pj_strdup("u1");
    task.repository_id = pj_strdup("r");
    task.title = pj_strdup("t");
    pj_task_create_cmd(&cmd, &task, true, key);
    PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = run_cmd(&f, &cmd);

    cr_assert_eq(pj_task_create_reply(reply, &task, &existing, &err), 0, "%s", err.message);
    (void)snprintf(id, PJ_ID_SIZE, "%s", task.id);
    pj_task_release(&task);
    return existing;
}

/* It was begun that long before. */
static int64_t be_older(int64_t since, int64_t by_ms)
{
    PJ_CLEANUP(pj_freep) char *then = pj_asprintf("%lld", (long long)(since - by_ms));
    PJ_CLEANUP(pj_reply_freep)
    struct redisReply *reply = test_redis_words(f.redis, "HSET", key, "since", then, NULL);

    return since - by_ms;
}

Test(idem, same_key_same_answer)
{
    int64_t since = begin("fp1", PJ_IDEM_FRESH);

    (void)begin("fp1", PJ_IDEM_RUNNING);
    (void)begin("fp2", PJ_IDEM_OTHER_BODY);
    end(true, since, "mine");
    (void)begin("fp1", PJ_IDEM_DONE);
    (void)begin("fp2", PJ_IDEM_OTHER_BODY);
    (void)pj_idem_key(key, 0, "u:u2", "my key"); /* another user's */
    since = begin("fp1", PJ_IDEM_FRESH);
    end(false, since, NULL);
    (void)begin("fp9", PJ_IDEM_FRESH);
}

Test(idem, create_under_a_key_finds_the_task_it_made)
{
    char first[PJ_ID_SIZE], again[PJ_ID_SIZE];

    (void)begin("fp", PJ_IDEM_FRESH);
    cr_assert_not(create(first));
    cr_assert(create(again), "it existed");
    cr_assert_str_eq(first, again);
    cr_assert_eq(ask_int(&f, "ZCARD", "pj:{p0}:tasks", NULL), 1);
    cr_assert_eq(ask_int(&f, "XLEN", "pj:{p0}:ready", NULL), 1);
}

/* The task was made, and the answer got lost: who made it lets go of the key, and the client asks once more. */
Test(idem, a_task_whose_making_nobody_heard_of_is_made_once)
{
    char first[PJ_ID_SIZE], again[PJ_ID_SIZE];
    int64_t since = begin("fp", PJ_IDEM_FRESH);

    cr_assert_not(create(first));
    end(false, since, NULL);
    (void)begin("another body", PJ_IDEM_OTHER_BODY);
    (void)begin("fp", PJ_IDEM_FRESH);
    cr_assert(create(again));
    cr_assert_str_eq(first, again);
    cr_assert_eq(ask_int(&f, "ZCARD", "pj:{p0}:tasks", NULL), 1);
    cr_assert_gt(ask_int(&f, "PTTL", key, NULL), 0, "kept for a day, not for ever");
}

/* The first took longer than a minute and a second one has begun: the first one's end is not the second one's. */
Test(idem, who_comes_late_ends_nothing_of_another)
{
    int64_t slow = be_older(begin("fp", PJ_IDEM_FRESH), 61000), quick = begin("fp", PJ_IDEM_FRESH);

    end(false, slow, NULL);
    (void)begin("fp", PJ_IDEM_RUNNING);
    end(true, slow, "another's");
    (void)begin("fp", PJ_IDEM_RUNNING);
    end(true, quick, "mine");
    (void)begin("fp", PJ_IDEM_DONE);
    end(false, slow, NULL);
    (void)begin("fp", PJ_IDEM_DONE);
}

/* An answer that Redis has no question for (it forgot the last second) would be one to any body. */
Test(idem, an_end_without_a_beginning_keeps_nothing)
{
    int64_t since = begin("fp", PJ_IDEM_FRESH);

    PJ_CLEANUP(pj_reply_freep)
    struct redisReply *reply = test_redis_words(f.redis, "DEL", key, NULL);
    end(true, since, "mine");
    (void)begin("another body", PJ_IDEM_FRESH);
}

/* The clock of Redis is put back by hours: a key whose process died is free after a minute of the new time too. */
Test(idem, a_clock_put_back_holds_no_key)
{
    (void)be_older(begin("fp", PJ_IDEM_FRESH), -3 * 3600 * 1000);
    (void)begin("fp", PJ_IDEM_FRESH);
}

/* What a second sending would be refused, or would count again. */
Test(script, what_moves_a_task_or_makes_somebody_is_sent_once)
{
    static const char *const once[] = {
        "task_requeue", "task_execute", "task_publish", "task_delete", "user_put",
        "user_delete",  "token_revoke", "repo_delete",  "lease_take",  "outbox_claim"};
    static const char *const often[] = {"lease_finish", "lease_renew", "log_append", "task_cancel",
                                        "usage_record", "idem_end",    "repo_put",   "lease_part"};

    for (size_t i = 0; i < PJ_COUNT_OF(once); i++)
        cr_assert_not(pj_script_find(once[i])->repeatable, "%s", once[i]);
    for (size_t i = 0; i < PJ_COUNT_OF(often); i++)
        cr_assert(pj_script_find(often[i])->repeatable, "%s", often[i]);
}
