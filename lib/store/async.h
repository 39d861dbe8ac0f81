/* async.h - Redis on a libevent loop: a command connection and a subscriber.
 *
 * Both reconnect by themselves with backoff and jitter, for ever. Callbacks run on the loop, never inside the call that
 * submitted. A command connection may be freed from one of its callbacks, a subscriber may not. */
#ifndef PJ_STORE_ASYNC_H
#define PJ_STORE_ASYNC_H

#include "lib/store/conn.h"

struct event_base;
struct pj_aredis;
struct pj_sub;

/* Fires exactly once for each submit: `reply` is set (and valid for the call), or NULL with `err`. Error replies arrive as `err`. */
typedef void pj_aredis_cb(void *arg, const struct redisReply *reply, struct pj_err *err);

int pj_aredis_new(struct event_base *base, const struct pj_redis_options *options,
                  struct pj_aredis **out, struct pj_err *err) PJ_MUST_CHECK;
/* Pending callbacks fire with CANCELLED before it returns. */
void pj_aredis_free(struct pj_aredis *redis);

/* Send `cmd` (its content is moved out, also on failure). While there is no connection it waits for one until its deadline
 * (options.command_ms plus block_ms), then fails with UNAVAILABLE; the same when the connection is lost after sending, unless
 * the command may be repeated. At most PJ_AREDIS_PENDING_MAX are pending: beyond, UNAVAILABLE at once (backpressure). */
#define PJ_AREDIS_PENDING_MAX 10000
void pj_aredis_submit(struct pj_aredis *redis, struct pj_cmd *cmd, pj_aredis_cb *cb, void *arg);
bool pj_aredis_is_up(const struct pj_aredis *redis); /* connected and authenticated: readiness */
/* How often it came up so far: another number means that Redis was away meanwhile, and may have forgotten its last second. */
unsigned pj_aredis_connections(const struct pj_aredis *redis);
size_t pj_aredis_pending(const struct pj_aredis *redis);
/* Why it is not up: a borrowed message, "" when it is. */
const char *pj_aredis_last_error(const struct pj_aredis *redis);

struct pj_sub_events {
    void (*on_message)(void *arg, const char *channel, struct pj_view payload);
    void (*on_lost)(void *arg); /* messages may be missing from now on */
    void (*on_back)(void *arg); /* every channel is subscribed again: fill gaps from the store */
};

/* The subscriber publishes a heartbeat to itself every 5 s; none back for 15 s counts as lost. */
int pj_sub_new(struct event_base *base, const struct pj_redis_options *options,
               const struct pj_sub_events *events, void *arg, struct pj_sub **out,
               struct pj_err *err) PJ_MUST_CHECK;
void pj_sub_free(struct pj_sub *sub);
/* Subscribe; `confirmed` (may be NULL) fires once when Redis confirmed it: what is published from then on arrives. Channels are
 * counted: as many removes as adds. A pending confirmation of a removed channel does not fire. */
void pj_sub_add(struct pj_sub *sub, const char *channel, void (*confirmed)(void *arg), void *arg);
void pj_sub_remove(struct pj_sub *sub, const char *channel);
bool pj_sub_is_up(const struct pj_sub *sub);

#endif
