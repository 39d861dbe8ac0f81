/* standby.h - a box built ahead of need: the outer process's part of it.
 *
 * `pj-sandbox --standby N` builds at once all that no order can change (standing.h) and waits for one order on the socket N (order.h).
 * It then goes on as if it had been started with the whole command line: the same two processes, the same end, one box. What does
 * not fit, because the order asks for another system or other limits or because the host has changed meanwhile, is thrown away and built
 * anew. Nothing is shared, kept or used twice. */
#ifndef SANDBOX_STANDBY_H
#define SANDBOX_STANDBY_H

#include "sandbox/spec.h"

/* The words before they are read, which cuts them: a copy without --standby, NULL where that is not among them. */
char **standby_words(int argc, char **argv);
/* From the building to the exit code. `words` as given out above. */
int standby_run(const struct spec *early, char **words);

#endif
