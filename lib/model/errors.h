/* errors.h - providers' errors told apart (facts: OpenAI "Error codes", Anthropic "Errors", OpenRouter "Errors"). */
#ifndef PJ_MODEL_ERRORS_H
#define PJ_MODEL_ERRORS_H

#include "lib/model/model.h"

/* The parts of an error document that count. All borrowed from it, any may be NULL. */
struct pj_model_error_doc {
    const char *type, *code, *param, *message;
    int number; /* a numeric code (OpenRouter), else 0 */
};

/* Read {error:{…}}, {type:"error",error:{…}}, {error:"text"}, {message} or [ {error} ]. False when `doc` holds no error. */
bool pj_model_error_read(const json_t *doc, struct pj_model_error_doc *out);
/* Which fault an answer of `status` with these words is; never NONE. */
enum pj_model_fault pj_model_fault_of(int status, const struct pj_model_error_doc *doc);
/* Fill err (class, code of CONTRACT.md section 9, message, remedy) for a fault; returns -1. `detail` is the provider's words. */
int pj_model_fail(struct pj_err *err, enum pj_model_fault fault,
                  const struct pj_model_target *target, int status, const char *detail);
/* May the same question be put again; may another provider be asked instead. */
bool pj_model_fault_retry(enum pj_model_fault fault);
bool pj_model_fault_fallback(enum pj_model_fault fault);

#endif
