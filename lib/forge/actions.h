/* actions.h - GitHub Actions: start a workflow, find its run, read its state, cancel it.
 *
 * docs.github.com/en/rest/actions, version 2022-11-28. A dispatch answers 204 with nothing, or 200 with the run's details when they
 * were asked for (since 2026; servers from before refuse the question, and are asked again without it); the list of runs lags
 * behind it by seconds. Where the answer told nothing, a run of ours is known by its title, which holds the task's id
 * (`run-name`), and by its number, which is above that of the last attempt's run. One try each: the caller knows what may be
 * repeated. */
#ifndef PJ_FORGE_ACTIONS_H
#define PJ_FORGE_ACTIONS_H

#include <jansson.h>
#include "lib/forge/rest.h"
#include "lib/forge/run.h"

struct pj_workflow {
    const char *owner, *name; /* the repository that holds it */
    const char *file;         /* "pithy-jaunt.yml" */
    const char *ref;          /* branch it is taken from */
};

/* `inputs`: an object of strings. *out has the run when the answer told. FORBIDDEN/"github_permission" with the remedy when there
 * is no such workflow or the token may not start it; INVALID/"github_permission" when GitHub refuses the inputs or the workflow
 * has no workflow_dispatch; else as pj_rest_fail(). `status` and `said` (400 bytes) tell what the forge answered. */
int pj_actions_dispatch(const struct pj_rest *rest, const struct pj_workflow *workflow,
                        const json_t *inputs, struct pj_run *out, struct pj_rest_answer *answer,
                        struct pj_err *err) PJ_MUST_CHECK;
/* The newest run started by dispatch whose title holds `mark` and whose number is above `floor`. PJ_NONE: none is listed. */
int pj_actions_find(const struct pj_rest *rest, const struct pj_workflow *workflow,
                    const char *mark, int64_t floor, struct pj_run *out,
                    struct pj_err *err) PJ_MUST_CHECK;
/* The run of this number. PJ_NONE: there is none (any more). */
int pj_actions_get(const struct pj_rest *rest, const struct pj_workflow *workflow, int64_t run_id,
                   struct pj_run *out, struct pj_err *err) PJ_MUST_CHECK;
/* Ask a run to end. One that has ended already is fine. */
int pj_actions_cancel(const struct pj_rest *rest, const struct pj_workflow *workflow,
                      int64_t run_id, struct pj_err *err) PJ_MUST_CHECK;

#endif
