/* tool_search.c - search: a regular expression over the text files of the tree. */
#include <fcntl.h>
#include <fnmatch.h>
#include <regex.h>
#include <string.h>
#include "lib/base/mem.h"
#include "lib/json/codec.h"
#include "runner/agent/tools.h"
#include "runner/agent/tree.h"

#define MATCHES_MAX 200
#define FILE_MAX ((size_t)2 << 20)
#define LINE_SHOWN_MAX 300
#define COUNT_MAX 100000

struct search {
    const struct agent *a;
    regex_t regex;
    const char *fixed; /* instead of the regex, when it is none */
    const char *glob;
    struct pj_str *out;
    size_t shown, left, files, skipped;
};

/* Models write Perl's classes; POSIX has no \d, and no (?: or (?i). */
static char *to_posix(const char *pattern, bool *icase)
{
    struct pj_str s;

    pj_str_init(&s, strlen(pattern) * 6 + 1);
    if (strncmp(pattern, "(?i)", 4) == 0) {
        *icase = true;
        pattern += 4;
    }
    for (const char *p = pattern; *p; p++) {
        if (p[0] == '\\' && p[1] == 'd') {
            (void)pj_str_puts(&s, "[0-9]");
            p++;
        } else if (p[0] == '\\' && p[1] == 'D') {
            (void)pj_str_puts(&s, "[^0-9]");
            p++;
        } else if (p[0] == '\\' && p[1] == 't') {
            (void)pj_str_putc(&s, '\t');
            p++;
        } else if (p[0] == '\\' && p[1]) {
            (void)pj_str_append(&s, p, 2);
            p++;
        } else if (strncmp(p, "(?:", 3) == 0) {
            (void)pj_str_putc(&s, '(');
            p += 2;
        } else {
            (void)pj_str_putc(&s, *p);
        }
    }
    return pj_str_take(&s);
}

static bool matches(const struct search *s, const char *line, size_t n)
{
    regmatch_t range = {.rm_so = 0, .rm_eo = (regoff_t)n};

    if (s->fixed)
        return memmem(line, n, s->fixed, strlen(s->fixed)) != NULL;
    return regexec(&s->regex, line, 1, &range, REG_STARTEND) == 0;
}

static void search_text(struct search *s, const char *path, struct pj_view text)
{
    struct pj_view line;
    size_t number = 0;

    while (pj_view_cut(&text, '\n', &line)) {
        number++;
        if (line.n > 0 && line.p[line.n - 1] == '\r')
            line.n--;
        if (!line.p || !matches(s, line.p, line.n))
            continue;
        if (s->shown >= MATCHES_MAX) {
            s->left++;
            continue;
        }
        s->shown++;
        (void)pj_str_putf(s->out, "%s:%zu:", path, number);
        (void)pj_utf8_append_clean(
            s->out, pj_view_n(line.p, line.n < LINE_SHOWN_MAX ? line.n : LINE_SHOWN_MAX));
        (void)pj_str_puts(s->out, line.n > LINE_SHOWN_MAX ? " …\n" : "\n");
    }
}

static bool search_file(void *ctx, const char *path, const struct stat *st, int dirfd,
                        const char *name)
{
    struct search *s = ctx;
    PJ_CLEANUP(pj_str_release) struct pj_str text;
    struct pj_err err;

    (void)dirfd;
    pj_str_init(&text, FILE_MAX);
    if (!S_ISREG(st->st_mode) ||
        (s->glob && fnmatch(s->glob, path, 0) != 0 && fnmatch(s->glob, name, 0) != 0))
        return true;
    if (tree_read(s->a, path, &text, NULL, &err) < 0 || tree_is_binary(text.data, text.len)) {
        s->skipped++;
        return true;
    }
    s->files++;
    search_text(s, path, pj_view_n(pj_str_cstr(&text), text.len));
    return s->left < COUNT_MAX;
}

static int search_at(struct search *s, const char *path, struct pj_err *err)
{
    PJ_CLEANUP(pj_closep) int fd = -1;
    struct stat st;
    const char *slash = strrchr(path, '/');

    if (tree_open(s->a, path, O_PATH, 0, &fd, err) < 0)
        return -1;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
        (void)search_file(s, path, &st, -1, slash ? slash + 1 : path);
        return 0;
    }
    return tree_walk(s->a, path, 64, search_file, s, err);
}

int tool_search(struct agent *a, const json_t *args, struct pj_str *out)
{
    PJ_CLEANUP(pj_freep) char *path = NULL;
    const char *pattern = pj_json_str(args, "pattern", "");
    bool icase = pj_json_bool(args, "ignore_case", false);
    PJ_CLEANUP(pj_freep) char *posix = to_posix(pattern, &icase);
    struct search s = {.a = a, .out = out, .glob = pj_json_str(args, "glob", NULL)};
    struct pj_err err;
    int rc;

    if (!*pattern)
        return tool_refuse(out, "the pattern is empty");
    if (tool_path_arg(a, args, "path", &path, out) != 0)
        return PJ_NONE;
    if (regcomp(&s.regex, posix, REG_EXTENDED | (icase ? REG_ICASE : 0)) != 0) {
        s.fixed = pattern;
        (void)pj_str_puts(out, "[the pattern is no regular expression; searched as plain text]\n");
    }
    rc = search_at(&s, path, &err);
    if (!s.fixed)
        regfree(&s.regex);
    if (rc < 0)
        return tool_refuse_err(out, &err);
    if (s.shown == 0)
        (void)pj_str_putf(out, "no match in %zu files", s.files);
    if (s.left > 0)
        (void)pj_str_putf(out, "… and %s%zu more matches; narrow the pattern, path or glob",
                          s.left >= COUNT_MAX ? "over " : "", s.left);
    if (s.skipped > 0)
        (void)pj_str_putf(out, "%s[%zu binary or large files left out]", s.shown ? "" : "\n",
                          s.skipped);
    return 0;
}
