/* tool_edit.c - edit_file: exact and unique, keeping what it does not mean. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include "lib/base/fs.h"
#include "lib/base/mem.h"
#include "lib/json/codec.h"
#include "runner/agent/tools.h"
#include "runner/agent/tree.h"

#define FILE_MAX ((size_t)8 << 20)
#define PLACES_SHOWN 5

static size_t count(struct pj_view text, struct pj_view what)
{
    size_t n = 0;
    const char *p = text.p, *end = text.p + text.n;

    while ((p = memmem(p, (size_t)(end - p), what.p, what.n))) {
        n++;
        p += what.n;
    }
    return n;
}

/* A copy with LF turned into CRLF, where it is not already. */
static char *to_crlf(const char *text)
{
    struct pj_str s;

    pj_str_init(&s, strlen(text) * 2 + 1);
    for (const char *p = text; *p; p++) {
        if (*p == '\n' && (p == text || p[-1] != '\r'))
            (void)pj_str_putc(&s, '\r');
        (void)pj_str_putc(&s, *p);
    }
    return pj_str_take(&s);
}

static int replace(struct pj_view text, struct pj_view old, struct pj_view new,
                   struct pj_str *result)
{
    const char *p = text.p, *end = text.p + text.n, *hit;

    while ((hit = memmem(p, (size_t)(end - p), old.p, old.n))) {
        if (pj_str_append(result, p, (size_t)(hit - p)) < 0 ||
            pj_str_append(result, new.p, new.n) < 0)
            return -1;
        p = hit + old.n;
    }
    return pj_str_append(result, p, (size_t)(end - p));
}

static void put_places(struct pj_view text, struct pj_view what, struct pj_str *out)
{
    const char *p = text.p, *end = text.p + text.n, *counted = text.p;
    size_t line = 1;

    for (int i = 0; i < PLACES_SHOWN && (p = memmem(p, (size_t)(end - p), what.p, what.n));
         i++, p += what.n) {
        for (; counted < p; counted++)
            line += *counted == '\n';
        (void)pj_str_putf(out, "%s%zu", i ? ", " : "", line);
    }
}

/* Overwrite in place: mode, owner and links of the file stay. */
static int store(struct agent *a, const char *path, const struct pj_str *text, struct pj_str *out)
{
    PJ_CLEANUP(pj_closep) int fd = -1;
    struct pj_err err;

    if (tree_open(a, path, O_WRONLY, 0, &fd, &err) < 0)
        return tool_refuse_err(out, &err);
    if (ftruncate(fd, 0) < 0 || pj_write_all(fd, pj_str_cstr(text), text->len) < 0)
        return tool_refuse(out, "writing %s: %s", path, strerror(errno));
    return 0;
}

int tool_edit_file(struct agent *a, const json_t *args, struct pj_str *out)
{
    PJ_CLEANUP(pj_freep) char *path = NULL;
    PJ_CLEANUP(pj_freep) char *old_crlf = NULL;
    PJ_CLEANUP(pj_freep) char *new_crlf = NULL;
    PJ_CLEANUP(pj_str_release) struct pj_str text;
    PJ_CLEANUP(pj_str_release) struct pj_str result;
    const char *old = pj_json_str(args, "old", ""), *new = pj_json_str(args, "new", "");
    bool all = pj_json_bool(args, "replace_all", false);
    struct pj_view view;
    struct pj_err err;
    size_t n;

    pj_str_init(&text, FILE_MAX);
    pj_str_init(&result, FILE_MAX * 2);
    if (tool_path_arg(a, args, "path", &path, out) != 0)
        return PJ_NONE;
    if (!*old)
        return tool_refuse(out, "\"old\" is empty; use write_file for a new file");
    if (strcmp(old, new) == 0)
        return tool_refuse(out, "\"old\" and \"new\" are the same");
    if (tree_read(a, path, &text, NULL, &err) < 0)
        return tool_refuse_err(out, &err);
    view = pj_view_n(pj_str_cstr(&text), text.len);
    n = count(view, pj_view_of(old));
    if (memmem(view.p, view.n, "\r\n", 2)) {
        /* The model sees and writes LF; the file keeps its CRLF. */
        new_crlf = to_crlf(new);
        if (n == 0) {
            old_crlf = to_crlf(old);
            n = count(view, pj_view_of(old_crlf));
            old = old_crlf;
            new = new_crlf;
        } else if (strchr(old, '\n')) {
            new = strstr(old, "\r\n") ? new_crlf : new;
        } else {
            new = new_crlf;
        }
    }
    if (n == 0) {
        (void)tool_refuse(out, "\"old\" does not occur in %s. ", path);
        edit_near(out, view, pj_view_of(pj_json_str(args, "old", "")));
        return PJ_NONE;
    }
    if (n > 1 && !all) {
        (void)tool_refuse(out, "\"old\" occurs %zu times in %s (lines ", n, path);
        put_places(view, pj_view_of(old), out);
        (void)pj_str_puts(out, n > PLACES_SHOWN ? ", …): take more context, or set replace_all"
                                                : "): take more context, or set replace_all");
        return PJ_NONE;
    }
    if (replace(view, pj_view_of(old), pj_view_of(new), &result) < 0)
        return tool_refuse(out, "the file would have more than %zu bytes", FILE_MAX * 2);
    if (store(a, path, &result, out) != 0)
        return PJ_NONE;
    (void)pj_str_putf(
        out, n == 1 ? "replaced 1 place in %s (line " : "replaced places in %s (lines ", path);
    put_places(view, pj_view_of(old), out);
    (void)pj_str_puts(out, n > PLACES_SHOWN ? ", …)" : ")");
    return 0;
}
