/* face.h - the three wire formats from the other side: what a client asks, read into the neutral form of model.h, and a neutral
 * turn written as the answer that the client expects, as one document or as events.
 *
 * So a client of one format can be served by a provider of another. What has no neutral form is left out and counted: pictures,
 * tools that only the provider itself could run. */
#ifndef PJ_MODEL_FACE_H
#define PJ_MODEL_FACE_H

#include "lib/model/model.h"

/* A client's question. */
struct pj_asked {
    char *system;
    json_t *
        messages; /* neutral; passes pj_messages_check(). `turn` of an answer is the id of its first call */
    json_t *tools; /* neutral */
    json_t *
        custom; /* names of tools that take a plain text (Responses: "custom"); as an argument "input" */
    json_t *
        spaces; /* Responses: tools of a namespace, by the name they have in `tools`: {"namespace","name"} */
    enum pj_model_choice choice;
    char *choice_name;  /* for PJ_CHOICE_ONE */
    int64_t max_output; /* tokens; 0: not said */
    bool stream;
    bool wants_usage; /* Chat: stream_options.include_usage */
    size_t dropped;   /* what was left out */
};

/* INVALID says what is wrong in the client's words. Release *out in either case. */
int pj_asked_read(enum pj_model_api api, const json_t *body, struct pj_asked *out,
                  struct pj_err *err) PJ_MUST_CHECK;
void pj_asked_release(struct pj_asked *asked);

/* An answer on its way to the client. Fill the first members; the rest is the writer's. */
struct pj_answer {
    enum pj_model_api api;
    const char *id; /* letters and digits, of this answer */
    const char *model;
    int64_t created_s; /* Unix time */
    const struct pj_asked *asked;
    struct pj_str *out; /* events are appended here */
    bool begun, text_open;
    size_t text_sent; /* bytes of the turn's text */
    int64_t sequence; /* Responses: number of the next event */
};

/* Events: begin once, text as it grows (all of it so far), a ping when nothing moves, then end or fail. */
void pj_answer_begin(struct pj_answer *a);
void pj_answer_text(struct pj_answer *a, const char *text_so_far);
void pj_answer_ping(struct pj_answer *a);
void pj_answer_end(struct pj_answer *a, const struct pj_model_turn *turn);
void pj_answer_fail(struct pj_answer *a, int status, const char *code, const char *message);
/* The answer as one document. New reference. */
json_t *pj_answer_whole(const struct pj_answer *a, const struct pj_model_turn *turn);
/* An error as this format's clients read it. New reference. */
json_t *pj_answer_error(enum pj_model_api api, int status, const char *code, const char *message);

#endif
