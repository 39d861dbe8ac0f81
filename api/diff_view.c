#include "api/diff_view.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/json/codec.h"

struct view {
    const struct pj_task *task;
    json_t *files, *file, *hunks;
    int64_t added, removed;
    char *path, *old_path;      /* of the present file */
    int64_t old_left, new_left; /* lines of the present hunk still to come */
};

static json_t *clean_string(struct pj_view v)
{
    struct pj_str s;

    pj_str_init(&s, v.n * 3 + 1);
    pj_utf8_append_clean(&s, v);
    json_t *out = json_stringn(pj_str_cstr(&s), s.len);
    pj_str_release(&s);
    return out;
}

static void end_file(struct view *v)
{
    if (v->file == NULL)
        return;
    const char *path = v->path != NULL ? v->path : v->old_path;
    json_object_set_new(v->file, "path",
                        path != NULL ? clean_string(pj_view_of(path)) : json_null());
    bool moved = v->path != NULL && v->old_path != NULL && strcmp(v->path, v->old_path) != 0;
    json_object_set_new(v->file, "oldPath",
                        moved ? clean_string(pj_view_of(v->old_path)) : json_null());
    json_object_set_new(v->file, "added", json_integer(v->added));
    json_object_set_new(v->file, "removed", json_integer(v->removed));
    json_object_set_new(v->file, "hunks", v->hunks);
    json_array_append_new(v->files, v->file);
    v->file = v->hunks = NULL;
    pj_freep(&v->path);
    pj_freep(&v->old_path);
    v->path = v->old_path = NULL;
}

static void begin_file(struct view *v)
{
    end_file(v);
    v->file = json_object();
    v->hunks = json_array();
    v->added = v->removed = v->old_left = v->new_left = 0;
}

/* "a/x", "b/x" without the prefix; NULL for /dev/null. A time stamp after a tab is cut. */
static void set_path(char **slot, struct pj_view name)
{
    const char *tab = memchr(name.p, '\t', name.n);

    if (tab != NULL)
        name.n = (size_t)(tab - name.p);
    if (name.n >= 2 && name.p[0] == '"' && name.p[name.n - 1] == '"')
        name = pj_view_n(name.p + 1, name.n - 2);
    if (pj_view_is(name, "/dev/null"))
        return;
    if (name.n > 2 && name.p[1] == '/' && (name.p[0] == 'a' || name.p[0] == 'b'))
        name = pj_view_n(name.p + 2, name.n - 2);
    pj_freep(slot);
    *slot = pj_strndup(name.p, name.n);
}

/* "12,3" -> 3; "12" -> 1. */
static int64_t range_length(struct pj_view range)
{
    struct pj_view start;
    int64_t n;

    if (!pj_view_cut(&range, ',', &start) || range.p == NULL)
        return 1;
    return pj_parse_i64(range, &n) == 0 && n >= 0 ? n : 0;
}

/* Why the next hunk of the present file did not apply; NULL: it is not said that it did not. */
static const char *reject_of(const struct view *v)
{
    const struct pj_task_error *e = &v->task->error;
    const char *path = v->path != NULL ? v->path : v->old_path;
    json_int_t number = (json_int_t)json_array_size(v->hunks) + 1;
    const json_t *reject = NULL;
    size_t i = 0;

    if (path == NULL || e->code == NULL || strcmp(e->code, "patch_conflict") != 0)
        return NULL;
    if (v->task->rejects == NULL)
        return e->detail != NULL && strstr(e->detail, path) != NULL ? e->detail : NULL;
    json_array_foreach(v->task->rejects, i, reject)
    {
        const json_t *hunk = json_object_get(reject, "hunk");
        if (strcmp(pj_json_str(reject, "path", ""), path) == 0 &&
            (json_is_null(hunk) || json_integer_value(hunk) == number))
            return pj_json_str(reject, "reason", "");
    }
    return NULL;
}

static void add_hunk(struct view *v, struct pj_view line)
{
    struct pj_view rest = line, word;
    const char *reason = reject_of(v);

    if (!pj_view_cut(&rest, ' ', &word) || !pj_view_cut(&rest, ' ', &word) || word.n < 2)
        return;
    v->old_left = range_length(pj_view_n(word.p + 1, word.n - 1));
    if (!pj_view_cut(&rest, ' ', &word) || word.n < 2)
        return;
    v->new_left = range_length(pj_view_n(word.p + 1, word.n - 1));
    json_array_append_new(
        v->hunks,
        json_pack("{s:o, s:b, s:o}", "header", clean_string(line), "rejected", reason != NULL,
                  "reason", reason != NULL ? clean_string(pj_view_of(reason)) : json_null()));
}

static void add_line(struct view *v, struct pj_view line)
{
    if (v->file != NULL && (v->old_left > 0 || v->new_left > 0)) {
        char c = line.n > 0 ? line.p[0] : ' ';
        v->added += c == '+';
        v->removed += c == '-';
        v->new_left -= c == '+' || c == ' ';
        v->old_left -= c == '-' || c == ' ';
        return;
    }
    if (pj_view_starts(line, "diff --git ")) {
        begin_file(v);
    } else if (pj_view_starts(line, "--- ")) {
        if (v->file == NULL || json_array_size(v->hunks) > 0)
            begin_file(v);
        set_path(&v->old_path, pj_view_n(line.p + 4, line.n - 4));
    } else if (v->file == NULL) {
        return;
    } else if (pj_view_starts(line, "+++ ")) {
        set_path(&v->path, pj_view_n(line.p + 4, line.n - 4));
    } else if (pj_view_starts(line, "rename from ")) {
        set_path(&v->old_path, pj_view_n(line.p + 12, line.n - 12));
    } else if (pj_view_starts(line, "rename to ")) {
        set_path(&v->path, pj_view_n(line.p + 10, line.n - 10));
    } else if (pj_view_starts(line, "@@ ")) {
        add_hunk(v, line);
    }
}

json_t *diff_view(struct pj_view diff, const struct pj_task *task)
{
    struct view v = {.task = task, .files = json_array()};
    struct pj_view line;

    while (diff.p != NULL && pj_view_cut(&diff, '\n', &line))
        add_line(&v, line);
    end_file(&v);
    return json_pack("{s:o}", "files", v.files);
}
