/* foreign.h - one request of another agent, put to the provider (inner header of the gateway). */
#ifndef GATEWAY_FOREIGN_H
#define GATEWAY_FOREIGN_H

#include "runner/gateway/http_in.h"
#include "runner/gateway/inner.h"

struct foreign_call {
    struct pj_view request;   /* all bytes of it */
    const struct http_in *in; /* its parts */
    enum pj_model_api api;
    const char *upstream; /* path behind the base URL */
    /* Takes the answer, head included (`Connection: close`), as it comes. */
    int (*put)(void *ctx, const char *bytes, size_t n, struct pj_err *err);
    void *ctx;
    bool answered; /* out: something was put */
};

/* 0: answered. PJ_NONE: this request cannot be served, err says why, *status is the answer's. -1: the run is over (a limit, the
 * time of a call, the pump). */
int foreign_forward(struct gateway *gw, struct foreign_call *call, const struct pj_pump *pump,
                    int *status, struct pj_err *err);

#endif
