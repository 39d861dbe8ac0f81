/* check.h - reaches a repository's remote and finds its branch. Blocks: the work of a process of its own. */
#ifndef API_REMOTE_CHECK_H
#define API_REMOTE_CHECK_H

#include "api/remote/wire.h"

/* Fills *out, which the caller releases. */
void remote_check(const struct remote_question *q, struct remote_answer *out);

#endif
