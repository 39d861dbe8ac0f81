/* dial.h - what both connections share: the greeting after connecting, and the pause between tries. */
#ifndef PJ_STORE_DIAL_H
#define PJ_STORE_DIAL_H

#include "lib/store/conn.h"

#define PJ_GREETING_MAX 4
/* The commands to send first (AUTH, SELECT, CLIENT SETNAME), as many as apply; each must be answered without an error. */
size_t pj_redis_greeting(const struct pj_redis_target *target, const char *name,
                         struct pj_cmd cmds[PJ_GREETING_MAX]);
/* Milliseconds before try `n` (0, 1, …): 50, 100, … up to 2000, with jitter. */
int pj_redis_pause_ms(unsigned n);
/* Mark close-on-exec (hiredis 0.14 does not), keepalive off the loop's way. */
void pj_redis_adopt_fd(int fd);

#endif
