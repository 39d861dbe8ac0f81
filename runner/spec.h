/* spec.h - what the daemon tells a job process on descriptor 3: the lease, the task, the repository (its secrets still sealed). */
#ifndef RUNNER_SPEC_H
#define RUNNER_SPEC_H

#include <stdint.h>
#include "lib/base/err.h"
#include "lib/base/view.h"
#include "lib/store/lease.h"
#include "lib/task/repo.h"
#include "lib/task/task.h"

struct job_spec {
    char *runner; /* name of this runner */
    int64_t epoch;
    int64_t deliveries;
    int64_t next_n;
    int64_t
        deadline_mono_ms; /* of the attempt, by pj_mono_ms(), which all processes of a host share */
    struct pj_task task;
    struct pj_repo repo;
};

/* The document as text; owned by the caller. */
char *job_spec_text(const struct pj_lease *lease, const struct pj_repo *repo, const char *runner,
                    int64_t deadline_mono_ms);
/* Fill *out, which the caller releases also after a failure. */
int job_spec_parse(struct pj_view text, struct job_spec *out, struct pj_err *err) PJ_MUST_CHECK;
void job_spec_release(struct job_spec *spec);

#endif
