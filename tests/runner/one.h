/* one.h - a fleet with one remote and one repository, which most of its tests want. */
#ifndef TESTS_RUNNER_ONE_H
#define TESTS_RUNNER_ONE_H

#include "tests/runner/fleet.h"

struct one {
    struct fleet f;
    char *remote, *repo;
};

void one_open(struct one *o);
/* The same with a repository that `set` describes further. */
void one_open_with(struct one *o, void (*set)(struct pj_repo *repo));
void one_close(struct one *o);
/* Start the runner and execute one task in the repository: to its end, which must have that status. Its id is the caller's. */
char *one_run(struct one *o, const char *title, enum pj_task_status status, struct pj_task *task);
/* Has it that status? Shows error and log when not. */
void one_assert_status(struct fleet *f, const struct pj_task *task, enum pj_task_status status);

#endif
