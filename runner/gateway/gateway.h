/* gateway.h - the only door of the box, outside: between pj-agent and a model provider (DESIGN.md D1).
 *
 * The gateway listens on a Unix socket that pj-sandbox relays into the box (--gateway PATH:PORT). It gives the agent its task,
 * carries each turn to the provider with the key that never enters the box, keeps the budgets (a call that would pass one is
 * not made), waits and falls back, counts and prices every call, and takes the agent's end: finish, a question, or giving up.
 *
 * The job process drives it: gateway_open() before the box is started (the socket exists when it returns), gateway_serve()
 * until the agent's end. Everything else of the job (output of the box, log flush, cancel) runs in the pump meanwhile; the
 * pump ends the service by failing (cancelled, box ended: the job's own code comes back unchanged). Single-threaded.
 * Operator events llm_usage, llm_timeout, llm_fallback and token_alert are logged here, and nowhere else.
 *
 *     gateway_open(&config, &gw, err);
 *     box_start(… --gateway config.socket_path:8100 -- /opt/pj/pj-agent --gateway 127.0.0.1:8100);
 *     rc = gateway_serve(gw, &pump, &result, err);
 *     … wait for the box, collect the tree (also after a failure: a partial patch is kept) …
 *     gateway_result_release(&result); gateway_free(gw); */
#ifndef GATEWAY_GATEWAY_H
#define GATEWAY_GATEWAY_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include "lib/base/err.h"
#include "lib/base/pump.h"
#include "lib/base/redact.h"
#include "lib/model/prices.h"

struct gateway;

/* A provider as the settings name it. All strings are borrowed until gateway_free(). */
struct gateway_provider {
    const char *provider; /* "openai" "anthropic" "replay"; NULL: none (fallback only) */
    const char *model;    /* MODEL_NAME; NULL: the first of the price table; "replay" needs none */
    const char *base_url; /* NULL: the provider's own */
    const char *api;      /* OPENAI_API: "auto" (or NULL) "chat" "responses" */
    const char *api_key;  /* NULL: no credential is sent (local servers) */
    const char *replay_file; /* PJ_REPLAY_FILE, for "replay" */
};

struct gateway_limits {
    int64_t tokens; /* PJ_MAX_TASK_TOKENS; 0: none */
    int64_t
        cost_microusd; /* -1: none. With a limit an unpriced model fails as model_unpriced before any call */
    int64_t turns; /* 0: none */
    int64_t
        deadline_mono_ms; /* pj_mono_ms() at which the task ends; 0: none. No call is given longer than that */
};

/* What earlier deliveries of this attempt spent; counts against the limits. */
struct gateway_spent {
    int64_t tokens, cost_microusd, turns;
};

/* What the agent is told. Foreign text is fenced as data by the agent. Instruction files and the file map are read by the
 * agent from the tree itself, before it changes anything. */
struct gateway_task {
    const char *id, *title, *description;
    const char *question, *answer; /* of an earlier needs_clarification, NULL: none */
    const char *feedback;          /* of a retry, NULL: none */
    const char *check_command;     /* the repository's; NULL: none */
    const char *analysis_summary;  /* CodeRabbit's; NULL: none */
    const json_t
        *findings; /* array as in CONTRACT.md section 3, NULL: none; the agent orders them */
};

/* One finished model call, for the usage record and its log. Strings are borrowed for the call-back. */
struct gateway_call {
    const char *provider, *model, *api; /* api: "chat" "responses" "messages" "replay" */
    struct pj_usage usage;
    int64_t cost_microusd;        /* -1: unpriced */
    const struct pj_price *price; /* row used, NULL: unpriced */
    int64_t started_ms, duration_ms;
    int64_t turn;           /* from 1 */
    const char *request_id; /* the provider's, may be NULL */
    const char
        *error_code; /* NULL: answered; else why not (a failed call may have cost tokens too) */
};

struct gateway_hooks {
    void *ctx;
    /* One entry for the task's log, already masked. `stream`: "system" "agent" "stdout" "stderr"; `type` as in CONTRACT.md
     * section 4; `data` may be NULL (borrowed). */
    void (*event)(void *ctx, const char *stream, const char *type, const char *message,
                  const json_t *data);
    /* One line of the trajectory (runner/gateway/README.md), already masked: what the model said, what its calls gave, how it ended. In order,
     * no newline; keep them as JSON lines. `pj-agent replay FILE` runs such a file again. NULL: not kept. */
    void (*trajectory)(void *ctx, const char *line);
    /* After every call that may have cost something. -1 ends the service with err. */
    int (*usage)(void *ctx, const struct gateway_call *call, struct pj_err *err);
    /* The agent says it is done. Run the checks (the tree is at rest, the agent waits; serve the pump yourself): 0 accepts and
     * ends the service; PJ_NONE with *feedback (owned by the gateway then) sends the agent back to work; -1 fails. NULL:
     * always accepted. */
    int (*finish)(void *ctx, const char *summary, const char *no_changes_reason, char **feedback,
                  struct pj_err *err);
    /* The model cannot use tools, or answered with a unified diff instead of calls: here it is, unjudged. 0 takes it as the run's result
     * and ends the service; PJ_NONE with *feedback has the model correct it; -1 fails (patch_malformed, patch_conflict, …). The tree in the box
     * is untouched then. NULL: such a model fails as model_protocol. */
    int (*diff)(void *ctx, const char *diff, const char *summary, char **feedback,
                struct pj_err *err);
    /* Is there no room for more entries just now? The agent is not listened to then. NULL: there always is. */
    bool (*busy)(void *ctx);
    /* For gateway_serve_foreign() only: has the agent's box ended? Asked after every wait. */
    bool (*over)(void *ctx);
};

struct gateway_config {
    const char *socket_path; /* made with mode 0600, removed by gateway_free(); at most 107 bytes */
    int socket_mode; /* 0: 0600. The relay of pj-sandbox connects as the user that starts it */
    struct gateway_provider primary, fallback;
    const struct pj_prices *prices;
    struct gateway_limits limits;
    struct gateway_spent spent;
    int64_t llm_timeout_ms; /* PJ_LLM_TIMEOUT, 0: 180 s */
    int64_t stall_ms;       /* 0: 60 s without a byte, counts as a service error */
    int64_t retry_base_ms;  /* PJ_RETRY_BASE, 0: 1 s */
    int64_t
        token_alert; /* PJ_TOKEN_ALERT, 0: none: operator event token_alert and a warn entry, once */
    int64_t agent_timeout_ms;       /* the agent must connect within this; 0: 60 s */
    const char *ca_file;            /* PJ_CA_FILE or NULL */
    const struct pj_redact *redact; /* masks every event; may be NULL */
    struct gateway_task task;
    struct gateway_hooks hooks;
};

enum gateway_end {
    GATEWAY_FINISHED, /* done, the finish hook accepted */
    GATEWAY_NO_CHANGES, /* the agent gave a reason why nothing has to change (accepted by the hook too) */
    GATEWAY_ASKED, /* needs_clarification: question */
};

struct gateway_result {
    enum gateway_end end;    /* meaningful after success only */
    char *summary;           /* FINISHED; may be NULL */
    char *question;          /* ASKED, options appended as lines; bounded */
    char *no_changes_reason; /* NO_CHANGES */
    /* Always filled, also after a failure. */
    int64_t turns, tokens,
        cost_microusd; /* including `spent`; cost -1 when any call was unpriced */
    const char *provider,
        *model;          /* in use at the end; borrowed from the config or the price table */
    int upstream_status; /* of the failure; 0: none */
    char *upstream_message,
        *upstream_request_id; /* the provider's own words, masked and bounded; may be NULL */
};

/* Check the configuration (INVALID names the setting), load prices' row and replay file, listen. */
int gateway_open(const struct gateway_config *config, struct gateway **out,
                 struct pj_err *err) PJ_MUST_CHECK;
void gateway_free(struct gateway *gw);
void gateway_freep(struct gateway **gw);
/* Serve the agent until its end. On failure err->code is one of CONTRACT.md section 9 (llm_auth, llm_timeout, token_limit,
 * model_protocol, …), or "agent_lost" (UNAVAILABLE) when the agent's connection ended early or never came: the box's own
 * result then tells why, or the pump's error as it was given. *result is filled in both cases and released by the caller. */
int gateway_serve(struct gateway *gw, const struct pj_pump *pump, struct gateway_result *result,
                  struct pj_err *err) PJ_MUST_CHECK;
/* Serve another agent (repository setting `agent`) instead of ours, on the same socket: HTTP/1.1 with the shapes of OpenAI
 * (POST /v1/chat/completions, /v1/responses, GET /v1/models) and Anthropic (POST /v1/messages, /v1/messages/count_tokens),
 * each with every provider: formats are turned into one another where they differ. Our key, our model's name and a capped
 * output are put in, service errors go to the fallback, usage is counted, budgets are kept, what the box sends as a key is
 * ignored. Give the box OPENAI_BASE_URL=http://127.0.0.1:PORT/v1, ANTHROPIC_BASE_URL=http://127.0.0.1:PORT and any text as
 * OPENAI_API_KEY and ANTHROPIC_API_KEY.
 *
 * Returns 0 with GATEWAY_FINISHED once hooks.over says so. Fails as gateway_serve() does when a limit is used up or a call takes
 * too long: the box has got an error answer then and is to be ended. */
int gateway_serve_foreign(struct gateway *gw, const struct pj_pump *pump,
                          struct gateway_result *result, struct pj_err *err) PJ_MUST_CHECK;
void gateway_result_release(struct gateway_result *result);

#endif
