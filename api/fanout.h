/* fanout.h - one Redis subscriber for all viewers of task logs, and one hub a watched task.
 *
 * A hub is an append-only ring of formatted SSE frames. A line is formatted once, whatever the number of viewers; a viewer is an
 * offset into the ring. Numbers that jump were lost on the way (pub/sub promises nothing) and are filled from the store
 * before anything after them is shown. Who is more than a megabyte behind is dropped; he resumes by Last-Event-ID.
 *
 * Flushing adapts: the first line of a quiet hub goes out at once, the next flush not before eight times the duration of the last
 * one, within 10 and 50 ms; when twice the duration is more than that, after so long, at most 250 ms. */
#ifndef API_FANOUT_H
#define API_FANOUT_H

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include "lib/base/err.h"
#include "lib/base/str.h"
#include "lib/base/view.h"

struct api;
struct conn;
struct fanout;
struct hub;

/* A place in a task's log. */
struct log_id {
    int64_t attempt, n;
};
int log_id_compare(struct log_id a, struct log_id b);

enum member_state { MEMBER_NONE, MEMBER_WAITING, MEMBER_LIVE };

/* What a hub knows of a viewer; part of the viewer's own struct. */
struct hub_member {
    enum member_state state;
    struct conn *conn;
    struct log_id last;  /* waiting: what was replayed */
    uint64_t offset;     /* live: next byte to send */
    uint64_t end_offset; /* UINT64_MAX, or where the task ended: `ended` is called there */
    struct log_id end_id;
    int end_status;
    bool end_shown;               /* the ring has the `status` of this end */
    void (*confirmed)(void *arg); /* the channel is subscribed: replay now */
    void (*ended)(void *arg);
    void *arg;
    TAILQ_ENTRY(hub_member) link;
};

int fanout_new(struct api *api, struct fanout **out, struct pj_err *err) PJ_MUST_CHECK;
void fanout_free(struct fanout *fanout);

/* Watch a task. What is published is seen once hub_is_confirmed(); `confirmed` is called when that changes. */
bool hub_is_confirmed(const struct hub *hub);
struct hub *hub_enter(struct fanout *fanout, const char *task_id, struct hub_member *member);
void hub_leave(struct hub *hub, struct hub_member *member);

/* The viewer has everything up to member->last. 0: it is live or will be; PJ_NONE: the ring begins later, or the task has ended since:
 * replay more first.
 * `force` joins at the ring's beginning all the same (the store has nothing in between). */
int hub_join(struct hub *hub, struct hub_member *member, bool force) PJ_MUST_CHECK;
/* Send what the kernel takes. May close the connection. */
void hub_pump(struct hub *hub, struct hub_member *member);

/* Frames. */
void frame_log(struct pj_str *out, struct log_id id, struct pj_view entry);
void frame_event(struct pj_str *out, const char *event, struct pj_view data);

/* Statuses of all tasks, for GET /events. */
struct status_watch {
    void (*message)(void *arg, struct pj_view payload); /* of the status channel */
    void (*lost)(void *arg); /* messages may be missing: read the store again */
    void *arg;
    TAILQ_ENTRY(status_watch) link;
};
/* The channels are subscribed from the start; while they are not confirmed the first `lost` tells when they are. */
void fanout_watch_status(struct fanout *fanout, struct status_watch *watch);
void fanout_unwatch_status(struct fanout *fanout, struct status_watch *watch);

#endif
