/* gather.h - what many ask for in one turn of the loop, asked of Redis in one script.
 *
 * One script for sixty-four tasks costs Redis a third of sixty-four scripts. Nobody waits for company: what was added while the loop
 * handled one round of events leaves at the end of that round, alone or together. Answers and errors come as from async.h. */
#ifndef PJ_STORE_GATHER_H
#define PJ_STORE_GATHER_H

#include "lib/store/async.h"
#include "lib/task/outcome.h"
#include "lib/task/task.h"

struct event_base;
struct pj_gather;

/* `redis` must outlive it. */
struct pj_gather *pj_gather_new(struct event_base *base, struct pj_aredis *redis);
/* What has not left yet is answered CANCELLED. */
void pj_gather_free(struct pj_gather *g);

/* As pj_task_create_cmd(): cb's reply is for pj_task_create_reply(). Tasks with and without an idem_key travel apart. */
void pj_gather_create(struct pj_gather *g, const struct pj_task *task, bool execute,
                      const char *idem_key, pj_aredis_cb *cb, void *arg);
/* As pj_lease_finish_cmd(): cb's reply is for pj_lease_finish_reply(). */
void pj_gather_finish(struct pj_gather *g, const char *task_id, int64_t epoch, int64_t attempt,
                      const struct pj_outcome *outcome, pj_aredis_cb *cb, void *arg);

#endif
