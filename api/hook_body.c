#include "api/hook_body.h"

#include <stdlib.h>
#include <string.h>
#include "api/reply.h"
#include "api/text.h"
#include "lib/base/branch.h"
#include "lib/base/mem.h"
#include "lib/task/state.h"

#define AT(member) offsetof(struct hook_body, member)
#define TOKENS_MAX 1000000000000LL

static const char *const types[] = {"task.claim", "task.progress", "task.completed", "task.failed",
                                    NULL};

static const struct pj_field error_fields[] = {
    {"code", PJ_F_STR, offsetof(struct hook_error, code), PJ_FF_REQUIRED, 1, 40},
    {"message", PJ_F_STR, offsetof(struct hook_error, message), 0, 0, 16384},
};

static const struct pj_field model_fields[] = {
    {"provider", PJ_F_STR, offsetof(struct pj_task_model, provider), PJ_FF_REQUIRED, 1, 40},
    {"name", PJ_F_STR, offsetof(struct pj_task_model, name), PJ_FF_REQUIRED, 1, 200},
};

static const struct pj_field usage_fields[] = {
    {"model", PJ_F_OBJ, offsetof(struct hook_usage, model), PJ_FF_REQUIRED, .sub = model_fields,
     .sub_count = PJ_COUNT_OF(model_fields)},
    {"promptTokens", PJ_F_INT, offsetof(struct hook_usage, prompt), PJ_FF_REQUIRED, 0, TOKENS_MAX},
    {"completionTokens", PJ_F_INT, offsetof(struct hook_usage, completion), PJ_FF_REQUIRED, 0,
     TOKENS_MAX},
    {"cachedTokens", PJ_F_INT, offsetof(struct hook_usage, cached), 0, 0, TOKENS_MAX},
};

static const struct pj_field part_fields[] = {
    {"base64", PJ_F_STR, offsetof(struct hook_part, base64), PJ_FF_REQUIRED, 4, 1 << 20},
    {"offset", PJ_F_INT, offsetof(struct hook_part, offset), PJ_FF_REQUIRED, 0, PJ_PATCH_MAX},
};

static const struct pj_field fields[] = {
    {"attempt", PJ_F_INT, AT(attempt), PJ_FF_NULL_NEG, 1, 1000000},
    {"baseSha", PJ_F_STR, AT(base_sha), 0, 40, 64},
    {"branchName", PJ_F_STR, AT(branch), 0, 1, 250},
    {"commitSha", PJ_F_STR, AT(commit_sha), 0, 40, 64},
    {"error", PJ_F_OBJ, AT(error), .sub = error_fields, .sub_count = PJ_COUNT_OF(error_fields)},
    {"logs", PJ_F_JSON, AT(logs)},
    {"patch", PJ_F_STR, AT(patch), 0, 1, PJ_PATCH_MAX},
    {"patchPart", PJ_F_OBJ, AT(part), .sub = part_fields, .sub_count = PJ_COUNT_OF(part_fields)},
    {"prUrl", PJ_F_STR, AT(pr_url), 0, 1, 2000},
    {"question", PJ_F_STR, AT(question), 0, 1, PJ_QUESTION_MAX},
    {"runId", PJ_F_INT, AT(run_id), PJ_FF_NULL_NEG, 1, INT64_MAX},
    {"stage", PJ_F_WORD, AT(stage), .words = pj_task_stage_words},
    {"taskId", PJ_F_STR, AT(task_id), PJ_FF_REQUIRED, 1, 64},
    {"type", PJ_F_WORD, AT(type), PJ_FF_REQUIRED, .words = types},
    {"usage", PJ_F_OBJ, AT(usage), .sub = usage_fields, .sub_count = PJ_COUNT_OF(usage_fields),
     .presence_offset = AT(has_usage)},
};

static bool is_code(const char *text)
{
    return strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(text);
}

static bool is_sha(const char *text)
{
    size_t n = strspn(text, "0123456789abcdef");

    return text[n] == '\0' && (n == 40 || n == 64);
}

static int check(struct request *req, const struct hook_body *b)
{
    if (b->type == HOOK_FAILED && b->error.code == NULL) {
        reply_fault(req, "error", "is required when a task failed");
        return -1;
    }
    if (b->error.code != NULL && !is_code(b->error.code)) {
        reply_fault(req, "error.code", "is a word of a-z, 0-9 and _");
        return -1;
    }
    if (b->pr_url != NULL && !text_is_address(b->pr_url)) {
        reply_fault(req, "prUrl", "starts with https:// or http://, and has no blanks");
        return -1;
    }
    if (b->branch != NULL && !pj_branch_name_valid(b->branch)) {
        reply_fault(req, "branchName", "is not a name that a branch can have");
        return -1;
    }
    if ((b->base_sha != NULL && !is_sha(b->base_sha)) ||
        (b->commit_sha != NULL && !is_sha(b->commit_sha))) {
        reply_fault(req, b->base_sha != NULL && !is_sha(b->base_sha) ? "baseSha" : "commitSha",
                    "is 40 or 64 hexadecimal digits");
        return -1;
    }
    if (b->logs != NULL && !json_is_string(b->logs) && !json_is_array(b->logs)) {
        reply_fault(req, "logs", "is text, or an array of entries");
        return -1;
    }
    size_t i;
    json_t *entry;
    json_array_foreach(b->logs, i, entry)
    {
        if (!json_is_string(entry) && !json_is_string(json_object_get(entry, "message"))) {
            reply_fault(req, "logs", "entry %zu is neither text nor an object with a message", i);
            return -1;
        }
    }
    return 0;
}

int hook_body_read(struct request *req, struct hook_body *out)
{
    if (request_json(req, fields, PJ_COUNT_OF(fields), out) < 0)
        return -1;
    return check(req, out);
}

void hook_body_release(struct hook_body *body)
{
    pj_json_release(fields, PJ_COUNT_OF(fields), body);
}

/* The number at the end of ".../pull/17"; 0 when there is none. */
static int64_t pull_number(const char *url)
{
    const char *slash = strrchr(url, '/');
    int64_t n = 0;

    return slash != NULL && pj_parse_i64(pj_view_of(slash + 1), &n) == 0 && n > 0 ? n : 0;
}

void hook_body_outcome(const struct hook_body *body, struct pj_outcome *out)
{
    if (body->type == HOOK_COMPLETED)
        pj_outcome_complete(out);
    else
        pj_outcome_fail(out, body->error.code,
                        body->error.message != NULL ? body->error.message : "", NULL);
    pj_str_set(&out->branch, body->branch);
    pj_str_set(&out->commit_sha, body->commit_sha);
    pj_str_set(&out->base_sha, body->base_sha);
    pj_str_set(&out->question, body->question);
    pj_str_set(&out->patch, body->patch);
    pj_str_set(&out->pr_url, body->pr_url);
    if (body->pr_url != NULL) {
        pj_str_set(&out->pr.url, body->pr_url);
        pj_str_set(&out->pr.state, "open");
        out->pr.number = pull_number(body->pr_url);
    }
}
