/* fleet.h - real runners on a store of the test's own, without the API: tasks are put into the store and watched there. */
#ifndef TESTS_RUNNER_FLEET_H
#define TESTS_RUNNER_FLEET_H

#include "lib/task/repo.h"
#include "lib/task/task.h"
#include "tests/support/gitfix.h"
#include "tests/support/program.h"
#include "tests/support/redis.h"

#define FLEET_ENV 64
#define FLEET_SOON_MS 90000 /* a loaded machine, sanitizers */

struct fleet {
    char *dir;     /* "/tmp/pjf-XXXXXX" */
    char *remotes; /* bare repositories */
    char *state;   /* PJ_STATE_DIR of runner 0 */
    struct test_redis redis;
    struct pj_redis *store;
    struct program runner[2];
    char *env[FLEET_ENV + 1];
    size_t env_count;
};

/* Redis, folders, settings: provider replay, two slots, no runner yet. */
void fleet_start(struct fleet *f);
/* Ends the runners (drain) and asserts that nothing of a task is left. */
void fleet_stop(struct fleet *f);
void fleet_set(struct fleet *f, const char *name, const char *value);
/* The answers of the replay provider: a JSON array as text. */
void fleet_answers(struct fleet *f, const char *answers);
/* Runner i, with a state folder of its own; returns when it says that it is ready. */
void fleet_runner(struct fleet *f, size_t i);

/* A bare repository with hello.txt and hello.sh on main. Its path; owned by the caller. */
char *fleet_remote(struct fleet *f, const char *name);
/* Connect it; `set` (may be NULL) changes the record first. Its id, owned by the caller. */
char *fleet_repo(struct fleet *f, const char *path, void (*set)(struct pj_repo *repo));
/* Create and execute a task; `set` may be NULL. Its id. */
char *fleet_task(struct fleet *f, const char *repo, const char *title,
                 void (*set)(struct pj_task *task));

/* The task now; released by the caller. */
void fleet_read(struct fleet *f, const char *id, struct pj_task *out);
/* Wait until it has ended. */
void fleet_wait_end(struct fleet *f, const char *id, struct pj_task *out);
/* Wait until an entry of its log holds `text`. */
void fleet_wait_log(struct fleet *f, const char *id, const char *text);
/* Wait until its log has `count` entries, or it has ended. */
void fleet_wait_count(struct fleet *f, const char *id, int64_t count);
/* The whole log, one JSON text a line; owned by the caller. Asserts that numbers have no gap. */
char *fleet_log(struct fleet *f, const char *id);
/* When all runners have ended, one way or another: waits until their state folders are let go, then asserts that no process
 * works for the fleet, no mount names it, no folder is under work/. */
void fleet_assert_clean(struct fleet *f);
/* While runner i goes on, but none of its tasks does: no box, no folder. */
void fleet_assert_no_work(struct fleet *f, size_t i);
/* A process whose command line begins with this program's name and whose ancestors include runner i; 0 when there is none. */
pid_t fleet_find_process(struct fleet *f, size_t i, const char *program, const char *argument);

#endif
