/* session.h - one connection on the loop from its first byte to its last: commands out, replies in, in order.
 *
 * It does not come back once it is over: link.c makes the next one. Owner and callbacks may end it, or free everything around it,
 * from inside any callback. */
#ifndef PJ_STORE_SESSION_H
#define PJ_STORE_SESSION_H

#include <event2/event.h>
#include "lib/store/conn.h"

struct pj_tls;
struct pj_session;

/* The reply to one command, borrowed; NULL: the session ended before it came. */
typedef void pj_session_cb(void *arg, const struct redisReply *reply);

struct pj_session_events {
    void (*on_open)(void *owner); /* connected, TLS included */
    void (*on_push)(void *owner,
                    const struct redisReply *reply);        /* no command waits for this reply */
    void (*on_over)(void *owner, const struct pj_err *why); /* last; not after pj_session_end() */
};

/* Begins to connect; nothing is called before the loop runs. Parameters as in pj_wire_new(). */
struct pj_session *pj_session_new(struct event_base *base, const char *path,
                                  const struct pj_redis_addr *addr, struct pj_tls *tls,
                                  unsigned nth, const struct pj_session_events *events,
                                  void *owner);
/* After on_open. With `cb` NULL its replies are pushes. Sent once the loop has worked off what is due now. */
void pj_session_send(struct pj_session *session, const struct pj_cmd *cmd, bool source,
                     pj_session_cb *cb, void *arg);
/* Closes; what waits for replies is called with NULL before it returns, the owner no more. */
void pj_session_end(struct pj_session *session);

/* Closes because what it waits for took too long; says what that was (borrowed). pj_session_end() is still owed. */
const struct pj_err *pj_session_expire(struct pj_session *session);

#endif
