/* world.h - a whole installation of a test's own: a folder, a Redis, pj-api, pj-runner, and calls to them.
 *
 *   struct world w;
 *   world_start(&w);
 *   world_set(&w, "PJ_TASK_TIMEOUT", "2s");     settings count for programs started afterwards
 *   world_use_openai(&w, model);
 *   world_api_start(&w);
 *   world_runner_start(&w, 0);
 *   …
 *   world_stop(&w);                             drains, ends, and fails when something of a box is left;
 *                                               PJ_TEST_KEEP in the environment keeps the folder with all logs
 *
 * Strings returned are owned by the caller. Failures end the test and show the programs' logs. */
#ifndef TESTS_SUPPORT_WORLD_H
#define TESTS_SUPPORT_WORLD_H

#include <jansson.h>
#include "tests/support/forge_server.h"
#include "tests/support/gitfix.h"
#include "tests/support/http.h"
#include "tests/support/model_server.h"
#include "tests/support/program.h"
#include "tests/support/redis.h"

#define WORLD_RUNNERS 4
#define WORLD_ENV 100
#define WORLD_TOKEN "pj_test_admin_token_0123456789abcdef"
#define WORLD_TASK 240000 /* for a whole task, whose stream never ceases */
#define WORLD_SOON 60000  /* generous: a loaded machine under sanitizers */

struct world {
    char *dir;     /* "/tmp/pjw-XXXXXX" */
    char *remotes; /* dir/remotes: bare repositories, allowed as a root in PJ_FORGES */
    char *state;   /* dir/state: PJ_STATE_DIR */
    struct test_redis redis;
    struct program api;
    struct program runner[WORLD_RUNNERS];
    char *base; /* address of the API */
    char *env[WORLD_ENV + 1];
    size_t env_count;
};

void world_start(struct world *w);
void world_stop(struct world *w);
/* Set, or with NULL remove, a variable of the environment that programs get. */
void world_set(struct world *w, const char *name, const char *value);
/* The model stand-in as provider, with its key. */
void world_use_openai(struct world *w, struct model_server *m);
void world_use_anthropic(struct world *w, struct model_server *m);
/* Forge of kind github and the folder of remotes, both allowed. */
void world_use_forge(struct world *w, struct forge_server *f, bool with_token);

void world_api_start(struct world *w);
/* Runner number i (name "runner-i", its own state folder). */
void world_runner_start(struct world *w, size_t i);

/* ---- the API, as the admin (or `token`) ---- */

/* Path below /api/v1. The status must be `status`, else the test fails showing the answer. NULL when the body is no JSON. */
json_t *world_call(struct world *w, const char *method, const char *path, const char *body,
                   int status);
json_t *world_call_as(struct world *w, const char *token, const char *method, const char *path,
                      const char *body, int status);
/* Connect a repository by its URL or path; `extra` is more JSON members (",\"checkCommand\":\"…\"") or "". Its id. */
char *world_connect(struct world *w, const char *url, const char *extra);
/* Create a task; `extra` as above. Its id. */
char *world_task(struct world *w, const char *repository, const char *title,
                 const char *description, const char *extra);
void world_execute(struct world *w, const char *task);
/* Follow the log stream until its end, then read the task. The caller decrefs. */
json_t *world_wait_end(struct world *w, const char *task);
/* The same, and it must have that status. */
json_t *world_wait_status(struct world *w, const char *task, const char *status);
/* Follow it until an entry holds this text in its message; it must come before the end. */
void world_wait_log(struct world *w, const char *task, const char *text);
/* All entries of a task's log, oldest first. */
json_t *world_log(struct world *w, const char *task);
/* Does an entry hold this text in its message? */
bool world_log_has(struct world *w, const char *task, const char *text);
/* Path of an SSE stream's address for a task. */
char *world_stream_path(const char *task);
/* Process ids of the jobs at work (`pj-runner job` of this installation); the array is the caller's. */
pid_t *world_jobs(const struct world *w, size_t *count);
/* Nothing of a box is left: no folder under work/, no process with the state folder in its command line or root. */
void world_assert_clean(struct world *w);
/* Logs of all programs, for a failure's message. */
char *world_logs(struct world *w);

#endif
