/* stage.h - a browser plays a scene against a real installation.
 *
 * stage_play() starts `node play.mjs NAME` (Playwright with the system's Chromium), which drives the pages. When the play needs
 * something of this side it writes "cue NAME ARG" on a line; the cue of that name runs, and its answer goes back. */
#ifndef TESTS_PAGES_STAGE_H
#define TESTS_PAGES_STAGE_H

#include "tests/support/world.h"

struct stage_cue {
    const char *name;
    void (*run)(void *ctx, const char *arg,
                struct pj_str *answer); /* answer: one line, "" is fine */
};

/* NULL when a browser can be had, else what is missing. */
const char *stage_missing(void);
/* Plays to the end; the test fails with what the play said when it does not exit with 0 within `seconds`. `facts` is a JSON object for
 * the play, taken over; the address of the API and the admin's token are added to it. `cues` ends with a NULL name. */
void stage_play(struct world *w, const char *name, json_t *facts, const struct stage_cue *cues,
                void *ctx, int seconds);

#endif
