/* syntax.h - does a file parse? A table of language -> command, as a shell script for a box; no I/O here.
 *
 * A language may name several checkers; the first that the box has judges. Files come as arguments of the script, relative to the
 * work tree, each beginning with "./". */
#ifndef RUNNER_SYNTAX_H
#define RUNNER_SYNTAX_H

#define SYNTAX_CHECKERS_MAX 3

struct syntax_checker {
    const char *tool; /* what has to be installed, in words */
    const char *have; /* shell: succeeds where the checker works; NULL: `tool` is a program */
    const char
        *command; /* shell: reads the file named by $1; exit 0 parses, SYNTAX_UNKNOWN cannot tell */
};

struct syntax_language {
    const char *name;
    const char *globs[8]; /* of a path's last component; NULL ends them */
    struct syntax_checker checkers[SYNTAX_CHECKERS_MAX]; /* a NULL tool ends them */
};

/* Exit codes of the script. */
enum {
    SYNTAX_PARSES = 0,
    SYNTAX_BROKEN = 1,   /* one file or more does not parse */
    SYNTAX_UNKNOWN = 77, /* none is broken, but one or more cannot be judged; the output says why */
    SYNTAX_NO_CHECKER = 97, /* the box has no checker of this language */
};

extern const struct syntax_language syntax_languages[];

/* The language of a file, NULL when there is none that is known. */
const struct syntax_language *syntax_of(const char *path);
/* The script; owned by the caller. */
char *syntax_script(const struct syntax_language *language);
/* "node or python3", for a sentence; owned by the caller. */
char *syntax_tools(const struct syntax_language *language);

#endif
