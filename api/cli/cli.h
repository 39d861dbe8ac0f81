/* cli.h - what every verb of `pj` gets: settings, the client, how to print; and the table the verbs stand in.
 *
 * A verb returns 0 or a negative value with err filled; main() prints the error once and turns its class into the exit code
 * of CONTRACT.md section 7. A positive return is an exit code of its own (8 pending, 124 task timed out, …). */
#ifndef API_CLI_CLI_H
#define API_CLI_CLI_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include "lib/base/err.h"
#include "lib/base/redact.h"

#define EXIT_FAILED 1
#define EXIT_USAGE 2
#define EXIT_PENDING 8
#define EXIT_TIMED_OUT 124
#define EXIT_INTERRUPTED 130

struct cli_settings {
    char *url;   /* PJ_URL */
    char *token; /* PJ_TOKEN */
    char *ca_file;
};

struct cli {
    struct cli_settings settings;
    struct pj_redact *redact;
    char *config_path;     /* where `pj login` writes */
    struct client *client; /* made at the first call */
    bool json;             /* --json */
    bool tty;              /* standard output is a terminal */
    bool colour;           /* a terminal, and NO_COLOR is not set */
};

/* ---- arguments of one verb ---- */

#define CLI_ARGS_MAX 64

struct cli_option {
    const char *name;  /* long, without dashes */
    char letter;       /* 0: none */
    const char *value; /* name of its value in the help; NULL: a switch */
    const char *help;
};

struct cli_args {
    const char *word[CLI_ARGS_MAX]; /* positional */
    size_t count;
    struct {
        const struct cli_option *option;
        const char *value;
    } given[CLI_ARGS_MAX];
    size_t given_count;
};

/* Last value of the option, NULL when not given; a switch that was given has the value "". */
const char *cli_option_get(const struct cli_args *args, const char *name);

struct cli_verb {
    const char *noun; /* NULL: the verb stands alone */
    const char *verb;
    const char *words;                /* positional arguments, as the help shows them */
    size_t min, max;                  /* how many */
    const struct cli_option *options; /* ends in a NULL name; NULL: none */
    int (*run)(struct cli *cli, const struct cli_args *args,
               struct pj_err *err); /* NULL: the program pj-<verb> reads the words itself */
    const char *help;
};

extern const struct cli_verb cli_verbs[];
extern const size_t cli_verb_count;

/* ---- the verbs, by file ---- */

int cmd_login(struct cli *, const struct cli_args *, struct pj_err *);

int cmd_repo_connect(struct cli *, const struct cli_args *, struct pj_err *);
int cmd_repo_list(struct cli *, const struct cli_args *, struct pj_err *);
int cmd_repo_remove(struct cli *, const struct cli_args *, struct pj_err *);
int cmd_repo_show(struct cli *, const struct cli_args *, struct pj_err *);
int cmd_repo_verify(struct cli *, const struct cli_args *, struct pj_err *);
int cmd_repo_workflow(struct cli *, const struct cli_args *, struct pj_err *);

int cmd_task_answer(struct cli *, const struct cli_args *, struct pj_err *);
int cmd_task_cancel(struct cli *, const struct cli_args *, struct pj_err *);
int cmd_task_create(struct cli *, const struct cli_args *, struct pj_err *);
int cmd_task_execute(struct cli *, const struct cli_args *, struct pj_err *);
int cmd_task_list(struct cli *, const struct cli_args *, struct pj_err *);
int cmd_task_patch(struct cli *, const struct cli_args *, struct pj_err *);
int cmd_task_publish(struct cli *, const struct cli_args *, struct pj_err *);
int cmd_task_retry(struct cli *, const struct cli_args *, struct pj_err *);
int cmd_task_show(struct cli *, const struct cli_args *, struct pj_err *);

int cmd_logs(struct cli *, const struct cli_args *, struct pj_err *);
int cmd_run(struct cli *, const struct cli_args *, struct pj_err *);

int cmd_runner_drain(struct cli *, const struct cli_args *, struct pj_err *);
int cmd_runner_list(struct cli *, const struct cli_args *, struct pj_err *);
int cmd_admin_reset_token(struct cli *, const struct cli_args *, struct pj_err *);
int cmd_admin_stats(struct cli *, const struct cli_args *, struct pj_err *);
int cmd_admin_tokens(struct cli *, const struct cli_args *, struct pj_err *);
int cmd_admin_users(struct cli *, const struct cli_args *, struct pj_err *);

int cmd_completion(struct cli *, const struct cli_args *, struct pj_err *);
int cmd_doctor(struct cli *, const struct cli_args *, struct pj_err *);
int cmd_up(struct cli *, const struct cli_args *, struct pj_err *);

#endif
