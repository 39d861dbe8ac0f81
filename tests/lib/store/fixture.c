#include "tests/lib/store/fixture.h"

#include <signal.h>
#include "lib/base/mem.h"
#include "lib/store/keys.h"
#include "lib/store/outbox.h"

void fixture_up(struct fixture *f)
{
    struct pj_err err = {0};

    (void)signal(SIGPIPE, SIG_IGN); /* as every program of ours does */
    test_redis_start(&f->server);
    f->redis = test_redis_connect(&f->server);
    cr_assert_eq(pj_store_open(f->redis, 1, &f->meta, &err), 0, "%s", err.message);
}

void fixture_down(struct fixture *f)
{
    pj_redis_free(f->redis);
    test_redis_stop(&f->server);
}

struct redisReply *run_cmd(struct fixture *f, struct pj_cmd *cmd)
{
    struct redisReply *reply = NULL;
    struct pj_err err = {0};

    cr_assert_eq(pj_redis_do(f->redis, cmd, &reply, &err), 0, "%s", err.message);
    pj_cmd_release(cmd);
    return reply;
}

int run_move(struct fixture *f, struct pj_cmd *cmd, struct pj_task *out, struct pj_err *err)
{
    PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = run_cmd(f, cmd);
    struct pj_task task;
    int rc = pj_task_move_reply(reply, &task, err);

    if (rc == 0 && out)
        *out = task;
    else if (rc == 0)
        pj_task_release(&task);
    return rc;
}

void make_task_with(struct fixture *f, const char *owner, int priority, int64_t timeout_ms,
                    bool execute, char id[PJ_ID_SIZE])
{
    struct pj_task task;
    struct pj_cmd cmd = {0};
    struct pj_err err = {0};
    bool existing = true;

    pj_id_new(0, id);
    pj_task_init(&task);
    task.id = id;
    task.owner = pj_strdup(owner);
    task.repository_id = pj_strdup("0000000000000000repo01");
    task.title = pj_strdup("Say hello");
    task.description = pj_strdup("In the README");
    task.priority = priority;
    task.executor = PJ_EXECUTOR_SANDBOX;
    task.limits.timeout_ms = timeout_ms;
    pj_task_create_cmd(&cmd, &task, execute, NULL);
    {
        PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = run_cmd(f, &cmd);

        cr_assert_eq(pj_task_create_reply(reply, &task, &existing, &err), 0, "%s", err.message);
    }
    cr_assert_not(existing);
    cr_assert_str_eq(task.id, id);
    cr_assert_eq(task.status, execute ? PJ_TASK_RUNNING : PJ_TASK_QUEUED);
    cr_assert_gt(task.created_ms, 0);
    task.id = NULL;
    pj_task_release(&task);
}

void make_task(struct fixture *f, const char *owner, bool execute, char id[PJ_ID_SIZE])
{
    make_task_with(f, owner, PJ_PRIORITY_NORMAL, -1, execute, id);
}

int status_of(struct fixture *f, const char *id)
{
    struct pj_cmd cmd = {0};
    struct pj_task task;
    struct pj_err err = {0};
    int status;

    pj_task_get_cmd(&cmd, id);
    cr_assert_eq(run_move(f, &cmd, &task, &err), 0, "%s", err.message);
    status = task.status;
    pj_task_release(&task);
    return status;
}

size_t take(struct fixture *f, const char *runner, size_t want, struct pj_lease *leases,
            int64_t ttl_ms)
{
    struct pj_lease_take t = {
        .runner = runner, .ttl_ms = ttl_ms, .timeout_ms = 600000, .want = (int64_t)want};
    struct pj_cmd cmd = {0};
    struct pj_err err = {0};
    size_t count;

    pj_lease_take_cmd(&cmd, &t);
    {
        PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = run_cmd(f, &cmd);

        cr_assert_eq(pj_lease_take_reply(reply, leases, want, &count, &err), 0, "%s", err.message);
    }
    return count;
}

void take_one(struct fixture *f, const char *runner, struct pj_lease *lease)
{
    cr_assert_eq(take(f, runner, 1, lease, 15000), 1);
}

int finish_as(struct fixture *f, const char *id, int64_t epoch, int status, const char *code,
              struct pj_finished *out, struct pj_err *err)
{
    struct pj_outcome outcome;
    struct pj_cmd cmd = {0};
    struct pj_finished ignored;

    pj_outcome_init(&outcome);
    if (code)
        pj_outcome_fail(&outcome, code, "because", NULL);
    else
        outcome.status = status;
    pj_lease_finish_cmd(&cmd, id, epoch, 0, &outcome);
    pj_outcome_release(&outcome);
    PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = run_cmd(f, &cmd);

    return pj_lease_finish_reply(reply, out ? out : &ignored, err);
}

size_t reap(struct fixture *f, int64_t ttl_ms, struct pj_reaped *items, size_t cap)
{
    struct pj_cmd cmd = {0};
    struct pj_err err = {0};
    size_t count;
    bool more;

    pj_lease_reap_cmd(&cmd, 0, ttl_ms);
    PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = run_cmd(f, &cmd);

    cr_assert_eq(pj_lease_reap_reply(reply, items, cap, &count, &more, &err), 0, "%s", err.message);
    return count;
}

int64_t notices(struct fixture *f)
{
    struct pj_cmd cmd = {0};
    PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = NULL;

    pj_outbox_list_cmd(&cmd, 0, NULL, NULL, 100); /* works off the ends first */
    reply = run_cmd(f, &cmd);
    return ask_int(f, "ZCARD", "pj:{p0}:ob", NULL);
}

int64_t ask_int(struct fixture *f, const char *a, const char *b, const char *c)
{
    PJ_CLEANUP(pj_reply_freep) struct redisReply *depth = NULL;
    PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = NULL;
    struct pj_cmd cmd = {0};

    pj_queue_depth_cmd(&cmd, 0); /* works off what follows from changes, as every reader does */
    depth = run_cmd(f, &cmd);
    reply = test_redis_words(f->redis, a, b, c, NULL);

    return pj_reply_int(reply, -1);
}

void expire_now(struct fixture *f, const char *set, const char *id)
{
    PJ_CLEANUP(pj_reply_freep)
    struct redisReply *reply = test_redis_words(f->redis, "ZADD", set, "XX", "CH", "1", id, NULL);

    cr_assert_eq(pj_reply_int(reply, 0), 1, "%s is not in %s", id, set);
}

void reaper_ready(struct fixture *f)
{
    struct pj_reaped reaped[8];
    PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = NULL;

    cr_assert_eq(reap(f, 15000, reaped, 8), 0);
    reply = test_redis_words(f->redis, "HSET", "pj:{p0}:q", "patience", "1", NULL);
}
