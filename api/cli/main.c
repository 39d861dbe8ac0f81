/* pj - the command line for people. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "api/cli/args.h"
#include "api/cli/cli.h"
#include "api/cli/client.h"
#include "api/cli/config.h"
#include "api/cli/host.h"
#include "api/cli/table.h"
#include "lib/base/proc.h"

/* Verbs that stand alone have a line each, the verbs of a noun share one: it all fits a screen. */
static void help_verbs(FILE *to)
{
    const char *noun = "";

    for (size_t i = 0; i < cli_verb_count; i++) {
        const struct cli_verb *v = &cli_verbs[i];

        if (!v->noun)
            (void)fprintf(to, "  %-10s %s\n", v->verb, v->help);
        else if (strcmp(v->noun, noun) != 0)
            (void)fprintf(to, "%s  %-10s %s", *noun ? "\n" : "", v->noun, v->verb);
        else
            (void)fprintf(to, " | %s", v->verb);
        noun = v->noun ? v->noun : "";
    }
    (void)fputc('\n', to);
}

static void help(FILE *to)
{
    (void)fputs("usage: pj [NOUN] VERB [arguments]          more with: pj [NOUN] VERB --help\n\n",
                to);
    help_verbs(to);
    (void)fputs("\nOptions (also environment variables, and lines of the file PJ_CONFIG names):\n",
                to);
    pj_settings_help(cli_setting_table, cli_setting_count, true, to);
    (void)fputs(
        "  --json --help --version --check-config\n"
        "Exit: 0 ok, 1 failed, 2 usage, 3 not found, 4 auth, 5 conflict, 8 pending, 78 settings,\n"
        "      124 task timed out, 130 interrupted\n",
        to);
}

static const struct cli_verb *find_verb(int argc, char **argv, int *used)
{
    for (size_t i = 0; i < cli_verb_count; i++) {
        const struct cli_verb *v = &cli_verbs[i];
        int words = v->noun ? 2 : 1;

        if (argc < words || (v->noun && strcmp(argv[0], v->noun) != 0) ||
            strcmp(argv[words - 1], v->verb) != 0)
            continue;
        *used = words;
        return v;
    }
    return NULL;
}

static int report(const struct pj_err *err)
{
    (void)fflush(stdout);
    (void)fputs("pj: ", stderr);
    table_put_text(stderr, err->message, true); /* a remote's own words may be in it */
    (void)fputs(*err->remedy ? " - " : "", stderr);
    table_put_text(stderr, err->remedy, true);
    (void)fputc('\n', stderr);
    return strcmp(err->code, "settings") == 0 ? PJ_EXIT_CONFIG : pj_err_exit_code(err->cls);
}

/* The verbs of a noun; false where it is none. */
static bool help_noun(const char *noun, FILE *to)
{
    bool known = false;

    for (size_t i = 0; i < cli_verb_count; i++) {
        const struct cli_verb *v = &cli_verbs[i];

        if (!v->noun || strcmp(v->noun, noun) != 0)
            continue;
        if (!known)
            (void)fprintf(to,
                          "usage: pj %s VERB [arguments]          more with: pj %s VERB --help\n\n",
                          noun, noun);
        (void)fprintf(to, "  %-11s %-16s %s\n", v->verb, v->words, v->help);
        known = true;
    }
    return known;
}

static int unknown_verb(int argc, char **argv)
{
    if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) &&
        help_noun(argv[0], stdout))
        return 0;
    if (argc > 1 || !help_noun(argv[0], stderr))
        (void)fprintf(stderr, "pj: no such command: %s%s%s - see `pj --help`\n", argv[0],
                      argc > 1 ? " " : "", argc > 1 ? argv[1] : "");
    return EXIT_USAGE;
}

static int run_verb(struct cli *cli, int argc, char **argv)
{
    int used = 0;
    const struct cli_verb *verb = find_verb(argc, argv, &used);
    struct cli_args args = {.count = 0};
    struct pj_err err = {0};
    bool wants_help = false;

    if (!verb)
        return unknown_verb(argc, argv);
    if (!verb->run) {
        char program[32];

        (void)snprintf(program, sizeof program, "pj-%s", verb->verb);
        host_become(program, argc - used, argv + used, &err);
        return report(&err);
    }
    if (args_parse(verb, argc - used, argv + used, cli, &args, &wants_help, &err) < 0) {
        (void)report(&err);
        return EXIT_USAGE;
    }
    if (wants_help) {
        args_help(verb, stdout);
        return 0;
    }
    int rc = verb->run(cli, &args, &err);
    if (rc < 0)
        rc = report(&err);
    if (fflush(stdout) != 0 && rc == 0)
        rc = EXIT_FAILED;
    return rc;
}

int main(int argc, char **argv)
{
    struct cli cli = {.tty = isatty(STDOUT_FILENO) == 1};
    struct pj_settings_args args = {.argc = argc, .argv = argv, .stop_at_word = true};
    struct pj_err err = {0};
    int rc;

    pj_forbid_core_files();
    (void)signal(SIGPIPE, SIG_DFL);
    const char *no_colour = getenv("NO_COLOR");
    cli.colour = cli.tty && !(no_colour && *no_colour);
    if (argc > 1 && strcmp(argv[1], "--json") == 0) {
        cli.json = true;
        argv[1] = argv[0];
        args.argc--;
        args.argv++;
    }
    if (config_load(&cli, &args, &err) < 0) {
        (void)report(&err);
        rc = PJ_EXIT_CONFIG;
    } else if (args.help) {
        help(stdout);
        rc = 0;
    } else if (args.version) {
        (void)puts("pj " PJ_VERSION);
        rc = 0;
    } else if (args.check) {
        rc = 0;
    } else if (args.rest >= args.argc) {
        help(stderr);
        rc = EXIT_USAGE;
    } else {
        rc = run_verb(&cli, args.argc - args.rest, args.argv + args.rest);
    }
    client_free(cli.client);
    config_release(&cli);
    return rc;
}
