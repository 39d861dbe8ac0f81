/* job_remote.h - what the files of `pj-runner job --remote` share: job_remote.c reports, job_claim.c asks. */
#ifndef RUNNER_JOB_REMOTE_H
#define RUNNER_JOB_REMOTE_H

#include "lib/http/client.h"
#include "runner/job.h"

#define ANSWER_MAX ((size_t)16 << 20) /* a claim's may hold a patch of PJ_PATCH_MAX in base64 */

struct remote {
    char *callback, *task_id, *secret; /* from the workflow's environment */
    struct pj_http *http,
        *log_http;     /* two: the log is sent from the pump that a call on the first one serves */
    json_t *analysis;  /* of the claim, NULL: none */
    json_t *requester; /* the same */
    struct pj_str patch;  /* of the claim: what the working job sent */
    const char *handover; /* the file, NULL for a whole job */
    int64_t sent;         /* numbers the ids of webhooks that have no name of their own */
    char run[PJ_ID_SIZE]; /* this process, in those ids: a re-run of the workflow is another */
};

/* Send a webhook until it arrives, or the tries are used up. `body` is consumed; `name` becomes part of its id; *answer may be NULL. */
int remote_send(struct job *job, const char *name, json_t *body, struct pj_str *answer,
                struct pj_err *err) PJ_MUST_CHECK;
/* Claim the task: fills job->spec, and what the answer has beside it. */
int remote_claim(struct job *job, struct pj_err *err) PJ_MUST_CHECK;

#endif
