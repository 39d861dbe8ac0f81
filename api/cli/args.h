/* args.h - the arguments after the verb: words and the verb's own options; --json and --help count everywhere. */
#ifndef API_CLI_ARGS_H
#define API_CLI_ARGS_H

#include <stdio.h>
#include "api/cli/cli.h"

/* INVALID (usage) names the argument. *help is set when --help was among them. */
int args_parse(const struct cli_verb *verb, int argc, char **argv, struct cli *cli,
               struct cli_args *out, bool *help, struct pj_err *err) PJ_MUST_CHECK;
void args_help(const struct cli_verb *verb, FILE *to);

#endif
