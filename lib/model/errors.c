#include "lib/model/errors.h"

#include <string.h>
#include <strings.h>
#include "lib/json/codec.h"

/* What is known of each fault: how it is reported, and what may be done about it. */
/* clang-format off */
static const struct {
    const char *code; /* CONTRACT.md section 9 */
    enum pj_err_class cls;
    bool retry, fallback;
    const char *text, *remedy; /* %s in the remedy: the key's setting */
} faults[] = {
    [PJ_FAULT_NONE] = {"llm_service", PJ_E_INTERNAL, false, false, "failed", ""},
    [PJ_FAULT_RATE] = {"llm_rate_limited", PJ_E_RATE, true, true, "asks for fewer calls",
                       "run the task again later, raise the provider's rate limit, or set MODEL_FALLBACK_PROVIDER"},
    [PJ_FAULT_QUOTA] = {"llm_quota", PJ_E_LIMIT, false, false, "says that the account has no credit left",
                        "check the plan and billing of the account that %s belongs to"},
    [PJ_FAULT_AUTH] = {"llm_auth", PJ_E_AUTH, false, false, "refused the key",
                       "check %s: the key must be valid and allowed to use this model"},
    [PJ_FAULT_MODEL] = {"llm_model_not_found", PJ_E_NOT_FOUND, false, false, "does not know the model",
                        "check MODEL_NAME (or the task's model) and the provider's base URL"},
    [PJ_FAULT_CONTEXT] = {"llm_context", PJ_E_LIMIT, false, false, "says that the conversation is too long for the model",
                          "split the task into smaller ones or choose a model with a larger context window"},
    [PJ_FAULT_REFUSED] = {"llm_refused", PJ_E_FORBIDDEN, false, false, "declined to answer",
                          "rephrase the task, or choose another model"},
    [PJ_FAULT_TOOLS] = {"model_protocol", PJ_E_PROTOCOL, false, false, "cannot use tools", "choose a model that can use tools"},
    [PJ_FAULT_SERVICE] = {"llm_service", PJ_E_UNAVAILABLE, true, true, "is not working",
                          "run the task again later, or set MODEL_FALLBACK_PROVIDER"},
    [PJ_FAULT_TIMEOUT] = {"llm_timeout", PJ_E_TIMEOUT, false, false, "did not answer in time",
                          "run the task again, choose a faster model, or raise PJ_LLM_TIMEOUT"},
    [PJ_FAULT_REQUEST] = {"model_protocol", PJ_E_PROTOCOL, false, false, "refused the request",
                          "check that the base URL, OPENAI_API and the model belong together"},
    [PJ_FAULT_PROTOCOL] = {"model_protocol", PJ_E_PROTOCOL, true, false, "gave an answer that makes no sense",
                           "check that the base URL belongs to a server that speaks this API"},
};
/* clang-format on */

/* Words of error type or code. More special ones stand first where both may come. */
/* clang-format off */
static const struct {
    const char *word;
    enum pj_model_fault fault;
} words[] = {
    {"insufficient_quota", PJ_FAULT_QUOTA},
    {"billing_hard_limit_reached", PJ_FAULT_QUOTA},
    {"billing_not_active", PJ_FAULT_QUOTA},
    {"billing_error", PJ_FAULT_QUOTA},
    {"insufficient_credits", PJ_FAULT_QUOTA},
    {"spend_limit_exceeded", PJ_FAULT_QUOTA},
    {"context_length_exceeded", PJ_FAULT_CONTEXT},
    {"exceed_context_size_error", PJ_FAULT_CONTEXT}, /* llama.cpp */
    {"request_too_large", PJ_FAULT_CONTEXT},
    {"content_filter", PJ_FAULT_REFUSED},
    {"content_policy_violation", PJ_FAULT_REFUSED},
    {"invalid_prompt", PJ_FAULT_REFUSED},
    {"cyber_policy_violation", PJ_FAULT_REFUSED},
    {"model_not_found", PJ_FAULT_MODEL},
    {"invalid_api_key", PJ_FAULT_AUTH},
    {"authentication_error", PJ_FAULT_AUTH},
    {"permission_error", PJ_FAULT_AUTH},
    {"permission_denied", PJ_FAULT_AUTH},
    {"rate_limit_exceeded", PJ_FAULT_RATE},
    {"rate_limit_error", PJ_FAULT_RATE},
    {"overloaded_error", PJ_FAULT_SERVICE},
    {"api_error", PJ_FAULT_SERVICE},
    {"timeout_error", PJ_FAULT_SERVICE},
    {"server_error", PJ_FAULT_SERVICE},
    {"internal_server_error", PJ_FAULT_SERVICE},
    {"server_overloaded", PJ_FAULT_SERVICE},
    {"slow_down", PJ_FAULT_SERVICE},
    {"not_found_error", PJ_FAULT_MODEL},
};
/* clang-format on */

/* Phrases of messages, where type and code only say "invalid request". */
/* clang-format off */
static const struct {
    const char *phrase;
    enum pj_model_fault fault;
} phrases[] = {
    {"does not support tools", PJ_FAULT_TOOLS},          /* Ollama, 400 */
    {"support tool use", PJ_FAULT_TOOLS},                /* OpenRouter, 404: no endpoints found that … */
    {"tool choice requires", PJ_FAULT_TOOLS},            /* vLLM without a tool parser, 400 */
    {"credit balance is too low", PJ_FAULT_QUOTA},
    {"exceeded your current quota", PJ_FAULT_QUOTA},
    {"prompt is too long", PJ_FAULT_CONTEXT},
    {"maximum context length", PJ_FAULT_CONTEXT},
    {"context window", PJ_FAULT_CONTEXT},
    {"available context size", PJ_FAULT_CONTEXT},
    {"Incorrect API key", PJ_FAULT_AUTH},
};
/* clang-format on */

bool pj_model_error_read(const json_t *doc, struct pj_model_error_doc *out)
{
    const json_t *error = json_is_array(doc) ? json_array_get(doc, 0) : doc, *inner;

    memset(out, 0, sizeof *out);
    inner = json_object_get(error, "error");
    if (json_is_string(inner)) {
        out->message = json_string_value(inner);
        return true;
    }
    if (json_is_object(inner))
        error = inner;
    out->type = pj_json_str(error, "type", NULL);
    out->code = pj_json_str(error, "code", NULL);
    out->param = pj_json_str(error, "param", NULL);
    out->message = pj_json_str(error, "message", NULL);
    if (!out->message)
        out->message = pj_json_str(error, "detail", NULL);
    out->number = (int)pj_json_i64(error, "code", 0);
    return out->message || (inner && (out->type || out->code));
}

static enum pj_model_fault by_word(const char *word)
{
    for (size_t i = 0; word && i < PJ_COUNT_OF(words); i++)
        if (strcmp(words[i].word, word) == 0)
            return words[i].fault;
    return PJ_FAULT_NONE;
}

static enum pj_model_fault by_status(int status)
{
    switch (status) {
    case 401:
    case 403:
        return PJ_FAULT_AUTH;
    case 402:
        return PJ_FAULT_QUOTA;
    case 404:
        return PJ_FAULT_MODEL;
    case 408:
    case 409:
    case 425:
        return PJ_FAULT_SERVICE;
    case 413:
        return PJ_FAULT_CONTEXT;
    case 429:
        return PJ_FAULT_RATE;
    default:
        return status >= 500   ? PJ_FAULT_SERVICE
               : status >= 300 ? PJ_FAULT_REQUEST
                               : PJ_FAULT_SERVICE;
    }
}

enum pj_model_fault pj_model_fault_of(int status, const struct pj_model_error_doc *doc)
{
    enum pj_model_fault fault = by_word(doc->code);

    if (fault == PJ_FAULT_NONE)
        for (size_t i = 0; doc->message && i < PJ_COUNT_OF(phrases) && fault == PJ_FAULT_NONE; i++)
            if (strcasestr(doc->message, phrases[i].phrase))
                fault = phrases[i].fault;
    if (fault == PJ_FAULT_NONE)
        fault = by_word(doc->type);
    /* A status that speaks for itself wins over a vague word: 529 with api_error, 401 with not_found_error. */
    if (fault == PJ_FAULT_NONE ||
        ((status == 401 || status == 403) && fault != PJ_FAULT_QUOTA && fault != PJ_FAULT_RATE))
        fault = by_status(status == 200 && doc->number >= 300 && doc->number < 600 ? doc->number
                                                                                   : status);
    return fault;
}

int pj_model_fail(struct pj_err *err, enum pj_model_fault fault,
                  const struct pj_model_target *target, int status, const char *detail)
{
    char number[24] = "";

    if (status > 0)
        (void)snprintf(number, sizeof number, " (status %d)", status);
    pj_fail(err, faults[fault].cls, "%s, model %s, %s%s%s%.600s", target->provider, target->model,
            faults[fault].text, number, detail && *detail ? ": " : "", detail ? detail : "");
    if (strstr(faults[fault].remedy, "%s")) {
        const char *at = strstr(faults[fault].remedy, "%s");
        pj_err_remedy(err, "%.*s%s%s", (int)(at - faults[fault].remedy), faults[fault].remedy,
                      target->key_name, at + 2);
    } else {
        pj_err_remedy(err, "%s", faults[fault].remedy);
    }
    return pj_err_code(err, faults[fault].code);
}

bool pj_model_fault_retry(enum pj_model_fault fault)
{
    return faults[fault].retry;
}

bool pj_model_fault_fallback(enum pj_model_fault fault)
{
    return faults[fault].fallback;
}
