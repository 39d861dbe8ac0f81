/* Tasks under constant faults, with real programs, boxes, remotes and a forge; afterwards every task is held against what was
 * accepted. A short form runs with the other tests; PJ_CHAOS_SECONDS makes it longer, PJ_CHAOS_SEED repeats a run's choices. */
#include <signal.h>
#include <stdio.h>
#include "lib/base/clock.h"
#include "lib/base/fs.h"
#include "lib/base/view.h"
#include "tests/scenarios/scene.h"

#define RUNNERS 2
#define ACTIVE_MAX 12
#define TASKS_MAX 4000
#define LEASE_MS 3000
#define ANSWER_MS 60000
#define END_MS 180000

/* A task takes about a second in its box, and talks. */
static const struct model_answer work[] = {
    {.repeat = true,
     .text = "I do it.",
     .prompt_tokens = 700,
     .completion_tokens = 70,
     .calls =
         {{"run",
           "{\"command\":\"i=0; while [ $i -lt 40 ]; do echo line $i; i=$((i+1)); done; sleep 1; "
           "setsid sleep 600 & echo done > done.txt\"}"},
          {"finish", "{\"summary\":\"Done.\"}"}}},
};

struct chaos {
    struct scene s;
    unsigned random;
    char *task[TASKS_MAX];
    bool ended[TASKS_MAX];
    bool cancelled[TASKS_MAX]; /* a cancel was asked for */
    size_t count;
    int64_t until_ms;
};

/* Numerical Recipes' generator: the run is repeated by its seed. */
static unsigned roll(struct chaos *c, unsigned sides)
{
    c->random = c->random * 1664525u + 1013904223u;
    return (c->random >> 8) % sides;
}

/* Something happens at the model, or the time passes: both are reasons to go on. */
static void linger(struct chaos *c, int ms)
{
    (void)model_server_wait(c->s.model, model_server_count(c->s.model) + 1, ms);
}

/* ---- the API under faults: asked until it answers; idempotency makes that safe ---- */

static int ask(struct chaos *c, const char *method, const char *path, const char *body,
               const char *key, struct http_answer *out)
{
    PJ_CLEANUP(pj_freep) char *full = pj_asprintf("/api/v1%s", path);
    PJ_CLEANUP(pj_freep) char *header = key ? pj_asprintf("Idempotency-Key: %s", key) : NULL;
    const char *const headers[] = {header, NULL};
    int64_t until = pj_mono_ms() + ANSWER_MS;

    for (;;) {
        http_try(c->s.w.base, method, full, WORLD_TOKEN, body, headers, out);
        bool passing = out->status == 0 || out->status >= 500 || out->status == 429 ||
                       (out->status == 409 &&
                        strcmp(pj_json_str(out->json, "code", ""), "idempotency_in_progress") == 0);
        if (!passing)
            return out->status;
        if (pj_mono_ms() > until) {
            PJ_CLEANUP(pj_freep) char *logs = world_logs(&c->s.w);

            cr_assert_fail("%s %s: still %d: %s\n%s", method, path, out->status, out->body, logs);
        }
        http_answer_release(out);
        linger(c, 100);
    }
}

static void create(struct chaos *c)
{
    PJ_CLEANUP(pj_freep) char *key = pj_asprintf("chaos-task-%zu-%u", c->count, c->random);
    PJ_CLEANUP(pj_freep)
    char *body = pj_asprintf("{\"repositoryId\":\"%s\",\"title\":\"Task %zu\",\"description\":\"Do "
                             "it.\",\"execute\":true}",
                             c->s.repo, c->count);
    struct http_answer a;

    cr_assert_eq(ask(c, "POST", "/tasks", body, key, &a), 201, "%s", a.body);
    c->task[c->count++] = pj_strdup(pj_json_str(a.json, "id", ""));
    http_answer_release(&a);
}

static bool is_over(const json_t *task)
{
    const char *status = scene_status(task);

    return strcmp(status, "running") != 0 && strcmp(status, "queued") != 0;
}

static size_t count_active(struct chaos *c)
{
    size_t active = 0;

    for (size_t i = 0; i < c->count; i++) {
        PJ_CLEANUP(pj_freep) char *path = pj_asprintf("/tasks/%s", c->task[i]);
        struct http_answer a;

        if (c->ended[i])
            continue;
        cr_assert_eq(ask(c, "GET", path, NULL, NULL, &a), 200, "%s", a.body);
        c->ended[i] = is_over(a.json);
        active += !c->ended[i];
        http_answer_release(&a);
    }
    return active;
}

/* ---- faults ---- */

static void kill_runner(struct chaos *c)
{
    size_t i = roll(c, RUNNERS);

    (void)program_stop(&c->s.w.runner[i], SIGKILL, WORLD_SOON);
    program_release(&c->s.w.runner[i]);
    world_runner_start(&c->s.w, i);
}

static void drain_runner(struct chaos *c)
{
    size_t i = roll(c, RUNNERS);

    cr_expect_eq(program_stop(&c->s.w.runner[i], SIGTERM, END_MS), 0, "a drain ends well");
    program_release(&c->s.w.runner[i]);
    world_runner_start(&c->s.w, i);
}

/* Longer than the lease: its tasks go elsewhere, and what it does afterwards counts for nothing. */
static void freeze_runner(struct chaos *c)
{
    size_t i = roll(c, RUNNERS);
    int64_t until = pj_mono_ms() + LEASE_MS + 2000;

    (void)kill(c->s.w.runner[i].pid, SIGSTOP);
    for (int64_t left = LEASE_MS + 2000; left > 0; left = until - pj_mono_ms())
        linger(c, (int)left);
    (void)kill(c->s.w.runner[i].pid, SIGCONT);
}

static void kill_job(struct chaos *c)
{
    size_t count = 0;
    pid_t *jobs = world_jobs(&c->s.w, &count);

    if (count > 0)
        (void)kill(jobs[roll(c, (unsigned)count)], SIGKILL);
    free(jobs);
}

static void kill_api(struct chaos *c)
{
    (void)program_stop(&c->s.w.api, SIGKILL, WORLD_SOON);
    program_release(&c->s.w.api);
    world_api_start(&c->s.w);
}

static void kill_redis(struct chaos *c)
{
    test_redis_kill(&c->s.w.redis);
    test_redis_restart(&c->s.w.redis);
}

static void cancel_one(struct chaos *c)
{
    size_t i = c->count > 0 ? roll(c, (unsigned)c->count) : 0;
    struct http_answer a;

    if (c->count == 0 || c->ended[i])
        return;
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf("/tasks/%s/cancel", c->task[i]);
    int status = ask(c, "POST", path, NULL, NULL, &a);
    cr_expect(status == 200 || status == 202 || status == 409, "cancel: %d %s", status, a.body);
    c->cancelled[i] = true;
    http_answer_release(&a);
}

static struct {
    const char *name;
    unsigned weight;
    void (*strike)(struct chaos *c);
    size_t times;
} faults[] = {
    {"cancel a task",    2, cancel_one,    0},
    {"drain a runner",   1, drain_runner,  0},
    {"freeze a runner",  1, freeze_runner, 0},
    {"kill -9 a job",    4, kill_job,      0},
    {"kill -9 a runner", 2, kill_runner,   0},
    {"kill -9 the API",  2, kill_api,      0},
    {"kill -9 Redis",    2, kill_redis,    0},
};

static void strike(struct chaos *c)
{
    unsigned total = 0;

    for (size_t i = 0; i < PJ_COUNT_OF(faults); i++)
        total += faults[i].weight;
    unsigned at = roll(c, total);
    for (size_t i = 0; i < PJ_COUNT_OF(faults); i++) {
        if (at < faults[i].weight) {
            faults[i].times++;
            faults[i].strike(c);
            return;
        }
        at -= faults[i].weight;
    }
}

/* ---- what has to hold ---- */

struct sums {
    size_t completed, cancelled, lost;
    int64_t tokens;
};

static void check_log(struct chaos *c, const char *task)
{
    PJ_CLEANUP(pj_json_decrefp) json_t *log = world_log(&c->s.w, task);
    int64_t attempt = 0, n = 0;
    size_t i;
    json_t *entry;

    json_array_foreach(log, i, entry)
    {
        int64_t a = pj_json_i64(entry, "attempt", 0), k = pj_json_i64(entry, "n", 0);

        if (a != attempt)
            n = 0;
        cr_expect(k == n + 1 && a >= attempt, "task %s: after %lld-%lld came %lld-%lld", task,
                  (long long)attempt, (long long)n, (long long)a, (long long)k);
        attempt = a;
        n = k;
    }
}

static void check_remote(struct chaos *c, const char *task, bool completed, const json_t *pulls)
{
    PJ_CLEANUP(pj_freep) char *branch = scene_branch(task);
    PJ_CLEANUP(pj_freep) char *range = pj_asprintf("main..%s", branch);
    PJ_CLEANUP(pj_freep)
    char *commits = gitfix_run(c->s.remote, NULL, "rev-list", "--count", range, (const char *)NULL);
    size_t i, open = 0;
    json_t *pull;

    cr_expect(!commits || strcmp(commits, "1\n") == 0, "task %s has commits: %s", task, commits);
    cr_expect(!completed || commits, "completed task %s has no branch", task);
    json_array_foreach(pulls, i, pull)
    {
        open += strcmp(pj_json_str(json_object_get(pull, "head"), "ref", ""), branch) == 0;
    }
    cr_expect_leq(open, 1, "task %s has %zu pull requests", task, open);
    cr_expect(!completed || open == 1, "completed task %s has no pull request", task);
}

static void check_task(struct chaos *c, size_t i, const json_t *pulls, struct sums *sums)
{
    const char *task = c->task[i];
    PJ_CLEANUP(pj_json_decrefp) json_t *doc = world_wait_end(&c->s.w, task);
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf("/admin/outbox?taskId=%s", task);
    PJ_CLEANUP(pj_json_decrefp) json_t *owed = world_call(&c->s.w, "GET", path, NULL, 200);
    size_t records = json_array_size(json_object_get(owed, "items"));
    bool completed = strcmp(scene_status(doc), "completed") == 0;
    bool cancelled = strcmp(scene_status(doc), "cancelled") == 0;
    bool lost = strcmp(scene_error_code(doc), "runner_lost") == 0;

    if (!completed && !cancelled && !lost) {
        PJ_CLEANUP(pj_freep) char *text = pj_json_text(doc);

        cr_expect_fail("a task ended in its own way: %s", text);
    }
    cr_expect(!cancelled || c->cancelled[i], "task %s was cancelled by nobody", task);
    cr_expect(cancelled ? records <= 1 : records == 1, "task %s (%s) has %zu notification records",
              task, scene_status(doc), records);
    sums->completed += completed;
    sums->cancelled += cancelled;
    sums->lost += lost;
    sums->tokens += pj_json_i64(json_object_get(doc, "usage"), "totalTokens", 0);
    check_remote(c, task, completed, pulls);
    check_log(c, task);
}

static void check_sums(struct chaos *c, const struct sums *sums)
{
    PJ_CLEANUP(pj_json_decrefp)
    json_t *doc = world_call(&c->s.w, "GET", "/admin/analytics?bucket=hour", NULL, 200);
    const json_t *totals = json_object_get(doc, "totals"),
                 *tasks = json_object_get(totals, "tasks");
    PJ_CLEANUP(pj_freep) char *text = pj_json_text(totals);

    cr_expect_eq(pj_json_i64(tasks, "completed", 0), (int64_t)sums->completed, "%s", text);
    cr_expect_eq(pj_json_i64(tasks, "cancelled", 0), (int64_t)sums->cancelled, "%s", text);
    cr_expect_eq(pj_json_i64(tasks, "failed", 0), (int64_t)sums->lost, "%s", text);
    cr_expect_eq(pj_json_i64(json_object_get(totals, "tokens"), "total", 0), sums->tokens, "%s",
                 text);
}

/* ---- the run ---- */

static int64_t from_env(const char *name, int64_t def)
{
    int64_t n;

    return getenv(name) && pj_parse_i64(pj_view_of(getenv(name)), &n) == 0 ? n : def;
}

static void set_up(struct chaos *c)
{
    struct scene *s = &c->s;

    s->model = model_server_start(0, work, 1);
    world_start(&s->w);
    test_redis_stop(&s->w.redis);
    test_redis_start_durable(&s->w.redis, "always");
    world_set(&s->w, "PJ_REDIS_URL", s->w.redis.url);
    world_set(&s->w, "PJ_LEASE_TTL", "3s");
    world_set(&s->w, "PJ_JANITOR_INTERVAL", "1s");
    world_set(&s->w, "PJ_RUNNER_SLOTS", "2");
    world_set(&s->w, "PJ_LOG_LEVEL", "warn");
    world_set(&s->w, "PJ_RATE_LIMIT", "0");
    world_use_openai(&s->w, s->model);
    scene_open_forge(s, ",\"codeRabbit\":\"off\"");
    for (size_t i = 1; i < RUNNERS; i++)
        world_runner_start(&s->w, i);
    world_set(&s->w, "PJ_LISTEN", s->w.base + strlen("http://"));
}

Test(chaos, whatever_dies_nothing_is_lost_and_nothing_happens_twice)
{
    static struct chaos c;
    struct sums sums = {.tokens = 0};

    c.random = (unsigned)from_env("PJ_CHAOS_SEED", pj_now_ms() & 0xffffff);
    fprintf(stderr, "PJ_CHAOS_SEED=%u\n", c.random);
    set_up(&c);
    c.until_ms = pj_mono_ms() + from_env("PJ_CHAOS_SECONDS", 15) * 1000;
    while (pj_mono_ms() < c.until_ms && c.count + ACTIVE_MAX < TASKS_MAX) {
        for (size_t active = count_active(&c); active < ACTIVE_MAX; active++)
            create(&c);
        linger(&c, 1 + (int)roll(&c, 700));
        strike(&c);
    }
    json_t *pulls = NULL;
    for (size_t i = 0; i < c.count; i++)
        json_decref(world_wait_end(&c.s.w, c.task[i]));
    pulls = forge_server_pulls(c.s.forge, "acme/project");
    for (size_t i = 0; i < c.count; i++)
        check_task(&c, i, pulls, &sums);
    check_sums(&c, &sums);
    for (size_t i = 0; i < PJ_COUNT_OF(faults); i++)
        fprintf(stderr, "%-18s %zu\n", faults[i].name, faults[i].times);
    fprintf(stderr, "%zu tasks: %zu completed, %zu cancelled, %zu lost after three runners\n",
            c.count, sums.completed, sums.cancelled, sums.lost);
    json_decref(pulls);
    for (size_t i = 0; i < c.count; i++)
        free(c.task[i]);
    scene_stop(&c.s);
}
