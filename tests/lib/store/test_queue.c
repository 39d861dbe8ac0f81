#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
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

TestSuite(queue, .init = up, .fini = down);

/* Take one, end it, say whose it was. */
static void serve_one(char *owner, size_t size, char id[PJ_ID_SIZE])
{
    struct pj_lease lease;
    struct pj_err err = {0};

    take_one(&f, "r1", &lease);
    (void)snprintf(owner, size, "%s", lease.task->owner);
    (void)snprintf(id, PJ_ID_SIZE, "%s", lease.task->id);
    cr_assert_eq(finish_as(&f, lease.task->id, lease.epoch, PJ_TASK_COMPLETED, NULL, NULL, &err), 0,
                 "%s", err.message);
    pj_leases_release(&lease, 1);
}

static void set_config(int64_t cap)
{
    struct pj_cmd cmd = {0};

    pj_queue_config_cmd(&cmd, 0, cap);
    PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = run_cmd(&f, &cmd);
}

Test(queue, who_comes_late_is_not_behind_a_flood)
{
    char id[PJ_ID_SIZE], owner[32];
    int a_before_b = 0, b_done = 0;

    for (int i = 0; i < 50; i++)
        make_task(&f, "flooder", true, id);
    for (int i = 0; i < 5; i++)
        make_task(&f, "guest", true, id);
    for (int i = 0; i < 55 && b_done < 5; i++) {
        serve_one(owner, sizeof(owner), id);
        if (strcmp(owner, "guest") == 0)
            b_done++;
        else
            a_before_b++;
    }
    cr_assert_eq(b_done, 5);
    cr_assert_leq(a_before_b, 7, "%d of the flood went first", a_before_b);
}

Test(queue, priority_orders_one_user_and_waiting_outweighs_it)
{
    char first[PJ_ID_SIZE], low[PJ_ID_SIZE], normal[PJ_ID_SIZE], high[PJ_ID_SIZE], id[PJ_ID_SIZE],
        owner[32];

    make_task(&f, "u", true, first);
    make_task_with(&f, "u", PJ_PRIORITY_LOW, -1, true, low);
    make_task_with(&f, "u", PJ_PRIORITY_NORMAL, -1, true, normal);
    make_task_with(&f, "u", PJ_PRIORITY_HIGH, -1, true, high);
    serve_one(owner, sizeof(owner), id);
    cr_assert_str_eq(id, high);
    serve_one(owner, sizeof(owner), id);
    cr_assert_str_eq(id, first, "of one priority the older one");
    {
        /* The low one has waited for half an hour. */
        PJ_CLEANUP(pj_reply_freep)
        struct redisReply *reply =
            test_redis_words(f.redis, "ZINCRBY", "pj:{p0}:bk:u", "-1800000000", low, NULL);

        make_task_with(&f, "u", PJ_PRIORITY_HIGH, -1, true, high);
    }
    serve_one(owner, sizeof(owner), id);
    cr_assert_str_eq(id, low);
    serve_one(owner, sizeof(owner), id);
    cr_assert_str_eq(id, high);
    serve_one(owner, sizeof(owner), id);
    cr_assert_str_eq(id, normal);
}

Test(queue, cap_of_a_user_is_never_passed)
{
    char id[PJ_ID_SIZE];
    struct pj_lease lease[20];
    struct pj_err err = {0};
    size_t n, total = 0;

    set_config(2);
    for (int i = 0; i < 10; i++)
        make_task(&f, "u", true, id);
    make_task(&f, "other", true, id);
    n = take(&f, "r1", 20, lease, 15000);
    cr_assert_eq(n, 3, "two of u and the other's");
    while (n > 0) {
        for (size_t i = 0; i < n; i++) {
            cr_assert_leq(ask_int(&f, "HGET", "pj:{p0}:run", "u"), 2);
            cr_assert_eq(finish_as(&f, lease[i].task->id, lease[i].epoch, PJ_TASK_COMPLETED, NULL,
                                   NULL, &err),
                         0);
        }
        total += n;
        pj_leases_release(lease, n);
        n = take(&f, "r1", 20, lease, 15000);
        cr_assert_leq(n, 2);
    }
    cr_assert_eq(total, 11);
    cr_assert_eq(ask_int(&f, "HLEN", "pj:{p0}:run", NULL), 0);
}

Test(queue, raising_the_cap_lets_the_waiting_go)
{
    char id[PJ_ID_SIZE];
    struct pj_lease lease[20];

    set_config(1);
    for (int i = 0; i < 5; i++)
        make_task(&f, "u", true, id);
    cr_assert_eq(take(&f, "r1", 20, lease, 15000), 1);
    pj_leases_release(lease, 1);
    set_config(0);
    cr_assert_eq(take(&f, "r1", 20, lease, 15000), 4);
    pj_leases_release(lease, 4);
}

Test(queue, cancelled_in_the_backlog_is_gone_from_it)
{
    char first[PJ_ID_SIZE], second[PJ_ID_SIZE], id[PJ_ID_SIZE], owner[32];
    struct pj_cmd cmd = {0};
    struct pj_err err = {0};
    struct pj_lease lease;

    make_task(&f, "u", true, first);
    make_task(&f, "u", true, second);
    pj_task_cancel_cmd(&cmd, second);
    cr_assert_eq(run_move(&f, &cmd, NULL, &err), 0);
    serve_one(owner, sizeof(owner), id);
    cr_assert_str_eq(id, first);
    cr_assert_eq(take(&f, "r1", 1, &lease, 15000), 0);
    cr_assert_eq(ask_int(&f, "EXISTS", "pj:{p0}:bk:u", NULL), 0);
    make_task(&f, "u", true, first);
    serve_one(owner, sizeof(owner), id);
    cr_assert_str_eq(id, first, "and the queue goes on");
}

Test(queue, depth_counts_waiting_and_leased)
{
    char id[PJ_ID_SIZE];
    struct pj_queue_depth depth;
    struct pj_cmd cmd = {0};
    struct pj_err err = {0};
    struct pj_lease lease[2];

    for (int i = 0; i < 5; i++)
        make_task(&f, "u", true, id);
    cr_assert_eq(take(&f, "r1", 2, lease, 15000), 2);
    pj_leases_release(lease, 2);
    pj_queue_depth_cmd(&cmd, 0);
    PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = run_cmd(&f, &cmd);

    cr_assert_eq(pj_queue_depth_reply(reply, &depth, &err), 0, "%s", err.message);
    cr_assert_eq(depth.queued, 3);
    cr_assert_eq(depth.running, 2);
    cr_assert_eq(depth.external, 0);
    cr_assert_geq(depth.oldest_wait_ms, 0);
}

/* One racer: a process with a connection of its own. Exit status 0: it won. */
static pid_t race(int (*run)(struct fixture *mine, const char *id), const char *id,
                  const int gate[2])
{
    struct fixture mine = f;
    pid_t pid = fork();
    char go;

    if (pid != 0)
        return pid;
    (void)close(gate[1]);
    mine.redis = test_redis_connect(&f.server);
    (void)!read(gate[0], &go, 1); /* all start at once, when the gate closes */
    _exit(run(&mine, id));
}

/* `n` racers at once; how many won. */
static int winners(int n, int (*run)(struct fixture *mine, const char *id), const char *id)
{
    int gate[2], won = 0, status;
    pid_t pids[64];

    cr_assert_eq(pipe(gate), 0);
    for (int i = 0; i < n; i++) {
        pids[i] = race(run, id, gate);
        cr_assert_gt(pids[i], 0);
    }
    (void)close(gate[0]);
    (void)close(gate[1]);
    for (int i = 0; i < n; i++) {
        cr_assert_eq(waitpid(pids[i], &status, 0), pids[i]);
        cr_assert(WIFEXITED(status) && WEXITSTATUS(status) < 2, "a racer broke");
        won += WEXITSTATUS(status) == 0;
    }
    return won;
}

static int run_execute(struct fixture *mine, const char *id)
{
    struct pj_cmd cmd = {0};
    struct pj_err err;

    pj_task_execute_cmd(&cmd, id, -1);
    return run_move(mine, &cmd, NULL, &err) == 0 ? 0 : 1;
}

static int run_take(struct fixture *mine, const char *id)
{
    struct pj_lease lease;

    (void)id;
    return take(mine, "racer", 1, &lease, 15000) == 1 ? 0 : 1;
}

/* Each racer reports another end; exactly one may count. */
static int run_finish(struct fixture *mine, const char *id)
{
    static const int ends[] = {PJ_TASK_COMPLETED, PJ_TASK_FAILED, PJ_TASK_CANCELLED,
                               PJ_TASK_NEEDS_REVIEW};
    struct pj_finished done;
    struct pj_err err;

    if (finish_as(mine, id, getpid() % 2 ? 1 : -1, ends[getpid() % 4], NULL, &done, &err) < 0)
        return 1;
    return done.repeated ? 1 : 0;
}

Test(queue, of_many_executes_one_wins)
{
    char id[PJ_ID_SIZE];

    make_task(&f, "u", false, id);
    cr_assert_eq(winners(24, run_execute, id), 1);
    cr_assert_eq(ask_int(&f, "XLEN", "pj:{p0}:ready", NULL), 1);
}

Test(queue, of_many_takers_one_wins)
{
    char id[PJ_ID_SIZE];

    make_task(&f, "u", true, id);
    cr_assert_eq(winners(24, run_take, id), 1);
    cr_assert_eq(ask_int(&f, "ZCARD", "pj:{p0}:lease", NULL), 1);
}

Test(queue, of_many_finishers_one_wins)
{
    char id[PJ_ID_SIZE];
    struct pj_lease lease;
    int64_t records;

    make_task(&f, "u", true, id);
    take_one(&f, "r1", &lease);
    pj_leases_release(&lease, 1);
    cr_assert_eq(winners(24, run_finish, id), 1);
    records = notices(&f);
    cr_assert_eq(records, status_of(&f, id) == PJ_TASK_CANCELLED ? 0 : 1);
    cr_assert_eq(ask_int(&f, "HLEN", "pj:{p0}:run", NULL), 0);
}

/* Negative control: without the script's compare-and-set, as a plain read and write, several win. It shows that the race is real. */
static int run_unsafe(struct fixture *mine, const char *id)
{
    PJ_CLEANUP(pj_reply_freep)
    struct redisReply *seen = test_redis_words(mine->redis, "GET", id, NULL), *set = NULL;

    if (pj_reply_view(seen).n)
        return 1;
    set = test_redis_words(mine->redis, "SET", id, "mine", NULL);
    pj_reply_freep(&set);
    return 0;
}

Test(queue, control_without_a_script_many_win)
{
    int most = 0;

    for (int round = 0; round < 20 && most < 2; round++) {
        char key[32];
        int won;

        (void)snprintf(key, sizeof(key), "control%d", round);
        won = winners(24, run_unsafe, key);
        most = won > most ? won : most;
    }
    cr_assert_geq(most, 2);
}

/* Two hundred that run and are older do not hide the one that waits. */
Test(queue, who_waits_is_found_behind_many_that_run)
{
    struct pj_lease leases[PJ_TAKE_MAX];
    struct pj_queue_depth depth;
    struct pj_cmd cmd = {0};
    struct pj_err err = {0};
    char id[PJ_ID_SIZE], key[PJ_KEY_SIZE];

    for (int i = 0; i < 4; i++) {
        for (int k = 0; k < 55; k++)
            make_task(&f, "user1", true, id);
        pj_leases_release(leases, take(&f, "r1", PJ_TAKE_MAX, leases, 15000));
    }
    make_task(&f, "user1", true, id);
    {
        PJ_CLEANUP(pj_reply_freep)
        struct redisReply *reply =
            test_redis_words(f.redis, "HSET", pj_key_task(key, id), "executed", "1000", NULL);
    }
    pj_queue_depth_cmd(&cmd, 0);
    PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = run_cmd(&f, &cmd);

    cr_assert_eq(pj_queue_depth_reply(reply, &depth, &err), 0);
    cr_assert_eq(depth.running, 220);
    cr_assert_eq(depth.queued, 1);
    cr_assert_gt(depth.oldest_wait_ms, 1000000);
}
