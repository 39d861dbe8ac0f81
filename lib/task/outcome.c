#include "lib/task/outcome.h"

#include <string.h>
#include "lib/base/mem.h"

/* CONTRACT.md section 9, sorted by code. Titles say what happened, remedies what the user can do. */
const struct pj_end pj_ends[] = {
    {"checks_failed", PJ_TASK_NEEDS_REVIEW, true, "The checks fail with this change",
     "Read the check's output in the log. Retry with feedback, or publish the patch as it is."},
    {"cost_limit", PJ_TASK_FAILED, false, "The money limit of the task is used up",
     "Raise limits.costUsd or PJ_MAX_TASK_COST_USD, or make the task smaller, then retry."},
    {"github_auth", PJ_TASK_FAILED, false, "The forge does not accept the credential",
     "Give the repository a valid token (PATCH credential, or GITHUB_TOKEN), verify it, then "
     "retry."},
    {"github_permission", PJ_TASK_FAILED, false, "The credential may not do that",
     "The token needs to read and write contents and pull requests of this repository."},
    {"github_rate_limited", PJ_TASK_FAILED, true, "The forge asks to slow down",
     "Retry later, when the forge's limit is reset."},
    {"github_service", PJ_TASK_FAILED, true, "The forge has a problem",
     "Retry later; the forge's status page may say more."},
    {"llm_auth", PJ_TASK_FAILED, false, "The model provider does not accept the key",
     "Ask the operator to check the provider's API key."},
    {"llm_context", PJ_TASK_FAILED, false, "The task does not fit into the model's context",
     "Make the task smaller or name the files it is about, or choose a model with a larger "
     "context."},
    {"llm_model_not_found", PJ_TASK_FAILED, false, "The provider does not know the model",
     "Check MODEL_NAME, or the model named in the task."},
    {"llm_quota", PJ_TASK_FAILED, false, "The account at the model provider has no credit left",
     "Ask the operator to check billing at the provider."},
    {"llm_rate_limited", PJ_TASK_FAILED, true, "The model provider asks to slow down",
     "Retry in a few minutes."},
    {"llm_refused", PJ_TASK_FAILED, false, "The model refused the task",
     "Say in the description what the change is for."},
    {"llm_service", PJ_TASK_FAILED, true, "The model provider has a problem",
     "Retry later; the provider's status page may say more."},
    {"llm_timeout", PJ_TASK_FAILED, true, "The model did not answer in time",
     "Retry. If it happens again, raise PJ_LLM_TIMEOUT or choose a faster model."},
    {"model_protocol", PJ_TASK_FAILED, false, "The model's answer could not be understood",
     "Choose a model that supports tool calls, or check the base URL of the provider."},
    {"model_unpriced", PJ_TASK_FAILED, false,
     "The model has no price, but the task has a money limit",
     "Add a row for the model to the price table (PJ_PRICES), or remove the limit."},
    /* Not a failure of anything: the agent asks (R2.3). */
    {"needs_clarification", PJ_TASK_NEEDS_CLARIFICATION, false, "The agent has a question",
     "Answer it: the task then runs again."},
    {"no_changes", PJ_TASK_FAILED, false, "The agent changed nothing",
     "Say in the description what should be different afterwards."},
    {"patch_conflict", PJ_TASK_NEEDS_REVIEW, true, "The patch does not apply",
     "Look at the rejected hunks in the patch, then retry, with feedback if you can."},
    {"patch_malformed", PJ_TASK_NEEDS_REVIEW, true, "The patch is not a valid unified diff",
     "Retry; the log shows what is wrong with it."},
    {"patch_policy", PJ_TASK_NEEDS_REVIEW, true, "The patch touches what it may not",
     "Read the patch. Publish it if it is right, or retry with feedback."},
    {"pr_failed", PJ_TASK_FAILED, true, "The pull request could not be created",
     "The branch is pushed. Retry, or open the pull request by hand."},
    {"push_conflict", PJ_TASK_NEEDS_REVIEW, true,
     "The branch on the remote was changed by someone else",
     "Look at the branch; delete or rename it on the remote, then publish or retry."},
    {"repository_analysis", PJ_TASK_FAILED, false, "The repository could not be analysed",
     "Check the repository's URL, its default branch, and that it is not empty."},
    {"repository_unavailable", PJ_TASK_FAILED, false, "The repository cannot be reached",
     "Check its URL and credential, run verify on the repository, then retry."},
    {"runner_lost", PJ_TASK_FAILED, true, "The runner was lost, three times",
     "Retry. If it happens again, the task may exhaust the runner's memory or disk."},
    {"sandbox_unavailable", PJ_TASK_FAILED, false, "The runner cannot make a sandbox",
     "Ask the operator to run `pj-sandbox --check` on the runner."},
    {"setup_failed", PJ_TASK_FAILED, false, "The repository's setup command failed",
     "Read its output in the log; correct setupCommand, setupTimeoutMs or networkAllow of the "
     "repository."},
    {"task_timeout", PJ_TASK_FAILED, true, "The task took too long",
     "Retry with a higher limits.timeoutMs, or make the task smaller."},
    {"token_limit", PJ_TASK_FAILED, false, "The token limit of the task is used up",
     "Raise limits.tokens or PJ_MAX_TASK_TOKENS, or make the task smaller, then retry."},
    {"turn_limit", PJ_TASK_FAILED, false, "The agent used up its turns",
     "Raise limits.turns or PJ_MAX_TASK_TURNS, or make the task smaller, then retry."},
    {NULL, PJ_TASK_FAILED, false, NULL, NULL},
};

static const struct pj_field pr_fields[] = {
    {"number", PJ_F_INT, offsetof(struct pj_task_pr, number)},
    {"url", PJ_F_STR, offsetof(struct pj_task_pr, url), 0, 0, 2000},
    {"state", PJ_F_STR, offsetof(struct pj_task_pr, state), 0, 0, 40},
};

#define AT(member) offsetof(struct pj_outcome, member)
static const struct pj_field outcome_fields[] = {
    {"status", PJ_F_WORD, AT(status), PJ_FF_REQUIRED, .words = pj_task_status_words},
    {"error", PJ_F_OBJ, AT(error), .sub = pj_task_error_fields,
     .sub_count = PJ_COUNT_OF(pj_task_error_fields)},
    {"branch", PJ_F_STR, AT(branch), 0, 0, 250},
    {"commitSha", PJ_F_STR, AT(commit_sha), 0, 0, 64},
    {"baseSha", PJ_F_STR, AT(base_sha), 0, 0, 64},
    {"prUrl", PJ_F_STR, AT(pr_url), 0, 0, 2000},
    {"pr", PJ_F_OBJ, AT(pr), .sub = pr_fields, .sub_count = PJ_COUNT_OF(pr_fields)},
    {"question", PJ_F_STR, AT(question), 0, 0, PJ_QUESTION_MAX},
    {"patch", PJ_F_STR, AT(patch), 0, 0, PJ_PATCH_MAX},
    {"checks", PJ_F_JSON, AT(checks)},
    {"repositoryInvalid", PJ_F_BOOL, AT(repository_invalid)},
};

const struct pj_end *pj_end_find(const char *code)
{
    for (const struct pj_end *end = pj_ends; code && end->code; end++) {
        if (strcmp(end->code, code) == 0)
            return end;
    }
    return NULL;
}

void pj_outcome_init(struct pj_outcome *out)
{
    *out = (struct pj_outcome){.status = PJ_TASK_FAILED};
}

void pj_outcome_release(struct pj_outcome *out)
{
    pj_json_release(outcome_fields, PJ_COUNT_OF(outcome_fields), out);
    pj_outcome_init(out);
}

void pj_outcome_fail(struct pj_outcome *out, const char *code, const char *detail,
                     const char *remedy)
{
    const struct pj_end *end = pj_end_find(code);

    out->status = (int)(end ? end->status : PJ_TASK_FAILED);
    out->repository_invalid = strcmp(code, "repository_unavailable") == 0;
    pj_str_set(&out->error.code, code);
    pj_str_set(&out->error.title, end ? end->title : "The task failed");
    pj_str_set(&out->error.detail, detail);
    pj_str_set(&out->error.remedy, remedy && *remedy ? remedy : end ? end->remedy : NULL);
    out->error.retryable = end && end->retryable;
}

void pj_outcome_from_err(struct pj_outcome *out, const struct pj_err *err,
                         const char *fallback_code)
{
    if (err->cls == PJ_E_CANCELLED)
        pj_outcome_cancel(out);
    else
        pj_outcome_fail(out, pj_end_find(err->code) ? err->code : fallback_code, err->message,
                        err->remedy);
}

static void clear_error(struct pj_outcome *out)
{
    struct pj_task_error *error = &out->error;

    pj_str_set(&error->code, NULL);
    pj_str_set(&error->title, NULL);
    pj_str_set(&error->detail, NULL);
    pj_str_set(&error->remedy, NULL);
    pj_str_set(&error->upstream.message, NULL);
    pj_str_set(&error->upstream.request_id, NULL);
    error->upstream.status = 0;
    error->retryable = false;
    out->repository_invalid = false;
}

void pj_outcome_complete(struct pj_outcome *out)
{
    clear_error(out);
    out->status = PJ_TASK_COMPLETED;
}

void pj_outcome_cancel(struct pj_outcome *out)
{
    clear_error(out);
    out->status = PJ_TASK_CANCELLED;
}

void pj_outcome_upstream(struct pj_outcome *out, int64_t status, const char *message,
                         const char *request_id)
{
    out->error.upstream.status = status;
    pj_str_set(&out->error.upstream.message, message);
    pj_str_set(&out->error.upstream.request_id, request_id);
}

json_t *pj_outcome_json(const struct pj_outcome *out)
{
    json_t *doc = pj_json_encode(outcome_fields, PJ_COUNT_OF(outcome_fields), out);

    if (!out->error.code)
        (void)json_object_del(doc, "error");
    if (!out->pr.url)
        (void)json_object_del(doc, "pr");
    return doc;
}

int pj_outcome_from_json(const json_t *doc, struct pj_outcome *out, struct pj_err *err)
{
    struct pj_outcome outcome;

    pj_outcome_init(&outcome);
    if (pj_json_decode(doc, outcome_fields, PJ_COUNT_OF(outcome_fields), &outcome, NULL, err) ==
            0 &&
        pj_task_is_ended((enum pj_task_status)outcome.status)) {
        *out = outcome;
        return 0;
    }
    if (outcome.status == PJ_TASK_QUEUED || outcome.status == PJ_TASK_RUNNING)
        (void)pj_fail(err, PJ_E_PROTOCOL, "\"%s\" is no end of a task",
                      pj_task_status_word((enum pj_task_status)outcome.status));
    pj_outcome_release(&outcome);
    return pj_err_wrap(err, "outcome");
}
