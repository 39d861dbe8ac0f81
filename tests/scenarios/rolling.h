/* rolling.h - two runners, twenty tasks, five viewers, and programs that are replaced under them.
 *
 * A program is stopped with SIGTERM, as an upgrade does, and started again from `bin`: a folder of programs, NULL for those of this build. */
#ifndef TESTS_SCENARIOS_ROLLING_H
#define TESTS_SCENARIOS_ROLLING_H

#include "tests/scenarios/scene.h"

#define ROLLING_TASKS 20
#define ROLLING_VIEWERS 5

struct rolling {
    struct scene s;
    char *task[ROLLING_TASKS];
    struct program viewer[ROLLING_VIEWERS]; /* `pj logs -f` of this build */
};

/* Programs started from now on are those of `bin`. */
void rolling_use(const char *bin);
/* All started, the tasks executed; returns once the first two are at the model. */
void rolling_start(struct rolling *r, const char *bin);
void rolling_api(struct rolling *r, const char *bin);
void rolling_runner(struct rolling *r, size_t i, const char *bin);
/* Every task ends as completed in its first attempt with one commit and one request to the model, and every viewer saw each entry once. */
void rolling_end(struct rolling *r);

/* Completed in its first attempt, with one commit on its branch. */
void rolling_assert_once(struct scene *s, const char *task);

/* What the viewer, `pj --json logs -f`, printed until its end, entry by entry, against what is stored: each once, none missing, in order. */
void rolling_assert_saw_all(struct scene *s, struct program *viewer, const char *task);

#endif
