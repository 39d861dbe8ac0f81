/* up.h - `pj up`: Redis, pj-api and pj-runner as children of one program, on loopback, with their state in one folder.
 *
 * Files: up.c the flow; up_state.c folder, keys, tokens, environment; up_child.c children, readiness, end; up_sample.c the
 * sample repository and its task. Layout of the folder (0700):
 *     lock  secret-key  token  forges.json  replay.json  redis.sock  redis/  state/  sample/<name>.git  log/<program>.log */
#ifndef API_CLI_UP_H
#define API_CLI_UP_H

#include <sys/types.h>
#include "api/cli/client.h"

#define UP_ENV_MAX 400

struct up_state {
    char *dir;   /* absolute */
    char *token; /* the admin's */
    char *url;   /* http://127.0.0.1:PORT */
    char *redis_socket;
    int port;
    int lock_fd;
    bool replay;               /* no model is configured: the recorded answers are used */
    char *model;               /* "openai", "anthropic", "replay", or what MODEL_PROVIDER says */
    char *env[UP_ENV_MAX + 1]; /* of the children; ends in NULL */
    size_t env_count;
};

/* Make or reuse the folder (NULL: ~/.local/share/pithyjaunt). CONFLICT when another `pj up` uses it. */
int up_state_open(struct up_state *s, const char *dir, int port, struct pj_err *err) PJ_MUST_CHECK;
void up_state_close(struct up_state *s);

enum { UP_REDIS, UP_API, UP_RUNNER, UP_CHILDREN };

struct up_child {
    const char *name;
    pid_t pid; /* 0: not running */
    int pidfd;
    char *log_path;
};

/* All children, the terminal's signals, and the pump that watches both during every wait. */
struct up_watch {
    struct up_state *state;
    struct up_child child[UP_CHILDREN];
    int signal_fd;
    bool interrupted; /* SIGINT, SIGTERM or SIGHUP came */
    bool stopping;    /* ends of children are expected */
    struct pj_pump pump;
};

int up_watch_init(struct up_watch *w, struct up_state *s, struct pj_err *err) PJ_MUST_CHECK;
void up_watch_release(struct up_watch *w);
/* Start Redis, API, runner; each waited for until it says READY. The error is the program's own last line. */
int up_start_all(struct up_watch *w, struct pj_err *err) PJ_MUST_CHECK;
/* Runner drains, then API, then Redis; a second signal kills. */
void up_stop_all(struct up_watch *w);
/* Wait for a signal (0) or a child's unexpected end (-1). */
int up_wait(struct up_watch *w, struct pj_err *err) PJ_MUST_CHECK;

/* Connect the sample repository (made at the first time) and run the sample task with its log on screen. Returns the task's
 * exit code, or -1. What came out (the task's fields and `subject`, `remote`, `see`) is added to `result`. */
int up_sample_run(struct cli *cli, struct up_state *s, struct client *c, json_t *result,
                  struct pj_err *err) PJ_MUST_CHECK;

#endif
