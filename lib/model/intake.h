/* intake.h - an answer as it comes in: a stream of events or one document, told apart by its first byte (inner header of lib/model). */
#ifndef PJ_MODEL_INTAKE_H
#define PJ_MODEL_INTAKE_H

#include "lib/http/sse_read.h"
#include "lib/model/adapter.h"

struct pj_intake {
    const struct pj_adapter *adapter;
    struct pj_builder builder;
    struct pj_sse_reader sse;
    struct pj_str document;
    enum { PJ_INTAKE_UNKNOWN, PJ_INTAKE_EVENTS, PJ_INTAKE_DOCUMENT } kind;
    size_t received;
    bool nonsense; /* events that were no JSON */
    bool
        broken; /* a limit of ours was passed: it is the answer that is wrong, not the connection */
};

void pj_intake_init(struct pj_intake *in, const struct pj_adapter *adapter);
void pj_intake_release(struct pj_intake *in);
/* Fits pj_http_request.on_data. -1 only for limits. */
int pj_intake_feed(void *in, const char *bytes, size_t n, struct pj_err *err) PJ_MUST_CHECK;
/* Read a document into the builder, once all of it is there. -1 PROTOCOL; an error document is kept in builder.error. */
int pj_intake_close(struct pj_intake *in, struct pj_err *err) PJ_MUST_CHECK;
/* What the call cost, guessed from `sent` bytes and what came where the provider did not say. */
struct pj_usage pj_intake_usage(const struct pj_intake *in, size_t sent);

const struct pj_adapter *pj_adapter_of(enum pj_model_api api);

#endif
