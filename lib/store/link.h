/* link.h - one Redis connection on the loop that comes back by itself: connect, greet, report, and again after a pause.
 *
 * Shared by async.c and sub.c. With sentinels the primary is asked for anew before each try. Callbacks run on the loop. */
#ifndef PJ_STORE_LINK_H
#define PJ_STORE_LINK_H

#include <event2/event.h>
#include <hiredis/async.h>
#include "lib/store/conn.h"

enum pj_alink_state {
    PJ_LINK_DOWN,
    PJ_LINK_ASKING,
    PJ_LINK_CONNECTING,
    PJ_LINK_GREETING,
    PJ_LINK_UP
};

struct pj_alink {
    struct event_base *base;
    struct pj_redis_target target;
    char *name;
    int connect_ms;
    enum pj_alink_state state;
    redisAsyncContext *ctx;
    struct event *timer; /* the pause before a try, or the deadline of one */
    unsigned tries;
    size_t greetings_left;
    size_t sentinel;              /* the one to ask */
    struct pj_redis_addr primary; /* what it said */
    char last_error[200];
    void *owner;
    void (*on_up)(void *owner);
    void (*on_down)(void *owner); /* after every up; what was sent is lost */
};

/* Fails only for a bad URL. The first try starts from the loop. */
int pj_alink_init(struct pj_alink *link, struct event_base *base,
                  const struct pj_redis_options *options, void *owner, void (*on_up)(void *owner),
                  void (*on_down)(void *owner), struct pj_err *err) PJ_MUST_CHECK;
void pj_alink_release(struct pj_alink *link);
/* Close and try again after a pause. Pending callbacks of hiredis fire with NULL. */
void pj_alink_drop(struct pj_alink *link, const char *why);

#endif
