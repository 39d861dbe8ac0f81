/* tool_read.c - list_dir and read_file. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include "lib/base/mem.h"
#include "lib/json/codec.h"
#include "runner/agent/tools.h"
#include "runner/agent/tree.h"

#define LIST_MAX 500
#define LINES_MAX 2000
#define LINE_SHOWN_MAX 2000
#define BYTES_SHOWN_MAX ((size_t)48 << 10)
#define FILE_MAX ((size_t)8 << 20)

struct listing {
    struct pj_str *out;
    size_t shown, left;
};

static bool list_entry(void *ctx, const char *path, const struct stat *st, int dirfd,
                       const char *name)
{
    struct listing *l = ctx;
    char target[512];
    ssize_t n;

    if (l->shown >= LIST_MAX) {
        l->left++;
        return l->left < 100000;
    }
    l->shown++;
    if (S_ISDIR(st->st_mode)) {
        (void)pj_str_putf(l->out, "%s/\n", path);
    } else if (S_ISLNK(st->st_mode)) {
        n = readlinkat(dirfd, name, target, sizeof target - 1);
        (void)pj_str_putf(l->out, "%s -> %.*s\n", path, n > 0 ? (int)n : 0, target);
    } else {
        (void)pj_str_putf(l->out, "%s  %lld bytes%s\n", path, (long long)st->st_size,
                          st->st_mode & S_IXUSR ? ", executable" : "");
    }
    return true;
}

int tool_list_dir(struct agent *a, const json_t *args, struct pj_str *out)
{
    PJ_CLEANUP(pj_freep) char *path = NULL;
    struct listing l = {.out = out};
    int64_t depth = pj_json_i64(args, "depth", 1);
    struct pj_err err;

    if (tool_path_arg(a, args, "path", &path, out) != 0)
        return PJ_NONE;
    if (depth < 1 || depth > 5)
        return tool_refuse(out, "depth is 1 to 5");
    if (tree_walk(a, path, (int)depth, list_entry, &l, &err) < 0)
        return tool_refuse_err(out, &err);
    if (l.shown == 0)
        (void)pj_str_puts(out, "(empty)");
    if (l.left > 0)
        (void)pj_str_putf(out, "… and %zu more entries; list a deeper folder", l.left);
    return 0;
}

/* Put lines first..last (from 1) with their numbers; says what was not shown. */
static void put_lines(struct pj_str *out, struct pj_view text, int64_t first, int64_t last)
{
    int64_t n = 0, shown = 0, cut_at = 0;
    struct pj_view rest = text, line;

    while (pj_view_cut(&rest, '\n', &line)) {
        if (line.n == 0 && !rest.p && text.n > 0 && text.p[text.n - 1] == '\n')
            break; /* what follows the last newline is no line */
        n++;
        if (n < first || (last > 0 && n > last) || cut_at)
            continue;
        if (shown >= LINES_MAX || out->len > BYTES_SHOWN_MAX) {
            cut_at = n;
            continue;
        }
        if (line.n > 0 && line.p[line.n - 1] == '\r')
            line.n--;
        (void)pj_str_putf(out, "%6lld\t", (long long)n);
        (void)pj_utf8_append_clean(
            out, pj_view_n(line.p, line.n < LINE_SHOWN_MAX ? line.n : LINE_SHOWN_MAX));
        (void)pj_str_puts(out, line.n > LINE_SHOWN_MAX ? " … [line cut]\n" : "\n");
        shown++;
    }
    if (cut_at)
        (void)pj_str_putf(out, "… [cut at line %lld of %lld; ask with start]\n", (long long)cut_at,
                          (long long)n);
    else if (shown == 0)
        (void)pj_str_putf(out, "(the file has %lld lines)", (long long)n);
}

int tool_read_file(struct agent *a, const json_t *args, struct pj_str *out)
{
    PJ_CLEANUP(pj_freep) char *path = NULL;
    PJ_CLEANUP(pj_str_release) struct pj_str text;
    int64_t start = pj_json_i64(args, "start", 1), end = pj_json_i64(args, "end", 0);
    struct pj_view view;
    struct pj_err err;

    pj_str_init(&text, FILE_MAX);
    if (tool_path_arg(a, args, "path", &path, out) != 0)
        return PJ_NONE;
    if (tree_read(a, path, &text, NULL, &err) < 0)
        return tool_refuse_err(out, &err);
    if (tree_is_binary(text.data, text.len))
        return tool_refuse(out, "%s is a binary file of %zu bytes", path, text.len);
    if (text.len == 0) {
        (void)pj_str_puts(out, "(the file is empty)");
        return 0;
    }
    view = pj_view_n(text.data, text.len);
    put_lines(out, view, start < 1 ? 1 : start, end);
    if (!pj_utf8_valid(view))
        (void)pj_str_puts(out, "[the file is not UTF-8; other bytes are shown as U+FFFD]\n");
    if (memmem(text.data, text.len, "\r\n", 2))
        (void)pj_str_puts(out, "[lines end in CRLF; edit_file keeps that]\n");
    if (text.data[text.len - 1] != '\n')
        (void)pj_str_puts(out, "[no newline at the end of the file]\n");
    return 0;
}
