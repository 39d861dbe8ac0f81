/* handover.h - what the working job of a workflow tells the publishing one, beside the patch: a JSON document of at most
 * HANDOVER_MAX bytes, which travels as a job's output (GitHub Docs, "Passing information between jobs"). No secret is in it, and
 * another user reads it: the container's is not the workflow's. */
#ifndef RUNNER_HANDOVER_H
#define RUNNER_HANDOVER_H

#include "runner/job.h"

#define HANDOVER_MAX ((size_t)64 * 1024)

/* Write what is known of the work done to `path`, on one line. */
int handover_write(const struct job *job, const char *path, struct pj_err *err) PJ_MUST_CHECK;
/* Read it into `job`. INVALID when it is none. */
int handover_read(struct job *job, const char *path, struct pj_err *err) PJ_MUST_CHECK;

#endif
