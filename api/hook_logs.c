#include "api/hook_logs.h"

#include <stdlib.h>
#include <string.h>
#include "api/api.h"
#include "api/reply.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/store/async.h"
#include "lib/store/events.h"
#include "lib/task/task.h"

#define CHUNK_LINES 500
#define CHUNK_BYTES (512 * 1024)
#define TRIES_MAX 8 /* another webhook may be writing at the same time */

struct line {
    struct pj_view text;
    int stream, type;
};

struct hook_logs {
    struct line *lines;
    size_t count, done, sent;
    size_t bytes;
    int64_t next;
    int tries;
    struct request *req;
    void (*then)(struct request *req);
};

static void add_line(struct hook_logs *logs, struct pj_view text, int stream, int type)
{
    if ((logs->count & (logs->count + 1)) == 0) /* grows to twice its size at 1, 3, 7, … */
        logs->lines = pj_realloc(logs->lines, 2 * (logs->count + 1), sizeof *logs->lines);
    logs->lines[logs->count++] = (struct line){text, stream, type};
}

static void add_text(struct hook_logs *logs, const char *text, int stream, int type)
{
    struct pj_view rest = pj_view_of(text), line;

    logs->bytes += rest.n;
    while (rest.p != NULL && pj_view_cut(&rest, '\n', &line)) {
        if (line.n > 0 && line.p[line.n - 1] == '\r')
            line.n--;
        if (line.n > 0 || rest.n > 0)
            add_line(logs, line, stream, type);
    }
}

static void add_entry(struct hook_logs *logs, const json_t *entry)
{
    if (json_is_string(entry)) {
        add_text(logs, json_string_value(entry), PJ_STREAM_STDOUT, PJ_EVENT_INFO);
        return;
    }
    int stream = pj_word_index(pj_event_stream_words, pj_json_str(entry, "stream", "stdout"));
    int type = pj_word_index(pj_event_type_words, pj_json_str(entry, "type", "info"));
    const char *message = pj_json_str(entry, "message", "");
    logs->bytes += strlen(message);
    add_line(logs, pj_view_of(message), stream < 0 ? PJ_STREAM_STDOUT : stream,
             type < 0 ? PJ_EVENT_INFO : type);
}

struct hook_logs *hook_logs_new(const json_t *logs)
{
    struct hook_logs *out = pj_alloc(1, sizeof *out);
    size_t i;
    json_t *entry;

    if (json_is_string(logs))
        add_text(out, json_string_value(logs), PJ_STREAM_STDOUT, PJ_EVENT_INFO);
    json_array_foreach(logs, i, entry) add_entry(out, entry);
    return out;
}

void hook_logs_free(struct hook_logs *logs)
{
    if (logs != NULL)
        free(logs->lines);
    free(logs);
}

bool hook_logs_too_large(const struct hook_logs *logs)
{
    return logs->bytes > HOOK_LOGS_MAX;
}

static void send_chunk(struct hook_logs *logs);

static void on_told(void *arg, const struct redisReply *reply, struct pj_err *err)
{
    struct hook_logs *logs = arg;

    if (reply == NULL || pj_events_note_reply(reply, err) < 0)
        pj_log_err(PJ_LOG_WARN, "note_failed", err, "taskId", logs->req->task->id);
    logs->then(logs->req);
}

/* As a job does that says too much: the rest is not kept, the log tells so once, and the task goes on. */
static void drop_rest(struct hook_logs *logs, bool first)
{
    struct pj_cmd cmd = {0};

    if (!first) {
        logs->then(logs->req);
        return;
    }
    pj_events_note_cmd(&cmd, logs->req->task->id, PJ_EVENT_WARN,
                       "The workflow sent more than 128 MiB of logs: the rest is not kept.");
    pj_aredis_submit(logs->req->api->redis, &cmd, on_told, logs);
}

static void on_stored(void *arg, const struct redisReply *reply, struct pj_err *err)
{
    struct hook_logs *logs = arg;
    struct request *req = logs->req;
    struct pj_err local;

    if (reply == NULL) {
        request_store_failed(req, err);
        return;
    }
    int rc = pj_events_append_reply(reply, &logs->next, &local);
    if (rc < 0 && strcmp(local.code, "log_full") == 0) {
        drop_rest(logs, logs->next == 1);
    } else if (rc < 0) {
        reply_err(req, &local);
    } else if (rc == PJ_NONE && ++logs->tries > TRIES_MAX) {
        reply_problem(req, 503, "unavailable", "send the webhook again",
                      "the task's log is being written by another");
    } else {
        logs->done += rc == 0 ? logs->sent : 0;
        send_chunk(logs);
    }
}

static void put_entry(const struct hook_logs *logs, const struct line *line, int64_t n,
                      struct pj_str *out)
{
    struct pj_str masked;

    pj_str_init(&masked, 2 * HOOK_LOGS_MAX);
    pj_redact_append(logs->req->api->redact, &masked, line->text);
    const struct pj_event event = {.attempt = logs->req->task->attempt,
                                   .n = n,
                                   .ts_ms = pj_now_ms(),
                                   .stream = (enum pj_event_stream)line->stream,
                                   .type = (enum pj_event_type)line->type,
                                   .message = pj_view_n(pj_str_cstr(&masked), masked.len)};
    pj_event_encode(&event, out);
    pj_str_putc(out, '\n');
    pj_str_release(&masked);
}

static void send_chunk(struct hook_logs *logs)
{
    const struct pj_task *task = logs->req->task;
    struct pj_str chunk;
    struct pj_cmd cmd = {0};

    if (logs->done == logs->count) {
        logs->then(logs->req);
        return;
    }
    pj_str_init(&chunk, CHUNK_BYTES + PJ_EVENT_ENTRY_MAX);
    for (logs->sent = 0; logs->sent < CHUNK_LINES && logs->done + logs->sent < logs->count &&
                         chunk.len < CHUNK_BYTES;
         logs->sent++)
        put_entry(logs, &logs->lines[logs->done + logs->sent], logs->next + (int64_t)logs->sent,
                  &chunk);
    pj_events_append_cmd(&cmd, task->id, -1, task->attempt, logs->next, (int64_t)logs->sent,
                         pj_view_n(chunk.data, chunk.len));
    pj_str_release(&chunk);
    pj_aredis_submit(logs->req->api->redis, &cmd, on_stored, logs);
}

void hook_logs_store(struct request *req, struct hook_logs *logs, void (*then)(struct request *req))
{
    logs->req = req;
    logs->then = then;
    logs->next = req->task->logged_n + 1;
    send_chunk(logs);
}
