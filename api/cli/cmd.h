/* cmd.h - what several verbs share. */
#ifndef API_CLI_CMD_H
#define API_CLI_CMD_H

#include "api/cli/cli.h"
#include "api/cli/client.h"

/* The id of the repository a user means; owned by the caller. */
int cmd_find_repo(struct client *c, const char *text, char **id, struct pj_err *err) PJ_MUST_CHECK;
/* The same; an address that is not connected yet is connected, which is said on standard error. */
int cmd_repo_or_connect(struct client *c, const char *text, char **id,
                        struct pj_err *err) PJ_MUST_CHECK;
/* Content of a file, "-" is standard input; with `trim` without the line end. */
int cmd_read_file(const char *path, bool trim, char **out, struct pj_err *err) PJ_MUST_CHECK;
/* Wipes before it frees. */
void cmd_secret_freep(char **secret);
/* Body for POST /tasks from the words REPO TITLE and the options of `task create` and `run`; the caller decrefs. */
int cmd_task_body(struct client *c, const struct cli_args *args, bool execute, json_t **body,
                  struct pj_err *err) PJ_MUST_CHECK;
void cmd_task_print(const struct cli *cli, const json_t *task);
/* Exit code that tells a script how the task stands. */
int cmd_task_exit_code(const json_t *task);

#endif
