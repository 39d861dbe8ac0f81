/* chaos_check.c - every task against what was accepted, and what is left in Redis and on the host. */
#include <dirent.h>
#include <sys/mount.h>
#include "lib/store/cmd.h"
#include "tests/chaos/chaos.h"

struct sums {
    size_t completed, cancelled, failed, lost, starved;
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
    PJ_CLEANUP(pj_json_decrefp) json_t *doc = world_wait_end(&c->s.w, t->id);
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf("/admin/outbox?taskId=%s", t->id);
    PJ_CLEANUP(pj_json_decrefp) json_t *owed = world_call(&c->s.w, "GET", path, NULL, 200);
    size_t records = json_array_size(json_object_get(owed, "items"));
    bool completed = strcmp(scene_status(doc), "completed") == 0;
    bool cancelled = strcmp(scene_status(doc), "cancelled") == 0;
    bool failed = strcmp(scene_status(doc), "failed") == 0;
    bool lost = strcmp(scene_error_code(doc), "runner_lost") == 0;

    if (!completed && !cancelled && !lost && !(failed && t->starved)) {
        PJ_CLEANUP(pj_freep) char *text = pj_json_text(doc);
        PJ_CLEANUP(pj_json_decrefp) json_t *log = world_log(&c->s.w, t->id);
        PJ_CLEANUP(pj_freep) char *lines = pj_json_text(log);

        cr_expect_fail("a task ended in its own way: %s\n%s", text, lines);
    }
    cr_expect(!cancelled || t->cancelled, "task %s was cancelled by nobody", t->id);
    cr_expect(!t->hooked || completed || c->forgotten || strcmp(c->fsync, "always") != 0,
              "task %s was completed by a webhook and is %s", t->id, scene_status(doc));
    cr_expect(cancelled ? records <= 1 : records == 1, "task %s (%s) has %zu notification records",
              t->id, scene_status(doc), records);
    sums->completed += completed;
    sums->cancelled += cancelled;
    sums->failed += failed;
    sums->lost += lost;
    sums->starved += failed && !lost;
    sums->tokens += pj_json_i64(json_object_get(doc, "usage"), "totalTokens", 0);
    check_remote(c, t->id, completed && !t->hooked, pulls);
    check_log(c, t->id, completed && !t->hooked);
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
    cr_expect_eq(pj_json_i64(json_object_get(totals, "tokens"), "total", 0), sums->tokens, "%s",
                 text);
}

/* ---- keys without an owner ---- */

static int64_t count_of(struct pj_redis *redis, const char *command, const char *key)
{
    PJ_CLEANUP(pj_reply_freep)
    struct redisReply *reply = test_redis_words(redis, command, key, NULL);

    return pj_reply_int(reply, 0);
}

/* "pj:{p0}:t:<id>:log" and "pj:{p0}:ob:msg_<id>_1" belong to the task <id>. */
static char *owner_of(struct pj_view key, const char *prefix)
{
    static const char end[] = ":_";
    size_t skip = strlen(prefix), n;

    if (!pj_view_starts(key, prefix))
        return NULL;
    for (n = 0; skip + n < key.n && !strchr(end, key.p[skip + n]);)
        n++;
    return pj_strndup(key.p + skip, n);
}

static void check_keys(struct chaos *c)
{
    static const struct {
        const char *command, *key;
    } empty[] = {
        {"ZCARD", "pj:{p0}:lease"}, {"ZCARD", "pj:{p0}:deadline"}, {"SCARD", "pj:{p0}:external"}};
    struct pj_redis *redis = test_redis_connect(&c->s.w.redis);
    struct redisReply *keys = test_redis_words(redis, "KEYS", "pj:{p0}:*", NULL);

    for (size_t i = 0; i < PJ_COUNT_OF(empty); i++)
        cr_expect_eq(count_of(redis, empty[i].command, empty[i].key), 0, "%s is not empty",
                     empty[i].key);
    cr_expect_eq(count_of(redis, "ZCARD", "pj:{p0}:tasks"), (int64_t)c->count,
                 "tasks that nobody made");
    for (size_t i = 0; i < pj_reply_count(keys); i++) {
        struct pj_view key = pj_reply_view(pj_reply_at(keys, i));
        PJ_CLEANUP(pj_freep) char *task = owner_of(key, "pj:{p0}:t:");
        PJ_CLEANUP(pj_freep) char *record = owner_of(key, "pj:{p0}:ob:msg_");
        const char *id = task ? task : record;
        PJ_CLEANUP(pj_reply_freep) struct redisReply *score = NULL;

        cr_expect(!pj_view_starts(key, "pj:{p0}:bk:"), "%s: a backlog of nobody", key.p);
        if (!id)
            continue;
        score = test_redis_words(redis, "ZSCORE", "pj:{p0}:tasks", id, NULL);
        cr_expect_gt(pj_reply_view(score).n, 0, "%s has no owner", key.p);
    }
    pj_reply_freep(&keys);
    pj_redis_free(redis);
}

/* ---- what is on the host ---- */

static void expect_empty(const char *path)
{
    DIR *dir = opendir(path);
    struct dirent *e;

    while (dir && (e = readdir(dir)))
        cr_expect(e->d_name[0] == '.', "%s/%s is left", path, e->d_name);
    if (dir)
        (void)closedir(dir);
}

/* The runners drain; then nothing of a box is left on the small disk, and it goes (scene_stop() looks at the rest). */
static void check_disk(struct chaos *c)
{
    for (size_t i = 0; i < RUNNERS; i++) {
        PJ_CLEANUP(pj_freep) char *path = pj_asprintf("%s/runner-%zu/work", c->s.w.state, i);

        cr_expect_eq(program_stop(&c->s.w.runner[i], SIGTERM, END_MS), 0, "the last drain");
        program_release(&c->s.w.runner[i]);
        expect_empty(path);
    }
    if (c->small_disk)
        cr_expect_eq(umount2(c->s.w.state, MNT_DETACH), 0);
}

void chaos_check(struct chaos *c)
{
    struct sums sums = {.tokens = 0};
    json_t *pulls;

    for (size_t i = 0; i < c->count; i++)
        json_decref(world_wait_end(&c->s.w, c->task[i].id));
    pulls = forge_server_pulls(c->s.forge, "acme/project");
    for (size_t i = 0; i < c->count; i++)
        check_task(c, &c->task[i], pulls, &sums);
    json_decref(pulls);
    check_sums(c, &sums);
    check_keys(c);
    check_disk(c);
    fprintf(
        stderr,
        "%zu tasks: %zu completed, %zu cancelled, %zu lost after three runners, %zu failed on a "
        "full disk, %zu forgotten by Redis\n",
        c->count, sums.completed, sums.cancelled, sums.lost, sums.starved, c->forgotten);
}
