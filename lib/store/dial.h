/* dial.h - what both connections share: the files for TLS, the greeting after connecting, and the pause between tries. */
#ifndef PJ_STORE_DIAL_H
#define PJ_STORE_DIAL_H

#include "lib/store/conn.h"

struct pj_tls;

/* The target of the URL, and when it is one with TLS, what that needs (else *tls is NULL). */
int pj_redis_aim(const struct pj_redis_options *options, struct pj_redis_target *target,
                 struct pj_tls **tls, struct pj_err *err) PJ_MUST_CHECK;

/* What a sentinel is asked; and the primary out of its answer (host owned by the caller), -1 when it knows none. */
#define PJ_SENTINEL_UNKNOWN "the sentinel does not know this master"
void pj_redis_ask_primary(const struct pj_redis_target *target, struct pj_cmd *cmd);
int pj_redis_take_primary(const struct redisReply *reply, struct pj_redis_addr *primary);

#define PJ_GREETING_MAX 4
/* The commands to send first (AUTH, SELECT, CLIENT SETNAME), as many as apply; each must be answered without an error. */
size_t pj_redis_greeting(const struct pj_redis_target *target, const char *name,
                         struct pj_cmd cmds[PJ_GREETING_MAX]);
/* Milliseconds before try `n` (0, 1, …): 50, 100, … up to 2000, with jitter. */
int pj_redis_pause_ms(unsigned n);

#endif
