/* meta.h - the store as a whole: schema number, number of partitions, fitness of the server. */
#ifndef PJ_STORE_META_H
#define PJ_STORE_META_H

#include "lib/store/conn.h"

#define PJ_SCHEMA 2 /* 1: a stream of tickets, indexes written at once */

struct pj_meta {
    int64_t schema;
    unsigned partitions; /* fixed at first start */
};

/* First start: writes schema and `partitions`. Later: answers what is there. CONFLICT `schema_newer` when a newer program wrote it, `schema_older` when one that this program cannot follow did. Also
 * makes the consumer groups. Every program calls it at start. */
int pj_store_open(struct pj_redis *redis, unsigned partitions, struct pj_meta *out,
                  struct pj_err *err) PJ_MUST_CHECK;

/* What users should know about the server, as findings: a failed one has level 2 (refuse to start: version below 7.0, a policy other
 * than noeviction with a limit), 1 is a warning (no appendonly: a restart loses tasks). */
#define PJ_STORE_FINDINGS_MAX 8
struct pj_store_finding {
    int level;
    char event[40];
    char detail[200];
    char remedy[200];
};
int pj_store_check(struct pj_redis *redis, struct pj_store_finding *out, size_t *count,
                   struct pj_err *err) PJ_MUST_CHECK;

#endif
