/* quirks.h - what a model at a base URL was found to refuse, so that it is asked without it from then on. */
#ifndef PJ_MODEL_QUIRKS_H
#define PJ_MODEL_QUIRKS_H

#include "lib/model/model.h"

struct pj_quirk {
    bool no_temperature;
    bool completion_tokens; /* max_completion_tokens instead of max_tokens */
    bool no_stream_options;
    bool no_include;    /* no encrypted reasoning */
    int64_t max_output; /* 0: not known */
};

struct pj_quirks *pj_quirks_new(void);
void pj_quirks_free(struct pj_quirks *quirks);
/* The entry for this base URL and model, made when new; borrowed. OpenAI's own host starts with completion_tokens. */
struct pj_quirk *pj_quirks_of(struct pj_quirks *quirks, const struct pj_model_target *target);
/* Learn from a refusal (status 400, the `param`, `code` and message of the error; NULL allowed). True when something new was
 * learned, so that asking again makes sense. */
bool pj_quirk_learn(struct pj_quirk *quirk, const char *param, const char *code,
                    const char *message, int64_t asked_output);

#endif
