#include "api/cli/args.h"

#include <string.h>

#define HEAD_COLUMNS 28

static const struct cli_option *find(const struct cli_verb *verb, const char *name, size_t n,
                                     char letter)
{
    for (const struct cli_option *o = verb->options; o && o->name; o++)
        if (name ? strlen(o->name) == n && strncmp(o->name, name, n) == 0
                 : letter && o->letter == letter)
            return o;
    return NULL;
}

static int usage(const struct cli_verb *verb, struct pj_err *err)
{
    return pj_err_remedy(err, "pj %s%s%s --help", verb->noun ? verb->noun : "",
                         verb->noun ? " " : "", verb->verb);
}

struct parsing {
    const struct cli_verb *verb;
    int argc, i;
    char **argv;
    struct cli_args *out;
};

/* One option; `value` is what stood in the same argument, or NULL. */
static int take(struct parsing *p, const struct cli_option *o, const char *value,
                struct pj_err *err)
{
    if (o->value && !value) {
        if (p->i + 1 >= p->argc) {
            (void)pj_fail(err, PJ_E_INVALID, "--%s needs a value (%s)", o->name, o->value);
            return usage(p->verb, err);
        }
        value = p->argv[++p->i];
    } else if (!o->value && value) {
        (void)pj_fail(err, PJ_E_INVALID, "--%s takes no value", o->name);
        return usage(p->verb, err);
    }
    if (p->out->given_count == CLI_ARGS_MAX)
        return pj_fail(err, PJ_E_INVALID, "more than %d options", CLI_ARGS_MAX);
    p->out->given[p->out->given_count].option = o;
    p->out->given[p->out->given_count++].value = value ? value : "";
    return 0;
}

static int take_option(struct parsing *p, struct cli *cli, bool *help, struct pj_err *err)
{
    const char *a = p->argv[p->i];
    const struct cli_option *o;
    const char *equals = strchr(a, '=');

    if (strcmp(a, "--json") == 0) {
        cli->json = true;
        return 0;
    }
    if (strcmp(a, "--help") == 0 || strcmp(a, "-h") == 0) {
        *help = true;
        return 0;
    }
    if (a[1] == '-') {
        size_t n = equals ? (size_t)(equals - a) - 2 : strlen(a) - 2;

        o = find(p->verb, a + 2, n, 0);
        if (o)
            return take(p, o, equals ? equals + 1 : NULL, err);
    } else {
        o = find(p->verb, NULL, 0, a[1]);
        if (o)
            return take(p, o, a[2] ? a + 2 : NULL, err);
    }
    (void)pj_fail(err, PJ_E_INVALID, "unknown option %s", a);
    return usage(p->verb, err);
}

int args_parse(const struct cli_verb *verb, int argc, char **argv, struct cli *cli,
               struct cli_args *out, bool *help, struct pj_err *err)
{
    struct parsing p = {verb, argc, 0, argv, out};
    bool words_only = false;

    for (; p.i < argc; p.i++) {
        const char *a = argv[p.i];

        if (!words_only && strcmp(a, "--") == 0) {
            words_only = true;
        } else if (!words_only && a[0] == '-' && a[1]) {
            if (take_option(&p, cli, help, err) < 0)
                return -1;
        } else if (out->count < CLI_ARGS_MAX) {
            out->word[out->count++] = a;
        }
    }
    if (*help)
        return 0;
    if (out->count < verb->min || out->count > verb->max) {
        (void)pj_fail(err, PJ_E_INVALID,
                      out->count < verb->min ? "missing argument: %s" : "too many arguments: %s",
                      verb->words);
        return usage(verb, err);
    }
    return 0;
}

const char *cli_option_get(const struct cli_args *args, const char *name)
{
    for (size_t i = args->given_count; i > 0; i--)
        if (strcmp(args->given[i - 1].option->name, name) == 0)
            return args->given[i - 1].value;
    return NULL;
}

void args_help(const struct cli_verb *verb, FILE *to)
{
    (void)fprintf(to, "usage: pj %s%s%s%s%s%s\n%s.\n", verb->noun ? verb->noun : "",
                  verb->noun ? " " : "", verb->verb, *verb->words ? " " : "", verb->words,
                  verb->options ? " [options]" : "", verb->help);
    for (const struct cli_option *o = verb->options; o && o->name; o++) {
        char head[64];
        char letter[8] = "    ";

        if (o->letter)
            (void)snprintf(letter, sizeof letter, "-%c, ", o->letter);
        (void)snprintf(head, sizeof head, "%s--%s%s%s", letter, o->name, o->value ? " " : "",
                       o->value ? o->value : "");
        if (strlen(head) > HEAD_COLUMNS)
            (void)fprintf(to, "  %s\n  %*s %s\n", head, HEAD_COLUMNS, "", o->help);
        else
            (void)fprintf(to, "  %-*s %s\n", HEAD_COLUMNS, head, o->help);
    }
    (void)fputs("      --json                   print documents instead of tables\n", to);
}
