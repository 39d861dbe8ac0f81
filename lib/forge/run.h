/* run.h - a run of a GitHub workflow, as answers and webhooks tell of it. No calls here: pj-api needs it, too, and makes none. */
#ifndef PJ_FORGE_RUN_H
#define PJ_FORGE_RUN_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include "lib/task/outcome.h"

struct pj_run {
    int64_t id; /* 0: not known (yet) */
    char url[400];
    bool ended;
    char conclusion[40]; /* once ended: "success", "failure", "cancelled", "timed_out", … */
};

/* A run as GitHub writes it, in an answer or in a webhook. */
void pj_run_read(const json_t *doc, struct pj_run *out);
/* What a run that ended without a report means for its task; `cancel`: somebody had asked for that. *out is initialised here. */
void pj_run_outcome(const struct pj_run *run, bool cancel, struct pj_outcome *out);

#endif
