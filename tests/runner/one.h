/* one.h - a fleet with one remote and one repository, which most of its tests want. */
#ifndef TESTS_RUNNER_ONE_H
#define TESTS_RUNNER_ONE_H

#include "tests/runner/fleet.h"

struct one {
    struct fleet f;
    char *remote, *repo;
};

void one_open(struct one *o);
void one_close(struct one *o);
/* Has it that status? Shows error and log when not. */
void one_assert_status(struct fleet *f, const struct pj_task *task, enum pj_task_status status);

#endif
