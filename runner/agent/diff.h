/* diff.h - for models without tools: one answer with a unified diff instead of a loop of calls. The diff is not applied here: it
 * goes out as it is, and the validator outside judges it. */
#ifndef AGENT_DIFF_H
#define AGENT_DIFF_H

#include "runner/agent/agent.h"

/* Find the diff in an answer: the fenced blocks that hold one, joined, else what follows its first header line. False when there is
 * none. */
bool diff_extract(const char *text, struct pj_str *out);
/* Turn the run into one without tools: another system prompt, and the most telling files' contents in the first message. */
int diff_begin(struct agent *a, struct pj_err *err) PJ_MUST_CHECK;
/* Hand a diff over. 0: accepted, the run is over. PJ_NONE: *feedback (owned by the caller) says what is wrong with it. */
int diff_hand_over(struct agent *a, const char *diff, const char *summary, char **feedback,
                   struct pj_err *err) PJ_MUST_CHECK;

#endif
