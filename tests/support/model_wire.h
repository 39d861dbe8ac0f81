/* model_wire.h - the three wire forms of model_server: which one a request speaks, whether it is a proper request, and the
 * writing of an answer. Sources: platform.openai.com/docs/api-reference (chat, responses), docs.anthropic.com (messages,
 * messages-streaming). */
#ifndef TESTS_SUPPORT_MODEL_WIRE_H
#define TESTS_SUPPORT_MODEL_WIRE_H

#include "lib/base/str.h"
#include "tests/support/model_server.h"

enum model_wire model_wire_of_path(const char *path);

/* Append one line per fault to `faults`; `body` may be NULL (no JSON). */
void model_check(enum model_wire wire, const struct stand_in_request *r, const json_t *body,
                 const char *key, struct pj_str *faults);

/* Send `a` as the wire form wants it, streamed when `stream`; ends the exchange. `serial` makes ids unique. */
void model_wire_answer(enum model_wire wire, struct stand_in_exchange *x, const json_t *request,
                       const struct model_answer *a, unsigned serial);
/* An error document of this wire form. */
void model_wire_error(enum model_wire wire, struct stand_in_exchange *x, int status,
                      const char *code, const char *param, const char *message);

#endif
