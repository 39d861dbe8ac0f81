#include "lib/base/settings.h"

#include <stdlib.h>
#include <string.h>
#include "lib/base/fs.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/base/view.h"

#define FILE_MAX (256 * 1024)
#define SECRET_FILE_MAX (64 * 1024)

/* Where a value came from, for the message that names it. */
struct found {
    char *value;      /* owned; NULL: not set */
    const char *from; /* "command line", "environment", … */
};

struct loading {
    const struct pj_setting *table;
    size_t count;
    struct pj_settings_args *args;
    struct pj_redact *redact;
    char *config; /* the file's text, NULL without one */
    char **flags; /* values given on the command line, one a setting, then one a NAME_FILE */
};

static void flag_name(const char *name, char *out, size_t cap)
{
    size_t n = 0;

    if (strncmp(name, "PJ_", 3) == 0)
        name += 3;
    for (; *name && n + 1 < cap; name++)
        out[n++] =
            *name == '_' ? '-' : (char)(*name >= 'A' && *name <= 'Z' ? *name - 'A' + 'a' : *name);
    out[n] = '\0';
}

/* One line of the file, without what surrounds NAME=value. */
static struct pj_view config_line(struct pj_view line)
{
    if (line.n && line.p[line.n - 1] == '\r')
        line.n--;
    line = pj_view_trim(line);
    if (pj_view_starts(line, "export "))
        line = pj_view_trim(pj_view_n(line.p + 7, line.n - 7));
    return line;
}

/* A line that sets nothing would be a setting that somebody believes in. */
static int check_config(const char *config, struct pj_err *err)
{
    static const char *const name_chars =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_";
    struct pj_view rest = pj_view_of(config), line;

    for (int number = 1; pj_view_cut(&rest, '\n', &line); number++) {
        size_t n = 0;

        line = config_line(line);
        if (line.n == 0 || *line.p == '#')
            continue;
        while (n < line.n && strchr(name_chars, line.p[n]))
            n++;
        if (n == 0 || n == line.n || line.p[n] != '=')
            return pj_fail(err, PJ_E_INVALID, "PJ_CONFIG: line %d is not NAME=value", number);
    }
    return 0;
}

/* The value of NAME in the file: the last line that sets it, owned by the caller. */
static char *in_file(const char *config, const char *name)
{
    struct pj_view rest = pj_view_of(config), line;
    char *value = NULL;
    size_t n = strlen(name);

    while (config && pj_view_cut(&rest, '\n', &line)) {
        line = config_line(line);
        if (line.n <= n || !pj_view_starts(line, name) || line.p[n] != '=')
            continue;
        line = pj_view_trim(pj_view_n(line.p + n + 1, line.n - n - 1));
        if (line.n >= 2 && (*line.p == '"' || *line.p == '\'') && line.p[line.n - 1] == *line.p)
            line = pj_view_n(line.p + 1, line.n - 2);
        free(value);
        value = pj_strndup(line.p, line.n);
    }
    return value;
}

static int read_secret_file(const char *name, const char *path, char **value, struct pj_err *err)
{
    struct pj_str text;

    pj_str_init(&text, SECRET_FILE_MAX);
    if (pj_fs_read(path, &text, err) < 0) {
        pj_str_release(&text);
        (void)pj_err_wrap(err, "%s_FILE", name);
        err->cls = PJ_E_INVALID;
        return pj_err_remedy(
            err, "put the value into that file and let this user read it, or set %s", name);
    }
    while (text.len && (text.data[text.len - 1] == '\n' || text.data[text.len - 1] == '\r'))
        text.data[--text.len] = '\0';
    *value = pj_str_take(&text);
    return 0;
}

/* Look one setting up in order of precedence. */
static int find_value(const struct loading *l, size_t i, struct found *out, struct pj_err *err)
{
    const struct pj_setting *s = &l->table[i];
    PJ_CLEANUP(pj_freep) char *file_key = pj_asprintf("%s_FILE", s->name);
    PJ_CLEANUP(pj_freep) char *path = NULL;
    const char *env = getenv(s->name), *env_file = getenv(file_key);
    bool secret = s->type == PJ_SET_SECRET;

    *out = (struct found){.from = "default"};
    if (l->flags && l->flags[i]) {
        out->value = pj_strdup(l->flags[i]);
        out->from = "command line";
    } else if (secret && l->flags && l->flags[l->count + i]) {
        path = pj_strdup(l->flags[l->count + i]);
    } else if (env && *env) {
        out->value = pj_strdup(env);
        out->from = "environment";
    } else if (secret && env_file && *env_file) {
        path = pj_strdup(env_file);
    } else {
        out->value = in_file(l->config, s->name);
        out->from = out->value ? "PJ_CONFIG" : "default";
        if (!out->value && secret)
            path = in_file(l->config, file_key);
        if (out->value && !*out->value)
            pj_freep(&out->value);
    }
    if (path) {
        out->from = "file";
        return read_secret_file(s->name, path, &out->value, err);
    }
    if (!out->value)
        out->value = pj_strdup_or_null(s->def);
    return 0;
}

static int fault(const struct pj_setting *s, const char *from, struct pj_err *err, const char *want)
{
    (void)pj_fail(err, PJ_E_INVALID, "%s (%s): %s", s->name, from, want);
    return pj_err_remedy(err, "correct %s: %s", s->name, s->help);
}

static int check_bounds(const struct pj_setting *s, const char *from, int64_t v, struct pj_err *err)
{
    char want[96];

    if ((s->min == 0 && s->max == 0) || (v >= s->min && v <= s->max))
        return 0;
    (void)snprintf(want, sizeof(want), "%lld is not within %lld to %lld%s", (long long)v,
                   (long long)s->min, (long long)s->max, s->type == PJ_SET_DURATION ? " ms" : "");
    return fault(s, from, err, want);
}

static int parse_bool(const char *text, bool *out)
{
    static const char *const yes[] = {"1", "true", "yes", "on"};
    static const char *const no[] = {"0", "false", "no", "off"};

    for (size_t i = 0; i < PJ_COUNT_OF(yes); i++) {
        if (strcmp(text, yes[i]) == 0 || strcmp(text, no[i]) == 0) {
            *out = strcmp(text, yes[i]) == 0;
            return 0;
        }
    }
    return -1;
}

static bool is_word(const struct pj_setting *s, const char *text)
{
    for (const char *const *w = s->words; *w; w++) {
        if (strcmp(*w, text) == 0)
            return true;
    }
    return false;
}

static int word_fault(const struct pj_setting *s, const char *from, const char *text,
                      struct pj_err *err)
{
    struct pj_str want;

    pj_str_init(&want, 400);
    (void)pj_str_putf(&want, "\"%.40s\" is none of", text);
    for (const char *const *w = s->words; *w; w++)
        (void)pj_str_putf(&want, " %s", *w);
    (void)fault(s, from, err, pj_str_cstr(&want));
    pj_str_release(&want);
    return -1;
}

static int store_value(const struct pj_setting *s, const struct found *f, void *out,
                       struct pj_err *err)
{
    void *slot = (char *)out + s->offset;
    struct pj_view text = pj_view_of(f->value);

    switch (s->type) {
    case PJ_SET_WORD:
        if (f->value && !is_word(s, f->value))
            return word_fault(s, f->from, f->value, err);
        *(char **)slot = pj_strdup_or_null(f->value);
        return 0;
    case PJ_SET_STR:
    case PJ_SET_SECRET:
        *(char **)slot = pj_strdup_or_null(f->value);
        return 0;
    case PJ_SET_INT:
        if (f->value && pj_parse_i64(text, slot) < 0)
            return fault(s, f->from, err, "not a whole number");
        return f->value ? check_bounds(s, f->from, *(int64_t *)slot, err) : 0;
    case PJ_SET_BOOL:
        if (f->value && parse_bool(f->value, slot) < 0)
            return fault(s, f->from, err, "neither 1 nor 0 (true, yes, on; false, no, off)");
        return 0;
    case PJ_SET_DURATION:
        if (f->value && pj_parse_duration_ms(text, slot) < 0)
            return fault(s, f->from, err,
                         "not a duration: a whole number with ms, s, m, h or d, say 90s");
        return f->value ? check_bounds(s, f->from, *(int64_t *)slot, err) : 0;
    case PJ_SET_SIZE:
        if (f->value && pj_parse_size(text, slot) < 0)
            return fault(s, f->from, err,
                         "not a size: a whole number with nothing, K, M or G, say 512M");
        return f->value ? check_bounds(s, f->from, *(int64_t *)slot, err) : 0;
    case PJ_SET_MONEY:
        *(int64_t *)slot = -1;
        if (f->value && pj_parse_money(text, slot) < 0)
            return fault(s, f->from, err, "not an amount of US dollars, say 2.50");
        return 0;
    }
    return 0;
}

/* True when `arg` is --flag of setting i (or its -file form): *value is what stands behind =, or NULL. */
static bool flag_matches(const struct pj_setting *s, const char *arg, bool file_form,
                         const char **value)
{
    char name[80];
    size_t n;

    flag_name(s->name, name, sizeof(name));
    n = strlen(name);
    if (strncmp(arg, "--", 2) != 0 || strncmp(arg + 2, name, n) != 0)
        return false;
    arg += 2 + n;
    if (file_form) {
        if (strncmp(arg, "-file", 5) != 0)
            return false;
        arg += 5;
    }
    if (*arg != '\0' && *arg != '=')
        return false;
    *value = *arg == '=' ? arg + 1 : NULL;
    return true;
}

static int take_flag(struct loading *l, int *at, struct pj_err *err)
{
    struct pj_settings_args *a = l->args;
    const char *arg = a->argv[*at], *value;

    for (size_t i = 0; i < l->count; i++) {
        const struct pj_setting *s = &l->table[i];
        bool file_form = s->type == PJ_SET_SECRET && flag_matches(s, arg, true, &value);

        if (!file_form && !flag_matches(s, arg, false, &value))
            continue;
        if (s->type == PJ_SET_SECRET && !file_form) {
            (void)pj_fail(
                err, PJ_E_INVALID,
                "%s: a secret is not taken from the command line, which other users can read",
                s->name);
            return pj_err_remedy(err, "set %s or %s_FILE in the environment", s->name, s->name);
        }
        if (!value && s->type == PJ_SET_BOOL)
            value = "1";
        if (!value && *at + 1 < a->argc)
            value = a->argv[++*at];
        if (!value) {
            (void)pj_fail(err, PJ_E_INVALID, "%s needs a value", arg);
            return pj_err_remedy(err, "%s", s->help);
        }
        pj_str_set(&l->flags[file_form ? l->count + i : i], value);
        return 0;
    }
    (void)pj_fail(err, PJ_E_INVALID, "unknown option %.80s", arg);
    return pj_err_remedy(err, "see --help for the options");
}

static int parse_args(struct loading *l, struct pj_err *err)
{
    struct pj_settings_args *a = l->args;
    int i;

    for (i = 1; i < a->argc; i++) {
        const char *arg = a->argv[i];

        if (strcmp(arg, "--") == 0) {
            i++;
            break;
        }
        if (strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0)
            a->help = true;
        else if (strcmp(arg, "--help-all") == 0)
            a->help = a->help_all = true;
        else if (strcmp(arg, "--version") == 0)
            a->version = true;
        else if (strcmp(arg, "--check-config") == 0)
            a->check = true;
        else if (strncmp(arg, "--", 2) == 0) {
            if (take_flag(l, &i, err) < 0)
                return -1;
        } else if (a->stop_at_word) {
            break;
        } else {
            (void)pj_fail(err, PJ_E_INVALID, "unexpected argument %.80s", arg);
            return pj_err_remedy(err, "see --help for the options");
        }
    }
    a->rest = i;
    return 0;
}

static int read_config(struct loading *l, struct pj_err *err)
{
    const char *path = getenv("PJ_CONFIG");
    struct pj_str text;

    if (!path || !*path)
        return 0;
    pj_str_init(&text, FILE_MAX);
    if (pj_fs_read(path, &text, err) < 0) {
        pj_str_release(&text);
        (void)pj_err_wrap(err, "PJ_CONFIG");
        err->cls = PJ_E_INVALID;
        return pj_err_remedy(err,
                             "point PJ_CONFIG at a readable file of lines NAME=value, or unset it");
    }
    l->config = pj_str_take(&text);
    if (check_config(l->config, err) < 0)
        return pj_err_remedy(err, "write one NAME=value a line; comments start with #");
    return 0;
}

static void loading_release(struct loading *l)
{
    if (l->config) {
        pj_wipe(l->config, strlen(l->config));
        free(l->config);
    }
    for (size_t i = 0; l->flags && i < 2 * l->count; i++)
        free(l->flags[i]);
    free(l->flags);
}

int pj_settings_load(const struct pj_setting *table, size_t count, void *out,
                     struct pj_settings_args *args, struct pj_redact *redact, struct pj_err *err)
{
    PJ_CLEANUP(loading_release) struct loading l = {table, count, args, redact, NULL, NULL};

    l.flags = pj_alloc(2 * count + 1, sizeof(char *));
    if (args && parse_args(&l, err) < 0)
        return -1;
    if (args && (args->help || args->version))
        return 0;
    if (read_config(&l, err) < 0)
        return -1;
    for (size_t i = 0; i < count; i++) {
        struct found f;
        int result = find_value(&l, i, &f, err);

        if (result == 0)
            result = store_value(&table[i], &f, out, err);
        if (result == 0 && table[i].type == PJ_SET_SECRET && redact)
            pj_redact_add(redact, f.value);
        if (f.value && table[i].type == PJ_SET_SECRET)
            pj_wipe(f.value, strlen(f.value));
        free(f.value);
        if (result < 0) {
            pj_settings_release(table, i, out);
            return -1;
        }
    }
    return 0;
}

void pj_settings_release(const struct pj_setting *table, size_t count, void *out)
{
    for (size_t i = 0; i < count; i++) {
        char **slot = (char **)((char *)out + table[i].offset);

        if (table[i].type != PJ_SET_STR && table[i].type != PJ_SET_SECRET &&
            table[i].type != PJ_SET_WORD)
            continue;
        if (table[i].type == PJ_SET_SECRET && *slot)
            pj_wipe(*slot, strlen(*slot));
        pj_freep(slot);
    }
}

static void help_names(const struct pj_setting *table, size_t count, FILE *to)
{
    char flag[80];
    int column = 0;

    for (size_t i = 0; i < count; i++) {
        const char *file = table[i].type == PJ_SET_SECRET ? "-file" : "";

        flag_name(table[i].name, flag, sizeof(flag));
        int width = (int)(strlen(flag) + strlen(file)) + 3;
        if (column > 0 && column + width > 79) {
            (void)fputc('\n', to);
            column = 0;
        }
        column += fprintf(to, "%s--%s%s", column > 0 ? " " : "  ", flag, file);
    }
    (void)fputc('\n', to);
}

void pj_settings_help(const struct pj_setting *table, size_t count, bool all, FILE *to)
{
    char flag[80];

    if (!all) {
        help_names(table, count, to);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        const struct pj_setting *s = &table[i];

        flag_name(s->name, flag, sizeof(flag));
        (void)fprintf(to, "  --%s%s  (%s%s)\n      %s", flag,
                      s->type == PJ_SET_SECRET ? "-file FILE" : "", s->name,
                      s->type == PJ_SET_SECRET ? " or its _FILE" : "", s->help);
        if (s->def)
            (void)fprintf(to, " [%s]", s->def);
        (void)fputc('\n', to);
    }
}

bool pj_setting_given(const char *name)
{
    const char *env = getenv(name);
    struct loading l = {0};
    struct pj_err err;
    bool given = env && *env;
    char *value;

    if (!given && read_config(&l, &err) == 0) {
        value = in_file(l.config, name);
        given = value && *value;
        free(value);
    }
    loading_release(&l);
    return given;
}
