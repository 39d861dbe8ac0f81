/* R6.1: what is written reaches every viewer, in order, once, however he joins, leaves and comes back. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>
#include "lib/base/id.h"
#include "lib/base/mem.h"
#include "lib/base/view.h"
#include "lib/json/codec.h"
#include "tests/api/raw.h"
#include "tests/api/writer.h"

#define SOON 30000

struct scene {
    struct world w;
    struct writer wr;
    char *repository, *task, *path;
};

static void scene_start(struct scene *s)
{
    world_start(&s->w);
    world_api_start(&s->w);
    s->repository = writer_repository(&s->w, "one");
    s->task = writer_task(&s->w, s->repository);
    s->path = world_stream_path(s->task);
    writer_begin(&s->wr, &s->w, s->task);
}

static void scene_stop(struct scene *s)
{
    writer_end(&s->wr);
    free(s->path);
    free(s->task);
    free(s->repository);
    world_stop(&s->w);
}

/* A viewer that reads to the end, coming back whenever he is cut off. */
struct viewer {
    struct scene *s;
    struct sse_reader *reader;
    int64_t last; /* number of the last entry seen */
    char last_id[64];
    int returns;
    bool ended;
    char end_id[64];
};

static void viewer_open(struct viewer *v, struct scene *s, int64_t from)
{
    memset(v, 0, sizeof *v);
    v->s = s;
    v->last = from;
    snprintf(v->last_id, sizeof v->last_id, "1-%lld", (long long)from);
    v->reader = sse_open(s->w.base, s->path, WORLD_TOKEN, from > 0 ? v->last_id : NULL);
}

static void viewer_return(struct viewer *v)
{
    sse_close(v->reader);
    v->returns++;
    v->reader = sse_open(v->s->w.base, v->s->path, WORLD_TOKEN, v->last > 0 ? v->last_id : NULL);
}

/* False when the deadline passed. */
static bool viewer_step(struct viewer *v, int deadline_ms)
{
    struct sse_event e = {0};

    int rc = sse_next(v->reader, &e, deadline_ms);
    if (rc < 0)
        return false;
    if (rc == 0) {
        viewer_return(v);
        return true;
    }
    if (strcmp(e.name, "log") == 0) {
        int64_t n = json_integer_value(json_object_get(e.json, "n"));
        cr_assert_eq(n, v->last + 1, "after %lld came %lld (%d returns)", (long long)v->last,
                     (long long)n, v->returns);
        v->last = n;
        snprintf(v->last_id, sizeof v->last_id, "%s", e.id);
    } else if (strcmp(e.name, "end") == 0) {
        v->ended = true;
        snprintf(v->end_id, sizeof v->end_id, "%s", e.id);
    }
    sse_event_release(&e);
    return true;
}

static void viewer_until(struct viewer *v, int64_t n)
{
    while (v->last < n)
        cr_assert(viewer_step(v, SOON), "stuck at %lld of %lld", (long long)v->last, (long long)n);
}

static void viewer_to_end(struct viewer *v)
{
    while (!v->ended)
        cr_assert(viewer_step(v, SOON), "stuck at %lld without an end", (long long)v->last);
}

static void expect_204(struct scene *s, const char *id)
{
    struct http_answer a = {0};
    PJ_CLEANUP(pj_freep) char *header = pj_asprintf("Last-Event-ID: %s", id);
    const char *headers[] = {header, NULL};

    http_call(s->w.base, "GET", s->path, WORLD_TOKEN, NULL, headers, &a);
    cr_expect_eq(a.status, 204);
    http_answer_release(&a);
}

Test(stream, r6_1_a_viewer_sees_lines_as_they_are_written)
{
    struct scene s;
    struct viewer v;

    scene_start(&s);
    viewer_open(&v, &s, 0);
    for (int i = 1; i <= 20; i++) {
        writer_append(&s.wr, i % 3 + 1, 60);
        viewer_until(&v, s.wr.n);
    }
    writer_finish(&s.wr, NULL, NULL);
    viewer_to_end(&v);
    char expected[64];
    snprintf(expected, sizeof expected, "1-%lld", (long long)s.wr.n + 1);
    cr_expect_str_eq(v.end_id, expected);
    cr_expect_eq(v.returns, 0);
    sse_close(v.reader);
    expect_204(&s, v.end_id);
    viewer_open(&v, &s, 0);
    viewer_to_end(&v);
    cr_expect_eq(v.last, s.wr.n, "the history of a finished task");
    sse_close(v.reader);
    viewer_open(&v, &s, s.wr.n - 3);
    viewer_to_end(&v);
    cr_expect_eq(v.last, s.wr.n);
    sse_close(v.reader);
    scene_stop(&s);
}

/* The writer gets leave for a burst with each viewer that joins, so that all the writing happens while somebody joins. */
struct load {
    struct scene *s;
    sem_t leave;
    int bursts, chunks;
};

static void *write_load(void *arg)
{
    struct load *load = arg;
    unsigned seed = 7;

    for (int burst = 0; burst < load->bursts; burst++) {
        sem_wait(&load->leave);
        for (int i = 0; i < load->chunks; i++)
            writer_append(&load->s->wr, rand_r(&seed) % 12 + 1, 80);
    }
    writer_finish(&load->s->wr, NULL, NULL);
    return NULL;
}

Test(stream, r6_1_viewers_that_join_and_leave_under_load_miss_and_repeat_nothing)
{
    struct scene s;
    struct viewer v[16];
    pthread_t thread;
    unsigned seed = 11;

    scene_start(&s);
    writer_append(&s.wr, 700, 80);
    int64_t before = s.wr.n;
    struct load load = {.s = &s, .bursts = PJ_COUNT_OF(v), .chunks = 20};
    cr_assert_eq(sem_init(&load.leave, 0, 0), 0);
    cr_assert_eq(pthread_create(&thread, NULL, write_load, &load), 0);
    for (size_t i = 0; i < PJ_COUNT_OF(v); i++) {
        sem_post(&load.leave);
        viewer_open(&v[i], &s, (int64_t)((unsigned)rand_r(&seed) % (unsigned)before));
        for (size_t k = 0; k <= i; k++)
            for (int step = 0; step < 10 && v[k].last < before; step++)
                cr_assert(viewer_step(&v[k], SOON));
        if (i % 3 == 2 && !v[i / 2].ended)
            viewer_return(&v[i / 2]);
    }
    for (size_t i = 0; i < PJ_COUNT_OF(v); i++)
        viewer_to_end(&v[i]);
    pthread_join(thread, NULL);
    sem_destroy(&load.leave);
    for (size_t i = 0; i < PJ_COUNT_OF(v); i++) {
        cr_expect_eq(v[i].last, s.wr.n, "viewer %zu stopped at %lld of %lld", i,
                     (long long)v[i].last, (long long)s.wr.n);
        sse_close(v[i].reader);
    }
    scene_stop(&s);
}

Test(stream, messages_lost_on_the_way_are_filled_from_the_store)
{
    struct scene s;
    struct viewer v;

    scene_start(&s);
    viewer_open(&v, &s, 0);
    writer_append(&s.wr, 5, 40);
    viewer_until(&v, 5);
    for (int i = 0; i < 3; i++) {
        PJ_CLEANUP(pj_reply_freep)
        struct redisReply *reply =
            test_redis_words(s.wr.redis, "CLIENT", "KILL", "TYPE", "pubsub", NULL);
        writer_append(&s.wr, 50, 40); /* nobody is subscribed now */
        viewer_until(&v, s.wr.n);
    }
    PJ_CLEANUP(pj_reply_freep)
    struct redisReply *reply =
        test_redis_words(s.wr.redis, "CLIENT", "KILL", "TYPE", "pubsub", NULL);
    writer_append(&s.wr, 5, 40);
    writer_finish(&s.wr, NULL, NULL);
    viewer_to_end(&v);
    cr_expect_eq(v.last, s.wr.n);
    cr_expect_eq(v.returns, 0, "the viewer noticed nothing");
    sse_close(v.reader);
    scene_stop(&s);
}

/* A scene whose task said three lines, failed and is retried: in its second attempt. */
static void scene_start_again(struct scene *s)
{
    scene_start(s);
    writer_append(&s->wr, 3, 40);
    writer_finish(&s->wr, "llm_service", NULL);
    writer_end(&s->wr);
    PJ_CLEANUP(pj_freep) char *retry = pj_asprintf("/tasks/%s/retry", s->task);
    json_decref(world_call(&s->w, "POST", retry, "{\"execute\":true}", 202));
    writer_begin(&s->wr, &s->w, s->task);
}

Test(stream, a_stream_runs_through_all_attempts_and_can_be_narrowed_to_one)
{
    struct scene s;
    struct viewer v;

    scene_start_again(&s);
    cr_expect_eq(s.wr.attempt, 2);
    writer_append(&s.wr, 2, 40);
    struct sse_reader *all = sse_open(s.w.base, s.path, WORLD_TOKEN, NULL);
    static const char *const ids[] = {"1-1", "1-2", "1-3", "2-1", "2-2"};
    for (size_t i = 0; i < PJ_COUNT_OF(ids);) {
        struct sse_event e = {0};
        cr_assert_eq(sse_next(all, &e, SOON), 1);
        if (strcmp(e.name, "log") == 0)
            cr_expect_str_eq(e.id, ids[i++]);
        sse_event_release(&e);
    }
    sse_close(all);
    PJ_CLEANUP(pj_freep) char *narrow = pj_asprintf("%s?attempt=1", s.path);
    free(s.path);
    s.path = pj_strdup(narrow);
    viewer_open(&v, &s, 0);
    viewer_to_end(&v);
    cr_expect_eq(v.last, 3);
    cr_expect_str_eq(v.end_id, "1-4");
    sse_close(v.reader);
    expect_204(&s, "1-4");
    writer_finish(&s.wr, NULL, NULL);
    scene_stop(&s);
}

/* Who comes back with the id of an end, when the task runs anew, names a place that no entry has: he hears of the next end all the
 * same, also when another viewer keeps the hub at the last entry and nothing more is written. */
Test(stream, who_resumes_behind_an_end_is_told_the_next_one)
{
    struct scene s;
    struct sse_event e = {0};
    bool ended = false;

    scene_start_again(&s);
    struct sse_reader *first = sse_open(s.w.base, s.path, WORLD_TOKEN, NULL);
    for (int logs = 0; logs < 3; sse_event_release(&e)) {
        cr_assert_eq(sse_next(first, &e, SOON), 1);
        logs += strcmp(e.name, "log") == 0;
    }
    struct sse_reader *back = sse_open(s.w.base, s.path, WORLD_TOKEN, "1-4");
    cr_assert_eq(sse_next(back, &e, SOON), 1);
    sse_event_release(&e);
    for (int i = 0; i < 20; i++) /* Redis answers in order: he has joined */
        json_decref(world_call(&s.w, "GET", "/me", NULL, 200));
    writer_finish(&s.wr, "llm_service", NULL);
    while (!ended && sse_next(back, &e, SOON) == 1) {
        ended = strcmp(e.name, "end") == 0;
        cr_expect(!ended || strcmp(e.id, "2-1") == 0, "%s", e.id);
        cr_expect_str_neq(e.name, "log");
        sse_event_release(&e);
    }
    cr_expect(ended, "he was never told");
    sse_close(first);
    sse_close(back);
    scene_stop(&s);
}

Test(stream, a_draining_server_tells_streams_to_come_back)
{
    struct scene s;
    struct viewer v;

    scene_start(&s);
    viewer_open(&v, &s, 0);
    writer_append(&s.wr, 2, 40);
    viewer_until(&v, 2);
    cr_expect_eq(program_stop(&s.w.api, 15, SOON), 0);
    struct sse_event e = {0};
    int rc;
    while ((rc = sse_next(v.reader, &e, SOON)) == 1)
        sse_event_release(&e);
    cr_expect_eq(rc, 0);
    sse_close(v.reader);
    writer_finish(&s.wr, NULL, NULL);
    scene_stop(&s);
}

Test(stream, events_tell_the_statuses_of_all_tasks_one_may_see)
{
    struct scene s;
    struct sse_event e = {0};

    scene_start(&s);
    json_t *user = world_call(&s.w, "POST", "/users", "{\"email\":\"b@example.org\"}", 201);
    const char *token = json_string_value(json_object_get(user, "token"));
    struct sse_reader *mine = sse_open(s.w.base, "/api/v1/events", WORLD_TOKEN, NULL);
    struct sse_reader *other = sse_open(s.w.base, "/api/v1/events", token, NULL);
    cr_expect_eq(sse_next(mine, &e, 200), -1);
    cr_expect_eq(sse_next(other, &e, 200), -1);
    writer_stage(&s.wr, "analyzing");
    cr_assert_eq(sse_next(mine, &e, SOON), 1);
    cr_expect_str_eq(e.name, "status");
    cr_expect_str_eq(json_string_value(json_object_get(e.json, "stage")), "analyzing");
    char id[64];
    snprintf(id, sizeof id, "%s", e.id);
    sse_event_release(&e);
    sse_close(mine);
    writer_stage(&s.wr, "generating");
    writer_finish(&s.wr, NULL, NULL);
    mine = sse_open(s.w.base, "/api/v1/events", WORLD_TOKEN, id);
    cr_assert_eq(sse_next(mine, &e, SOON), 1);
    cr_expect_str_eq(json_string_value(json_object_get(e.json, "stage")), "generating");
    sse_event_release(&e);
    cr_assert_eq(sse_next(mine, &e, SOON), 1);
    cr_expect_str_eq(json_string_value(json_object_get(e.json, "status")), "completed");
    sse_event_release(&e);
    cr_expect_eq(sse_next(other, &e, 200), -1, "another's task");
    sse_close(mine);
    sse_close(other);
    json_decref(user);
    scene_stop(&s);
}

#define OWNERS 24

/* Tasks of many owners lie in many partitions: an admin hears of each, live, and again when he comes back. */
Test(stream, events_of_all_partitions_are_told_and_resumed)
{
    static const char hello[] = "{\"repositoryId\":\"%s\",\"title\":\"t\",\"description\":\"d\","
                                "\"execute\":true}";
    struct world w;
    struct sse_event e = {0};
    char *task[OWNERS];
    size_t seen[OWNERS] = {0}, partitions = 0;
    char first[64] = "";
    bool used[64] = {false};

    world_start(&w);
    world_set(&w, "PJ_PARTITIONS", "64");
    world_api_start(&w);
    PJ_CLEANUP(pj_freep) char *repository = writer_repository(&w, "one");
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf("/repositories/%s", repository);
    json_decref(world_call(&w, "PATCH", path, "{\"visibility\":\"shared\"}", 200));
    PJ_CLEANUP(pj_freep) char *body = pj_asprintf(hello, repository);
    struct sse_reader *live = sse_open(w.base, "/api/v1/events", WORLD_TOKEN, NULL);
    cr_expect_eq(sse_next(live, &e, 200), -1, "no history for who asks for none");
    for (size_t i = 0; i < OWNERS; i++) {
        PJ_CLEANUP(pj_freep) char *who = pj_asprintf("{\"email\":\"u%zu@example.org\"}", i);
        json_t *user = world_call(&w, "POST", "/users", who, 201);
        json_t *made =
            world_call_as(&w, pj_json_str(user, "token", ""), "POST", "/tasks", body, 201);
        task[i] = pj_strdup(pj_json_str(made, "id", ""));
        int partition = pj_id_partition(task[i]);
        cr_assert(partition >= 0 && partition < 64);
        partitions += !used[partition];
        used[partition] = true;
        json_decref(made);
        json_decref(user);
    }
    cr_assert_gt(partitions, 16, "%zu partitions", partitions);
    for (size_t count = 0; count < OWNERS;) {
        cr_assert_eq(sse_next(live, &e, SOON), 1, "%zu of %d", count, OWNERS);
        for (size_t i = 0; i < OWNERS; i++)
            if (strcmp(pj_json_str(e.json, "id", ""), task[i]) == 0)
                count += seen[i]++ == 0;
        if (first[0] == '\0')
            snprintf(first, sizeof first, "%s", e.id);
        sse_event_release(&e);
    }
    sse_close(live);
    live = sse_open(w.base, "/api/v1/events", WORLD_TOKEN, first);
    memset(seen, 0, sizeof seen);
    for (size_t count = 0; count < OWNERS - 1;) { /* all but, perhaps, the one of that id */
        cr_assert_eq(sse_next(live, &e, SOON), 1, "resumed: %zu of %d", count, OWNERS);
        for (size_t i = 1; i < OWNERS; i++)
            if (strcmp(pj_json_str(e.json, "id", ""), task[i]) == 0)
                count += seen[i]++ == 0;
        sse_event_release(&e);
    }
    sse_close(live);
    for (size_t i = 0; i < OWNERS; i++)
        free(task[i]);
    world_stop(&w);
}

static int64_t metric(struct scene *s, const char *name)
{
    struct http_answer a = {0};
    PJ_CLEANUP(pj_freep) char *line = pj_asprintf("\n%s ", name);
    int64_t value = -1;

    http_call(s->w.base, "GET", "/metrics", WORLD_TOKEN, NULL, NULL, &a);
    cr_assert_eq(a.status, 200);
    const char *at = strstr(a.body, line);
    cr_assert_not_null(at, "%s", name);
    at += strlen(line);
    cr_assert_eq(pj_parse_i64(pj_view_n(at, strcspn(at, "\n")), &value), 0);
    http_answer_release(&a);
    return value;
}

/* 50 that never read, each offered 8 MB; one that does. */
Test(stream, viewers_that_do_not_read_are_dropped_and_hold_nobody_up)
{
    struct scene s;
    struct viewer v;
    int stalled[50];
    int small = 4096;

    scene_start(&s);
    PJ_CLEANUP(pj_freep)
    char *request = pj_asprintf("GET %s HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer %s\r\n\r\n",
                                s.path, WORLD_TOKEN);
    for (size_t i = 0; i < PJ_COUNT_OF(stalled); i++) {
        stalled[i] = raw_connect(s.w.base);
        setsockopt(stalled[i], SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
        raw_send(stalled[i], request, strlen(request));
    }
    viewer_open(&v, &s, 0);
    writer_append(&s.wr, 1, 60);
    viewer_until(&v, 1);
    while (metric(&s, "pj_sse_viewers") < 51)
        ;
    for (int i = 0; i < 40; i++) {
        writer_append(&s.wr, 100, 2000);
        viewer_until(&v, s.wr.n);
    }
    cr_expect_eq(v.returns, 0, "the one that reads was never dropped");
    while (metric(&s, "pj_sse_dropped_total") <
           50) { /* the last ones go with what is written next */
        writer_append(&s.wr, 10, 2000);
        viewer_until(&v, s.wr.n);
    }
    cr_expect_eq(metric(&s, "pj_sse_viewers"), 1);
    writer_finish(&s.wr, NULL, NULL);
    viewer_to_end(&v);
    for (size_t i = 0; i < PJ_COUNT_OF(stalled); i++)
        close(stalled[i]);
    sse_close(v.reader);
    scene_stop(&s);
}

Test(stream, r11_3_metrics_count_the_work_that_ends)
{
    static const char completed[] = "pj_tasks_finished_total{status=\"completed\"}";
    struct scene s;

    scene_start(&s);
    cr_expect_eq(metric(&s, completed), 0);
    cr_expect_eq(metric(&s, "pj_tasks_running"), 1);
    writer_finish(&s.wr, NULL, NULL);
    cr_expect_eq(metric(&s, completed), 1);
    cr_expect_eq(metric(&s, "pj_tasks_running"), 0);
    cr_expect_eq(metric(&s, completed), 1, "counted once");
    scene_stop(&s);
}
