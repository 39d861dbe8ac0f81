/* R6.1: the order in which a viewer's replay joins what is live. Viewers join at every moment of a task that writes; whether one of them
 * misses or repeats a line, or the end, is looked for in the same way in pj-api and in three builds of it that have the order wrong (wrong.cmake): the
 * controls, without which nobody would know that this test can fail. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "lib/base/mem.h"
#include "lib/json/codec.h"
#include "tests/api/writer.h"

#define SOON 30000
#define VIEWERS 12
#define CHUNKS 240
#define END_SOON 5000 /* until a stream that was not told of the end is taken for silent */

struct scene {
    struct world w;
    struct writer wr;
    char *repository, *path;
    size_t faults, round;
};

static void *write_all(void *arg)
{
    struct scene *s = arg;

    for (int i = 0; i < CHUNKS; i++) {
        writer_append(&s->wr, i % 3 + 1, 60);
        if (i % 40 ==
            39) { /* the subscriber comes back, and reads what it missed while more is published */
            PJ_CLEANUP(pj_reply_freep)
            struct redisReply *reply =
                test_redis_words(s->wr.redis, "CLIENT", "KILL", "TYPE", "pubsub", NULL);
        }
    }
    writer_finish(&s->wr, NULL, NULL);
    return NULL;
}

static void api_start(struct world *w, const char *program)
{
    cr_assert(program_start_ready(&w->api, program, NULL, w->env, w->dir, "api", WORLD_SOON), "%s",
              program);
    const char *address = strstr(w->api.ready, "listening on ");
    cr_assert_not_null(address);
    w->base = pj_asprintf("http://%s", address + strlen("listening on "));
}

/* Read to the end; each line that is not the next one is a fault. False when the stream fell silent. */
static bool read_on(struct scene *s, struct sse_reader *r, int64_t *last)
{
    struct sse_event e = {0};
    bool ended = false;
    int rc = 1;

    while (!ended && (rc = sse_next(r, &e, SOON)) == 1) {
        if (strcmp(e.name, "log") == 0) {
            int64_t n = pj_json_i64(e.json, "n", 0);
            s->faults += n != *last + 1;
            *last = n;
        }
        ended = strcmp(e.name, "end") == 0;
        sse_event_release(&e);
    }
    return rc != -1;
}

/* One task: viewers join while it writes, one after the other. */
static void round_of(struct scene *s)
{
    struct sse_reader *r[VIEWERS];
    int64_t last[VIEWERS] = {0};
    pthread_t thread;
    PJ_CLEANUP(pj_freep) char *task = writer_task(&s->w, s->repository);
    PJ_CLEANUP(pj_freep) char *path = world_stream_path(task);

    writer_begin(&s->wr, &s->w, task);
    cr_assert_eq(pthread_create(&thread, NULL, write_all, s), 0);
    for (size_t i = 0; i < VIEWERS; i++) {
        struct sse_event e = {0};
        r[i] = sse_open(s->w.base, path, WORLD_TOKEN, NULL);
        if (sse_next(r[i], &e, SOON) == 1) /* the status with which a stream begins */
            sse_event_release(&e);
    }
    for (size_t i = 0; i < VIEWERS; i++) {
        cr_expect(read_on(s, r[i], &last[i]), "a stream fell silent at %lld", (long long)last[i]);
        s->faults += last[i] != s->wr.n;
        sse_close(r[i]);
    }
    pthread_join(thread, NULL);
    writer_end(&s->wr);
}

struct late {
    pthread_t thread;
    const struct scene *s;
    const char *path;
    bool silent;
};

static void *view_to_the_end(void *arg)
{
    struct late *late = arg;
    struct sse_reader *r = sse_open(late->s->w.base, late->path, WORLD_TOKEN, NULL);
    struct sse_event e = {0};
    int rc;

    while ((rc = sse_next(r, &e, END_SOON)) == 1)
        sse_event_release(&e);
    late->silent = rc == -1;
    sse_close(r);
    return NULL;
}

/* One task that ends while viewers join: each is told. */
static void end_of(struct scene *s)
{
    struct late late[VIEWERS];
    PJ_CLEANUP(pj_freep) char *task = writer_task(&s->w, s->repository);
    PJ_CLEANUP(pj_freep) char *path = world_stream_path(task);

    writer_begin(&s->wr, &s->w, task);
    for (size_t i = 0; i < VIEWERS; i++) {
        late[i] = (struct late){.s = s, .path = path};
        cr_assert_eq(pthread_create(&late[i].thread, NULL, view_to_the_end, &late[i]), 0);
        writer_append(&s->wr, 1, 60);
    }
    for (size_t i = 0; i < s->round % 16; i++) /* the end comes a little later each time */
        writer_append(&s->wr, 1, 60);
    writer_finish(&s->wr, NULL, NULL);
    for (size_t i = 0; i < VIEWERS; i++) {
        pthread_join(late[i].thread, NULL);
        s->faults += late[i].silent;
    }
    writer_end(&s->wr);
}

/* Faults found in at most so many rounds; a fault ends it. */
static size_t faults_of(const char *program, void (*round)(struct scene *s), size_t rounds)
{
    struct scene s = {.faults = 0};

    world_start(&s.w);
    api_start(&s.w, program);
    s.repository = writer_repository(&s.w, "one");
    for (s.round = 0; s.round < rounds && s.faults == 0; s.round++)
        round(&s);
    free(s.repository);
    world_stop(&s.w);
    return s.faults;
}

Test(join, r6_1_nothing_is_missed_or_repeated_whenever_a_viewer_joins)
{
    cr_expect_eq(faults_of("pj-api", round_of, 3), 0);
}

Test(join, reading_before_subscribing_is_caught)
{
    cr_expect_gt(faults_of("pj-api-reads-first", round_of, 40), 0);
}

Test(join, no_look_at_the_number_is_caught)
{
    cr_expect_gt(faults_of("pj-api-no-id-check", round_of, 40), 0);
}

Test(join, r6_1_every_viewer_hears_of_the_end_whenever_he_joins)
{
    cr_expect_eq(faults_of("pj-api", end_of, 60), 0);
}

Test(join, an_end_that_is_told_only_to_those_who_are_there_is_caught)
{
    cr_expect_gt(faults_of("pj-api-forgets-end", end_of, 1000), 0);
}
