/* face_inner.h - what the files of the client side share (inner header of lib/model). */
#ifndef PJ_MODEL_FACE_INNER_H
#define PJ_MODEL_FACE_INNER_H

#include "lib/model/face.h"

/* ---- reading: a history put together piece by piece (face.c) ---- */

struct pj_gather {
    struct pj_asked *asked;
    struct pj_str system;
    json_t *callers; /* by call id (face.c) */
    size_t renamed;  /* calls that got another id */
    json_t *named;   /* tools that are there already, by name */
};

/* Instructions: before the talk begins they are the system's, later they stand where they came. */
void pj_gather_system(struct pj_gather *g, const char *text);
void pj_gather_user(struct pj_gather *g, const char *text);
void pj_gather_assistant(struct pj_gather *g, const char *text);
/* A call of the assistant's; `arguments` is taken over: an object, or a string that is to hold one. */
void pj_gather_call(struct pj_gather *g, const char *id, const char *name, json_t *arguments_taken);
void pj_gather_result(struct pj_gather *g, const char *id, const char *text);
/* A tool, unless it was named before; `parameters` may be NULL. `custom`: it takes one plain text. */
void pj_gather_tool(struct pj_gather *g, const char *name, const char *description,
                    json_t *parameters, bool custom);
/* The text of a content that is a string or a list of parts; owned by the caller. */
char *pj_gather_text(struct pj_gather *g, const json_t *content);

/* ---- writing ---- */

/* "event: NAME\ndata: DOC\n\n"; name NULL: data only. The document is taken over. */
void pj_answer_event(struct pj_answer *a, const char *name, json_t *doc_taken);
/* Is this call one of a custom tool? Then *text is its plain text. */
bool pj_answer_is_custom(const struct pj_answer *a, const json_t *call, const char **text);
/* The call's arguments as JSON text; owned by the caller. */
char *pj_answer_arguments(const json_t *call);

struct pj_face {
    int (*read)(struct pj_gather *g, const json_t *body, struct pj_err *err);
    void (*begin)(struct pj_answer *a);
    void (*text)(struct pj_answer *a, const char *more);
    void (*ping)(struct pj_answer *a);
    void (*end)(struct pj_answer *a, const struct pj_model_turn *turn);
    json_t *(*whole)(const struct pj_answer *a, const struct pj_model_turn *turn);
};

extern const struct pj_face pj_face_chat, pj_face_responses, pj_face_messages;

#endif
