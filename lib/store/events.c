#include "lib/store/events.h"

#include <stdlib.h>
#include <string.h>
#include "lib/base/mem.h"
#include "lib/store/keys.h"
#include "lib/store/pack.h"

/* Header fields of log_page's answer, before the chunks. */
enum {
    PAGE_STATUS = 1,
    PAGE_STAGE,
    PAGE_ATTEMPT,
    PAGE_N,
    PAGE_MORE,
    PAGE_AFTER_ATTEMPT,
    PAGE_AFTER_N,
    PAGE_LIMIT,
    PAGE_ONLY,
    PAGE_CHUNKS
};

void pj_events_append_cmd(struct pj_cmd *cmd, const char *task_id, int64_t epoch, int64_t attempt,
                          int64_t first, int64_t count, struct pj_view lines)
{
    char key[PJ_KEY_SIZE];

    pj_cmd_script(cmd, "log_append");
    pj_cmd_text(cmd, pj_key_task(key, task_id));
    pj_cmd_text(cmd, task_id);
    pj_cmd_int(cmd, epoch);
    pj_cmd_int(cmd, attempt);
    pj_cmd_int(cmd, first);
    pj_cmd_int(cmd, count);
    pj_cmd_add(cmd, lines.p, lines.n);
}

int pj_events_append_reply(const struct redisReply *reply, int64_t *next, struct pj_err *err)
{
    if (pj_reply_count(reply) == 0) { /* the number alone: stored */
        *next = pj_reply_int(reply, -1);
        return *next > 0 ? 0 : pj_fail(err, PJ_E_PROTOCOL, "unexpected answer of Redis to a chunk");
    }
    *next = pj_reply_int(pj_reply_at(reply, 1), 0);
    if (pj_view_is(pj_reply_view(pj_reply_at(reply, 0)), "resend"))
        return PJ_NONE;
    return pj_reply_word(reply, err);
}

void pj_events_note_cmd(struct pj_cmd *cmd, const char *task_id, enum pj_event_type type,
                        const char *message)
{
    struct pj_str clean;
    char key[PJ_KEY_SIZE];

    pj_str_init(&clean, PJ_EVENT_MESSAGE_MAX);
    (void)pj_utf8_append_clean(&clean, pj_view_of(message));
    for (size_t i = 0; i < clean.len; i++) {
        if ((unsigned char)clean.data[i] < ' ')
            clean.data[i] = ' ';
    }
    pj_cmd_script(cmd, "log_note");
    pj_cmd_text(cmd, pj_key_task(key, task_id));
    pj_cmd_text(cmd, task_id);
    pj_cmd_text(cmd, pj_event_type_words[type]);
    pj_cmd_text(cmd, pj_str_cstr(&clean));
    pj_str_release(&clean);
}

int pj_events_note_reply(const struct redisReply *reply, struct pj_err *err)
{
    return pj_reply_word(reply, err);
}

void pj_events_page_cmd(struct pj_cmd *cmd, const char *task_id, int64_t after_attempt,
                        int64_t after_n, int64_t limit, int64_t attempt)
{
    char key[PJ_KEY_SIZE];

    pj_cmd_script(cmd, "log_page");
    pj_cmd_text(cmd, pj_key_task(key, task_id));
    pj_cmd_int(cmd, after_attempt);
    pj_cmd_int(cmd, after_n);
    pj_cmd_int(cmd, limit < 1 ? 1 : limit > 5000 ? 5000 : limit);
    pj_cmd_int(cmd, attempt);
}

static void add_line(struct pj_events_page *page, struct pj_view line, int64_t attempt, int64_t n)
{
    if (page->count % 256 == 0)
        page->lines = pj_realloc(page->lines, page->count + 256, sizeof(*page->lines));
    page->lines[page->count++] = line;
    page->last_attempt = attempt;
    page->last_n = n;
}

/* Lines of a chunk that come after the page's last one. False when the page is full. */
static bool add_chunk(struct pj_events_page *page, size_t limit, int64_t attempt, int64_t first,
                      struct pj_view lines)
{
    struct pj_view line;

    for (int64_t n = first; pj_view_cut(&lines, '\n', &line) && line.n; n++) {
        if (attempt < page->last_attempt || (attempt == page->last_attempt && n <= page->last_n))
            continue;
        if (page->count == limit)
            return false;
        add_line(page, line, attempt, n);
    }
    return true;
}

/* All chunks of the answer, read once for their sizes. */
static int read_chunks(const struct redisReply *reply, struct pj_chunk *chunks, size_t *bytes,
                       struct pj_err *err)
{
    *bytes = 0;
    for (size_t i = PAGE_CHUNKS; i < pj_reply_count(reply); i++) {
        struct pj_chunk *chunk = &chunks[i - PAGE_CHUNKS];

        if (pj_chunk_read(pj_reply_at(reply, i), chunk, err) < 0)
            return -1;
        *bytes += chunk->size;
    }
    return 0;
}

static int fill_page(const struct redisReply *reply, struct pj_events_page *page,
                     struct pj_chunk *chunks, struct pj_err *err)
{
    size_t limit = (size_t)pj_reply_int(pj_reply_at(reply, PAGE_LIMIT), 1), bytes, used = 0;

    if (read_chunks(reply, chunks, &bytes, err) < 0)
        return -1;
    page->text = pj_alloc(bytes + 1, 1); /* the lines outlive the reply */
    for (size_t i = 0; i < pj_reply_count(reply) - PAGE_CHUNKS; i++) {
        if (pj_chunk_text(&chunks[i], page->text + used, err) < 0)
            return -1;
        if (!add_chunk(page, limit, chunks[i].attempt, chunks[i].first,
                       pj_view_n(page->text + used, chunks[i].size))) {
            page->more = true;
            return 0;
        }
        used += chunks[i].size;
    }
    return 0;
}

int pj_events_page_reply(const struct redisReply *reply, struct pj_events_page *out,
                         struct pj_err *err)
{
    struct pj_events_page page = {0};
    struct pj_chunk *chunks;
    int rc;

    if (pj_reply_word(reply, err) < 0)
        return -1;
    page.status =
        pj_word_index(pj_task_status_words, pj_reply_view(pj_reply_at(reply, PAGE_STATUS)).p);
    page.stage =
        pj_word_index(pj_task_stage_words, pj_reply_view(pj_reply_at(reply, PAGE_STAGE)).p);
    page.attempt = pj_reply_int(pj_reply_at(reply, PAGE_ATTEMPT), 0);
    page.logged_n = pj_reply_int(pj_reply_at(reply, PAGE_N), 0);
    page.more = pj_reply_int(pj_reply_at(reply, PAGE_MORE), 0) != 0;
    page.last_attempt = pj_reply_int(pj_reply_at(reply, PAGE_AFTER_ATTEMPT), 0);
    page.last_n = pj_reply_int(pj_reply_at(reply, PAGE_AFTER_N), 0);
    chunks = pj_alloc(pj_reply_count(reply), sizeof(*chunks));
    rc = fill_page(reply, &page, chunks, err);
    free(chunks);
    if (rc < 0)
        pj_events_page_release(&page);
    else
        *out = page;
    return rc;
}

void pj_events_page_release(struct pj_events_page *page)
{
    free(page->lines);
    free(page->text);
    *page = (struct pj_events_page){0};
}

/* The next word of a header line, as a number. */
static bool next_i64(struct pj_view *rest, int64_t *out)
{
    struct pj_view word;

    return pj_view_cut(rest, ' ', &word) && pj_parse_i64(word, out) == 0;
}

int pj_message_parse(struct pj_view payload, struct pj_message *out, struct pj_err *err)
{
    struct pj_view rest = payload, head = {0}, kind = {0}, word;
    struct pj_message m = {0};

    (void)pj_view_cut(&rest, '\n', &head);
    m.body = rest;
    (void)pj_view_cut(&head, ' ', &kind);
    if (pj_view_is(kind, "L") && next_i64(&head, &m.attempt) && next_i64(&head, &m.first) &&
        next_i64(&head, &m.count)) {
        *out = m;
        return 0;
    }
    m.kind = PJ_MESSAGE_STATUS;
    if (pj_view_is(kind, "S") && pj_view_cut(&head, ' ', &word)) {
        PJ_CLEANUP(pj_freep) char *status = pj_strndup(word.p, word.n);

        m.status = pj_word_index(pj_task_status_words, status);
        if (m.status >= 0 && next_i64(&head, &m.status_attempt) && next_i64(&head, &m.logged_n)) {
            *out = m;
            return 0;
        }
    }
    return pj_fail(err, PJ_E_PROTOCOL, "not a message of a task's channel");
}

void pj_events_retain_cmd(struct pj_cmd *cmd, unsigned partition, int64_t age_ms, int64_t max)
{
    char key[PJ_KEY_SIZE];

    pj_cmd_script(cmd, "log_retain");
    pj_cmd_text(cmd, pj_key_part(key, partition, "ended"));
    pj_cmd_int(cmd, age_ms);
    pj_cmd_int(cmd, max);
}

int pj_events_retain_reply(const struct redisReply *reply, int64_t *dropped, struct pj_err *err)
{
    if (pj_reply_word(reply, err) < 0)
        return -1;
    *dropped = pj_reply_int(pj_reply_at(reply, 1), 0);
    return 0;
}
