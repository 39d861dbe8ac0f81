/* settings.h - fills a struct from a table of settings: command line > environment > NAME_FILE > file (PJ_CONFIG) > default.
 *
 * The table is the documentation: --help, the manual's list and the chart's test read it. A flag is the name in lower case
 * with dashes and without PJ_ (PJ_REDIS_URL: --redis-url); a secret has no flag for its value, only --name-file, since
 * argv is public. A mistake names the setting (class INVALID, exit 78). The file has lines NAME=value, # comments,
 * optional quotes round the value. Strings are owned by the target struct: pj_settings_release() frees them. */
#ifndef PJ_BASE_SETTINGS_H
#define PJ_BASE_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include "lib/base/err.h"
#include "lib/base/redact.h"

enum pj_setting_type {
    PJ_SET_STR,      /* char *; NULL when unset and without default */
    PJ_SET_SECRET,   /* char *; NAME_FILE too; added to the redactor; wiped on release */
    PJ_SET_INT,      /* int64_t within min..max */
    PJ_SET_BOOL,     /* bool: 1 0 true false yes no on off */
    PJ_SET_DURATION, /* int64_t milliseconds within min..max */
    PJ_SET_SIZE,     /* int64_t bytes within min..max */
    PJ_SET_MONEY,    /* int64_t micro-dollars; -1 when unset */
    PJ_SET_WORD,     /* char *; one of `words` */
};

struct pj_setting {
    const char *name;
    enum pj_setting_type type;
    size_t offset;
    const char *def;          /* text of the default, NULL: unset */
    int64_t min, max;         /* both 0: no bounds */
    const char *const *words; /* NULL-terminated, for PJ_SET_WORD */
    const char *help;         /* one line */
};

struct pj_settings_args {
    int argc;
    char **argv;               /* argv[0] is the program */
    int rest;                  /* out: index of the first argument that is no setting's flag */
    bool help, version, check; /* out: --help --version --check-config were given */
    bool help_all;             /* out: --help-all, which is --help with every setting explained */
    bool
        stop_at_word; /* in: the first word that is no option ends the flags (for programs with verbs) */
};

/* Unknown options are an error unless `args` is NULL (then only environment, file and defaults count). `redact` may be
 * NULL. On failure *out holds nothing to release. */
int pj_settings_load(const struct pj_setting *table, size_t count, void *out,
                     struct pj_settings_args *args, struct pj_redact *redact,
                     struct pj_err *err) PJ_MUST_CHECK;
void pj_settings_release(const struct pj_setting *table, size_t count, void *out);
/* The option list: for --help-all each with its name, meaning and default, for --help the options alone, so that it fits a screen. */
void pj_settings_help(const struct pj_setting *table, size_t count, bool all, FILE *to);
/* True when the value came from anywhere but the default: looked up in the environment and file again. */
bool pj_setting_given(const char *name);

#endif
