/* preflight.h - can this host make a box at all? Asked once at start: a runner that cannot is an error with its remedy, not a taker of
 * tasks that all fail (DESIGN.md D5). */
#ifndef RUNNER_PREFLIGHT_H
#define RUNNER_PREFLIGHT_H

#include "lib/base/err.h"
#include "runner/settings.h"

/* Run `true` in a box like those of tasks. *isolation: what the box had, words joined by a space; owned by the caller. Fails
 * with code "sandbox_unavailable", the step, and the remedy. */
int preflight_isolation(const struct runner_settings *settings, char **isolation,
                        struct pj_err *err) PJ_MUST_CHECK;

#endif
