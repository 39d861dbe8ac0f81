/* inner.h - what the files of the gateway share. */
#ifndef GATEWAY_INNER_H
#define GATEWAY_INNER_H

#include "lib/model/errors.h"
#include "lib/model/history.h"
#include "lib/model/model.h"
#include "lib/model/quirks.h"
#include "lib/model/replay.h"
#include "lib/wire/frame.h"
#include "runner/gateway/budget.h"
#include "runner/gateway/gateway.h"

/* A provider of the configuration, ready to be asked. */
struct gateway_source {
    struct pj_model_target target; /* not for replay */
    const char *provider, *model;
    struct pj_replay *replay; /* owned; NULL: a real one */
    bool set;
};

struct gateway {
    struct gateway_config config;
    int listen_fd;
    struct pj_link agent;
    struct pj_http *http;
    struct pj_quirks *quirks;
    struct pj_history *kept;
    struct gateway_source primary, fallback;
    struct gateway_source *source; /* the one in use */
    struct budget budget;
    bool greeted;      /* the agent has its task */
    bool alerted;      /* token_alert was given */
    bool overflowed;   /* the last turn did not fit; a second time ends the run */
    bool told_dropped; /* convert.c: what has no form in the provider's format was told of */
    int64_t served_ms; /* the pump was, whatever the agent sent */
    int rates;         /* rate limits in a row that another agent was handed */
    struct gateway_result *result;
};

/* sources.c */
int gateway_source_open(const struct gateway_config *config, const struct gateway_provider *from,
                        struct gateway_source *out, struct pj_err *err);
void gateway_source_release(struct gateway_source *source);

/* turn.c: put one `turn` frame of the agent to the model and answer it. */
int gateway_turn(struct gateway *gw, const json_t *frame, const struct pj_pump *pump,
                 struct pj_err *err);

/* A question to the source in use. */
struct gateway_question {
    const struct pj_model_request *request; /* its max_output is lowered to what may be spent */
    bool own; /* of our agent: the steps of steps.md are added (R9.3) */
    int (*on_text)(void *ctx, const char *text_so_far, struct pj_err *err); /* may be NULL */
    void *on_text_ctx;
};
/* The row for the source in use and a prompt of that many tokens; NULL: unpriced. */
const struct pj_price *gateway_price(const struct gateway *gw, int64_t prompt_tokens);
/* Count what a request of `bytes` has cost. */
void gateway_settle(struct gateway *gw, size_t bytes, const struct pj_usage *usage);
/* Ask once: reserved before, settled and written down after. */
int gateway_ask(struct gateway *gw, const struct gateway_question *question,
                const struct pj_pump *pump, struct pj_model_turn *turn,
                struct pj_model_failure *failure, struct pj_err *err);
void gateway_keep_upstream(struct gateway *gw, const struct pj_model_turn *turn,
                           const struct pj_model_failure *failure);
/* Is there another provider to go to; go to it, for the rest of the task. */
bool gateway_has_fallback(const struct gateway *gw);
void gateway_fall_back(struct gateway *gw, const struct pj_err *why);

/* note.c: what is written down about it. */
void gateway_event(struct gateway *gw, const char *stream, const char *type, const char *message,
                   const json_t *data);
int gateway_note_call(struct gateway *gw, const struct pj_model_turn *turn, int64_t started_ms,
                      int64_t duration_ms, const struct pj_err *failed, struct pj_err *err);
void gateway_note_fallback(struct gateway *gw, const struct gateway_source *to,
                           const struct pj_err *why);
void gateway_note_wait(struct gateway *gw, int64_t ms, int retry, const struct pj_err *why);
/* One line of the trajectory; the reference is taken over. */
void gateway_trajectory(struct gateway *gw, json_t *line);
/* The text with secrets masked, at most `max` bytes, owned by the caller. */
char *gateway_masked(const struct gateway *gw, const char *text, size_t max);

/* serve.c */
void gateway_sum_up(struct gateway *gw, struct gateway_result *result);
int gateway_send(struct gateway *gw, const json_t *frame, const struct pj_pump *pump,
                 struct pj_err *err);

#endif
