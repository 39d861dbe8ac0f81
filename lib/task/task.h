/* task.h - a task, as CONTRACT.md section 3 shows it, with the few inner members that its executor needs.
 *
 * Plain data: store/tasks.h reads and writes it, pj_task_json() is what clients see. Strings are owned; pj_task_release() frees
 * them. Absent numbers are -1 where 0 is a value, times are Unix ms and 0 when absent. */
#ifndef PJ_TASK_TASK_H
#define PJ_TASK_TASK_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include "lib/base/id.h"
#include "lib/json/codec.h"
#include "lib/task/state.h"

#define PJ_TITLE_MAX 200
#define PJ_DESCRIPTION_MAX (64 * 1024)
#define PJ_ANSWER_MAX (16 * 1024)
#define PJ_QUESTION_MAX (8 * 1024)
#define PJ_PATCH_MAX (8 * 1024 * 1024)

struct pj_task_limits { /* each -1 when not given */
    int64_t timeout_ms;
    int64_t tokens;
    int64_t cost_microusd;
    int64_t turns;
};

struct pj_task_model {
    char *provider; /* NULL: not chosen */
    char *name;
};

struct
    pj_task_upstream { /* what the provider or forge said; absent when status is 0 and message NULL */
    int64_t status;
    char *message;
    char *request_id;
};

struct pj_task_error { /* absent when code is NULL */
    char *code;
    char *title;
    char *detail;
    char *remedy;
    bool retryable;
    struct pj_task_upstream upstream;
};

struct pj_task_pr { /* absent when url is NULL */
    int64_t number;
    char *url;
    char *state; /* "open", "closed", "merged" */
};

struct pj_task_usage {     /* over all attempts */
    int64_t prompt_tokens; /* includes cached ones */
    int64_t completion_tokens;
    int64_t cached_tokens;
    int64_t cache_write_tokens;
    int64_t reasoning_tokens;
    int64_t total_tokens;  /* prompt + completion */
    int64_t cost_microusd; /* -1 when a call had no price, or there was none */
};

struct pj_task {
    char *id;
    char *repository_id;
    char *owner; /* user id */
    char *title;
    char *description;
    int status; /* enum pj_task_status */
    int stage;  /* enum pj_task_stage, -1 unless running */
    int executor;
    int priority;
    int64_t attempt;
    struct pj_task_model
        model;         /* chosen for this task; clients see what ran where nothing was chosen */
    char *base_branch; /* NULL: the repository's */
    char *branch;      /* pj/<id> once pushed */
    char *pr_url;
    struct pj_task_pr pr;
    char *base_sha;
    char *commit_sha;
    char *runner;
    char *question;
    char *answer;
    char *feedback; /* of the last retry */
    struct pj_task_error error;
    json_t *checks; /* array of {command, before, after}, or NULL */
    struct pj_task_usage usage;
    struct pj_task_limits limits;
    json_t *source; /* object, or NULL */
    int64_t created_ms;
    int64_t executed_ms;
    int64_t started_ms;
    int64_t finished_ms;
    int64_t updated_ms;
    /* Not shown to clients. */
    struct pj_task_model ran; /* the provider and model in use when the last run ended */
    int64_t epoch;            /* of the last lease */
    int64_t deliveries;       /* of this attempt */
    int64_t logged_n;         /* last log number of this attempt */
    int64_t leased;    /* 1 while a runner holds it, 2 external (a workflow has it), 0 otherwise */
    int64_t cancel_ms; /* when a cancel was asked for while running */
    int64_t logs_gone; /* 1 after retention took the logs */
    int64_t has_patch; /* 1 when a patch text is stored */
    int64_t timeout_default_ms; /* the timeout the last lease applied when limits name none */
    int64_t run_id;             /* of the workflow run that has it; 0: not known */
    int64_t run_floor;          /* runs up to this number belong to earlier attempts */
    char *mode;                 /* NULL, or "publish": push the kept patch as it is */
    char *tips; /* commits recorded before a push, blanks between: what of the branch is ours */
    json_t *
        rejects; /* what of the kept patch did not apply: [{path, hunk|null, reason}], counted from 1; or NULL */
};

void pj_task_init(struct pj_task *task); /* zero, with the -1 of absent values */
void pj_task_release(struct pj_task *task);
void pj_task_free(struct pj_task *task); /* release and free; for tasks handed out by pointer */
void pj_task_freep(struct pj_task **task);

/* The Task object of CONTRACT.md section 3, links and all; the caller decrefs. Links are paths under /api/v1. */
json_t *pj_task_json(const struct pj_task *task);
/* The whole of it, inner members too: what a daemon hands its job process. The reverse refuses unknown fields. */
json_t *pj_task_wire(const struct pj_task *task);
int pj_task_from_wire(const json_t *doc, struct pj_task *out, struct pj_err *err) PJ_MUST_CHECK;
/* {id,status,stage,attempt,updatedAt}: data of the SSE event `status`. */
json_t *pj_task_status_json(const struct pj_task *task);

/* Field tables for bodies: `limits` and `model` of POST and PATCH /tasks. */
extern const struct pj_field pj_task_limits_fields[4];
extern const size_t pj_task_limits_field_count;
extern const struct pj_field pj_task_model_fields[2];
extern const size_t pj_task_model_field_count;
extern const struct pj_field pj_task_error_fields[6]; /* used by outcome.c */

/* What a comment of ours on an issue begins with; the forge does not show it. */
#define PJ_COMMENT_MARK "<!-- pithy-jaunt:"

/* "pj/<id>". `out` holds PJ_TASK_BRANCH_SIZE. */
#define PJ_TASK_BRANCH_SIZE 48
const char *pj_task_branch(const char *task_id, char out[PJ_TASK_BRANCH_SIZE]);

#endif
