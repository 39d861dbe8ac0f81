/* pj completion: the verb table as a completion script. */
#include <stdio.h>
#include <string.h>
#include "api/cli/cli.h"

/* Words that may follow `noun` (NULL: the first word), each once. */
static void words_after(const char *noun)
{
    const char *last = "";

    for (size_t i = 0; i < cli_verb_count; i++) {
        const struct cli_verb *v = &cli_verbs[i];
        const char *word = noun ? v->verb : v->noun ? v->noun : v->verb;

        if (noun && (!v->noun || strcmp(v->noun, noun) != 0))
            continue;
        if (strcmp(word, last) != 0)
            (void)printf("%s ", word);
        last = word;
    }
}

static void options_of(const struct cli_verb *v)
{
    for (const struct cli_option *o = v->options; o && o->name; o++)
        (void)printf("--%s ", o->name);
    (void)fputs("--json --help", stdout);
}

/* Calls `each` for every noun once. */
static void each_noun(void (*each)(const char *noun))
{
    const char *last = "";

    for (size_t i = 0; i < cli_verb_count; i++) {
        const char *noun = cli_verbs[i].noun;

        if (noun && strcmp(noun, last) != 0)
            each(noun);
        last = noun ? noun : last;
    }
}

static void bash_noun(const char *noun)
{
    (void)printf("        %s) words=\"", noun);
    words_after(noun);
    (void)fputs("\" ;;\n", stdout);
}

static void bash(void)
{
    (void)fputs("_pj() {\n    local cur=${COMP_WORDS[COMP_CWORD]} words=\"\"\n"
                "    if [ \"$COMP_CWORD\" -eq 1 ]; then words=\"",
                stdout);
    words_after(NULL);
    (void)fputs("\"\n    elif [ \"$COMP_CWORD\" -eq 2 ]; then case ${COMP_WORDS[1]} in\n", stdout);
    each_noun(bash_noun);
    (void)fputs("        esac\n    fi\n    case \"${COMP_WORDS[1]} ${COMP_WORDS[2]}\" in\n",
                stdout);
    for (size_t i = 0; i < cli_verb_count; i++) {
        const struct cli_verb *v = &cli_verbs[i];

        if (v->noun)
            (void)printf("        \"%s %s\") words=\"$words ", v->noun, v->verb);
        else
            (void)printf("        \"%s \"*) words=\"$words ", v->verb);
        options_of(v);
        (void)fputs("\" ;;\n", stdout);
    }
    (void)fputs(
        "    esac\n    COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n}\ncomplete -F _pj pj\n",
        stdout);
}

static void fish_noun(const char *noun)
{
    (void)printf("complete -c pj -n '__fish_seen_subcommand_from %s' -a '", noun);
    words_after(noun);
    (void)fputs("'\n", stdout);
}

/* Within single quotes of fish. */
static void fish_quoted(const char *text)
{
    for (; *text; text++) {
        if (*text == '\'' || *text == '\\')
            (void)putchar('\\');
        (void)putchar(*text);
    }
}

static void fish_option(const struct cli_verb *v, const struct cli_option *o)
{
    (void)printf("complete -c pj -n '__fish_seen_subcommand_from %s%s%s' -l %s%s -d '", v->verb,
                 v->noun ? "; and __fish_seen_subcommand_from " : "", v->noun ? v->noun : "",
                 o->name, o->value ? " -r" : "");
    fish_quoted(o->help);
    (void)puts("'");
}

static void fish(void)
{
    (void)fputs("complete -c pj -f\n"
                "complete -c pj -l json -d 'print documents instead of tables'\n"
                "complete -c pj -l help -d 'how it is called'\n"
                "complete -c pj -n __fish_use_subcommand -a '",
                stdout);
    words_after(NULL);
    (void)fputs("'\n", stdout);
    each_noun(fish_noun);
    for (size_t i = 0; i < cli_verb_count; i++)
        for (const struct cli_option *o = cli_verbs[i].options; o && o->name; o++)
            fish_option(&cli_verbs[i], o);
}

int cmd_completion(struct cli *cli, const struct cli_args *args, struct pj_err *err)
{
    (void)cli;
    if (strcmp(args->word[0], "bash") == 0) {
        bash();
    } else if (strcmp(args->word[0], "zsh") == 0) {
        (void)fputs("#compdef pj\nautoload -U +X bashcompinit && bashcompinit\n", stdout);
        bash();
        /* The completion system loads the file at the first TAB, and wants its answer. */
        (void)fputs("if [ \"${funcstack[1]}\" = _pj ]; then _bash_complete -F _pj; fi\n", stdout);
    } else if (strcmp(args->word[0], "fish") == 0) {
        fish();
    } else {
        return pj_fail(err, PJ_E_INVALID, "no completion for %s: bash, zsh or fish", args->word[0]);
    }
    return 0;
}
