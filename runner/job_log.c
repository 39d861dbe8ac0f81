#include "runner/job_log.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"

#define RETRY_FIRST_MS 100
#define RETRY_MAX_MS 2000
#define CHUNK_LINES_MAX 1024
#define CUT_MARK " [line cut]"

struct chunk {
    struct chunk *next;
    int64_t first;
    size_t count;
    struct pj_str lines;
    bool sealed; /* its bounds are known to the store, or may be: never changed again */
};

struct chunk_list {
    struct chunk *head, *tail;
    size_t bytes;
};

struct line {
    struct pj_str text;
    bool overflowed;
    bool open; /* bytes came since the last line's end */
};

struct job_log {
    struct job_log_config config;
    int64_t next_n;
    struct chunk_list waiting, kept;
    struct line lines[2]; /* stdout, stderr */
    size_t line_max;      /* bytes kept of a line: enough that a secret before the cut is whole */
    int64_t last_sent_ms, retry_at_ms, retry_wait_ms;
    int64_t output_bytes, stored_bytes; /* said by the box; what its entries take in the store */
    bool output_dropped;
    json_t *marks; /* members that the next entry gets; NULL when none wait */
};

static void list_append(struct chunk_list *list, struct chunk *c)
{
    c->next = NULL;
    if (list->tail == NULL)
        list->head = c;
    else
        list->tail->next = c;
    list->tail = c;
    list->bytes += c->lines.len;
}

static struct chunk *list_shift(struct chunk_list *list)
{
    struct chunk *c = list->head;

    list->head = c->next;
    if (list->head == NULL)
        list->tail = NULL;
    list->bytes -= c->lines.len;
    c->next = NULL;
    return c;
}

static void chunk_free(struct chunk *c)
{
    pj_str_release(&c->lines);
    free(c);
}

static void list_release(struct chunk_list *list)
{
    while (list->head != NULL)
        chunk_free(list_shift(list));
}

struct job_log *job_log_new(const struct job_log_config *config)
{
    struct job_log *log = pj_alloc(1, sizeof(*log));

    log->config = *config;
    log->next_n = config->last_n + 1;
    log->line_max = PJ_EVENT_MESSAGE_MAX + pj_redact_longest(config->redact);
    for (size_t i = 0; i < PJ_COUNT_OF(log->lines); i++)
        pj_str_init(&log->lines[i].text, log->line_max);
    return log;
}

void job_log_free(struct job_log *log)
{
    if (log == NULL)
        return;
    list_release(&log->waiting);
    list_release(&log->kept);
    for (size_t i = 0; i < PJ_COUNT_OF(log->lines); i++)
        pj_str_release(&log->lines[i].text);
    json_decref(log->marks);
    free(log);
}

void job_log_freep(struct job_log **log)
{
    job_log_free(*log);
}

/* The chunk that takes the next entry. */
static struct chunk *open_chunk(struct job_log *log)
{
    struct chunk *c = log->waiting.tail;

    if (c == NULL || c->sealed || c->lines.len >= JOB_LOG_CHUNK_BYTES ||
        c->count >= CHUNK_LINES_MAX) {
        c = pj_alloc(1, sizeof(*c));
        c->first = log->next_n;
        pj_str_init(&c->lines, JOB_LOG_CHUNK_BYTES + PJ_EVENT_ENTRY_MAX + 1);
        list_append(&log->waiting, c);
    }
    return c;
}

void job_log_mark(struct job_log *log, const char *name, const char *value)
{
    if (log->marks == NULL)
        log->marks = json_object();
    json_object_set_new(log->marks, name, json_string(value));
}

/* `data` with the marks that wait, which are then gone; NULL when there is neither. */
static json_t *marked(struct job_log *log, const json_t *data)
{
    json_t *all = log->marks;

    log->marks = NULL;
    if (all == NULL)
        return data != NULL ? json_copy((json_t *)(uintptr_t)data) : NULL;
    if (data != NULL)
        json_object_update(all, (json_t *)(uintptr_t)data);
    return all;
}

static void add(struct job_log *log, enum pj_event_stream stream, enum pj_event_type type,
                struct pj_view masked, const json_t *data)
{
    json_t *members = marked(log, data);
    struct pj_event event = {
        .attempt = log->config.attempt,
        .n = log->next_n,
        .ts_ms = pj_now_ms(),
        .stream = stream,
        .type = type,
        .message = masked,
        .data = members,
    };
    struct chunk *c = open_chunk(log);
    size_t before = c->lines.len;

    (void)pj_event_encode(&event, &c->lines);
    (void)pj_str_putc(&c->lines, '\n');
    c->count++;
    log->next_n++;
    log->waiting.bytes += c->lines.len - before;
    if (stream != PJ_STREAM_SYSTEM)
        log->stored_bytes += (int64_t)(c->lines.len - before);
    json_decref(members);
}

/* Mask, and see that a secret cut in two by our own limit leaves no half behind. */
static void add_masked(struct job_log *log, enum pj_event_stream stream, enum pj_event_type type,
                       struct pj_view text, bool overflowed, const json_t *data)
{
    struct pj_str masked;
    size_t longest = pj_redact_longest(log->config.redact);

    pj_str_init(&masked, text.n * 2 + PJ_EVENT_MESSAGE_MAX);
    (void)pj_redact_append(log->config.redact, &masked, text);
    if (overflowed) {
        if (longest > 1 && masked.len > longest - 1)
            masked.len -= longest - 1;
        /* Longer than an entry may be: its encoder marks the cut. */
        if (masked.len <= PJ_EVENT_MESSAGE_MAX)
            (void)pj_str_puts(&masked, CUT_MARK);
    }
    add(log, stream, type, pj_view_n(masked.data, masked.len), data);
    pj_str_release(&masked);
}

/* Has the box room for one more entry? What the box says is bounded, and so is what is made of it: an empty line is an entry, too. The first
 * one too many is told of. */
static bool has_room(struct job_log *log)
{
    if (log->output_bytes <= JOB_LOG_OUTPUT_MAX && log->stored_bytes <= JOB_LOG_OUTPUT_MAX)
        return true;
    if (!log->output_dropped) {
        log->output_dropped = true;
        job_log_say(log, PJ_EVENT_WARN, "more than %lld MiB of output: the rest is not kept",
                    (long long)(JOB_LOG_OUTPUT_MAX >> 20));
    }
    return false;
}

void job_log_event(struct job_log *log, enum pj_event_stream stream, enum pj_event_type type,
                   const char *message, const json_t *data)
{
    struct pj_view text = pj_view_of(message);
    bool overflowed = text.n > log->line_max;

    if (stream !=
        PJ_STREAM_SYSTEM) { /* the agent's: said by the box, in another way than its output */
        log->output_bytes += (int64_t)(text.n + (data != NULL ? json_dumpb(data, NULL, 0, 0) : 0));
        if (!has_room(log))
            return;
    }
    if (overflowed)
        text.n = log->line_max;
    add_masked(log, stream, type, text, overflowed, data);
}

void job_log_say(struct job_log *log, enum pj_event_type type, const char *fmt, ...)
{
    struct pj_str text;
    va_list ap;

    pj_str_init(&text, log->line_max);
    va_start(ap, fmt);
    (void)pj_str_vputf(&text, fmt, ap);
    va_end(ap);
    job_log_event(log, PJ_STREAM_SYSTEM, type, pj_str_cstr(&text), NULL);
    pj_str_release(&text);
}

static struct line *line_of(struct job_log *log, enum pj_event_stream stream)
{
    return &log->lines[stream == PJ_STREAM_STDERR ? 1 : 0];
}

static void end_line(struct job_log *log, enum pj_event_stream stream, struct line *line)
{
    struct pj_view text = pj_view_n(line->text.data, line->text.len);

    if (text.n > 0 && text.p[text.n - 1] == '\r' && !line->overflowed)
        text.n--;
    if (has_room(log))
        add_masked(log, stream, PJ_EVENT_INFO, text, line->overflowed, NULL);
    pj_str_clear(&line->text);
    line->overflowed = false;
    line->open = false;
}

void job_log_output(struct job_log *log, enum pj_event_stream stream, struct pj_view bytes)
{
    struct line *line = line_of(log, stream);

    log->output_bytes += (int64_t)bytes.n;
    while (bytes.n > 0) {
        const char *lf = memchr(bytes.p, '\n', bytes.n);
        size_t n = lf == NULL ? bytes.n : (size_t)(lf - bytes.p);

        line->open = true;
        if (pj_str_append(&line->text, bytes.p, n) < 0)
            line->overflowed = true;
        if (lf == NULL)
            return;
        end_line(log, stream, line);
        bytes = pj_view_n(lf + 1, bytes.n - n - 1);
    }
}

void job_log_output_end(struct job_log *log, enum pj_event_stream stream)
{
    struct line *line = line_of(log, stream);

    if (line->open)
        end_line(log, stream, line);
}

bool job_log_is_full(const struct job_log *log)
{
    return log->waiting.bytes >= JOB_LOG_WAITING_MAX;
}

/* When the head of the queue may be sent: at once when the log was quiet, else 50 ms after the last chunk. */
static int64_t due_ms(const struct job_log *log)
{
    const struct chunk *c = log->waiting.head;
    int64_t due = log->last_sent_ms + JOB_LOG_CHUNK_MS;

    if (c->next != NULL || c->lines.len >= JOB_LOG_CHUNK_BYTES)
        due = 0;
    return due > log->retry_at_ms ? due : log->retry_at_ms;
}

int job_log_timeout_ms(const struct job_log *log)
{
    int64_t wait;

    if (log->waiting.head == NULL)
        return -1;
    wait = due_ms(log) - pj_mono_ms();
    return wait < 0 ? 0 : (int)wait;
}

static void keep(struct job_log *log, struct chunk *c)
{
    list_append(&log->kept, c);
    while (log->kept.bytes > JOB_LOG_KEPT_MAX && log->kept.head != log->kept.tail)
        chunk_free(list_shift(&log->kept));
}

/* Drop the entries before number `from`, which the store has. */
static void trim(struct chunk *c, int64_t from)
{
    while (c->count > 0 && c->first < from) {
        const char *lf = memchr(c->lines.data, '\n', c->lines.len);

        pj_str_shift(&c->lines, (size_t)(lf - c->lines.data) + 1);
        c->first++;
        c->count--;
    }
}

/* The store expects `from` next: line the chunks up again so that the first to be sent begins there. */
static int line_up(struct job_log *log, int64_t from, struct pj_err *err)
{
    struct chunk_list sources[] = {log->kept, log->waiting};

    log->kept = log->waiting = (struct chunk_list){0};
    for (size_t i = 0; i < PJ_COUNT_OF(sources); i++) {
        while (sources[i].head != NULL) {
            struct chunk *c = list_shift(&sources[i]);

            if (i == 0 && c->first + (int64_t)c->count <= from) {
                list_append(&log->kept, c);
                continue;
            }
            trim(c, from);
            if (c->count > 0)
                list_append(&log->waiting, c);
            else
                chunk_free(c);
        }
    }
    if (log->waiting.head != NULL ? log->waiting.head->first != from : log->next_n != from) {
        (void)pj_fail(err, PJ_E_INTERNAL,
                      "the store lost log entries from %lld on, which are no longer kept here",
                      (long long)from);
        return pj_err_code(err, "log_lost");
    }
    return 0;
}

/* 0 sent, PJ_NONE try later. */
static int send_head(struct job_log *log, struct pj_err *err)
{
    struct chunk *c = log->waiting.head;
    int64_t from = 0;
    int rc;

    c->sealed = true;
    rc = log->config.send(log->config.ctx, c->first, c->count,
                          pj_view_n(c->lines.data, c->lines.len), &from, err);
    if (rc == PJ_NONE)
        return line_up(log, from, err);
    if (rc < 0 && err->cls == PJ_E_UNAVAILABLE) {
        log->retry_wait_ms = log->retry_wait_ms == 0 ? RETRY_FIRST_MS : log->retry_wait_ms * 2;
        if (log->retry_wait_ms > RETRY_MAX_MS)
            log->retry_wait_ms = RETRY_MAX_MS;
        log->retry_at_ms = pj_mono_ms() + log->retry_wait_ms;
        return PJ_NONE;
    }
    if (rc < 0)
        return -1;
    log->retry_at_ms = log->retry_wait_ms = 0;
    log->last_sent_ms = pj_mono_ms();
    keep(log, list_shift(&log->waiting));
    return 0;
}

int job_log_flush(struct job_log *log, bool force, struct pj_err *err)
{
    while (log->waiting.head != NULL) {
        int64_t now = pj_mono_ms();
        int rc;

        if (now < log->retry_at_ms || (!force && now < due_ms(log)))
            return 0;
        rc = send_head(log, err);
        if (rc != 0)
            return rc < 0 ? -1 : 0;
    }
    return 0;
}

int job_log_drain(struct job_log *log, int64_t deadline_mono_ms, struct pj_err *err)
{
    for (;;) {
        int64_t now = pj_mono_ms();

        if (job_log_flush(log, true, err) < 0)
            return -1;
        if (log->waiting.head == NULL)
            return 0;
        if (now >= deadline_mono_ms)
            return pj_fail(err, PJ_E_UNAVAILABLE, "the log could not be stored in time");
        (void)poll(NULL, 0, job_log_timeout_ms(log) + 1);
    }
}

int64_t job_log_last_n(const struct job_log *log)
{
    return log->next_n - 1;
}
