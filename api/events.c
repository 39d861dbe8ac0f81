/* events.c - GET /events: the statuses of all tasks that the caller may see (CONTRACT.md section 3).
 *
 * What each viewer may see differs, so there is no shared ring: frames go to each connection, and who leaves more than 1 MiB
 * unread is dropped. A viewer asks the store from his last id whenever messages may have been missed; ids already sent
 * are left out, so reading twice does no harm. With several partitions ids of different ones interleave: whoever comes back is told again
 * what happened in the two seconds before the last id that he saw, so that nothing of another partition is missed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "api/api.h"
#include "api/conn.h"
#include "api/fanout.h"
#include "api/guard.h"
#include "api/logs.h"
#include "api/reply.h"
#include "api/request.h"
#include "lib/base/mem.h"
#include "lib/store/async.h"
#include "lib/store/keys.h"
#include "lib/store/repos.h"
#include "lib/store/status.h"

#define BEHIND_MAX (1024 * 1024)
#define SHARED_MS 5000 /* how old the list of shared repositories may be */
#define OVERLAP_MS 2000

struct stamp {
    int64_t ms, seq;
};

struct watcher {
    struct api *api;
    struct conn *conn;
    struct status_watch watch;
    struct guarded guarded;
    bool admin;
    char user_id[64];
    char **shared;
    struct event *refresh;
    struct stamp *last; /* by partition */
    unsigned partition; /* the one being read */
    bool reading, again, gone;
    size_t asking;
};

static bool parse_stamp(struct pj_view text, struct stamp *out)
{
    struct pj_view ms;

    if (!pj_view_cut(&text, '-', &ms) || text.p == NULL)
        return false;
    return pj_parse_i64(ms, &out->ms) == 0 && pj_parse_i64(text, &out->seq) == 0 && out->ms >= 0 &&
           out->seq >= 0;
}

static int compare(struct stamp a, struct stamp b)
{
    if (a.ms != b.ms)
        return a.ms < b.ms ? -1 : 1;
    return a.seq < b.seq ? -1 : a.seq > b.seq;
}

static void release(struct watcher *w)
{
    if (!w->gone || w->asking > 0)
        return;
    pj_strs_free(w->shared);
    event_free(w->refresh);
    free(w->last);
    free(w);
}

static void on_closed(void *arg)
{
    struct watcher *w = arg;

    w->gone = true;
    w->conn = NULL;
    w->api->metrics.sse_viewers--;
    fanout_unwatch_status(w->api->fanout, &w->watch);
    guard_leave(&w->guarded);
    event_del(w->refresh);
    release(w);
}

static void on_drained(void *arg)
{
    (void)arg;
}

static const struct stream_ops watcher_ops = {on_drained, on_closed};

static bool may_see(const struct watcher *w, const struct pj_status_event *e)
{
    if (w->admin || pj_view_is(e->owner, w->user_id))
        return true;
    for (size_t i = 0; w->shared != NULL && w->shared[i] != NULL; i++)
        if (pj_view_is(e->repository_id, w->shared[i]))
            return true;
    return false;
}

/* False when the viewer was dropped. */
static bool send_event(struct watcher *w, unsigned partition, const struct pj_status_event *e)
{
    struct stamp id, *last = &w->last[partition];
    struct pj_str frame;

    if (!parse_stamp(pj_view_of(e->id), &id) || compare(id, *last) <= 0)
        return true;
    *last = id;
    if (!may_see(w, e))
        return true;
    if (evbuffer_get_length(w->conn->out) > BEHIND_MAX) {
        w->api->metrics.sse_dropped++;
        conn_close(w->conn);
        return false;
    }
    pj_str_init(&frame, sizeof e->json + 128);
    pj_str_putf(&frame, "id: %s\n", e->id);
    frame_event(&frame, "status", pj_view_of(e->json));
    conn_stream_write(w->conn, frame.data, frame.len);
    pj_str_release(&frame);
    return true;
}

static void read_store(struct watcher *w);

static void on_read(void *arg, const struct redisReply *reply, struct pj_err *err)
{
    struct watcher *w = arg;
    struct pj_status_event *items = NULL;
    struct pj_err local;
    size_t count = 0;

    (void)err;
    w->asking--;
    if (w->gone) {
        release(w);
        return;
    }
    items = pj_alloc(PJ_STATUS_PAGE_MAX, sizeof *items);
    int rc = reply != NULL ? pj_status_read_reply(reply, items, &count, &local) : -1;
    if (rc < 0) {
        free(items);
        conn_close(w->conn); /* resumes by itself */
        return;
    }
    if (rc == PJ_NONE)
        conn_stream_write(w->conn, "event: reset\ndata: {}\n\n", 23);
    for (size_t i = 0; i < count; i++)
        if (!send_event(w, w->partition, &items[i])) {
            free(items);
            return;
        }
    free(items);
    if (count < PJ_STATUS_PAGE_MAX)
        w->partition++;
    if (w->partition < w->api->partitions) {
        read_store(w);
        return;
    }
    w->reading = false;
    if (w->again) {
        w->again = false;
        w->reading = true;
        w->partition = 0;
        read_store(w);
    }
}

static void read_store(struct watcher *w)
{
    const struct stamp *last = &w->last[w->partition];
    struct pj_cmd cmd = {0};
    char after[PJ_STATUS_ID_SIZE];

    snprintf(after, sizeof after, "%lld-%lld", (long long)last->ms, (long long)last->seq);
    w->asking++;
    pj_status_read_cmd(&cmd, w->partition, after);
    pj_aredis_submit(w->api->redis, &cmd, on_read, w);
}

static void catch_up(struct watcher *w)
{
    if (w->reading) {
        w->again = true;
        return;
    }
    w->reading = true;
    w->partition = 0;
    read_store(w);
}

static void on_message(void *arg, struct pj_view payload)
{
    struct watcher *w = arg;
    struct pj_status_event *items;
    size_t count = 0;
    struct pj_err err;

    if (w->reading) { /* read it from the store afterwards, in order */
        w->again = true;
        return;
    }
    items = pj_alloc(PJ_STATUS_LINES, sizeof *items);
    if (pj_status_message_parse(payload, items, &count, &err) == 0)
        for (size_t i = 0; i < count; i++) {
            unsigned partition = pj_partition_of_task(items[i].task_id);
            if (partition < w->api->partitions && !send_event(w, partition, &items[i]))
                break;
        }
    free(items);
}

static struct stamp before(const struct watcher *w, struct stamp at)
{
    if (w->api->partitions > 1)
        at = (struct stamp){at.ms > OVERLAP_MS ? at.ms - OVERLAP_MS : 0, 0};
    return at;
}

static void on_lost(void *arg)
{
    struct watcher *w = arg;
    struct stamp latest = {0, 0};

    for (unsigned k = 0; k < w->api->partitions; k++)
        latest = compare(w->last[k], latest) > 0 ? w->last[k] : latest;
    if (latest.ms == 0) { /* nothing seen yet: there is no place to go on from */
        conn_stream_write(w->conn, "event: reset\ndata: {}\n\n", 23);
        return;
    }
    for (unsigned k = 0; k < w->api->partitions; k++)
        if (w->last[k].ms == 0)
            w->last[k] = before(w, latest);
    catch_up(w);
}

static void on_shared(void *arg, const struct redisReply *reply, struct pj_err *err)
{
    struct watcher *w = arg;
    struct pj_err local;
    char **shared = NULL;

    (void)err;
    w->asking--;
    if (w->gone) {
        release(w);
        return;
    }
    if (reply != NULL && pj_repo_shared_reply(reply, &shared, &local) == 0) {
        pj_strs_free(w->shared);
        w->shared = shared;
    }
}

static void on_refresh(evutil_socket_t fd, short what, void *arg)
{
    struct watcher *w = arg;
    struct pj_cmd cmd = {0};

    (void)fd;
    (void)what;
    w->asking++;
    pj_repo_shared_cmd(&cmd);
    pj_aredis_submit(w->api->redis, &cmd, on_shared, w);
}

static void close_watcher(void *arg)
{
    const struct watcher *w = arg;

    conn_close(w->conn);
}

struct opening {
    struct stamp from;
    bool resumed;
};

static void open_stream(struct request *req, char **shared)
{
    const struct opening o = *(const struct opening *)req->ctx;
    struct watcher *w = pj_alloc(1, sizeof *w);
    const struct timeval every = {SHARED_MS / 1000, 0};

    w->api = req->api;
    w->admin = req->who.admin;
    snprintf(w->user_id, sizeof w->user_id, "%s", req->who.user_id);
    w->shared = shared;
    w->refresh = event_new(w->api->base, -1, EV_PERSIST, on_refresh, w);
    w->last = pj_alloc(w->api->partitions, sizeof *w->last);
    for (unsigned k = 0; o.resumed && k < w->api->partitions; k++)
        w->last[k] = before(w, o.from);
    w->watch = (struct status_watch){.message = on_message, .lost = on_lost, .arg = w};
    guard_join(req, &w->guarded, close_watcher, w);
    w->conn = reply_stream(req, "text/event-stream", false, true, &watcher_ops, w);
    if (w->conn == NULL) {
        guard_leave(&w->guarded);
        w->gone = true;
        release(w);
        return;
    }
    w->api->metrics.sse_viewers++;
    w->api->metrics.sse_opened++;
    conn_stream_write(w->conn, "retry: 2000\n\n", 13);
    fanout_watch_status(w->api->fanout, &w->watch);
    if (!w->admin)
        event_add(w->refresh, &every);
    if (o.resumed)
        catch_up(w);
}

static void on_first_shared(struct request *req, const struct redisReply *reply)
{
    char **shared = NULL;
    struct pj_err err;

    if (pj_repo_shared_reply(reply, &shared, &err) < 0)
        reply_err(req, &err);
    else
        open_stream(req, shared);
}

void events_stream(struct request *req)
{
    static const char *const known[] = {"after", NULL};
    struct opening *o = request_ctx(req, sizeof *o, NULL);
    struct pj_view id = http_header(&req->head, "last-event-id");
    char after[PJ_STATUS_ID_SIZE];
    struct pj_cmd cmd = {0};

    if (request_query_known(req, known) < 0)
        return;
    int rc = request_query(req, "after", after, sizeof after);
    if (rc < 0)
        return;
    if (id.n == 0 && rc == 0)
        id = pj_view_of(after);
    o->resumed = id.n > 0;
    if (o->resumed && !parse_stamp(id, &o->from)) {
        reply_fault(req, "after", "is not the id of an event");
        return;
    }
    if (req->head_only)
        reply_bytes(req, 200, "text/event-stream", NULL, 0);
    else if (req->who.admin)
        open_stream(req, NULL);
    else {
        pj_repo_shared_cmd(&cmd);
        request_redis(req, &cmd, on_first_shared);
    }
}
