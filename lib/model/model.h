/* model.h - one question to a language model, over any of three wire formats, as one neutral turn.
 *
 * The history is a JSON array in our own form, so that it survives a change of provider:
 *     {"role":"user","text"}
 *     {"role":"assistant","turn":"t1","text","calls":[{"id","name","arguments":{…}} or {"id","name","raw":"not JSON"}]}
 *     {"role":"tool","results":[{"id","text"}]}          every call of the turn before has exactly one result
 * Where a provider wants its own blocks back (signed thinking, encrypted reasoning), the turn as it came is kept by id in a
 * struct pj_history and put in place of ours, as long as the same model of the same provider is asked. */
#ifndef PJ_MODEL_MODEL_H
#define PJ_MODEL_MODEL_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include "lib/base/err.h"
#include "lib/base/pump.h"
#include "lib/base/str.h"
#include "lib/http/client.h"
#include "lib/model/prices.h"

enum pj_model_api { PJ_API_CHAT, PJ_API_RESPONSES, PJ_API_MESSAGES };

/* Who is asked. Strings are borrowed. */
struct pj_model_target {
    enum pj_model_api api;
    const char *provider; /* "openai" "anthropic" */
    const char *model;
    const char
        *base_url; /* openai: with /v1; anthropic: without. A query string stays behind the path */
    const char *api_key;  /* NULL: no credential */
    const char *key_name; /* the setting to name in a remedy */
};

struct pj_history;
struct pj_quirks;

/* May, or must, the model call a tool? */
enum pj_model_choice { PJ_CHOICE_AUTO, PJ_CHOICE_NONE, PJ_CHOICE_ANY, PJ_CHOICE_ONE };

struct pj_model_request {
    const char *system;
    const json_t *messages; /* passed pj_messages_check() */
    const json_t *tools;    /* [{"name","description","parameters"}] */
    const char *turn;       /* id of the turn to come; made-up call ids start with it */
    enum pj_model_choice choice;
    const char *choice_name;       /* the tool, for PJ_CHOICE_ONE */
    int64_t max_output;            /* tokens */
    const struct pj_history *kept; /* may be NULL */
};

enum pj_model_stop { PJ_STOP_END, PJ_STOP_CALLS, PJ_STOP_LENGTH };

/* What came back. */
struct pj_model_turn {
    char *text; /* never NULL after success */
    json_t *
        calls; /* array as in the history; with PJ_STOP_LENGTH the last one may be half and is left out */
    bool call_cut; /* a half tool call was dropped */
    enum pj_model_stop stop;
    struct pj_usage usage; /* also after a failure, as far as known */
    json_t *raw;           /* the provider's own form, for pj_history_keep(); may be NULL */
    char *request_id;      /* may be NULL */
};

/* Why a call failed; the kinds differ in what to do (errors.c). */
enum pj_model_fault {
    PJ_FAULT_NONE,  /* not the provider's: the pump's or our own error */
    PJ_FAULT_RATE,  /* wait or fall back */
    PJ_FAULT_QUOTA, /* money ran out over there */
    PJ_FAULT_AUTH,
    PJ_FAULT_MODEL,   /* no such model, or a wrong base URL */
    PJ_FAULT_CONTEXT, /* the history is too long */
    PJ_FAULT_REFUSED, /* refusal or content filter */
    PJ_FAULT_TOOLS,   /* the model has no tools */
    PJ_FAULT_SERVICE, /* their fault, also broken and stalled connections */
    PJ_FAULT_TIMEOUT, /* the whole time of a call has passed */
    PJ_FAULT_REQUEST, /* they say that our request is wrong */
    PJ_FAULT_PROTOCOL /* their answer makes no sense */
};

struct pj_model_failure {
    enum pj_model_fault fault;
    int status;             /* HTTP, 0: none */
    int64_t retry_after_ms; /* -1: they do not say */
    char *message;          /* their words, may be NULL */
};

/* What a call goes over, and how long it may take. */
struct pj_model_line {
    struct pj_http *http;
    struct pj_quirks *quirks;
    const struct pj_pump *pump; /* may be NULL */
    int64_t timeout_ms;         /* the whole call, adaptations included */
    int64_t stall_ms;           /* this long without a byte; 0: not watched */
    size_t max_body;            /* 0: 32 MiB */
    /* Told when the text of a streamed answer has grown: all of it so far. -1 ends the call with that error. May be NULL. */
    int (*on_text)(void *ctx, const char *text_so_far, struct pj_err *err);
    void *on_text_ctx;
};

/* Ask once, streaming. A parameter that the model refuses is learned in line->quirks and the question put again without it. On
 * failure err->code is CONTRACT.md section 9's and *failure says what may be done. *turn and *failure are filled in every
 * case and released by the caller. */
int pj_model_call(const struct pj_model_line *line, const struct pj_model_target *target,
                  const struct pj_model_request *request, struct pj_model_turn *turn,
                  struct pj_model_failure *failure, struct pj_err *err) PJ_MUST_CHECK;
void pj_model_turn_release(struct pj_model_turn *turn);
void pj_model_failure_release(struct pj_model_failure *failure);

/* "chat" "responses" "messages" */
const char *pj_model_api_word(enum pj_model_api api);
/* OPENAI_API: "auto" (or NULL) means Responses on OpenAI's own host and Chat elsewhere. INVALID for another word. */
int pj_model_openai_api(const char *word, const char *base_url, enum pj_model_api *out,
                        struct pj_err *err) PJ_MUST_CHECK;
/* Base URL + path, owned by the caller; what follows a "?" in the base stays behind the path (Azure's api-version). */
char *pj_model_url(const char *base, const char *path);

/* A tap listens in on a call that somebody else makes in one of the formats, to learn what it cost. */
struct pj_model_tap;
struct pj_model_tap *pj_model_tap_new(enum pj_model_api api);
void pj_model_tap_free(struct pj_model_tap *tap);
void pj_model_tap_feed(struct pj_model_tap *tap, const char *bytes, size_t n);
/* After the last byte; `sent` is the size of the request, for a guess where the answer does not tell. */
struct pj_usage pj_model_tap_usage(struct pj_model_tap *tap, size_t sent);

/* Tokens of a text of `bytes`, guessed on the high side: 3 bytes a token. */
int64_t pj_model_estimate_tokens(size_t bytes);

#endif
