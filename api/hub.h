/* hub.h - the inside of fanout.c and hub.c: one watched task. */
#ifndef API_HUB_H
#define API_HUB_H

#include "api/fanout.h"
#include "api/ring.h"
#include "lib/store/keys.h"

TAILQ_HEAD(member_list, hub_member);

struct queued { /* a message that came while the hub was being filled */
    struct queued *next;
    size_t n;
    char bytes[];
};

struct hub {
    struct fanout *fanout;
    struct hub *chain; /* same bucket */
    char channel[PJ_KEY_SIZE];
    char task_id[40];
    struct ring ring;
    bool confirmed;
    bool placed; /* start and last are known */
    bool ended;  /* an end was told last: who joins with an older page reads the store again */
    struct log_id start; /* the entry before the ring's first */
    struct log_id last;
    bool filling, progress, closing;
    struct queued *queue, **queue_end;
    size_t queued_bytes;
    struct member_list members;
    size_t member_count;
    struct event *flush, *retry;
    int64_t quiet_until_us; /* no flush before */
    int64_t left_ms;        /* when the last viewer left */
};

struct hub *hub_new(struct fanout *fanout, const char *task_id);
void hub_free(struct hub *hub);
void hub_message(struct hub *hub, struct pj_view payload);
/* Messages may have been lost: compare with the store. */
void hub_fill(struct hub *hub);
struct api *fanout_api(const struct fanout *fanout);

#endif
