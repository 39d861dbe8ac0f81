#include <stdlib.h>
#include <string.h>
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/store/keys.h"
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

TestSuite(reaper, .init = up, .fini = down);

Test(reaper, third_loss_is_the_end)
{
    char id[PJ_ID_SIZE];
    struct pj_lease lease;
    struct pj_reaped reaped[8];
    struct pj_task task;
    struct pj_cmd cmd = {0};
    struct pj_err err = {0};

    make_task(&f, "user1", true, id);
    reaper_ready(&f);
    for (int i = 0; i < 3; i++) {
        take_one(&f, "r1", &lease);
        cr_assert_eq(lease.deliveries, i + 1);
        pj_leases_release(&lease, 1);
        expire_now(&f, "pj:{p0}:lease", id);
        cr_assert_eq(reap(&f, 15000, reaped, 8), 1);
        cr_assert_eq(reaped[0].kind, i < 2 ? PJ_REAPED_REQUEUED : PJ_REAPED_LOST);
    }
    pj_task_get_cmd(&cmd, id);
    cr_assert_eq(run_move(&f, &cmd, &task, &err), 0);
    cr_assert_eq(task.status, PJ_TASK_FAILED);
    cr_assert_str_eq(task.error.code, "runner_lost");
    cr_assert(task.error.retryable);
    cr_assert_eq(task.attempt, 1, "losing a runner is no attempt of the task");
    pj_task_release(&task);
    cr_assert_eq(notices(&f), 1);
}

Test(reaper, past_deadline_ends_running_and_waiting_alike)
{
    char running[PJ_ID_SIZE], waiting[PJ_ID_SIZE];
    struct pj_lease lease;
    struct pj_reaped reaped[8];
    struct pj_cmd cmd = {0};
    struct pj_err err = {0};
    bool requeued;
    struct pj_task task;

    make_task_with(&f, "user1", PJ_PRIORITY_NORMAL, 5000, true, running);
    take_one(&f, "r1", &lease);
    cr_assert_eq(lease.deadline_ms - lease.now_ms, 5000, "the task's own limit");
    pj_leases_release(&lease, 1);
    make_task(&f, "user1", true, waiting);
    take_one(&f, "r1", &lease);
    pj_lease_release_cmd(&cmd, waiting, lease.epoch, true, "gone");
    {
        PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = run_cmd(&f, &cmd);

        cr_assert_eq(pj_lease_release_reply(reply, &requeued, &err), 0);
    }
    pj_leases_release(&lease, 1);
    reaper_ready(&f);
    expire_now(&f, "pj:{p0}:deadline", waiting);
    {
        char key[PJ_KEY_SIZE];
        PJ_CLEANUP(pj_reply_freep)
        struct redisReply *reply = test_redis_words(f.redis, "HSET", pj_key_task(key, running),
                                                    "lease", "1 1 1 1 5000 1 r1", NULL);
        struct pj_renew item = {running, 1};
        enum pj_renewed answer;

        pj_lease_renew_cmd(&cmd, 0, 15000, &item, 1);
        pj_reply_freep(&reply);
        reply = run_cmd(&f, &cmd);
        cr_assert_eq(pj_lease_renew_reply(reply, &answer, 1, &err), 0);
    }
    cr_assert_eq(status_of(&f, running), PJ_TASK_RUNNING);
    cr_assert_eq(reap(&f, 15000, reaped, 8), 2);
    cr_assert_eq(reaped[0].kind, PJ_REAPED_TIMEOUT);
    pj_task_get_cmd(&cmd, waiting);
    cr_assert_eq(run_move(&f, &cmd, &task, &err), 0);
    cr_assert_eq(task.status, PJ_TASK_FAILED);
    cr_assert_str_eq(task.error.code, "task_timeout");
    pj_task_release(&task);
    cr_assert_eq(take(&f, "r1", 1, &lease, 15000), 0, "its bell is worth nothing now");
    cr_assert_eq(ask_int(&f, "HLEN", "pj:{p0}:run", NULL), 0);
}

Test(reaper, cancelled_workflow_that_never_reports_ends_cancelled)
{
    char id[PJ_ID_SIZE];
    struct pj_lease lease;
    struct pj_reaped reaped[8];
    struct pj_cmd cmd = {0};
    struct pj_err err = {0};

    make_task(&f, "user1", true, id);
    take_one(&f, "r1", &lease);
    pj_lease_external_cmd(&cmd, id, lease.epoch);
    {
        PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = run_cmd(&f, &cmd);
    }
    pj_leases_release(&lease, 1);
    pj_task_cancel_cmd(&cmd, id);
    cr_assert_eq(run_move(&f, &cmd, NULL, &err), 0);
    cr_assert_eq(status_of(&f, id), PJ_TASK_RUNNING, "the workflow is to be told first");
    reaper_ready(&f);
    expire_now(&f, "pj:{p0}:deadline", id);
    cr_assert_eq(reap(&f, 15000, reaped, 8), 1);
    cr_assert_eq(reaped[0].kind, PJ_REAPED_CANCELLED);
    cr_assert_eq(status_of(&f, id), PJ_TASK_CANCELLED);
    cr_assert_eq(ask_int(&f, "SCARD", "pj:{p0}:external", NULL), 0);
}

/* Whoever takes gets the task, however many runners have heard its bell and died; and a bell nobody answers rings again. */
Test(reaper, bell_that_nobody_answers_rings_again)
{
    char id[PJ_ID_SIZE], other[PJ_ID_SIZE];
    struct pj_bell bells[PJ_BELLS_MAX];
    struct pj_reaped reaped[8];
    struct pj_lease lease;
    struct pj_cmd cmd = {0};
    struct pj_err err = {0};
    size_t count;

    make_task(&f, "user1", true, id);
    make_task(&f, "user1", true, other);
    for (int i = 0; i < 4; i++) {
        char further[PJ_ID_SIZE];

        PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = NULL;

        make_task(&f, "user1", true, further);
        pj_queue_wait_cmd(&cmd, 1, "r1", 1000);
        reply = run_cmd(&f, &cmd);
        cr_assert_eq(pj_queue_wait_reply(reply, bells, &count, &err), 0);
        cr_assert_eq(count, 1);
    }
    take_one(&f, "r2", &lease);
    cr_assert_str_eq(lease.task->id, id);
    pj_leases_release(&lease, 1);
    cr_assert_eq(ask_int(&f, "XLEN", "pj:{p0}:ready", NULL), 4, "all of them with r1");
    reaper_ready(&f);
    cr_assert_eq(reap(&f, 0, reaped, 8), 0, "idle for as long as a lease lasts, here 0");
    pj_queue_wait_cmd(&cmd, 1, "r2", 1000);
    {
        PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = run_cmd(&f, &cmd);

        cr_assert_eq(pj_queue_wait_reply(reply, bells, &count, &err), 0);
    }
    take_one(&f, "r2", &lease);
    cr_assert_str_eq(lease.task->id, other);
    pj_leases_release(&lease, 1);
}

Test(reaper, reaper_grants_a_term_after_another_server_start)
{
    char id[PJ_ID_SIZE];
    struct pj_lease lease;
    struct pj_reaped reaped[8];
    PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = NULL;

    make_task(&f, "user1", true, id);
    take_one(&f, "r1", &lease);
    pj_leases_release(&lease, 1);
    reaper_ready(&f);
    expire_now(&f, "pj:{p0}:lease", id);
    reply = test_redis_words(f.redis, "HSET", "pj:{p0}:q", "run_id", "another", NULL);
    cr_assert_eq(reap(&f, 15000, reaped, 8), 0);
    cr_assert_eq(reap(&f, 15000, reaped, 8), 0, "still waiting");
    reaper_ready(&f); /* one term later */
    cr_assert_eq(reap(&f, 15000, reaped, 8), 1);
}

static void forget(const char *command, const char *key, const char *member)
{
    PJ_CLEANUP(pj_reply_freep)
    struct redisReply *reply = test_redis_words(f.redis, command, key, member, NULL);

    cr_assert_gt(pj_reply_int(reply, 0), 0, "%s %s", command, key);
}

Test(reaper, what_was_lost_around_a_running_task_is_put_right)
{
    static const struct {
        const char *command, *key;
        bool leased;
    } losses[] = {{"ZREM", "pj:{p0}:lease", true},
                  {"DEL", "pj:{p0}:ready", false},
                  {"DEL", "pj:{p0}:deadline", true},
                  {"DEL", "pj:{p0}:run", true}};
    struct pj_reaped reaped[8];
    struct pj_lease lease;
    struct pj_err err = {0};

    struct pj_cmd config = {0};

    pj_queue_config_cmd(&config, 0, 100); /* users are counted under a cap only */
    PJ_CLEANUP(pj_reply_freep) struct redisReply *configured = run_cmd(&f, &config);
    reaper_ready(&f);
    for (size_t i = 0; i < PJ_COUNT_OF(losses); i++) {
        char id[PJ_ID_SIZE];
        struct pj_cmd cmd = {0};
        int64_t epoch = 0;

        make_task(&f, "user1", true, id);
        if (losses[i].leased) {
            take_one(&f, "r1", &lease);
            epoch = lease.epoch;
            pj_leases_release(&lease, 1);
        }
        if (strcmp(losses[i].key, "pj:{p0}:deadline") == 0) { /* a workflow has it */
            pj_lease_external_cmd(&cmd, id, epoch);
            PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = run_cmd(&f, &cmd);
        }
        forget(losses[i].command, losses[i].key,
               strcmp(losses[i].command, "ZREM") == 0 ? id : NULL);
        {
            PJ_CLEANUP(pj_reply_freep)
            struct redisReply *reply =
                test_redis_words(f.redis, "HSET", "pj:{p0}:q", "recount", "1", NULL);
        }
        pj_queue_init_cmd(&cmd, 0); /* as a runner does after NOGROUP */
        {
            PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = run_cmd(&f, &cmd);
        }
        (void)reap(&f, 15000, reaped, 8);
        (void)reap(&f, 15000, reaped, 8);
        if (strcmp(losses[i].key, "pj:{p0}:deadline") == 0) {
            cr_assert_eq(ask_int(&f, "ZCARD", "pj:{p0}:deadline", NULL), 1);
            cr_assert_eq(finish_as(&f, id, epoch, PJ_TASK_COMPLETED, NULL, NULL, &err), 0, "%s",
                         err.message);
            continue;
        }
        if (strcmp(losses[i].key, "pj:{p0}:run") == 0) {
            cr_assert_eq(ask_int(&f, "HGET", "pj:{p0}:run", "user1"), 1);
            expire_now(&f, "pj:{p0}:lease", id);
            cr_assert_eq(reap(&f, 15000, reaped, 8), 1);
        }
        take_one(&f, "r2", &lease);
        cr_assert_eq(ask_int(&f, "HGET", "pj:{p0}:run", "user1"), 1);
        cr_assert_str_eq(lease.task->id, id);
        cr_assert_eq(finish_as(&f, id, lease.epoch, PJ_TASK_COMPLETED, NULL, NULL, &err), 0, "%s",
                     err.message);
        pj_leases_release(&lease, 1);
    }
}

/* The stream of bells is gone, and with it its group, which XPENDING does not forgive: a script that ends half way would keep the
 * move and forget to tell it. */
Test(reaper, without_the_stream_of_bells_moves_are_still_whole)
{
    char id[PJ_ID_SIZE];
    struct pj_lease lease;
    struct pj_reaped reaped[8];

    make_task(&f, "user1", true, id);
    take_one(&f, "r1", &lease);
    pj_leases_release(&lease, 1);
    reaper_ready(&f);
    expire_now(&f, "pj:{p0}:lease", id);
    forget("DEL", "pj:{p0}:ready", NULL);
    cr_assert_eq(reap(&f, 15000, reaped, 8), 1);
    cr_assert_eq(reaped[0].kind, PJ_REAPED_REQUEUED);
    cr_assert_eq(ask_int(&f, "ZCARD", "pj:{p0}:lease", NULL), 0);
    cr_assert_gt(ask_int(&f, "XLEN", "pj:{p0}:ready", NULL), 0, "it rings");
    {
        struct pj_cmd cmd = {0};
        struct pj_bell bells[PJ_BELLS_MAX];
        struct pj_err err = {0};
        size_t count;

        pj_queue_wait_cmd(&cmd, 1, "r2", 1000);
        PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = run_cmd(&f, &cmd);

        cr_assert_eq(pj_queue_wait_reply(reply, bells, &count, &err), 0, "and is heard");
    }
    take_one(&f, "r2", &lease);
    cr_assert_str_eq(lease.task->id, id);
    pj_leases_release(&lease, 1);
}

/* The clock of Redis was a day ahead when the lease and the reaper's patience began, and was put right. */
Test(reaper, a_clock_put_back_keeps_no_dead_runners_lease)
{
    char id[PJ_ID_SIZE], future[24];
    struct pj_lease lease;
    struct pj_reaped reaped[8];

    make_task(&f, "user1", true, id);
    take_one(&f, "r1", &lease);
    (void)snprintf(future, sizeof(future), "%lld", (long long)lease.now_ms + 86400000);
    reaper_ready(&f);
    {
        PJ_CLEANUP(pj_reply_freep)
        struct redisReply *a =
            test_redis_words(f.redis, "ZADD", "pj:{p0}:lease", "XX", "CH", future, id, NULL);
        PJ_CLEANUP(pj_reply_freep)
        struct redisReply *b =
            test_redis_words(f.redis, "HSET", "pj:{p0}:q", "patience", future, NULL);

        cr_assert_eq(pj_reply_int(a, 0), 1);
    }
    cr_assert_eq(reap(&f, 15000, reaped, 8), 0, "it has one term from now on");
    {
        PJ_CLEANUP(pj_reply_freep)
        struct redisReply *until = test_redis_words(f.redis, "ZSCORE", "pj:{p0}:lease", id, NULL);

        cr_assert_leq(pj_reply_int(until, INT64_MAX), lease.now_ms + 60000);
    }
    expire_now(&f, "pj:{p0}:lease", id);
    cr_assert_eq(reap(&f, 15000, reaped, 8), 1);
    cr_assert_eq(reaped[0].kind, PJ_REAPED_REQUEUED);
    pj_leases_release(&lease, 1);
}

static size_t listeners(void)
{
    PJ_CLEANUP(pj_reply_freep)
    struct redisReply *reply =
        test_redis_words(f.redis, "XINFO", "CONSUMERS", "pj:{p0}:ready", "r", NULL);

    return pj_reply_count(reply);
}

/* A bell is heard, and what it rang for is taken and ended. */
static void serve_one(const char *runner)
{
    struct pj_bell bells[PJ_BELLS_MAX];
    struct pj_lease_take how = {
        .runner = runner, .ttl_ms = 15000, .timeout_ms = 600000, .want = 1, .bells = bells};
    struct pj_lease lease;
    struct pj_cmd cmd = {0};
    struct pj_err err = {0};
    size_t count;

    pj_queue_wait_cmd(&cmd, 1, runner, 1000);
    {
        PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = run_cmd(&f, &cmd);

        cr_assert_eq(pj_queue_wait_reply(reply, bells, &how.bell_count, &err), 0);
    }
    pj_lease_take_cmd(&cmd, &how);
    PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = run_cmd(&f, &cmd);

    cr_assert_eq(pj_lease_take_reply(reply, &lease, 1, &count, &err), 0, "%s", err.message);
    cr_assert_eq(count, 1);
    cr_assert_eq(finish_as(&f, lease.task->id, lease.epoch, PJ_TASK_COMPLETED, NULL, NULL, &err),
                 0);
    pj_leases_release(&lease, 1);
}

/* Runners of a cluster that grows and shrinks have a new name each. */
Test(reaper, names_of_runners_that_are_gone_are_forgotten)
{
    static const char *const names[] = {"r1", "r2", "r3"};
    struct pj_reaped reaped[8];
    char id[PJ_ID_SIZE];
    int64_t give_up = pj_mono_ms() + 60000;

    for (size_t i = 0; i < PJ_COUNT_OF(names); i++) {
        make_task(&f, "user1", true, id);
        serve_one(names[i]);
    }
    cr_assert_eq(listeners(), 3);
    reaper_ready(&f);
    cr_assert_eq(reap(&f, 15000, reaped, 8), 0);
    cr_assert_eq(listeners(), 3, "an hour has not passed");
    while (listeners() > 0 && pj_mono_ms() < give_up) { /* terms of a millisecond */
        PJ_CLEANUP(pj_reply_freep)
        struct redisReply *due =
            test_redis_words(f.redis, "HSET", "pj:{p0}:q", "recount", "1", NULL);

        cr_assert_eq(reap(&f, 1, reaped, 8), 0);
    }
    cr_assert_eq(listeners(), 0);
    make_task(&f, "user1", true, id);
    serve_one("r1"); /* it may come back */
}
