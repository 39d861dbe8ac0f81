/* dial.h - what both connections share: the files for TLS, the greeting after connecting, and the pause between tries. */
#ifndef PJ_STORE_DIAL_H
#define PJ_STORE_DIAL_H

#include "lib/store/conn.h"

struct pj_tls;

/* The target of the URL, and when it is one with TLS, what that needs (else *tls is NULL). */
int pj_redis_aim(const struct pj_redis_options *options, struct pj_redis_target *target,
                 struct pj_tls **tls, struct pj_err *err) PJ_MUST_CHECK;

#define PJ_QUESTION_MAX 2
/* What a sentinel is sent: AUTH when it is to be, and last the question for the primary. */
size_t pj_redis_ask_primary(const struct pj_redis_target *target,
                            struct pj_cmd cmds[PJ_QUESTION_MAX]);
/* One answer of the target's sentinel number `nth`: 1 when it was the last and `primary` is filled (host owned by the caller), 0 for
 * AUTH's, -1 with what is wrong with this sentinel or with what it was told, in words of its own settings. */
int pj_redis_take_primary(const struct pj_redis_target *target, size_t nth,
                          const struct redisReply *reply, bool last, struct pj_redis_addr *primary,
                          struct pj_err *err) PJ_MUST_CHECK;

#define PJ_GREETING_MAX 4
/* The commands to send first (AUTH, SELECT, CLIENT SETNAME), as many as apply; each must be answered without an error. */
size_t pj_redis_greeting(const struct pj_redis_target *target, const char *name,
                         struct pj_cmd cmds[PJ_GREETING_MAX]);
/* Milliseconds before try `n` (0, 1, …): 50, 100, … up to 2000, with jitter. */
int pj_redis_pause_ms(unsigned n);

#endif
