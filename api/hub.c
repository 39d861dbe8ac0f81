#include "api/hub.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "api/api.h"
#include "api/conn.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/store/async.h"
#include "lib/store/events.h"

#define BEHIND_MAX (1024 * 1024)
#define TURN_MAX (256 * 1024) /* of one viewer in one flush */
#define QUEUED_MAX (8 * 1024 * 1024)
#define FILL_PAGE 1000
#define FLUSH_MIN_US 10000
#define FLUSH_EASY_US 50000
#define FLUSH_MAX_US 250000

int log_id_compare(struct log_id a, struct log_id b)
{
    if (a.attempt != b.attempt)
        return a.attempt < b.attempt ? -1 : 1;
    return a.n < b.n ? -1 : a.n > b.n;
}

void frame_log(struct pj_str *out, struct log_id id, struct pj_view entry)
{
    pj_str_putf(out, "id: %lld-%lld\nevent: log\ndata: ", (long long)id.attempt, (long long)id.n);
    pj_str_append(out, entry.p, entry.n);
    pj_str_puts(out, "\n\n");
}

void frame_event(struct pj_str *out, const char *event, struct pj_view data)
{
    pj_str_putf(out, "event: %s\ndata: ", event);
    pj_str_append(out, data.p, data.n);
    pj_str_puts(out, "\n\n");
}

/* A send costs the same for one line as for a dozen: who has many viewers gathers lines for eight times as long as it takes to send
 * them, but for no more than 50 ms unless that would take more than a third of a core. */
static int64_t flush_pause(int64_t took_us)
{
    int64_t wait = 8 * took_us < FLUSH_EASY_US ? 8 * took_us : FLUSH_EASY_US;

    wait = wait < 2 * took_us ? 2 * took_us : wait;
    return wait < FLUSH_MIN_US ? FLUSH_MIN_US : wait > FLUSH_MAX_US ? FLUSH_MAX_US : wait;
}

static void on_flush(evutil_socket_t fd, short what, void *arg)
{
    struct hub *hub = arg;
    struct hub_member *m, *next;
    int64_t began = pj_mono_us();

    (void)fd;
    (void)what;
    for (m = TAILQ_FIRST(&hub->members); m != NULL; m = next) {
        next = TAILQ_NEXT(m, link);
        if (m->state == MEMBER_LIVE)
            hub_pump(hub, m);
    }
    int64_t now = pj_mono_us();
    hub->quiet_until_us = now + flush_pause(now - began);
}

static void schedule(struct hub *hub)
{
    int64_t wait = hub->quiet_until_us - pj_mono_us();
    struct timeval tv = {0, 0};

    if (event_pending(hub->flush, EV_TIMEOUT, NULL))
        return;
    if (wait > 0)
        tv.tv_usec = wait;
    event_add(hub->flush, &tv);
}

static void on_retry(evutil_socket_t fd, short what, void *arg);

struct hub *hub_new(struct fanout *fanout, const char *task_id)
{
    struct hub *hub = pj_alloc(1, sizeof *hub);

    hub->fanout = fanout;
    snprintf(hub->task_id, sizeof hub->task_id, "%s", task_id);
    pj_key_task_channel(hub->channel, task_id);
    TAILQ_INIT(&hub->members);
    hub->queue_end = &hub->queue;
    hub->flush = evtimer_new(fanout_api(fanout)->base, on_flush, hub);
    hub->retry = evtimer_new(fanout_api(fanout)->base, on_retry, hub);
    return hub;
}

static void drop_queue(struct hub *hub)
{
    while (hub->queue != NULL) {
        struct queued *q = hub->queue;
        hub->queue = q->next;
        free(q);
    }
    hub->queue_end = &hub->queue;
    hub->queued_bytes = 0;
}

void hub_free(struct hub *hub)
{
    if (hub->filling && !event_pending(hub->retry, EV_TIMEOUT, NULL)) { /* its reply still comes */
        hub->closing = true;
        return;
    }
    drop_queue(hub);
    event_free(hub->retry);
    event_free(hub->flush);
    ring_release(&hub->ring);
    free(hub);
}

/* Viewers that waited for the hub to reach them. */
static void admit(struct hub *hub)
{
    struct hub_member *m;

    TAILQ_FOREACH(m, &hub->members, link)
    if (m->state == MEMBER_WAITING && log_id_compare(m->last, hub->last) <= 0) {
        m->state = MEMBER_LIVE;
        m->offset = ring_seek(&hub->ring, m->last.attempt, m->last.n);
    }
}

static void append(struct hub *hub, const struct pj_str *frames, struct log_id first, int64_t count)
{
    struct log_id forgot;

    if (frames->len == 0)
        return;
    if (ring_append(&hub->ring, pj_view_n(frames->data, frames->len), first.attempt, first.n, count,
                    &forgot.attempt, &forgot.n) > 0)
        hub->start = forgot;
    schedule(hub);
}

/* Lines first..first+count-1, each with its '\n'; what is known already is left out. */
static void append_lines(struct hub *hub, int64_t attempt, int64_t first, int64_t count,
                         struct pj_view lines)
{
    struct pj_str frames;
    struct pj_view line;
    struct log_id id = {attempt, first}, from = {attempt, 0};

    pj_str_init(&frames, lines.n + (size_t)count * 80 + 16);
    for (; id.n < first + count && pj_view_cut(&lines, '\n', &line); id.n++) {
        if (log_id_compare(id, hub->last) <= 0)
            continue;
        if (frames.len == 0)
            from.n = id.n;
        frame_log(&frames, id, line);
        hub->last = id;
    }
    if (frames.len > 0)
        append(hub, &frames, from, hub->last.n - from.n + 1);
    pj_str_release(&frames);
    admit(hub);
}

static void end_viewers(struct hub *hub, struct log_id last, int status, bool shown)
{
    struct hub_member *m;

    hub->ended = true;
    TAILQ_FOREACH(m, &hub->members, link)
    {
        bool beyond = m->state == MEMBER_WAITING; /* it named a place that no entry will reach */
        if (beyond) {
            m->state = MEMBER_LIVE;
            m->offset = hub->ring.end;
        }
        if (m->state == MEMBER_LIVE && m->end_offset == UINT64_MAX) {
            m->end_offset = hub->ring.end;
            m->end_id = (struct log_id){last.attempt, last.n + 1};
            m->end_status = status;
            m->end_shown = shown && !beyond;
        }
    }
    schedule(hub);
}

/* True when it was taken; false when the store must be asked for what is missing before it. */
static bool apply_log(struct hub *hub, const struct pj_message *msg, bool force)
{
    const struct log_id first = {msg->attempt, msg->first};

    if (!hub->placed) {
        hub->placed = true;
        hub->start = hub->last = (struct log_id){msg->attempt, msg->first - 1};
    }
    if (msg->attempt == hub->last.attempt ? msg->first > hub->last.n + 1
                                          : log_id_compare(first, hub->last) > 0) {
        if (!force)
            return false;
    }
    append_lines(hub, msg->attempt, msg->first, msg->count, msg->body);
    return true;
}

static bool apply_status(struct hub *hub, const struct pj_message *msg, bool force)
{
    bool ended = pj_task_is_ended((enum pj_task_status)msg->status);
    const struct log_id last = {msg->status_attempt, msg->logged_n};
    struct pj_str frame;

    if (ended && hub->placed && msg->logged_n > 0 && log_id_compare(hub->last, last) < 0 && !force)
        return false;
    pj_str_init(&frame, msg->body.n + 64);
    frame_event(&frame, "status", msg->body);
    append(hub, &frame, hub->last, 0);
    pj_str_release(&frame);
    hub->ended = false;
    if (ended)
        end_viewers(hub, last, msg->status, true);
    return true;
}

static bool apply(struct hub *hub, struct pj_view payload, bool force)
{
    struct pj_message msg;
    struct pj_err err;

    if (pj_message_parse(payload, &msg, &err) < 0) {
        pj_log_err(PJ_LOG_WARN, "message_malformed", &err, "taskId", hub->task_id);
        return true;
    }
    return msg.kind == PJ_MESSAGE_LOG ? apply_log(hub, &msg, force)
                                      : apply_status(hub, &msg, force);
}

static void enqueue(struct hub *hub, struct pj_view payload)
{
    if (hub->queued_bytes + payload.n >
        QUEUED_MAX) /* what is dropped here jumps later, and is filled then */
        return;
    struct queued *q = pj_alloc(1, sizeof *q + payload.n);
    q->n = payload.n;
    memcpy(q->bytes, payload.p, payload.n);
    *hub->queue_end = q;
    hub->queue_end = &q->next;
    hub->queued_bytes += payload.n;
}

void hub_message(struct hub *hub, struct pj_view payload)
{
    if (!hub->filling && apply(hub, payload, false))
        return;
    enqueue(hub, payload);
    if (!hub->filling)
        hub_fill(hub);
}

/* The store has been read to its end: go on with what came meanwhile. A jump that the store cannot explain is taken as it is. */
static void drain_queue(struct hub *hub)
{
    while (hub->queue != NULL) {
        struct queued *q = hub->queue;
        if (!apply(hub, pj_view_n(q->bytes, q->n), !hub->progress)) {
            hub_fill(hub);
            return;
        }
        hub->queue = q->next;
        if (hub->queue == NULL)
            hub->queue_end = &hub->queue;
        hub->queued_bytes -= q->n;
        free(q);
    }
}

static void take_page(struct hub *hub, const struct pj_events_page *page)
{
    for (size_t i = 0; i < page->count; i++) {
        struct log_id id;
        if (pj_event_line_id(page->lines[i], &id.attempt, &id.n) == 0 &&
            log_id_compare(id, hub->last) > 0) {
            struct pj_str frame;
            pj_str_init(&frame, page->lines[i].n + 96);
            frame_log(&frame, id, page->lines[i]);
            hub->last = id;
            append(hub, &frame, id, 1);
            pj_str_release(&frame);
            hub->progress = true;
        }
    }
    admit(hub);
}

static void on_page(void *arg, const struct redisReply *reply, struct pj_err *err);

static void read_store(struct hub *hub)
{
    struct pj_cmd cmd = {0};

    pj_events_page_cmd(&cmd, hub->task_id, hub->last.attempt, hub->last.n, FILL_PAGE, 0);
    pj_aredis_submit(fanout_api(hub->fanout)->redis, &cmd, on_page, hub);
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    read_store(arg);
}

/* The store cannot be reached: what comes meanwhile waits. A task or log that is gone has nothing to fill with. */
static void fill_failed(struct hub *hub, const struct pj_err *err)
{
    struct timeval wait = {0, 500000};

    if (err->cls == PJ_E_CANCELLED) {
        hub->filling = false;
    } else if (err->cls == PJ_E_NOT_FOUND) {
        hub->filling = hub->progress = false;
        drain_queue(hub);
    } else {
        pj_log_err(PJ_LOG_WARN, "log_fill_failed", err, "taskId", hub->task_id);
        event_add(hub->retry, &wait);
    }
}

static void on_page(void *arg, const struct redisReply *reply, struct pj_err *err)
{
    struct hub *hub = arg;
    struct pj_events_page page = {0};
    struct pj_err local;

    if (hub->closing) {
        hub->filling = false;
        hub_free(hub);
        return;
    }
    if (reply == NULL || pj_events_page_reply(reply, &page, &local) < 0) {
        fill_failed(hub, reply == NULL ? err : &local);
        return;
    }
    take_page(hub, &page);
    if (page.more) {
        pj_events_page_release(&page);
        read_store(hub);
        return;
    }
    hub->filling = hub->ended = false; /* what comes after the page is in the queue */
    drain_queue(hub);
    if (!hub->filling && pj_task_is_ended((enum pj_task_status)page.status))
        end_viewers(hub, (struct log_id){page.attempt, page.logged_n}, page.status, false);
    pj_events_page_release(&page);
}

void hub_fill(struct hub *hub)
{
    if (!hub->placed || hub->filling)
        return;
    hub->filling = true;
    hub->progress = false;
    read_store(hub);
}

int hub_join(struct hub *hub, struct hub_member *member, bool force)
{
    member->end_offset = UINT64_MAX;
    /* The end came over the one connection before a page over the other that does not have it yet: nobody would tell this member. */
    if (hub->ended && !force)
        return PJ_NONE;
    if (!hub->placed) {
        hub->placed = true;
        hub->start = hub->last = member->last;
    }
    if (log_id_compare(member->last, hub->start) < 0) {
        if (!force)
            return PJ_NONE;
        member->last = hub->start;
    }
    member->state = MEMBER_WAITING;
    admit(hub);
    if (member->state == MEMBER_LIVE)
        schedule(hub);
    return 0;
}

void hub_pump(struct hub *hub, struct hub_member *member)
{
    size_t sent_now = 0;

    if (conn_stream_blocked(member->conn)) {
        if (hub->ring.end - member->offset > BEHIND_MAX || member->offset < hub->ring.base) {
            fanout_api(hub->fanout)->metrics.sse_dropped++;
            conn_close(member->conn);
        }
        return;
    }
    while (member->offset < hub->ring.end && member->offset < member->end_offset) {
        struct pj_view bytes = ring_at(&hub->ring, member->offset);
        size_t n = bytes.n < TURN_MAX - sent_now ? bytes.n : TURN_MAX - sent_now;
        if (member->end_offset - member->offset < n)
            n = (size_t)(member->end_offset - member->offset);
        ssize_t sent = conn_stream_send(member->conn, bytes.p, n);
        if (sent < 0)
            return;
        member->offset += (uint64_t)sent;
        sent_now += (size_t)sent;
        if ((size_t)sent < n)
            return;
        if (sent_now == TURN_MAX) {
            conn_stream_kick(member->conn);
            return;
        }
    }
    if (member->offset == member->end_offset)
        member->ended(member->arg);
}
