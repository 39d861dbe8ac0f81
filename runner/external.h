/* external.h - tasks that a workflow has: the net under its webhooks (DESIGN.md D4).
 *
 * Looks at the runs of external tasks: passes a cancel on, and ends a task whose run ended without a report. Any number of
 * runners may look at once: what they do may be done twice. Part of the outbox process, since a forge may be slow. */
#ifndef RUNNER_EXTERNAL_H
#define RUNNER_EXTERNAL_H

#include <stdint.h>
#include "lib/forge/actions.h"
#include "lib/store/conn.h"
#include "lib/task/repo.h"
#include "runner/settings.h"

/* Where a repository's tasks are dispatched (PJ_ACTIONS_*); strings owned. */
struct external_workflow {
    struct pj_workflow workflow;
    char *owner, *name;
};

/* INVALID names PJ_ACTIONS_REPOSITORY when it is no owner/name. Release in either case. */
int external_workflow_of(const struct runner_settings *settings,
                         const struct pj_repo_address *address, const struct pj_repo *repo,
                         struct external_workflow *out, struct pj_err *err) PJ_MUST_CHECK;
void external_workflow_release(struct external_workflow *workflow);

struct external; /* the watch */
struct external *external_new(const struct runner_settings *settings, struct pj_redis *redis,
                              struct pj_http *http, struct pj_err *err);
void external_free(struct external *watch);
/* One look at the external tasks of a partition. Tasks with a cancel are looked at each time, others now and then. */
int external_tick(struct external *watch, unsigned partition, struct pj_err *err) PJ_MUST_CHECK;

#endif
