/* sse.c - one viewer's stream of a task's log (CONTRACT.md section 4).
 *
 * What the store has is read first; when the task has ended by then, that was all. Else: subscribe, wait for the confirmation,
 * read what was stored meanwhile, join the hub. Any other order loses or repeats lines. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "api/access.h"
#include "api/api.h"
#include "api/conn.h"
#include "api/fanout.h"
#include "api/guard.h"
#include "api/logs.h"
#include "api/reply.h"
#include "api/request.h"
#include "lib/base/mem.h"
#include "lib/store/async.h"
#include "lib/store/events.h"
#include "lib/store/tasks.h"

#define REPLAY_PAGE 500
#define REPLAY_BYTES (256 * 1024) /* what a viewer that does not read makes us hold */
#define TURNS_MAX 3 /* replays in vain before the ring's beginning is taken for the next entry */

struct viewer {
    struct api *api;
    struct request *req; /* until the first page came */
    struct conn *conn;
    struct hub *hub;
    struct hub_member member;
    struct guarded guarded;
    char task_id[40];
    int64_t only_attempt; /* 0: all */
    struct log_id last;   /* the last entry sent, or asked to resume after */
    int status;           /* the last one shown */
    int turns;
    int64_t page; /* lines to ask for: fewer where they are long */
    bool asking;  /* a command is under way */
    bool gone;    /* the connection has closed; free with the reply */
    bool resumed;
    bool ending;
};

static void replay(struct viewer *v);

static void free_viewer(struct viewer *v)
{
    if (v->hub != NULL)
        hub_leave(v->hub, &v->member);
    v->api->metrics.sse_viewers--;
    free(v);
}

static void on_closed(void *arg)
{
    struct viewer *v = arg;

    v->gone = true;
    v->conn = NULL;
    v->member.conn = NULL;
    guard_leave(&v->guarded);
    if (v->hub != NULL) {
        hub_leave(v->hub, &v->member);
        v->hub = NULL;
    }
    if (!v->asking)
        free_viewer(v);
}

static void write_end(struct viewer *v, int status, struct log_id id)
{
    char frame[256];

    int n = snprintf(
        frame, sizeof frame,
        "id: %lld-%lld\nevent: end\ndata: {\"id\":\"%s\",\"status\":\"%s\",\"attempt\":%lld}\n\n",
        (long long)id.attempt, (long long)id.n, v->task_id,
        pj_task_status_word((enum pj_task_status)status), (long long)id.attempt);
    conn_stream_write(v->conn, frame, (size_t)n);
    conn_stream_end(v->conn);
}

static void on_end_task(void *arg, const struct redisReply *reply, struct pj_err *err)
{
    struct viewer *v = arg;
    struct pj_task task;
    struct pj_err local;

    (void)err;
    v->asking = false;
    if (v->gone) {
        free_viewer(v);
        return;
    }
    pj_task_init(&task);
    if (reply != NULL && pj_task_get_reply(reply, &task, &local) == 0) {
        json_t *doc = pj_task_status_json(&task);
        PJ_CLEANUP(pj_freep) char *text = pj_json_text(doc);
        struct pj_str frame;
        pj_str_init(&frame, strlen(text) + 64);
        frame_event(&frame, "status", pj_view_of(text));
        conn_stream_write(v->conn, frame.data, frame.len);
        pj_str_release(&frame);
        json_decref(doc);
    }
    pj_task_release(&task);
    write_end(v, v->member.end_status, v->member.end_id);
}

/* The task has ended and everything was sent. */
static void finish(struct viewer *v, int status, struct log_id end, bool shown)
{
    struct pj_cmd cmd = {0};

    v->ending = true;
    if (shown) {
        write_end(v, status, end);
        return;
    }
    v->member.end_status = status;
    v->member.end_id = end;
    v->asking = true;
    pj_task_get_cmd(&cmd, v->task_id);
    pj_aredis_submit(v->api->redis, &cmd, on_end_task, v);
}

static void on_hub_end(void *arg)
{
    struct viewer *v = arg;

    if (!v->ending)
        finish(v, v->member.end_status, v->member.end_id, v->member.end_shown);
}

static void on_confirmed(void *arg)
{
    struct viewer *v = arg;

    if (!v->asking)
        replay(v);
}

static void on_drained(void *arg)
{
    struct viewer *v = arg;

    if (v->ending)
        return;
    if (v->hub != NULL && v->member.state == MEMBER_LIVE)
        hub_pump(v->hub, &v->member);
    else if (!v->asking &&
             (v->hub == NULL || (hub_is_confirmed(v->hub) && v->member.state == MEMBER_NONE)))
        replay(v);
}

static const struct stream_ops viewer_ops = {on_drained, on_closed};

/* As much of the page as may wait for the viewer; false when that was not all of it. */
static bool send_page(struct viewer *v, const struct pj_events_page *page)
{
    struct pj_str frames;
    size_t bytes = 0, i = 0;

    for (; i < page->count && bytes < REPLAY_BYTES; i++)
        bytes += page->lines[i].n + 96;
    const size_t count = i;
    pj_str_init(&frames, bytes);
    for (i = 0; i < count; i++) {
        struct log_id id;
        if (pj_event_line_id(page->lines[i], &id.attempt, &id.n) == 0 &&
            log_id_compare(id, v->last) > 0) {
            frame_log(&frames, id, page->lines[i]);
            v->last = id;
            v->turns = 0;
        }
    }
    conn_stream_write(v->conn, frames.data, frames.len);
    pj_str_release(&frames);
    v->page = count < page->count ? (int64_t)count : 2 * v->page;
    if (v->page > REPLAY_PAGE)
        v->page = REPLAY_PAGE;
    return count == page->count;
}

/* Everything stored is sent: what now? */
static void caught_up(struct viewer *v, const struct pj_events_page *page)
{
    bool past = v->only_attempt > 0 && v->only_attempt < page->attempt;

    if (past || pj_task_is_ended((enum pj_task_status)page->status)) {
        struct log_id end = {past ? v->last.attempt : page->attempt,
                             (past ? v->last.n : page->logged_n) + 1};
        finish(v, page->status, end, v->status == page->status);
        return;
    }
    if (v->hub == NULL) {
        v->hub = hub_enter(v->api->fanout, v->task_id, &v->member);
        if (hub_is_confirmed(v->hub))
            replay(v);
        return;
    }
    v->member.last = v->last;
    if (hub_join(v->hub, &v->member, v->turns >= TURNS_MAX) == PJ_NONE) {
        v->turns++;
        replay(v);
    }
}

static void close_viewer(void *arg)
{
    const struct viewer *v = arg;

    conn_close(v->conn);
}

/* The first page decides how the request is answered. Returns false when it was, without a stream. */
static bool begin(struct viewer *v, const struct pj_events_page *page)
{
    struct request *req = v->req;
    const struct log_id end = {page->attempt, page->logged_n};
    bool past = v->only_attempt > 0 && v->only_attempt < page->attempt;

    if (v->resumed && page->count == 0 &&
        (past || (pj_task_is_ended((enum pj_task_status)page->status) &&
                  log_id_compare(v->last, end) > 0))) {
        reply_empty(req, 204);
        return false;
    }
    json_t *doc = pj_task_status_json(req->task);
    PJ_CLEANUP(pj_freep) char *text = pj_json_text(doc);
    json_decref(doc);
    v->status = req->task->status;
    v->req = NULL;
    guard_join(req, &v->guarded, close_viewer, v);
    v->conn = reply_stream(req, "text/event-stream", false, true, &viewer_ops, v);
    if (v->conn == NULL) {
        guard_leave(&v->guarded);
        return false;
    }
    v->member.conn = v->conn;
    v->api->metrics.sse_opened++;
    struct pj_str frame;
    pj_str_init(&frame, strlen(text) + 96);
    pj_str_puts(&frame, "retry: 2000\n\n");
    frame_event(&frame, "status", pj_view_of(text));
    conn_stream_write(v->conn, frame.data, frame.len);
    pj_str_release(&frame);
    return true;
}

static void refuse(struct viewer *v, const struct pj_err *store, const struct pj_err *err)
{
    struct request *req = v->req;

    v->req = NULL;
    if (store != NULL)
        request_store_failed(req, store);
    else if (err->cls == PJ_E_NOT_FOUND && strcmp(err->code, "logs_expired") == 0)
        reply_err_status(req, 410, err);
    else
        reply_err(req, err);
    free_viewer(v);
}

static void on_page(void *arg, const struct redisReply *reply, struct pj_err *err)
{
    struct viewer *v = arg;
    struct pj_events_page page = {0};
    struct pj_err local;

    v->asking = false;
    if (v->gone) {
        free_viewer(v);
        return;
    }
    if (reply == NULL || pj_events_page_reply(reply, &page, &local) < 0) {
        if (v->req != NULL)
            refuse(v, reply == NULL ? err : NULL, &local);
        else
            conn_close(v->conn); /* the client resumes where it is */
        return;
    }
    if (v->req != NULL && !begin(v, &page)) {
        free_viewer(v);
        pj_events_page_release(&page);
        return;
    }
    if (send_page(v, &page) && !page.more)
        caught_up(v, &page);
    else /* `drained` asks for the next one */
        conn_stream_kick(v->conn);
    pj_events_page_release(&page);
}

static void replay(struct viewer *v)
{
    struct pj_cmd cmd = {0};

    v->asking = true;
    pj_events_page_cmd(&cmd, v->task_id, v->last.attempt, v->last.n, v->page, v->only_attempt);
    pj_aredis_submit(v->api->redis, &cmd, on_page, v);
}

/* Where to resume: Last-Event-ID, else ?after=. */
static int resume_point(struct request *req, struct log_id *out, bool *resumed)
{
    struct pj_view id = http_header(&req->head, "last-event-id");
    char after[PJ_EVENT_ID_SIZE];
    struct pj_err err;

    *resumed = id.n > 0;
    if (id.n == 0) {
        int rc = request_query(req, "after", after, sizeof after);
        if (rc != 0)
            return rc < 0 ? -1 : 0;
        id = pj_view_of(after);
        *resumed = true;
    }
    if (pj_event_id_parse(id, &out->attempt, &out->n, &err) < 0) {
        reply_fault(req, "after", "is not the id of a log entry");
        return -1;
    }
    return 0;
}

static void stream_found(struct request *req)
{
    static const char *const known[] = {"after", "attempt", NULL};
    struct log_id from = {0, 0};
    bool resumed = false;
    int64_t attempt = 0;

    if (request_query_known(req, known) < 0 || resume_point(req, &from, &resumed) < 0 ||
        request_query_int(req, "attempt", 1, 1000000, 0, &attempt) < 0)
        return;
    if (attempt > req->task->attempt) {
        reply_not_found(req, "attempt");
        return;
    }
    if (req->head_only) {
        reply_bytes(req, 200, "text/event-stream", NULL, 0);
        return;
    }
    struct viewer *v = pj_alloc(1, sizeof *v);
    v->api = req->api;
    v->req = req;
    v->last = from;
    v->resumed = resumed;
    v->only_attempt = attempt;
    v->page = REPLAY_PAGE;
    v->member.confirmed = on_confirmed;
    v->member.ended = on_hub_end;
    v->member.arg = v;
    v->member.end_offset = UINT64_MAX;
    snprintf(v->task_id, sizeof v->task_id, "%s", req->task->id);
    v->api->metrics.sse_viewers++;
    replay(v);
}

void logs_stream(struct request *req)
{
    access_task(req, false, stream_found);
}
