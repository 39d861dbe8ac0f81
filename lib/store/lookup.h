/* lookup.h - names to addresses, and nobody waits: the system's resolver (hosts, DNS, whatever nsswitch.conf says) in threads of its own.
 *
 * getaddrinfo() takes half a minute when no name server answers, and nothing calls it off. So it runs in a thread, of which a process
 * has at most PJ_LOOKUP_THREADS, and only while there is something to look up. Who asks gets a descriptor to wait for, and may go away at
 * any time. What several ask for is looked up once; an answer too late for those who asked is kept for the next one, so that a name
 * server slower than their patience is of use as well. Numeric addresses need none of this. */
#ifndef PJ_STORE_LOOKUP_H
#define PJ_STORE_LOOKUP_H

#include "lib/base/err.h"

#define PJ_LOOKUP_THREADS                                                                          \
    8 /* as many as sentinels can be named: none waits for another one's name server */
#define PJ_LOOKUP_KEPT_MS 10000 /* how long a late answer is good for */

struct addrinfo;
struct pj_lookup;

/* Begins. What fails is told by _take(). Never NULL. */
struct pj_lookup *pj_lookup_new(const char *host, int port);
/* Also while it is under way. */
void pj_lookup_free(struct pj_lookup *lookup);
/* Readable when there is an answer; -1 when there was one from the beginning. */
int pj_lookup_fd(const struct pj_lookup *lookup);
/* 1: *found, as long as the look-up lives; 0: wait; -1: UNAVAILABLE, naming the host. */
int pj_lookup_take(struct pj_lookup *lookup, const struct addrinfo **found,
                   struct pj_err *err) PJ_MUST_CHECK;

#endif
