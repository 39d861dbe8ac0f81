/* hook_body.h - the body of an execution webhook (CONTRACT.md section 5), read and checked. */
#ifndef API_HOOK_BODY_H
#define API_HOOK_BODY_H

#include "api/request.h"
#include "lib/store/usage.h"
#include "lib/task/outcome.h"

enum hook_type { HOOK_CLAIM, HOOK_PROGRESS, HOOK_COMPLETED, HOOK_FAILED };

struct hook_error {
    char *code, *message;
};

/* Of a patch that is too long for one webhook, or no UTF-8. */
struct hook_part {
    int64_t offset;
    char *base64; /* NULL: there is none */
};

struct hook_usage {
    struct pj_task_model model;
    int64_t prompt, completion, cached;
};

struct hook_body {
    int type; /* enum hook_type */
    char *task_id;
    char *branch, *pr_url, *patch, *question, *base_sha, *commit_sha;
    struct hook_error error;
    json_t *logs; /* text, or an array of entries; NULL */
    struct hook_part part;
    struct hook_usage usage;
    bool has_usage;
    int64_t attempt; /* -1: not named */
    int64_t run_id;  /* of the workflow that says so, -1: not named */
    int stage;       /* -1: not named */
};

/* 0, or -1 when answered with 400. Release in both cases. */
int hook_body_read(struct request *req, struct hook_body *out) PJ_MUST_CHECK;
void hook_body_release(struct hook_body *body);
/* The end it reports; only for COMPLETED and FAILED. */
void hook_body_outcome(const struct hook_body *body, struct pj_outcome *out);

#endif
