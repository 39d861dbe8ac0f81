/* R8: execution error handling, the model's side. */
#include "tests/scenarios/scene.h"

#define ERROR(type, code, message)                                                                 \
    "{\"error\":{\"message\":\"" message "\",\"type\":\"" type "\",\"code\":\"" code "\"}}"

/* clang-format off */
static const struct {
    const char *title;
    struct model_answer answer;
    const char *code;
    bool retryable;
    const char *words, *remedy;
    size_t requests;
} rows[] = {
    {"Bad key", {.status = 401, .body = ERROR("invalid_request_error", "invalid_api_key", "Incorrect API key")}, "llm_auth", false,
     "Incorrect API key", "OPENAI_API_KEY", 1},
    {"No money", {.status = 429, .body = ERROR("insufficient_quota", "insufficient_quota", "You exceeded your current quota")},
     "llm_quota", false, "exceeded your current quota", "billing", 1},
    {"No model", {.status = 404, .body = ERROR("invalid_request_error", "model_not_found", "No such model")}, "llm_model_not_found",
     false, "No such model", "MODEL_NAME", 1},
    {"Too long", {.status = 400, .body = ERROR("invalid_request_error", "context_length_exceeded", "too many tokens"), .repeat = true},
     "llm_context", false, "", "larger context", 1},
    {"Refused", {.status = 400, .body = ERROR("invalid_request_error", "content_policy_violation", "not allowed here")}, "llm_refused",
     false, "not allowed here", "rephrase", 1},
    {"Too fast", {.status = 429, .headers = {"Retry-After: 3600"}, .body = ERROR("requests", "rate_limit_exceeded", "Rate limit")},
     "llm_rate_limited", true, "Rate limit", "later", 1},
    {"Broken", {.status = 503, .body = ERROR("server_error", "x", "we are down"), .repeat = true}, "llm_service", true, "we are down",
     "later", 4},
};
/* clang-format on */

Test(r8, r8_1_each_kind_of_model_error_is_told_apart_with_words_and_remedy)
{
    for (size_t i = 0; i < PJ_COUNT_OF(rows); i++) {
        struct scene s;

        scene_prepare(&s, &rows[i].answer, 1);
        world_set(&s.w, "PJ_RETRY_BASE", "10ms");
        scene_open(&s, ",\"codeRabbit\":\"off\"");
        char *task = scene_run(&s, rows[i].title);
        json_t *doc = world_wait_status(&s.w, task, "failed");
        const json_t *error = json_object_get(doc, "error");
        cr_expect_str_eq(scene_error_code(doc), rows[i].code, "%s", rows[i].title);
        cr_expect_eq(json_is_true(json_object_get(error, "retryable")), rows[i].retryable, "%s",
                     rows[i].title);
        cr_expect_not_null(strstr(pj_json_str(error, "remedy", ""), rows[i].remedy), "%s: %s",
                           rows[i].title, pj_json_str(error, "remedy", ""));
        cr_expect_not_null(strstr(pj_json_str(error, "detail", ""), rows[i].words), "%s: %s",
                           rows[i].title, pj_json_str(error, "detail", ""));
        if (*rows[i].words)
            cr_expect_eq(pj_json_i64(json_object_get(error, "upstream"), "status", 0),
                         rows[i].answer.status, "%s", rows[i].title);
        cr_expect_eq(model_server_count(s.model), rows[i].requests, "%s", rows[i].title);
        char *path = pj_asprintf("/admin/outbox?taskId=%s", task);
        json_t *outbox = world_call(&s.w, "GET", path, NULL, 200);
        cr_expect_eq(json_array_size(json_object_get(outbox, "items")), 1, "%s: one notification",
                     rows[i].title);
        json_decref(outbox);
        free(path);
        json_decref(doc);
        free(task);
        scene_stop(&s);
    }
}
