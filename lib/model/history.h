/* history.h - the neutral history: its shape, and the providers' own turns kept beside it. */
#ifndef PJ_MODEL_HISTORY_H
#define PJ_MODEL_HISTORY_H

#include "lib/model/model.h"

/* INVALID unless `messages` has the form of model.h: known roles, strings where they belong, the first from the user, and
 * after each turn with calls the results of exactly these calls. */
int pj_messages_check(const json_t *messages, struct pj_err *err) PJ_MUST_CHECK;

struct pj_history *pj_history_new(void);
void pj_history_free(struct pj_history *history);
/* Keep `raw` (a reference is taken) as what `target` said in turn `turn`. */
void pj_history_keep(struct pj_history *history, const char *turn,
                     const struct pj_model_target *target, json_t *raw);
/* Borrowed; NULL when nothing was kept, or another provider, base URL, format or model is asked now. */
const json_t *pj_history_find(const struct pj_history *history, const char *turn,
                              const struct pj_model_target *target);

#endif
