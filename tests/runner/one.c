#include "tests/runner/one.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include "lib/base/mem.h"

void one_open_with(struct one *o, void (*set)(struct pj_repo *repo))
{
    fleet_start(&o->f);
    o->remote = fleet_remote(&o->f, "sample");
    o->repo = fleet_repo(&o->f, o->remote, set);
}

void one_open(struct one *o)
{
    one_open_with(o, NULL);
}

char *one_run(struct one *o, const char *title, enum pj_task_status status, struct pj_task *task)
{
    char *id;

    fleet_runner(&o->f, 0);
    id = fleet_task(&o->f, o->repo, title, NULL);
    fleet_wait_end(&o->f, id, task);
    one_assert_status(&o->f, task, status);
    return id;
}

void one_close(struct one *o)
{
    fleet_stop(&o->f);
    free(o->remote);
    free(o->repo);
}

void one_assert_status(struct fleet *f, const struct pj_task *task, enum pj_task_status status)
{
    PJ_CLEANUP(pj_freep) char *log = fleet_log(f, task->id);

    cr_assert_eq(task->status, (int)status, "%s %s: %s\n%s",
                 pj_task_status_word((enum pj_task_status)task->status), task->error.code,
                 task->error.detail, log);
}
