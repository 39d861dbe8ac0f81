/* outcome.h - how an attempt ended: what a job reports and `finish` stores; and the table of ends, CONTRACT.md section 9.
 *
 * Tokens are not part of it: every model call was recorded as it happened (store/usage.h). */
#ifndef PJ_TASK_OUTCOME_H
#define PJ_TASK_OUTCOME_H

#include "lib/task/task.h"

struct pj_outcome {
    int status;                 /* enum pj_task_status: an end */
    struct pj_task_error error; /* code NULL when completed or cancelled */
    char *branch;
    char *commit_sha;
    char *base_sha;
    char *pr_url;
    struct pj_task_pr pr;
    char *question;
    char *patch;             /* NULL: none to keep; at most PJ_PATCH_MAX bytes */
    json_t *checks;          /* array, or NULL */
    bool repository_invalid; /* the remote was not reachable: mark the repository (R1.3) */
};

struct pj_end { /* a row of the table */
    const char *code;
    enum pj_task_status status;
    bool retryable;
    const char *title;
    const char *remedy;
};

/* The table, sorted by code; ends with a NULL code. */
extern const struct pj_end pj_ends[];
/* The row of `code`, NULL when it has none (such an end is `failed`, not retryable). */
const struct pj_end *pj_end_find(const char *code);

void pj_outcome_init(struct pj_outcome *out);
void pj_outcome_release(struct pj_outcome *out);
/* An end with `code`: status, title, remedy and retryable from its row (a non-empty `remedy` replaces the row's), `detail` as
 * given. Whatever else is set in *out stays. */
void pj_outcome_fail(struct pj_outcome *out, const char *code, const char *detail,
                     const char *remedy);
/* The same from an error: its code when it is an end's, else `fallback_code`; its message is the detail. */
void pj_outcome_from_err(struct pj_outcome *out, const struct pj_err *err,
                         const char *fallback_code);
void pj_outcome_complete(struct pj_outcome *out);
void pj_outcome_cancel(struct pj_outcome *out);
void pj_outcome_upstream(struct pj_outcome *out, int64_t status, const char *message,
                         const char *request_id);

/* JSON on the job's outcome descriptor; decode is strict. */
json_t *pj_outcome_json(const struct pj_outcome *out);
int pj_outcome_from_json(const json_t *doc, struct pj_outcome *out,
                         struct pj_err *err) PJ_MUST_CHECK;

#endif
