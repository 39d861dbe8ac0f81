/* R6: execution logs and streaming. */
#include "lib/base/clock.h"
#include "tests/scenarios/scene.h"

/* 300 lines from the box, a gate, 300 more: the stream has to be live in the middle. */
static const struct model_answer chatty[] = {
    SCENE_RUN("i=0; while [ $i -lt 300 ]; do echo line $i; i=$((i+1)); done"),
    {.trouble = MODEL_GATE,
     .text = "More.",
     .calls =
         {{"run",
           "{\"command\":\"i=300; while [ $i -lt 600 ]; do echo line $i; i=$((i+1)); done\"}"}}},
    SCENE_WRITE("new.txt", "x\\n"),
    SCENE_FINISH,
};

struct seen {
    int64_t attempt, n; /* of the last entry */
    size_t count;
    char *last_id;
    bool ended;
};

/* Entries have to come one after the other: nothing lost, nothing twice. */
static void take(struct seen *seen, const struct sse_event *e)
{
    if (strcmp(e->name, "end") == 0)
        seen->ended = true;
    if (strcmp(e->name, "log") != 0)
        return;
    int64_t attempt = pj_json_i64(e->json, "attempt", 0), n = pj_json_i64(e->json, "n", 0);
    if (attempt == seen->attempt)
        cr_expect_eq(n, seen->n + 1, "after %lld came %lld", (long long)seen->n, (long long)n);
    else
        cr_expect(attempt == seen->attempt + 1 && n == 1);
    cr_expect_str_eq(e->id, pj_json_str(e->json, "id", "?"));
    seen->attempt = attempt;
    seen->n = n;
    seen->count++;
    pj_str_set(&seen->last_id, e->id);
}

static bool next(struct sse_reader *r, struct seen *seen)
{
    struct sse_event e;
    int got = sse_next(r, &e, WORLD_SOON);

    cr_assert_neq(got, -1, "the stream is silent");
    if (got == 0)
        return false;
    take(seen, &e);
    sse_event_release(&e);
    return true;
}

Test(r6, r6_1_lines_are_streamed_in_order_while_the_task_runs)
{
    struct scene s;
    struct seen seen = {.last_id = NULL};

    scene_start(&s, chatty, PJ_COUNT_OF(chatty));
    char *task = scene_run(&s, "Talk"), *path = world_stream_path(task);
    struct sse_reader *r = sse_open(s.w.base, path, WORLD_TOKEN, NULL);
    /* The second request is held at the gate: what is read until then was sent while the task ran. */
    cr_assert(model_server_wait(s.model, 2, WORLD_SOON));
    while (seen.count < 3)
        cr_assert(next(r, &seen));
    cr_expect_eq(sse_status(r), 200);
    cr_expect_not(seen.ended);
    model_server_release(s.model);
    while (next(r, &seen))
        ;
    cr_expect(seen.ended);
    sse_close(r);
    json_t *log = world_log(&s.w, task);
    cr_expect_eq(json_array_size(log), seen.count, "what was streamed is what is stored");
    json_decref(log);
    /* A reconnect after the end is told that nothing more will come. */
    char *end = pj_asprintf("%lld-%lld", (long long)seen.attempt, (long long)seen.n + 1);
    const char *headers[] = {NULL, NULL};
    char *last = pj_asprintf("Last-Event-ID: %s", end);
    struct http_answer a;
    headers[0] = last;
    http_call(s.w.base, "GET", path, WORLD_TOKEN, NULL, headers, &a);
    cr_expect_eq(a.status, 204);
    http_answer_release(&a);
    free(last);
    free(end);
    free(seen.last_id);
    free(path);
    free(task);
    scene_stop(&s);
}

Test(r6, r6_1_a_resumed_stream_loses_and_repeats_nothing)
{
    struct scene s;
    struct seen seen = {.last_id = NULL};
    size_t connections = 0;

    scene_start(&s, chatty, PJ_COUNT_OF(chatty));
    char *task = scene_run(&s, "Talk"), *path = world_stream_path(task);
    bool released = false;
    int64_t until = pj_mono_ms() + WORLD_TASK;
    while (!seen.ended) {
        cr_assert_lt(pj_mono_ms(), until, "no end after %zu connections", connections);
        struct sse_reader *r = sse_open(s.w.base, path, WORLD_TOKEN, seen.last_id);
        size_t before = seen.count;

        connections++;
        /* Cut after every 40 entries; the first time round the gate is still closed. */
        while (!seen.ended && seen.count < before + 40 && next(r, &seen))
            if (!released && seen.count >= 20) {
                model_server_release(s.model);
                released = true;
            }
        sse_close(r);
        if (!released && model_server_count(s.model) >= 2) {
            model_server_release(s.model);
            released = true;
        }
    }
    json_t *log = world_log(&s.w, task);
    cr_expect_eq(json_array_size(log), seen.count);
    cr_expect_geq(connections, 2);
    json_decref(log);
    free(seen.last_id);
    free(path);
    free(task);
    scene_stop(&s);
}

Test(r6, r6_2_logs_are_dropped_after_their_time_and_the_task_stays)
{
    static const struct model_answer answers[] = {SCENE_WRITE("new.txt", "x\\n"), SCENE_FINISH};
    struct scene s;
    struct http_answer a;

    scene_prepare(&s, answers, 2);
    world_set(&s.w, "PJ_LOG_RETENTION", "2s");
    world_set(&s.w, "PJ_JANITOR_INTERVAL", "1s");
    scene_open(&s, ",\"codeRabbit\":\"off\"");
    char *task = scene_run(&s, "Write a file");
    json_decref(world_wait_status(&s.w, task, "completed"));
    json_t *log = world_log(&s.w, task);
    cr_expect_gt(json_array_size(log), 0, "kept until then");
    json_decref(log);
    cr_assert(program_wait_log(&s.w.runner[0], "logs_dropped", WORLD_SOON));
    char *path = pj_asprintf("/api/v1/tasks/%s/logs", task);
    http_call(s.w.base, "GET", path, WORLD_TOKEN, NULL, NULL, &a);
    cr_expect_eq(a.status, 410, "%s", a.body);
    cr_expect_str_eq(pj_json_str(a.json, "code", ""), "logs_expired");
    http_answer_release(&a);
    free(path);
    path = pj_asprintf("/tasks/%s", task);
    json_t *doc = world_call(&s.w, "GET", path, NULL, 200);
    cr_expect_str_eq(scene_status(doc), "completed");
    json_decref(doc);
    free(path);
    free(task);
    scene_stop(&s);
}

/* The task has ended that long ago: the clock is moved, in Redis, in the set that the janitor goes by. */
static void end_earlier(struct scene *s, const char *set, const char *task, int64_t ms)
{
    PJ_CLEANUP(pj_freep) char *key = pj_asprintf("pj:{p0}:%s", set);
    PJ_CLEANUP(pj_freep) char *by = pj_asprintf("-%lld", (long long)ms);
    PJ_CLEANUP(pj_redis_freep) struct pj_redis *redis = test_redis_connect(&s->w.redis);
    PJ_CLEANUP(pj_reply_freep)
    struct redisReply *score = test_redis_words(redis, "ZINCRBY", key, by, task, NULL);

    cr_assert_gt(pj_reply_view(score).n, 0, "%s", key);
}

/* "x-y" of the log's stream has the field z when it is packed. */
static bool is_packed(struct scene *s, const char *task)
{
    PJ_CLEANUP(pj_freep) char *key = pj_asprintf("pj:{p0}:t:%s:log", task);
    PJ_CLEANUP(pj_redis_freep) struct pj_redis *redis = test_redis_connect(&s->w.redis);
    PJ_CLEANUP(pj_reply_freep)
    struct redisReply *entries = test_redis_words(redis, "XRANGE", key, "-", "+", NULL);
    const struct redisReply *fields = pj_reply_at(pj_reply_at(entries, 0), 1);

    return pj_view_is(pj_reply_view(pj_reply_at(fields, 2)), "z");
}

Test(r6, r6_2_a_log_is_packed_soon_and_kept_for_seven_days_when_nothing_is_set)
{
    static const struct model_answer answers[] = {
        SCENE_RUN("i=0; while [ $i -lt 500 ]; do echo line $i; i=$((i+1)); done"),
        SCENE_WRITE("new.txt", "x\\n"), SCENE_FINISH};
    const int64_t day_ms = (int64_t)24 * 3600 * 1000;
    struct scene s;
    struct http_answer a;

    scene_prepare(&s, answers, PJ_COUNT_OF(answers));
    world_set(&s.w, "PJ_JANITOR_INTERVAL", "100ms");
    scene_open(&s, ",\"codeRabbit\":\"off\"");
    PJ_CLEANUP(pj_freep) char *task = scene_run(&s, "Write a file");
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf("/api/v1/tasks/%s/logs?limit=1000", task);
    json_decref(world_wait_status(&s.w, task, "completed"));
    PJ_CLEANUP(pj_json_decrefp) json_t *hot = world_log(&s.w, task);

    cr_expect_gt(json_array_size(hot), 500);
    end_earlier(&s, "hot", task, 60000);
    int64_t until = pj_mono_ms() + WORLD_SOON;

    while (!is_packed(&s, task) && pj_mono_ms() < until)
        (void)model_server_wait(s.model, model_server_count(s.model) + 1, 50);
    PJ_CLEANUP(pj_json_decrefp) json_t *packed = world_log(&s.w, task);
    cr_expect(is_packed(&s, task));
    cr_expect(json_equal(hot, packed), "a packed log reads as it did before");

    end_earlier(&s, "ended", task, 6 * day_ms);
    (void)model_server_wait(s.model, model_server_count(s.model) + 1, 500);
    http_call(s.w.base, "GET", path, WORLD_TOKEN, NULL, NULL, &a);
    cr_expect_eq(a.status, 200, "kept for less than seven days: %s", a.body);
    http_answer_release(&a);
    end_earlier(&s, "ended", task, 2 * day_ms);
    cr_assert(program_wait_log(&s.w.runner[0], "logs_dropped", WORLD_SOON));
    http_call(s.w.base, "GET", path, WORLD_TOKEN, NULL, NULL, &a);
    cr_expect_eq(a.status, 410, "%s", a.body);
    http_answer_release(&a);
    scene_stop(&s);
}

Test(r6, r6_3_the_history_is_paged_and_can_be_downloaded)
{
    static const struct model_answer answers[] = {SCENE_WRITE("new.txt", "x\\n"), SCENE_FINISH};
    struct scene s;
    struct http_answer a;

    scene_start(&s, answers, 2);
    char *task = scene_run(&s, "Write a file");
    json_decref(world_wait_status(&s.w, task, "completed"));
    json_t *log = world_log(&s.w, task);
    size_t total = json_array_size(log);
    json_decref(log);
    /* Two at a time: the pages together are the whole. */
    char *after = pj_strdup("");
    size_t paged = 0;
    for (;;) {
        char *path =
            pj_asprintf("/tasks/%s/logs?limit=2%s%s", task, *after ? "&after=" : "", after);
        json_t *page = world_call(&s.w, "GET", path, NULL, 200),
               *items = json_object_get(page, "items");
        size_t n = json_array_size(items);

        free(path);
        cr_assert_leq(n, 2);
        paged += n;
        if (n > 0)
            pj_str_set(&after, pj_json_str(json_array_get(items, n - 1), "id", ""));
        json_decref(page);
        if (n == 0 || paged > total)
            break;
    }
    cr_expect_eq(paged, total);
    char *path = pj_asprintf("/api/v1/tasks/%s/logs?download=1", task);
    http_call(s.w.base, "GET", path, WORLD_TOKEN, NULL, NULL, &a);
    cr_expect_eq(a.status, 200);
    size_t lines = 0;
    for (const char *p = a.body; (p = strchr(p, '\n')); p++)
        lines++;
    cr_expect_eq(lines, total, "one line an entry");
    http_answer_release(&a);
    free(path);
    free(after);
    free(task);
    scene_stop(&s);
}
