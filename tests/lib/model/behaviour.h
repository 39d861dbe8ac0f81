/* behaviour.h - what providers were seen or are documented to do, a row each, and what has to come of it. */
#ifndef TESTS_LIB_MODEL_BEHAVIOUR_H
#define TESTS_LIB_MODEL_BEHAVIOUR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "lib/model/model.h"

enum trouble { FINE, CUT, STALL, SILENCE };

struct behaviour {
    const char *name;
    enum pj_model_api api;
    int status;           /* 0: 200 */
    const char *header;   /* "Name: value" */
    const char *body;     /* an event stream unless it starts with a brace */
    enum trouble trouble; /* after the body */
    /* what comes of it */
    enum pj_model_fault fault; /* NONE: a turn */
    const char *code;
    const char *text;  /* of the turn; or part of the failure's message */
    const char *calls; /* compact JSON */
    enum pj_model_stop stop;
    int64_t prompt, output; /* tokens; -1: estimated */
};

extern const struct behaviour behaviours[];
extern const size_t behaviour_count;

#endif
