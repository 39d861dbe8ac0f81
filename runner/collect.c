#include "runner/collect.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/mem.h"
#include "runner/collect_impl.h"
#include "runner/patch_parse.h"

struct collect_baseline {
    struct collect_changes changes;
};

static void apply_defaults(const struct collect_limits *given, struct collect_limits *out)
{
    if (given != NULL)
        *out = *given;
    if (out->max_entries == 0)
        out->max_entries = 500000;
    if (out->max_depth == 0)
        out->max_depth = 64;
    if (out->max_changed == 0)
        out->max_changed = 2000;
    if (out->max_file_bytes == 0)
        out->max_file_bytes = (size_t)16 << 20;
    if (out->max_total_bytes == 0)
        out->max_total_bytes = (size_t)128 << 20;
    if (out->max_diff_bytes == 0)
        out->max_diff_bytes = COLLECT_DIFF_MAX;
}

int collect_limit(struct pj_err *err, const char *what, size_t limit)
{
    (void)pj_fail(err, PJ_E_LIMIT, "%s (limit %zu)", what, limit);
    (void)pj_err_remedy(err, "a change this large has to be made in parts");
    return pj_err_code(err, "patch_malformed");
}

static int compare_changes(const void *a, const void *b)
{
    return strcmp(((const struct collect_change *)a)->path,
                  ((const struct collect_change *)b)->path);
}

void collect_changes_release(struct collect_changes *changes)
{
    for (size_t i = 0; i < changes->count; i++)
        free(changes->item[i].path);
    free(changes->item);
    memset(changes, 0, sizeof(*changes));
}

void collect_changes_add(struct collect_changes *changes, const char *path, unsigned mode,
                         const char *sha)
{
    if (changes->count == changes->cap) {
        changes->cap = changes->cap > 0 ? changes->cap * 2 : 64;
        changes->item = pj_realloc(changes->item, changes->cap, sizeof(*changes->item));
    }
    struct collect_change *change = &changes->item[changes->count++];
    memset(change, 0, sizeof(*change));
    change->path = pj_strdup(path);
    change->mode = mode;
    if (sha != NULL)
        (void)snprintf(change->sha, sizeof(change->sha), "%s", sha);
}

const struct collect_change *collect_changes_find(const struct collect_changes *changes,
                                                  const char *path)
{
    struct collect_change key = {0};

    /* bsearch() takes a const key; the path is only read. */
    union {
        const char *in;
        char *out;
    } borrow = {.in = path};
    key.path = borrow.out;
    return changes->count > 0
               ? bsearch(&key, changes->item, changes->count, sizeof(key), compare_changes)
               : NULL;
}

static int walk(struct workspace *ws, int root_fd, struct collect_walk *w, struct pj_err *err)
{
    int rc = 0;

    if (!ws->ignores_loaded) {
        PJ_CLEANUP(pj_freep) char *scratch = pj_asprintf("%s/ignore", ws->dir);
        if (pj_git_ignore_load(ws->repo, ws->base_tree, scratch, err) < 0)
            return -1;
        ws->ignores_loaded = true;
    }
    w->ws = ws;
    w->err = err;
    rc = collect_walk_run(w, root_fd);
    collect_walk_release(w);
    if (rc == 0 && w->changes->count > 0)
        qsort(w->changes->item, w->changes->count, sizeof(*w->changes->item), compare_changes);
    return rc;
}

int collect_baseline_take(struct workspace *ws, int root_fd, const struct collect_limits *limits,
                          struct collect_baseline **out, struct pj_err *err)
{
    PJ_CLEANUP(collect_baseline_freep)
    struct collect_baseline *baseline = pj_alloc(1, sizeof(*baseline));
    struct collect_walk w = {.changes = &baseline->changes};

    apply_defaults(limits, &w.limits);
    /* What set-up writes is not bounded like a patch: only its names are kept. */
    w.limits.max_changed = w.limits.max_entries;
    w.limits.max_total_bytes = SIZE_MAX;
    if (walk(ws, root_fd, &w, err) < 0)
        return pj_err_wrap(err, "take note of what the set-up wrote");
    *out = baseline;
    baseline = NULL;
    return 0;
}

void collect_baseline_free(struct collect_baseline *baseline)
{
    if (baseline == NULL)
        return;
    collect_changes_release(&baseline->changes);
    free(baseline);
}

void collect_baseline_freep(struct collect_baseline **baseline)
{
    collect_baseline_free(*baseline);
}

void collect_result_release(struct collect_result *result)
{
    pj_str_release(&result->diff);
}

static int build_tree(struct workspace *ws, const struct collect_changes *changes,
                      char tree[PJ_SHA_SIZE], struct pj_err *err)
{
    PJ_CLEANUP(pj_tree_edit_freep) struct pj_tree_edit *edit = NULL;

    if (pj_tree_edit_new(ws->repo, ws->base_tree, &edit, err) < 0)
        return -1;
    for (size_t i = 0; i < changes->count; i++) {
        const struct collect_change *c = &changes->item[i];
        if (c->mode == 0 && pj_tree_edit_remove(edit, c->path, err) < 0)
            return -1;
    }
    for (size_t i = 0; i < changes->count; i++) {
        const struct collect_change *c = &changes->item[i];
        if (c->mode != 0 && pj_tree_edit_put(edit, c->path, c->mode, c->sha, err) < 0)
            return -1;
    }
    return pj_tree_edit_write(edit, tree, err);
}

int collect_run(struct workspace *ws, int root_fd, const struct collect_baseline *baseline,
                const struct collect_limits *limits, struct collect_result *out, struct pj_err *err)
{
    PJ_CLEANUP(collect_changes_release) struct collect_changes changes = {0};
    struct collect_walk w = {.changes = &changes,
                             .result = out,
                             .baseline = baseline != NULL ? &baseline->changes : NULL};
    struct pj_diff_stat stat = {0};

    memset(out, 0, sizeof(*out));
    apply_defaults(limits, &w.limits);
    pj_str_init(&out->diff, w.limits.max_diff_bytes);
    if (walk(ws, root_fd, &w, err) < 0)
        return pj_err_wrap(err, "collect the work tree");
    if (build_tree(ws, &changes, out->tree_sha, err) < 0)
        return pj_err_wrap(err, "build the collected tree");
    if (pj_git_diff(ws->repo, ws->base_tree, out->tree_sha, w.limits.max_changed, &out->diff, &stat,
                    err) < 0) {
        if (err->cls == PJ_E_LIMIT)
            return collect_limit(err, "the change is too large for a patch",
                                 w.limits.max_diff_bytes);
        return -1;
    }
    out->files = stat.files;
    out->added = stat.added;
    out->removed = stat.removed;
    out->empty = stat.files == 0;
    return 0;
}
