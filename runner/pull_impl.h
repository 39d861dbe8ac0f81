/* pull_impl.h - one operation on a forge over all its tries, as the files of pull.h share it. */
#ifndef RUNNER_PULL_IMPL_H
#define RUNNER_PULL_IMPL_H

#include <jansson.h>
#include "lib/forge/rest.h"
#include "runner/pull.h"
#include "runner/retry.h"

struct pull_op {
    const struct pull_forge *forge;
    const struct pull_spec *spec;
    struct pj_rest rest;
    struct retry retry;
    struct pj_rest_answer answer; /* of the last call */
    struct pull_upstream *upstream;
    bool lagged; /* "No commits between" was answered once */
};

/* AUTH/"github_auth" when there is no token. */
int pull_check_forge(const struct pull_forge *forge, struct pj_err *err) PJ_MUST_CHECK;
void pull_op_begin(struct pull_op *op);
void pull_op_end(struct pull_op *op);
bool pull_op_is_gitea(const struct pull_op *op);
/* "/repos/<owner>/<name>" and `rest`; owned by the caller. */
char *pull_op_path(const struct pull_op *op, const char *rest);
/* One call: 0 whenever an answer came; it is in op->answer. */
int pull_op_call(struct pull_op *op, const char *method, const char *path, const json_t *body,
                 struct pj_err *err) PJ_MUST_CHECK;
/* After a failure: 1 to try again, 0 to give up, -1 when the pump ended the wait. */
int pull_op_again(struct pull_op *op, struct pj_err *err) PJ_MUST_CHECK;

#endif
