/* follow.h - a task's log as it happens. A broken stream is resumed by itself with Last-Event-ID: every line once.
 * On a terminal a live line (live.h) stands below, and Ctrl-C leaves the task to itself. */
#ifndef API_CLI_FOLLOW_H
#define API_CLI_FOLLOW_H

#include "api/cli/client.h"

struct follow {
    struct cli *cli;
    struct client *client;
    const char *task;
    int64_t attempt; /* 0: all */
    json_t *last;    /* out: the last status event; owned, NULL when there was none */
};

/* Print entries, and a line for each stage, until the task has ended. Fails when the API refuses, or when it stays away for a minute. */
int follow_log(struct follow *f, struct pj_err *err) PJ_MUST_CHECK;
/* Follow, then read the task; the caller decrefs. */
int follow_task(struct cli *cli, struct client *client, const char *task, json_t **out,
                struct pj_err *err) PJ_MUST_CHECK;
/* Follow, then print how it ended. Returns the task's exit code, or -1. */
int follow_to_end(struct cli *cli, struct client *client, const char *task,
                  struct pj_err *err) PJ_MUST_CHECK;
/* One entry as a line. */
void follow_print_entry(const struct cli *cli, const json_t *entry);

#endif
