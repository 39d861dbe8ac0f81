/* A task and the runners that have it: leases that cannot be renewed, runners that die, retries, drains, names that come back,
 * priorities. Clocks are moved in Redis, not waited for, where that is all there is to see. */
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "lib/base/clock.h"
#include "tests/chaos/link.h"
#include "tests/scenarios/scene.h"

static const struct model_answer long_work[] = {
    {.repeat = true, .text = "I work.", .calls = {{"run", "{\"command\":\"sleep 600\"}"}}}};

/* How often the log holds this text. */
static size_t count_in_log(struct scene *s, const char *task, const char *text)
{
    PJ_CLEANUP(pj_json_decrefp) json_t *log = world_log(&s->w, task);
    size_t i, n = 0;
    json_t *entry;

    json_array_foreach(log, i, entry)
    {
        n += strstr(pj_json_str(entry, "message", ""), text) != NULL;
    }
    return n;
}

/* Until its job says on which runner it is, for the n-th time. */
static void await_job(struct scene *s, const char *task, size_t runner, size_t n)
{
    PJ_CLEANUP(pj_freep) char *text = pj_asprintf("on runner runner-%zu", runner);
    int64_t until = pj_mono_ms() + WORLD_SOON;

    while (count_in_log(s, task, text) < n) {
        cr_assert_lt(pj_mono_ms(), until, "the task never ran on runner-%zu", runner);
        (void)model_server_wait(s->model, model_server_count(s->model) + 1, 100);
    }
}

static void cancel(struct scene *s, const char *task)
{
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf("/tasks/%s/cancel", task);

    json_decref(world_call(&s->w, "POST", path, "{}", 202));
    json_decref(world_wait_status(&s->w, task, "cancelled"));
}

/* By the store's clock, in milliseconds. */
static int64_t lease_end(struct scene *s, const char *task)
{
    PJ_CLEANUP(pj_redis_freep) struct pj_redis *redis = test_redis_connect(&s->w.redis);
    PJ_CLEANUP(pj_reply_freep)
    struct redisReply *score = test_redis_words(redis, "ZSCORE", "pj:{p0}:lease", task, NULL);
    int64_t ms = 0;

    cr_assert_eq(pj_parse_i64(pj_reply_view(score), &ms), 0);
    return ms;
}

Test(lease, a_job_that_cannot_be_renewed_is_ended_before_its_lease_is)
{
    struct scene s;
    struct link link;
    size_t count = 0;

    scene_prepare(&s, long_work, 1);
    link_start(&link, s.w.dir, s.w.redis.socket);
    world_set(&s.w, "PJ_REDIS_URL", link.url);
    world_set(&s.w, "PJ_LEASE_TTL", "10s");
    scene_open(&s, "");
    PJ_CLEANUP(pj_freep) char *task = scene_run(&s, "Work");
    await_job(&s, task, 0, 1);
    cr_assert(model_server_wait(s.model, 1, WORLD_SOON));
    pid_t *jobs = world_jobs(&s.w, &count);
    cr_assert_eq(count, 1);
    struct pollfd job = {.fd = (int)syscall(SYS_pidfd_open, jobs[0], 0), .events = POLLIN};

    cr_assert_geq(job.fd, 0);
    link_break(&link, LINK_STALL, 12000);
    cr_assert_eq(poll(&job, 1, WORLD_SOON), 1);
    int64_t left = lease_end(&s, task) - pj_now_ms();

    cr_expect_gt(left, 0, "the job outlived its lease by %lld ms", -(long long)left);
    cr_expect_lt(left, 5000, "%lld ms were left", (long long)left);
    (void)close(job.fd);
    free(jobs);
    await_job(&s, task, 0, 2); /* the link is back: the task begins again */
    cancel(&s, task);
    scene_stop(&s);
    link_stop(&link);
}

/* Three runners die with it; a fourth finds that. Then a retry: another attempt, the first one's log kept. */
Test(lease, three_lost_runners_are_the_end_and_a_retry_keeps_the_log)
{
    struct scene s;

    scene_prepare(&s, long_work, 1);
    world_set(&s.w, "PJ_LEASE_TTL", "1s");
    scene_open(&s, "");
    PJ_CLEANUP(pj_freep) char *task = scene_run(&s, "Work");
    PJ_CLEANUP(pj_freep) char *owed = pj_asprintf("/admin/outbox?taskId=%s", task);
    PJ_CLEANUP(pj_freep) char *retry = pj_asprintf("/tasks/%s/retry", task);
    PJ_CLEANUP(pj_freep) char *first = pj_asprintf("/tasks/%s/logs?attempt=1", task);

    for (size_t i = 0; i < 3; i++) {
        await_job(&s, task, i, 1);
        world_runner_start(&s.w, i + 1);
        cr_assert_eq(program_stop(&s.w.runner[i], SIGKILL, WORLD_SOON), 128 + SIGKILL);
        program_release(&s.w.runner[i]);
    }
    PJ_CLEANUP(pj_json_decrefp) json_t *doc = world_wait_status(&s.w, task, "failed");
    PJ_CLEANUP(pj_json_decrefp) json_t *mails = world_call(&s.w, "GET", owed, NULL, 200);
    PJ_CLEANUP(pj_json_decrefp) json_t *before = world_call(&s.w, "GET", first, NULL, 200);

    cr_expect_str_eq(scene_error_code(doc), "runner_lost");
    cr_expect(json_is_true(json_object_get(json_object_get(doc, "error"), "retryable")));
    cr_expect_eq(pj_json_i64(doc, "attempt", 0), 1, "a lost runner is no attempt of the task");
    cr_expect_eq(count_in_log(&s, task, "was lost"), 3);
    cr_expect_eq(json_array_size(json_object_get(mails, "items")), 1);

    json_decref(world_call(&s.w, "POST", retry, "{\"execute\":true}", 202));
    await_job(&s, task, 3, 1);
    PJ_CLEANUP(pj_json_decrefp) json_t *after = world_call(&s.w, "GET", first, NULL, 200);
    PJ_CLEANUP(pj_json_decrefp) json_t *all = world_log(&s.w, task);

    cr_expect_gt(json_array_size(json_object_get(before, "items")), 5);
    cr_expect(json_equal(json_object_get(before, "items"), json_object_get(after, "items")),
              "the log of the first attempt has changed");
    cr_expect_eq(pj_json_i64(json_array_get(all, json_array_size(all) - 1), "attempt", 0), 2);
    cancel(&s, task);
    scene_stop(&s);
}

/* The entry of a runner in the fleet, or NULL; the caller decrefs. */
static json_t *runner_entry(struct scene *s, const char *name)
{
    PJ_CLEANUP(pj_json_decrefp)
    json_t *list = world_call(&s->w, "GET", "/admin/runners", NULL, 200);
    size_t i;
    json_t *item;

    json_array_foreach(json_object_get(list, "items"), i, item)
    {
        if (strcmp(pj_json_str(item, "name", ""), name) == 0)
            return json_incref(item);
    }
    return NULL;
}

Test(lease, a_runner_drained_by_the_api_ends_its_task_and_comes_back_under_its_name)
{
    struct scene s;

    scene_prepare(&s, scene_gated, PJ_COUNT_OF(scene_gated));
    world_set(&s.w, "PJ_RUNNER_SLOTS", "2");
    scene_open(&s, "");
    PJ_CLEANUP(pj_freep) char *running = scene_run(&s, "First");
    cr_assert(model_server_wait(s.model, 1, WORLD_SOON));
    PJ_CLEANUP(pj_json_decrefp) json_t *entry = runner_entry(&s, "runner-0");

    cr_assert_not_null(entry);
    cr_expect_eq(pj_json_i64(entry, "slots", 0), 2);
    cr_expect_str_not_empty(pj_json_str(entry, "version", ""));
    cr_expect_str_not_empty(pj_json_str(entry, "isolation", ""));

    json_decref(world_call(&s.w, "POST", "/admin/runners/runner-0/drain", "{}", 202));
    cr_assert(program_wait_log(&s.w.runner[0], "\"draining\"", WORLD_SOON));
    PJ_CLEANUP(pj_freep) char *waiting = scene_run(&s, "Second");
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf("/tasks/%s", waiting);
    model_server_release(s.model);
    json_decref(world_wait_status(&s.w, running, "completed"));
    cr_expect_eq(program_wait(&s.w.runner[0], WORLD_SOON), 0);
    program_release(&s.w.runner[0]);
    cr_expect_null(runner_entry(&s, "runner-0"), "it has left");
    PJ_CLEANUP(pj_json_decrefp) json_t *doc = world_call(&s.w, "GET", path, NULL, 200);

    cr_expect_str_eq(pj_json_str(doc, "stage", ""), "waiting", "nothing is taken while draining");
    world_runner_start(&s.w, 0);
    json_decref(world_wait_status(&s.w, waiting, "completed"));
    PJ_CLEANUP(pj_json_decrefp) json_t *again = runner_entry(&s, "runner-0");

    cr_assert_not_null(again);
    cr_expect_str_eq(pj_json_str(again, "state", ""), "ready", "the wish to drain is not its");
    scene_stop(&s);
}

/* A task of that priority, waiting for a runner. */
static char *wait_in_line(struct scene *s, const char *priority)
{
    PJ_CLEANUP(pj_freep)
    char *extra = pj_asprintf(",\"priority\":\"%s\",\"execute\":true", priority);

    return world_task(&s->w, s->repo, priority, "Do it.", extra);
}

Test(lease, priorities_order_the_line_and_waiting_outweighs_them)
{
    static const struct model_answer nothing[] = {
        {.repeat = true, .text = "Done.", .calls = {{"finish", "{\"summary\":\"Nothing.\"}"}}}};
    static const char *const order[] = {"patient", "high", "normal", "low"};
    const char *started[4];
    json_t *docs[4];
    struct scene s;

    scene_prepare(&s, nothing, 1);
    world_set(&s.w, "PJ_RUNNER_SLOTS", "1");
    scene_open(&s, "");
    cr_assert_eq(program_stop(&s.w.runner[0], SIGTERM, WORLD_SOON), 0);
    program_release(&s.w.runner[0]);
    char *ids[4];

    ids[3] = wait_in_line(&s, "low");
    ids[2] = wait_in_line(&s, "normal");
    ids[1] = wait_in_line(&s, "high");
    ids[0] = wait_in_line(&s, "low"); /* and it has waited for half an hour: */
    PJ_CLEANUP(pj_json_decrefp) json_t *me = world_call(&s.w, "GET", "/me", NULL, 200);
    PJ_CLEANUP(pj_freep)
    char *backlog = pj_asprintf(
        "pj:{p0}:bk:%s", pj_json_str(json_object_get(me, "user"), "id", pj_json_str(me, "id", "")));
    PJ_CLEANUP(pj_redis_freep) struct pj_redis *redis = test_redis_connect(&s.w.redis);
    PJ_CLEANUP(pj_reply_freep)
    struct redisReply *moved =
        test_redis_words(redis, "ZINCRBY", backlog, "-1800000000", ids[0], NULL);
    PJ_CLEANUP(pj_reply_freep)
    struct redisReply *count = test_redis_words(redis, "ZCARD", backlog, NULL);

    cr_assert_eq(pj_reply_int(count, 0), 4);
    world_runner_start(&s.w, 0);
    for (size_t i = 0; i < 4; i++) {
        docs[i] = world_wait_end(&s.w, ids[i]);
        started[i] = pj_json_str(docs[i], "startedAt", "");
        cr_expect(i == 0 || strcmp(started[i - 1], started[i]) < 0, "%s before %s: %s, %s",
                  order[i], order[i - (i > 0)], started[i], started[i - (i > 0)]);
    }
    for (size_t i = 0; i < 4; i++) {
        json_decref(docs[i]);
        free(ids[i]);
    }
    scene_stop(&s);
}
