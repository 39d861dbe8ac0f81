#include "tests/api/writer.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/store/events.h"
#include "lib/store/lease.h"

static void run(struct writer *wr, struct pj_cmd *cmd, struct redisReply **reply)
{
    struct pj_err err = {0};

    cr_assert_eq(pj_redis_do(wr->redis, cmd, reply, &err), 0, "%s", err.message);
    pj_cmd_release(cmd);
}

void writer_begin(struct writer *wr, struct world *w, const char *task)
{
    struct pj_cmd cmd = {0};
    PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = NULL;
    struct pj_lease lease[1];
    size_t count = 0;
    struct pj_err err = {0};
    const struct pj_lease_take take = {
        .partition = 0, .runner = "test", .ttl_ms = 600000, .timeout_ms = 600000, .want = 1};

    memset(wr, 0, sizeof *wr);
    wr->redis = test_redis_connect(&w->redis);
    snprintf(wr->task, sizeof wr->task, "%s", task);
    pj_lease_take_cmd(&cmd, &take);
    run(wr, &cmd, &reply);
    cr_assert_eq(pj_lease_take_reply(reply, lease, 1, &count, &err), 0, "%s", err.message);
    cr_assert_eq(count, 1);
    cr_assert_str_eq(lease[0].task->id, task);
    wr->epoch = lease[0].epoch;
    wr->attempt = lease[0].task->attempt;
    wr->n = lease[0].next_n - 1;
    pj_leases_release(lease, 1);
}

static void store(struct writer *wr, int64_t count, struct pj_view lines)
{
    struct pj_cmd cmd = {0};
    PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = NULL;
    struct pj_err err = {0};
    int64_t next = 0;

    pj_events_append_cmd(&cmd, wr->task, wr->epoch, wr->attempt, wr->n + 1, count, lines);
    run(wr, &cmd, &reply);
    cr_assert_eq(pj_events_append_reply(reply, &next, &err), 0, "%s", err.message);
    wr->n += count;
    cr_assert_eq(next, wr->n + 1);
}

static void encode(struct writer *wr, struct pj_str *lines, int64_t n, enum pj_event_stream stream,
                   const char *message)
{
    const struct pj_event event = {.attempt = wr->attempt,
                                   .n = n,
                                   .ts_ms = pj_now_ms(),
                                   .stream = stream,
                                   .type = PJ_EVENT_INFO,
                                   .message = pj_view_of(message)};

    cr_assert_eq(pj_event_encode(&event, lines), 0);
    pj_str_putc(lines, '\n');
}

void writer_append(struct writer *wr, int64_t count, size_t size)
{
    PJ_CLEANUP(pj_str_release) struct pj_str lines;
    char message[4096];

    pj_str_init(&lines, 1 << 22);
    cr_assert_lt(size, sizeof message);
    for (int64_t i = 1; i <= count; i++) {
        int n = snprintf(message, sizeof message, "line %lld ", (long long)(wr->n + i));
        for (size_t k = (size_t)n; k < size; k++)
            message[k] = 'x';
        if (size > (size_t)n)
            message[size] = '\0';
        encode(wr, &lines, wr->n + i, PJ_STREAM_STDOUT, message);
    }
    store(wr, count, pj_view_n(lines.data, lines.len));
}

static void say(struct writer *wr, enum pj_event_stream stream, const char *message)
{
    PJ_CLEANUP(pj_str_release) struct pj_str lines;

    pj_str_init(&lines, 1 << 20);
    encode(wr, &lines, wr->n + 1, stream, message);
    store(wr, 1, pj_view_n(lines.data, lines.len));
}

void writer_say(struct writer *wr, const char *message)
{
    say(wr, PJ_STREAM_STDOUT, message);
}

void writer_say_error(struct writer *wr, const char *message)
{
    say(wr, PJ_STREAM_STDERR, message);
}

void writer_stage(struct writer *wr, const char *stage)
{
    struct pj_cmd cmd = {0};
    PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = NULL;
    struct pj_err err = {0};

    pj_lease_stage_cmd(&cmd, wr->task, wr->epoch,
                       (enum pj_task_stage)pj_word_index(pj_task_stage_words, stage));
    run(wr, &cmd, &reply);
    cr_assert_eq(pj_lease_write_reply(reply, &err), 0, "%s", err.message);
}

void writer_finish(struct writer *wr, const char *code, const char *patch)
{
    struct pj_cmd cmd = {0};
    PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = NULL;
    struct pj_err err = {0};
    struct pj_outcome out;
    struct pj_finished finished;

    pj_outcome_init(&out);
    if (code != NULL)
        pj_outcome_fail(&out, code, "said the test", NULL);
    else
        pj_outcome_complete(&out);
    pj_str_set(&out.patch, patch);
    if (code != NULL && strcmp(code, "needs_clarification") == 0)
        pj_str_set(&out.question, "Which one?");
    pj_lease_finish_cmd(&cmd, wr->task, wr->epoch, wr->attempt, &out);
    run(wr, &cmd, &reply);
    cr_assert_eq(pj_lease_finish_reply(reply, &finished, &err), 0, "%s", err.message);
    pj_outcome_release(&out);
}

void writer_end(struct writer *wr)
{
    pj_redis_free(wr->redis);
    wr->redis = NULL;
}

char *writer_repository(struct world *w, const char *name)
{
    static const struct gitfix_file files[] = {{"README", "hello\n", false}};
    PJ_CLEANUP(pj_freep) char *bare = gitfix_bare(w->remotes, name, files, 1);

    return world_connect(w, bare, "");
}

char *writer_task(struct world *w, const char *repository)
{
    char *task = world_task(w, repository, "A title", "A description", "");

    world_execute(w, task);
    return task;
}
