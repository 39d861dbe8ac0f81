/* link.h - one Redis connection on the loop that comes back by itself: connect, greet, report, and again after a pause.
 *
 * Shared by async.c and sub.c. With sentinels the primary is asked for anew before each try. Callbacks run on the loop. */
#ifndef PJ_STORE_LINK_H
#define PJ_STORE_LINK_H

#include <event2/event.h>
#include "lib/store/session.h"

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
    struct pj_tls *tls;         /* NULL: none */
    struct pj_session *session; /* NULL: none */
    struct event *timer;        /* the pause before a try, or the deadline of one */
    unsigned tries;
    size_t greetings_left;
    size_t sentinel;              /* the one that is asked */
    struct pj_redis_addr primary; /* what it said */
    char last_error[400];
    char told[400]; /* what the log says of it; "" while it is up */
    void *owner;
    void (*on_up)(void *owner);
    void (*on_down)(void *owner); /* after every up; what was sent is lost */
    void (*on_push)(void *owner,
                    const struct redisReply *reply); /* NULL: nothing may come unasked */
};

/* The callbacks are set by the caller beforehand. Fails only for what pj_redis_check() finds. The first try starts from the loop. */
int pj_alink_init(struct pj_alink *link, struct event_base *base,
                  const struct pj_redis_options *options, struct pj_err *err) PJ_MUST_CHECK;
void pj_alink_release(struct pj_alink *link);
/* False when it is not up. `cb` as in pj_session_send(). */
bool pj_alink_send(struct pj_alink *link, const struct pj_cmd *cmd, bool source, pj_session_cb *cb,
                   void *arg);
/* Close and try again after a pause. What waits for replies is called with NULL. */
void pj_alink_drop(struct pj_alink *link, const char *why);

#endif
