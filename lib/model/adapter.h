/* adapter.h - what the three wire formats have in common (inner header of lib/model).
 *
 * A builder collects one turn from stream events or from one whole document. */
#ifndef PJ_MODEL_ADAPTER_H
#define PJ_MODEL_ADAPTER_H

#include "lib/base/view.h"
#include "lib/model/errors.h"
#include "lib/model/history.h"
#include "lib/model/model.h"
#include "lib/model/quirks.h"

#define PJ_BUILDER_CALLS_MAX 64
#define PJ_BUILDER_TEXT_MAX                                                                        \
    ((size_t)2 << 20) /* of text and of thinking; text above it is cut as by length */

struct pj_builder_call {
    int64_t key; /* the format's index */
    char *id, *name;
    struct pj_str args;
    json_t *object; /* arguments that came as an object */
    json_t *extra;  /* what the server wants back with the call (Chat: extra_content) */
    bool closed;    /* known to be whole, also when the answer was cut by length */
};

struct pj_builder {
    struct pj_str text, refusal;
    size_t text_mark;                  /* where the open block of text begins */
    struct pj_str thinking, signature; /* of the open block; Chat: all of reasoning_content */
    struct pj_builder_call call[PJ_BUILDER_CALLS_MAX];
    size_t calls;
    json_t *raw; /* array of blocks or items, where the format keeps them */
    struct pj_usage usage;
    bool has_usage;
    bool thinking_back; /* Chat: the reasoning goes back with a turn that calls tools */
    bool done;          /* the format's own end was seen */
    bool refused;       /* stopped by refusal or filter */
    bool overflow;      /* stopped by the context window */
    enum pj_model_stop stop;
    /* an error document inside the stream; owned reference */
    json_t *error;
};

struct pj_adapter {
    const char *path; /* appended to the base URL */
    json_t *(*build)(const struct pj_model_target *target, const struct pj_model_request *request,
                     const struct pj_quirk *quirk);
    /* One event. Unknown ones are ignored. -1 only for limits. */
    int (*event)(struct pj_builder *b, const char *event, const json_t *data, struct pj_err *err);
    /* A whole answer that was not streamed. -1 PROTOCOL when it is none. */
    int (*whole)(struct pj_builder *b, const json_t *doc, struct pj_err *err);
};

extern const struct pj_adapter pj_adapter_chat, pj_adapter_responses, pj_adapter_messages;

void pj_builder_init(struct pj_builder *b);
void pj_builder_release(struct pj_builder *b);
/* The open call with that key, or NULL. */
struct pj_builder_call *pj_builder_call_find(struct pj_builder *b, int64_t key);
/* A new call; NULL with err when there are too many. */
struct pj_builder_call *pj_builder_call_add(struct pj_builder *b, int64_t key, const char *id,
                                            const char *name, struct pj_err *err);
void pj_builder_text(struct pj_builder *b, const char *text);
int pj_builder_args(struct pj_builder_call *call, const char *text, struct pj_err *err);
/* Move what was collected into *turn. `taken`, an object with the ids of the calls before: calls get new ids where theirs are missing,
 * doubled, unusable or taken (servers count from 0 again in each answer). NULL: they stay, raw is kept and binds them. */
void pj_builder_finish(struct pj_builder *b, const char *turn_id, const json_t *taken,
                       struct pj_model_turn *turn);

/* A prompt that is counted as a whole, with what of it was read from and written to the cache (OpenAI). */
void pj_usage_split(struct pj_usage *usage, int64_t prompt, int64_t cached, int64_t written);
/* A whole number of a peer, clamped to 0 … 10^12. */
int64_t pj_peer_count(const json_t *obj, const char *name);
/* Arguments for a history that must be an object: the call's, or {"invalid_arguments": raw}. New reference. */
json_t *pj_call_arguments(const json_t *call);

#endif
