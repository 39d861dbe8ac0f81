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

/* err->code when the client went away: its call is not worth going on. */
#define FOREIGN_GONE "client_gone"
/* A fallback took over: the same request is put again. */
#define FOREIGN_AGAIN 2

/* 0: answered. PJ_NONE: this request cannot be served, err says why, *status is the answer's. -1: the run is over (a limit, the
 * time of a call, the pump). */
int foreign_forward(struct gateway *gw, struct foreign_call *call, const struct pj_pump *pump,
                    int *status, struct pj_err *err);

/* refs.c: INVALID for a request that names an address to fetch from, or what is kept in the provider's account (files, containers,
 * stored answers, conversations), or a kind of part that may hold either. */
int foreign_refuse_refs(enum pj_model_api api, const json_t *body, struct pj_err *err);
/* sift.c: take out of a request what a box may not ask of a provider: hosted tools, which have a network of their own, more than one
 * answer, work in the background, anything that is stored there. *dropped counts what was taken out. */
void foreign_sift(enum pj_model_api api, json_t *body, size_t *dropped);
/* convert.c: the same for a provider of another format. FOREIGN_AGAIN too. */
int foreign_convert(struct gateway *gw, struct foreign_call *call, const json_t *body,
                    const struct pj_pump *pump, int *status, struct pj_err *err);
/* Once a task: that something of the agent's requests does not get through. */
void foreign_say_dropped(struct gateway *gw, size_t dropped);
/* After a failed call: go on with the fallback? Not once something was answered, and not for what the client itself can wait for. */
bool foreign_falls_back(struct gateway *gw, const struct foreign_call *call,
                        enum pj_model_fault fault, int64_t retry_after_ms,
                        const struct pj_err *why);

#endif
