/* Many hands on one store: runners that finish, stall, die, come back as zombies; users that cancel; reapers; and a Redis that is killed.
 * Afterwards the books must balance. The seed is printed: PJ_CHURN_SEED repeats a run's choices (not its timing). */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/store/idem.h"
#include "lib/store/keys.h"
#include "lib/store/outbox.h"
#include "tests/lib/store/fixture.h"

#define TASKS 120
#define USERS 5
#define WORKERS 4
#define TTL_MS 60
#define PATIENCE_MS 60000

static struct fixture f;

struct ledger {              /* shared with the workers */
    unsigned taken_finishes; /* finishes that the store took as the first */
    unsigned cancelled_waiting;
    int stop;
};
static struct ledger *ledger;

static unsigned roll(unsigned *seed, unsigned n)
{
    *seed = *seed * 1103515245u + 12345u;
    return (*seed >> 16) % n;
}

/* One command; what may fail while Redis is away fails quietly: the next turn tries something else. */
static struct redisReply *attempt(struct pj_redis *redis, struct pj_cmd *cmd)
{
    struct redisReply *reply = NULL;
    struct pj_err err;

    if (pj_redis_do(redis, cmd, &reply, &err) < 0)
        reply = NULL;
    pj_cmd_release(cmd);
    return reply;
}

static void log_line(struct pj_redis *redis, const struct pj_lease *lease)
{
    struct pj_event event = {
        .attempt = lease->task->attempt, .n = lease->next_n, .message = pj_view_of("x")};
    struct pj_cmd cmd = {0};
    struct pj_str text;

    pj_str_init(&text, 4096);
    (void)pj_event_encode(&event, &text);
    (void)pj_str_putc(&text, '\n');
    pj_events_append_cmd(&cmd, lease->task->id, lease->epoch, event.attempt, event.n, 1,
                         pj_view_n(text.data, text.len));
    pj_str_release(&text);
    PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = attempt(redis, &cmd);
}

static void finish(struct pj_redis *redis, const struct pj_lease *lease, unsigned *seed)
{
    struct pj_outcome outcome;
    struct pj_cmd cmd = {0};
    struct pj_finished done;
    struct pj_err err;

    pj_outcome_init(&outcome);
    if (roll(seed, 3))
        pj_outcome_complete(&outcome);
    else
        pj_outcome_fail(&outcome, "no_changes", "none", NULL);
    pj_lease_finish_cmd(&cmd, lease->task->id, lease->epoch, 0, &outcome);
    pj_outcome_release(&outcome);
    PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = attempt(redis, &cmd);

    if (reply && pj_lease_finish_reply(reply, &done, &err) == 0 && !done.repeated)
        __atomic_add_fetch(&ledger->taken_finishes, 1, __ATOMIC_RELAXED);
}

static void give_back(struct pj_redis *redis, const struct pj_lease *lease, bool lost)
{
    struct pj_cmd cmd = {0};

    pj_lease_release_cmd(&cmd, lease->task->id, lease->epoch, lost, "given back");
    PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = attempt(redis, &cmd);
}

static void cancel(struct pj_redis *redis, const char *id)
{
    struct pj_cmd cmd = {0};

    pj_task_cancel_cmd(&cmd, id);
    PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = attempt(redis, &cmd);
}

static void reap_once(struct pj_redis *redis)
{
    struct pj_cmd cmd = {0};

    pj_lease_reap_cmd(&cmd, 0, TTL_MS);
    PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = attempt(redis, &cmd);
}

/* What happens to a task in these hands. A stalled one is kept and ended later, by which time its lease is another's. */
static void handle(struct pj_redis *redis, struct pj_lease *lease, struct pj_lease *stalled,
                   unsigned *seed)
{
    log_line(redis, lease);
    switch (roll(seed, 8)) {
    case 0: /* died: nobody hears of it */
        break;
    case 1:
        give_back(redis, lease, true);
        break;
    case 2:
        give_back(redis, lease, false);
        break;
    case 3:
        cancel(redis, lease->task->id);
        finish(redis, lease, seed);
        break;
    case 4:
        if (stalled->task) {
            finish(redis, stalled, seed);
            pj_leases_release(stalled, 1);
        }
        *stalled = *lease;
        lease->task = NULL;
        return;
    default:
        finish(redis, lease, seed);
    }
    pj_leases_release(lease, 1);
}

static void work(unsigned seed)
{
    struct pj_redis_options options = {.url = f.server.url, .retry_ms = 20000};
    struct pj_lease leases[3], stalled = {0};
    struct pj_redis *redis = NULL;
    struct pj_err err;

    if (pj_redis_new(&options, &redis, &err) < 0)
        _exit(2);
    while (!__atomic_load_n(&ledger->stop, __ATOMIC_RELAXED)) {
        struct pj_lease_take t = {.runner = "churn",
                                  .ttl_ms = TTL_MS,
                                  .timeout_ms = 600000,
                                  .want = 1 + (int64_t)roll(&seed, 3)};
        struct pj_cmd cmd = {0};
        size_t count = 0;

        pj_lease_take_cmd(&cmd, &t);
        PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = attempt(redis, &cmd);

        if (!reply || pj_lease_take_reply(reply, leases, 3, &count, &err) < 0)
            count = 0;
        for (size_t i = 0; i < count; i++)
            handle(redis, &leases[i], &stalled, &seed);
        reap_once(redis);
    }
    if (stalled.task)
        finish(redis, &stalled, &seed); /* a zombie's last word */
    pj_leases_release(&stalled, 1);
    pj_redis_free(redis);
}

static pid_t start_worker(unsigned seed)
{
    pid_t pid = fork();

    if (pid == 0) {
        work(seed);
        _exit(0);
    }
    return pid;
}

static void await_ends(bool kill_redis)
{
    int64_t began = pj_mono_ms(), kills = 0;

    for (;;) {
        PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = NULL;
        struct pj_cmd cmd = {0};
        int64_t running;

        struct pj_queue_depth depth = {.queued = TASKS};
        struct pj_err err = {0};

        pj_queue_depth_cmd(&cmd, 0);
        reply = attempt(f.redis, &cmd);
        if (reply)
            cr_assert_eq(pj_queue_depth_reply(reply, &depth, &err), 0, "%s", err.message);
        running = depth.queued + depth.running + depth.external;
        if (running == 0)
            return;
        if (kill_redis && running < TASKS - (kills + 1) * 15 && kills < 5) {
            kills++;
            test_redis_restart(&f.server);
        }
        cr_assert_lt(pj_mono_ms() - began, PATIENCE_MS, "%lld tasks never end", (long long)running);
    }
}

static void check_books(char ids[][PJ_ID_SIZE])
{
    static const char *const empty[] = {"pj:{p0}:lease", "pj:{p0}:vt", "pj:{p0}:deadline"};
    int64_t told = 0;

    for (int i = 0; i < TASKS; i++) {
        int status = status_of(&f, ids[i]);

        cr_assert(pj_task_is_ended((enum pj_task_status)status));
        told += status != PJ_TASK_CANCELLED;
    }
    cr_assert_eq(notices(&f), told, "one notification for each end that is told");
    cr_assert_eq(ask_int(&f, "HLEN", "pj:{p0}:run", NULL), 0, "nobody has running tasks");
    for (size_t i = 0; i < PJ_COUNT_OF(empty); i++)
        cr_assert_eq(ask_int(&f, "ZCARD", empty[i], NULL), 0, "%s", empty[i]);
    cr_assert_leq((int64_t)ledger->taken_finishes, TASKS);
}

static void churn(bool kill_redis)
{
    static char ids[TASKS][PJ_ID_SIZE];
    unsigned seed = getenv("PJ_CHURN_SEED") ? (unsigned)strtoul(getenv("PJ_CHURN_SEED"), NULL, 10)
                                            : (unsigned)getpid();
    pid_t workers[WORKERS];
    char owner[16];

    ledger = mmap(NULL, sizeof(*ledger), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq(ledger, MAP_FAILED);
    cr_log_info("PJ_CHURN_SEED=%u", seed);
    for (int i = 0; i < TASKS; i++) {
        (void)snprintf(owner, sizeof(owner), "user%d", i % USERS);
        make_task_with(&f, owner, i % 3, -1, true, ids[i]);
    }
    for (int i = 0; i < WORKERS; i++)
        workers[i] = start_worker(seed + (unsigned)i * 7919);
    for (int i = 0; i < TASKS; i += 11)
        cancel(f.redis, ids[i]);
    await_ends(kill_redis);
    __atomic_store_n(&ledger->stop, 1, __ATOMIC_RELAXED);
    for (int i = 0; i < WORKERS; i++) {
        int status;

        cr_assert_eq(waitpid(workers[i], &status, 0), workers[i]);
        cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    check_books(ids);
    (void)munmap(ledger, sizeof(*ledger));
}

Test(churn, books_balance_after_deaths_stalls_and_cancels)
{
    fixture_up(&f);
    churn(false);
    fixture_down(&f);
}

Test(churn, books_balance_though_redis_is_killed)
{
    struct pj_err err = {0};

    (void)signal(SIGPIPE, SIG_IGN);
    test_redis_start_durable(&f.server, "always");
    f.redis = test_redis_connect(&f.server);
    cr_assert_eq(pj_store_open(f.redis, 1, &f.meta, &err), 0, "%s", err.message);
    churn(true);
    fixture_down(&f);
}

/* What was acknowledged under appendfsync always is there after kill -9. */
Test(churn, acknowledged_tasks_survive_the_death_of_redis)
{
    char id[PJ_ID_SIZE];
    struct pj_err err = {0};

    (void)signal(SIGPIPE, SIG_IGN);
    test_redis_start_durable(&f.server, "always");
    f.redis = test_redis_connect(&f.server);
    cr_assert_eq(pj_store_open(f.redis, 1, &f.meta, &err), 0, "%s", err.message);
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < 20; i++)
            make_task(&f, "u", true, id);
        test_redis_restart(&f.server);
        pj_redis_free(f.redis);
        f.redis = test_redis_connect(&f.server);
        cr_assert_eq(status_of(&f, id), PJ_TASK_RUNNING);
        cr_assert_eq(ask_int(&f, "ZCARD", "pj:{p0}:tasks", NULL), (round + 1) * 20);
    }
    fixture_down(&f);
}

#define FORGET_MS 1000 /* what appendfsync everysec may forget, as the page of the store says */

/* What was acknowledged more than a second before kill -9 is there afterwards. */
Test(churn, everysec_forgets_at_most_the_last_second)
{
    static struct {
        char id[PJ_ID_SIZE];
        int64_t acknowledged_ms;
    } made[20000];
    size_t count = 0;
    struct pj_err err = {0};

    (void)signal(SIGPIPE, SIG_IGN);
    test_redis_start_durable(&f.server, "everysec");
    f.redis = test_redis_connect(&f.server);
    cr_assert_eq(pj_store_open(f.redis, 1, &f.meta, &err), 0, "%s", err.message);
    for (int round = 0; round < 2; round++) {
        int64_t until = pj_mono_ms() + FORGET_MS + 300, killed_ms;

        while (pj_mono_ms() < until && count < PJ_COUNT_OF(made)) {
            make_task(&f, "u", false, made[count].id);
            made[count++].acknowledged_ms = pj_mono_ms();
        }
        killed_ms = pj_mono_ms();
        test_redis_restart(&f.server);
        pj_redis_free(f.redis);
        f.redis = test_redis_connect(&f.server);
        for (size_t i = 0; i < count; i++) {
            char key[PJ_KEY_SIZE];
            int64_t age = killed_ms - made[i].acknowledged_ms;

            if (ask_int(&f, "EXISTS", pj_key_task(key, made[i].id), NULL) == 1)
                continue;
            cr_assert_leq(age, FORGET_MS, "forgotten %lld ms after it was acknowledged",
                          (long long)age);
        }
    }
    fixture_down(&f);
}

/* Of many creations under one key, one makes the task. */
Test(churn, one_key_makes_one_task_however_many_ask)
{
    char key[PJ_KEY_SIZE];
    int gate[2];
    pid_t pids[16];

    fixture_up(&f);
    (void)pj_idem_key(key, 0, "u:u1", "one key");
    cr_assert_eq(pipe(gate), 0);
    for (size_t i = 0; i < PJ_COUNT_OF(pids); i++) {
        pids[i] = fork();
        if (pids[i] != 0)
            continue;
        struct fixture mine = f;
        char go;

        (void)close(gate[1]);
        mine.redis = test_redis_connect(&f.server);
        (void)!read(gate[0], &go, 1);
        for (int n = 0; n < 60; n++) {
            char id[PJ_ID_SIZE];
            struct pj_task task;
            struct pj_cmd cmd = {0};

            pj_id_new(0, id);
            pj_task_init(&task);
            task.id = id;
            task.owner = (char[]){"u1"};
            task.repository_id = (char[]){"r"};
            task.title = (char[]){"t"};
            pj_task_create_cmd(&cmd, &task, true, key);
            PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = attempt(mine.redis, &cmd);

            if (!reply)
                _exit(1);
        }
        _exit(0);
    }
    (void)close(gate[0]);
    (void)close(gate[1]);
    for (size_t i = 0; i < PJ_COUNT_OF(pids); i++) {
        int status;

        cr_assert_eq(waitpid(pids[i], &status, 0), pids[i]);
        cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    cr_assert_eq(ask_int(&f, "ZCARD", "pj:{p0}:tasks", NULL), 1);
    cr_assert_eq(ask_int(&f, "XLEN", "pj:{p0}:ready", NULL), 1);
    fixture_down(&f);
}
