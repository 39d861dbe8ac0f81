#include "runner/patch_parse.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/base/mem.h"
#include "runner/patch_impl.h"

int patch_fail(struct patch_reader *r, size_t line, const char *fmt, ...)
{
    char what[400];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(what, sizeof(what), fmt, ap);
    va_end(ap);
    (void)pj_fail(r->err, PJ_E_INVALID, "line %zu: %s", line, what);
    return pj_err_code(r->err, "patch_malformed");
}

bool patch_peek(const struct patch_reader *r, struct pj_view *line)
{
    if (r->p == r->end)
        return false;
    const char *end = memchr(r->p, '\n', (size_t)(r->end - r->p));
    if (end == NULL)
        end = r->end;
    *line = pj_view_n(r->p, (size_t)(end - r->p));
    return true;
}

void patch_next(struct patch_reader *r)
{
    const char *end = memchr(r->p, '\n', (size_t)(r->end - r->p));

    r->p = end != NULL ? end + 1 : r->end;
    r->line++;
}

bool patch_is_link(const struct patch_file *file)
{
    return file->new_mode == 0120000 || (file->new_mode == 0 && file->old_mode == 0120000);
}

const char *patch_file_path(const struct patch_file *file)
{
    return file->new_path != NULL ? file->new_path : file->old_path;
}

void patch_free(struct patch *patch)
{
    if (patch == NULL)
        return;
    for (size_t i = 0; i < patch->file_count; i++) {
        free(patch->files[i].old_path);
        free(patch->files[i].new_path);
    }
    free(patch->files);
    free(patch->hunks);
    free(patch);
}

void patch_freep(struct patch **patch)
{
    patch_free(*patch);
}

/* The only '+' line of a link that is made or changed: its target. */
static int check_link(struct patch_reader *r, const struct patch_file *file)
{
    struct pj_view rest = {0};
    struct pj_view line = {0};

    if (!patch_is_link(file) || file->change == PATCH_DELETED)
        return 0;
    if (file->binary)
        return patch_fail(r, file->line, "a symlink cannot be a binary part");
    if (file->hunk_count == 0)
        return file->change == PATCH_ADDED ? patch_fail(r, file->line, "a symlink without a target")
                                           : 0;
    const struct patch_hunk *hunk = &r->patch->hunks[file->first_hunk];
    if (file->hunk_count != 1 || hunk->new_count != 1 ||
        hunk->old_count != (file->change == PATCH_ADDED ? 0u : 1u))
        return patch_fail(r, hunk->line, "a symlink has one line");
    rest = hunk->body;
    while (pj_view_cut(&rest, '\n', &line)) {
        if (line.n == 0 || line.p[0] != '+')
            continue;
        const char *next = line.p + line.n + 1;
        if (next >= hunk->body.p + hunk->body.n || *next != '\\')
            return patch_fail(r, hunk->line, "a symlink's target must not end in a line feed");
        if (!patch_link_ok(pj_view_of(file->new_path), pj_view_n(line.p + 1, line.n - 1)))
            return patch_fail(r, hunk->line, "the symlink %s leads out of the tree",
                              file->new_path);
        return 0;
    }
    return patch_fail(r, hunk->line, "a symlink without a target");
}

static int read_file(struct patch_reader *r)
{
    struct patch *patch = r->patch;
    struct pj_view line = {0};

    if (patch->file_count >= r->limits.max_files)
        return patch_fail(r, r->line, "more than %zu files", r->limits.max_files);
    if (patch->file_count == r->file_cap) {
        r->file_cap = r->file_cap > 0 ? r->file_cap * 2 : 16;
        patch->files = pj_realloc(patch->files, r->file_cap, sizeof(*patch->files));
    }
    struct patch_file *file = &patch->files[patch->file_count++];
    memset(file, 0, sizeof(*file));
    file->line = r->line;
    file->first_hunk = patch->hunk_count;
    if (patch_read_head(r, file) < 0)
        return -1;
    if (patch_peek(r, &line) && pj_view_is(line, "GIT binary patch")) {
        if (patch_read_binary(r, file) < 0)
            return -1;
    } else if (patch_read_hunks(r, file) < 0) {
        return -1;
    }
    patch->added += file->added;
    patch->removed += file->removed;
    return check_link(r, file);
}

/* --- paths against each other --- */

struct name {
    const char *path;
    size_t file;
    bool is_new; /* else: gone after the patch */
};

static int compare_names(const void *a, const void *b)
{
    const struct name *x = a;
    const struct name *y = b;
    int order = strcasecmp(x->path, y->path);

    if (order == 0)
        order = strcmp(x->path, y->path);
    if (order == 0)
        order = (int)x->is_new - (int)y->is_new;
    return order;
}

static unsigned type_of(unsigned mode)
{
    return mode & 0170000u;
}

/* Two entries of one path: a file deleted and then made anew as another type, which is how git writes a change of type. */
static bool is_type_change(const struct patch *patch, const struct name *gone,
                           const struct name *made)
{
    const struct patch_file *a = &patch->files[gone->file];
    const struct patch_file *b = &patch->files[made->file];

    return !gone->is_new && made->is_new && gone->file < made->file && a->change == PATCH_DELETED &&
           b->change == PATCH_ADDED && type_of(a->old_mode) != type_of(b->new_mode);
}

static int check_neighbours(struct patch_reader *r, const struct name *names, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        const struct name *a = &names[i - 1];
        const struct name *b = &names[i];
        size_t line = r->patch->files[b->file].line;
        if (strcmp(a->path, b->path) == 0) {
            if (!is_type_change(r->patch, a, b))
                return patch_fail(r, line, "%s stands twice in the patch", b->path);
        } else if (a->is_new && b->is_new && strcasecmp(a->path, b->path) == 0) {
            return patch_fail(r, line, "%s and %s differ only by case", a->path, b->path);
        }
    }
    return 0;
}

/* A path that is a file after the patch must not be a folder for another one. */
static int check_folders(struct patch_reader *r, const struct name *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!names[i].is_new)
            continue;
        PJ_CLEANUP(pj_freep) char *folder = pj_strdup(names[i].path);
        for (char *slash = strrchr(folder, '/'); slash != NULL; slash = strrchr(folder, '/')) {
            *slash = '\0';
            struct name key = {.path = folder, .is_new = true};
            const struct name *found = bsearch(&key, names, count, sizeof(key), compare_names);
            if (found != NULL)
                return patch_fail(r, r->patch->files[names[i].file].line,
                                  "%s is a file, so %s cannot be beneath it", folder,
                                  names[i].path);
        }
    }
    return 0;
}

static int check_names(struct patch_reader *r)
{
    const struct patch *patch = r->patch;
    struct name *names = pj_alloc(2 * patch->file_count + 1, sizeof(*names));
    size_t count = 0;

    for (size_t i = 0; i < patch->file_count; i++) {
        const struct patch_file *file = &patch->files[i];
        if (file->change == PATCH_DELETED || file->change == PATCH_RENAMED)
            names[count++] = (struct name){file->old_path, i, false};
        if (file->change != PATCH_DELETED)
            names[count++] = (struct name){file->new_path, i, true};
    }
    qsort(names, count, sizeof(*names), compare_names);
    int rc = check_neighbours(r, names, count);
    if (rc == 0)
        rc = check_folders(r, names, count);
    free(names);
    return rc;
}

static int check_lines(struct patch_reader *r)
{
    size_t number = 1;

    for (const char *p = r->p; p < r->end; number++) {
        const char *end = memchr(p, '\n', (size_t)(r->end - p));
        if (end == NULL)
            return patch_fail(r, number, "the last line does not end in a line feed");
        if ((size_t)(end - p) > r->limits.max_line_bytes)
            return patch_fail(r, number, "longer than %zu bytes", r->limits.max_line_bytes);
        p = end + 1;
    }
    return 0;
}

static void apply_defaults(const struct patch_limits *given, struct patch_limits *out)
{
    if (given != NULL)
        *out = *given;
    if (out->max_bytes == 0)
        out->max_bytes = (size_t)8 << 20;
    if (out->max_files == 0)
        out->max_files = 2000;
    if (out->max_line_bytes == 0)
        out->max_line_bytes = (size_t)1 << 20;
    if (out->max_path_bytes == 0)
        out->max_path_bytes = 1024;
    if (out->max_binary_bytes == 0)
        out->max_binary_bytes = (size_t)4 << 20;
}

static int read_all(struct patch_reader *r)
{
    struct pj_view line = {0};

    if (check_lines(r) < 0)
        return -1;
    while (patch_peek(r, &line)) {
        if (line.n == 0) {
            patch_next(r); /* git too passes over empty lines between entries */
            continue;
        }
        if (!pj_view_starts(line, "diff --git ") && !pj_view_starts(line, "--- "))
            return patch_fail(r, r->line, "neither the start of a file's entry nor part of one");
        if (read_file(r) < 0)
            return -1;
    }
    return check_names(r);
}

int patch_parse(struct pj_view text, const struct patch_limits *limits, struct patch **out,
                struct pj_err *err)
{
    PJ_CLEANUP(patch_freep) struct patch *patch = pj_alloc(1, sizeof(*patch));
    struct patch_reader r = {.p = text.p,
                             .end = text.n > 0 ? text.p + text.n : text.p,
                             .line = 1,
                             .patch = patch,
                             .err = err};

    apply_defaults(limits, &r.limits);
    if (text.n > r.limits.max_bytes)
        return patch_fail(&r, 1, "the patch has %zu bytes, limit %zu", text.n, r.limits.max_bytes);
    if (read_all(&r) < 0)
        return -1;
    if (patch->file_count == 0)
        return PJ_NONE;
    *out = patch;
    patch = NULL;
    return 0;
}

void patch_summary(size_t files, size_t added, size_t removed, char out[PATCH_SUMMARY_SIZE])
{
    (void)snprintf(
        out, PATCH_SUMMARY_SIZE, "%zu file%s changed, %zu line%s added, %zu line%s removed", files,
        files == 1 ? "" : "s", added, added == 1 ? "" : "s", removed, removed == 1 ? "" : "s");
}
