/* chaos_check.c - every task against what was accepted, and the sums. */
#include "lib/store/cmd.h"
#include "lib/task/state.h"
#include "tests/chaos/chaos.h"

#define EVENTS_MS ((int64_t)50 * 60 * 1000)

struct sums {
    size_t completed, cancelled, failed, stopped, lost, starved;
    int64_t tokens;
};

static long long work_line(const json_t *entry)
{
    long long n = -1;

    return sscanf(pj_json_str(entry, "message", ""), "line %lld", &n) == 1 ? n : -1;
}

/* Numbers without a hole within each attempt; of a task that a job completed, the lines of its last delivery all and once. */
static void check_log(struct chaos *c, const char *task, bool worked)
{
    PJ_CLEANUP(pj_json_decrefp) json_t *log = world_log(&c->s.w, task);
    int64_t attempt = 0, n = 0;
    long long next = -1;
    size_t i;
    json_t *entry;

    json_array_foreach(log, i, entry)
    {
        int64_t a = pj_json_i64(entry, "attempt", 0), k = pj_json_i64(entry, "n", 0);
        long long line = work_line(entry);

        if (a != attempt)
            n = 0;
        cr_expect(k == n + 1 && a >= attempt, "task %s: after %lld-%lld came %lld-%lld", task,
                  (long long)attempt, (long long)n, (long long)a, (long long)k);
        attempt = a;
        n = k;
        if (line < 0)
            continue;
        cr_expect(line == 0 || line == next, "task %s: line %lld where %lld was due", task, line,
                  next);
        next = line + 1;
    }
    cr_expect(!worked || next == WORK_LINES, "task %s completed with %lld lines of its work", task,
              next);
}

static void check_remote(struct chaos *c, const char *task, bool published, const json_t *pulls)
{
    PJ_CLEANUP(pj_freep) char *branch = scene_branch(task);
    PJ_CLEANUP(pj_freep) char *range = pj_asprintf("main..%s", branch);
    PJ_CLEANUP(pj_freep)
    char *commits = gitfix_run(c->s.remote, NULL, "rev-list", "--count", range, (const char *)NULL);
    size_t i, open = 0;
    json_t *pull;

    cr_expect(!commits || strcmp(commits, "1\n") == 0, "task %s has commits: %s", task, commits);
    cr_expect(!published || commits, "completed task %s has no branch", task);
    json_array_foreach(pulls, i, pull)
    {
        open += strcmp(pj_json_str(json_object_get(pull, "head"), "ref", ""), branch) == 0;
    }
    cr_expect_leq(open, 1, "task %s has %zu pull requests", task, open);
    cr_expect(!published || open == 1, "completed task %s has no pull request", task);
}

static void check_task(struct chaos *c, struct chaos_task *t, const json_t *pulls,
                       struct sums *sums)
{
    PJ_CLEANUP(pj_freep) char *at = pj_asprintf("/tasks/%s", t->id);
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf("/admin/outbox?taskId=%s", t->id);
    PJ_CLEANUP(pj_json_decrefp) json_t *doc = world_call(&c->s.w, "GET", at, NULL, 200);
    PJ_CLEANUP(pj_json_decrefp) json_t *owed = world_call(&c->s.w, "GET", path, NULL, 200);
    size_t records = json_array_size(json_object_get(owed, "items"));
    bool completed = strcmp(scene_status(doc), "completed") == 0;
    bool cancelled = strcmp(scene_status(doc), "cancelled") == 0;
    bool failed = strcmp(scene_status(doc), "failed") == 0;
    bool stopped = strcmp(scene_status(doc), "needs_review") == 0; /* by the guard over the disk */
    bool lost = strcmp(scene_error_code(doc), "runner_lost") == 0;

    cr_expect_str_eq(scene_status(doc), t->end, "task %s has another end than before", t->id);
    if (!completed && !cancelled && !lost && !((failed || stopped) && t->starved)) {
        PJ_CLEANUP(pj_freep) char *text = pj_json_text(doc);
        PJ_CLEANUP(pj_json_decrefp) json_t *log = world_log(&c->s.w, t->id);
        PJ_CLEANUP(pj_freep) char *lines = pj_json_text(log);

        cr_expect_fail("a task ended in its own way: %s\n%s", text, lines);
    }
    cr_expect(!cancelled || t->cancelled, "task %s was cancelled by nobody", t->id);
    cr_expect(t->hooked_ms == 0 || completed || chaos_loss_ms(c, t->hooked_ms) >= 0,
              "task %s was completed by a webhook and is %s", t->id, scene_status(doc));
    cr_expect(cancelled ? records <= 1 : records == 1, "task %s (%s) has %zu notification records",
              t->id, scene_status(doc), records);
    sums->completed += completed;
    sums->cancelled += cancelled;
    sums->failed += failed;
    sums->lost += lost;
    sums->stopped += stopped;
    sums->starved += (failed && !lost) || stopped;
    sums->tokens += pj_json_i64(json_object_get(doc, "usage"), "totalTokens", 0);
    check_remote(c, t->id, completed && t->hooked_ms == 0, pulls);
    check_log(c, t->id, completed && t->hooked_ms == 0);
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
    cr_expect_eq(pj_json_i64(tasks, "failed", 0), (int64_t)sums->failed, "%s", text);
    cr_expect_eq(pj_json_i64(tasks, "needs_review", 0), (int64_t)sums->stopped, "%s", text);
    cr_expect_eq(pj_json_i64(json_object_get(totals, "tokens"), "total", 0), sums->tokens, "%s",
                 text);
}

/* The stream of all changes, which is kept for an hour: each task came to its end once. */
static void check_ends(struct chaos *c)
{
    PJ_CLEANUP(pj_json_decrefp) json_t *ends = json_object();
    PJ_CLEANUP(pj_redis_freep) struct pj_redis *redis = test_redis_connect(&c->s.w.redis);
    PJ_CLEANUP(pj_reply_freep)
    struct redisReply *entries = test_redis_words(redis, "XRANGE", "pj:{p0}:ev", "-", "+", NULL);

    for (size_t i = 0; i < pj_reply_count(entries); i++) {
        const struct redisReply *fields = pj_reply_at(pj_reply_at(entries, i), 1);
        struct pj_view rest = pj_reply_view(pj_reply_at(fields, 1)), line;

        while (pj_view_cut(&rest, '\n', &line)) {
            char id[64], status[32];
            enum pj_task_status end;

            cr_assert_eq(sscanf(line.p, "%63s %*s %*s %*s %31s", id, status), 2);
            end = (enum pj_task_status)pj_word_index(pj_task_status_words, status);
            if (pj_task_is_ended(end))
                json_object_set_new(
                    ends, id, json_integer(json_integer_value(json_object_get(ends, id)) + 1));
        }
    }
    for (size_t i = 0; i < c->count; i++) {
        json_int_t n = json_integer_value(json_object_get(ends, c->task[i].id));

        cr_expect(n == 1 || (n == 0 && pj_mono_ms() - c->task[i].ended_ms > EVENTS_MS),
                  "task %s ended %lld times", c->task[i].id, (long long)n);
    }
}

void chaos_check(struct chaos *c)
{
    struct sums sums = {.tokens = 0};
    json_t *pulls = forge_server_pulls(c->s.forge, "acme/project");

    for (size_t i = 0; i < c->count; i++)
        check_task(c, &c->task[i], pulls, &sums);
    json_decref(pulls);
    check_sums(c, &sums);
    check_ends(c);
    chaos_host_check(c);
    chaos_keys_check(c);
    fprintf(stderr,
            "%zu tasks: %zu completed, %zu cancelled, %zu lost after three runners, %zu ended by a "
            "full disk\n",
            c->count, sums.completed, sums.cancelled, sums.lost, sums.starved);
    fprintf(stderr,
            "Redis killed %zu times, %lld KiB of its log cut off: %zu acceptances and %zu ends "
            "forgotten",
            c->kill_count, (long long)(c->cut_bytes >> 10), c->forgotten, c->undone);
    fprintf(stderr, c->oldest_loss_ms > 0 ? ", the oldest %lld ms before the kill\n" : "\n",
            (long long)c->oldest_loss_ms);
}
