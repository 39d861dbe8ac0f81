#include "api/logs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "api/access.h"
#include "api/api.h"
#include "api/conn.h"
#include "api/page.h"
#include "api/reply.h"
#include "api/request.h"
#include "lib/base/mem.h"
#include "lib/json/codec.h"
#include "lib/store/async.h"
#include "lib/store/events.h"
#include "lib/task/task.h"

#define PAGE_MAX 1000
#define PIECE_BYTES (256 * 1024) /* what a client that does not read its download makes us hold */
#define PAGE_BYTES (1024 * 1024) /* and of a page: it ends earlier where lines are long */

static void log_error(struct request *req, const struct pj_err *err)
{
    if (err->cls == PJ_E_NOT_FOUND && strcmp(err->code, "logs_expired") == 0)
        reply_err_status(req, 410, err);
    else
        reply_err(req, err);
}

/* The first `count` lines of a page are used: there is more, behind the last of them. */
static void cut_page(struct pj_events_page *page, size_t count)
{
    if (count == page->count)
        return;
    page->count = count;
    page->more = true;
    while (count > 0 && pj_event_line_id(page->lines[count - 1], &page->last_attempt,
                                         &page->last_n) < 0) /* damaged: one before it tells */
        count--;
}

/* The whole log as text, a page at a time: the next one is read when the kernel took the last. */
struct download {
    struct api *api;
    struct request *req; /* until the first page */
    struct conn *conn;
    char task_id[40];
    int64_t only_attempt, attempt, n;
    int64_t page; /* lines to ask for: fewer where they are long */
    bool asking, gone, last;
};

/* Control characters but tab do not reach a terminal that shows the file. */
static void put_line(struct pj_str *out, struct pj_view entry)
{
    struct pj_err err;
    json_t *doc = NULL;

    if (pj_json_parse(entry, &doc, &err) < 0)
        return;
    pj_str_putf(out, "%s %s %s/%s ", pj_json_str(doc, "ts", ""), pj_json_str(doc, "id", ""),
                pj_json_str(doc, "stream", ""), pj_json_str(doc, "type", ""));
    for (const char *p = pj_json_str(doc, "message", ""); *p != '\0'; p++) {
        bool c1 = (unsigned char)p[0] == 0xc2 && ((unsigned char)p[1] & 0xe0) == 0x80;
        bool control = c1 || *p == 0x7f || ((unsigned char)*p < ' ' && *p != '\t');
        pj_str_putc(out, control ? ' ' : *p);
        p += c1;
    }
    pj_str_putc(out, '\n');
    json_decref(doc);
}

static void ask(struct download *d);

static void on_drained(void *arg)
{
    struct download *d = arg;

    if (d->last)
        conn_stream_end(d->conn);
    else if (!d->asking)
        ask(d);
}

static void on_closed(void *arg)
{
    struct download *d = arg;

    d->gone = true;
    if (!d->asking)
        free(d);
}

static const struct stream_ops download_ops = {on_drained, on_closed};

static bool begin(struct download *d)
{
    static const char type[] = "text/plain; charset=utf-8";
    struct request *req = d->req;

    d->req = NULL;
    reply_header(req, "Content-Disposition", "attachment; filename=\"%s.log\"", d->task_id);
    if (req->head_only)
        reply_bytes(req, 200, type, NULL, 0);
    else
        d->conn = reply_stream(req, type, true, false, &download_ops, d);
    return d->conn != NULL;
}

/* As much of the page as may wait for the client; the next one begins behind it. */
static void put_piece(struct download *d, struct pj_events_page *page)
{
    struct pj_str text;
    size_t bytes = 0, count = 0;

    for (; count < page->count && bytes < PIECE_BYTES; count++)
        bytes += page->lines[count].n + 64;
    pj_str_init(&text, bytes + 1);
    for (size_t i = 0; i < count; i++)
        put_line(&text, page->lines[i]);
    d->page = count < page->count ? (int64_t)count : 2 * d->page;
    if (d->page > PAGE_MAX)
        d->page = PAGE_MAX;
    cut_page(page, count);
    d->attempt = page->last_attempt;
    d->n = page->last_n;
    d->last = !page->more;
    conn_stream_write(d->conn, pj_str_cstr(&text), text.len);
    if (text.len == 0)
        conn_stream_kick(d->conn);
    pj_str_release(&text);
}

static void on_text_page(void *arg, const struct redisReply *reply, struct pj_err *err)
{
    struct download *d = arg;
    struct pj_events_page page = {0};
    struct pj_err local;

    d->asking = false;
    if (d->gone) {
        free(d);
        return;
    }
    if (reply == NULL || pj_events_page_reply(reply, &page, &local) < 0) {
        if (d->conn != NULL) {
            conn_close(d->conn); /* without its last chunk the client sees that the file is cut */
            return;
        }
        if (reply == NULL)
            request_store_failed(d->req, err);
        else
            log_error(d->req, &local);
        free(d);
        return;
    }
    if (d->conn == NULL && !begin(d)) {
        free(d);
        pj_events_page_release(&page);
        return;
    }
    put_piece(d, &page);
    pj_events_page_release(&page);
}

static void ask(struct download *d)
{
    struct pj_cmd cmd = {0};

    d->asking = true;
    pj_events_page_cmd(&cmd, d->task_id, d->attempt, d->n, d->page, d->only_attempt);
    pj_aredis_submit(d->api->redis, &cmd, on_text_page, d);
}

static void start_download(struct request *req, int64_t attempt)
{
    struct download *d = pj_alloc(1, sizeof *d);

    d->api = req->api;
    d->req = req;
    d->only_attempt = attempt;
    d->page = PAGE_MAX;
    snprintf(d->task_id, sizeof d->task_id, "%s", req->task->id);
    ask(d);
}

/* Entries are JSON already: the page is put together, not built. */
static void on_page(struct request *req, const struct redisReply *reply)
{
    struct pj_events_page page = {0};
    struct pj_err err;
    struct pj_str out;
    size_t bytes = 128, count = 0;

    if (pj_events_page_reply(reply, &page, &err) < 0) {
        log_error(req, &err);
        return;
    }
    for (; count < page.count && bytes < PAGE_BYTES; count++)
        bytes += page.lines[count].n + 1;
    pj_str_init(&out, bytes);
    pj_str_puts(&out, "{\"items\":[");
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            pj_str_putc(&out, ',');
        pj_str_append(&out, page.lines[i].p, page.lines[i].n);
    }
    cut_page(&page, count);
    if (page.more) {
        char id[PJ_EVENT_ID_SIZE];
        pj_event_id(page.last_attempt, page.last_n, id);
        pj_str_putf(&out, "],\"nextCursor\":\"%s\"}", id);
        page_link(req, "after", id);
    } else {
        pj_str_puts(&out, "],\"nextCursor\":null}");
    }
    pj_events_page_release(&page);
    size_t n = out.len;
    reply_bytes(req, 200, "application/json", pj_str_take(&out), n);
    pj_str_release(&out);
}

static bool wants_text(struct request *req)
{
    struct pj_view accept = http_header(&req->head, "accept");
    char value[8];

    int rc = request_query(req, "download", value, sizeof value);
    return (rc == 0 && strcmp(value, "1") == 0) ||
           (rc == PJ_NONE && pj_view_starts(accept, "text/plain"));
}

static void page_found(struct request *req)
{
    static const char *const known[] = {"after", "cursor", "limit", "attempt", "download", NULL};
    char after[PJ_EVENT_ID_SIZE], download[8];
    int64_t limit, only, attempt = 0, n = 0;
    struct pj_cmd cmd = {0};
    struct pj_err err;

    if (request_query_known(req, known) < 0 ||
        request_query_int(req, "limit", 1, PAGE_MAX, PAGE_MAX, &limit) < 0 ||
        request_query_int(req, "attempt", 1, 1000000, 0, &only) < 0 ||
        request_query(req, "download", download, sizeof download) < 0)
        return;
    if (wants_text(req)) {
        start_download(req, only);
        return;
    }
    int rc = request_query(req, "after", after, sizeof after);
    if (rc == PJ_NONE)
        rc = request_query(req, "cursor", after, sizeof after);
    if (rc < 0)
        return;
    if (rc == 0 && pj_event_id_parse(pj_view_of(after), &attempt, &n, &err) < 0) {
        reply_fault(req, "after", "is not the id of a log entry");
        return;
    }
    pj_events_page_cmd(&cmd, req->task->id, attempt, n, limit, only);
    request_redis(req, &cmd, on_page);
}

void logs_page(struct request *req)
{
    access_task(req, false, page_found);
}
