/* prompt.h - the words, from the Markdown files in runner/agent/prompts, with {{name}} holes. */
#ifndef AGENT_PROMPT_H
#define AGENT_PROMPT_H

#include "lib/base/err.h"
#include "lib/base/str.h"
#include "lib/embed/embed.h"

extern const struct pj_embedded agent_prompts[];

struct prompt_value {
    const char *name;
    const char *text; /* NULL counts as empty */
};

/* Append the prompt `file` with its holes filled. INVALID for an unknown file, a hole without a value, or a value without a
 * hole: the words and the code must agree. */
int prompt_render(const char *file, const struct prompt_value *values, size_t count,
                  struct pj_str *out, struct pj_err *err) PJ_MUST_CHECK;
/* Foreign text between fences that it cannot close: back-ticks, one more than its longest run. */
int prompt_fence(struct pj_str *out, const char *text);

#endif
