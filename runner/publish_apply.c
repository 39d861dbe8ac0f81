/* A judged diff onto the base commit's tree: what exists, what stands in the way, what comes out. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/base/mem.h"
#include "runner/publish.h"
#include "runner/workspace_impl.h"

#define CONTENT_MAX ((size_t)64 << 20)
#define WHOLE_FILE SIZE_MAX

struct apply {
    struct workspace *ws;
    const struct patch *patch;
    struct pj_tree_edit *edit;
    struct pj_err *err;
    const char **gone; /* paths that the patch deletes or renames away, sorted */
    size_t gone_count;
};

const struct patch_rejects *publish_rejects(const struct workspace *ws)
{
    return &ws->rejects;
}

static int compare_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool is_gone(const struct apply *a, const char *path)
{
    return a->gone_count > 0 &&
           bsearch(&path, a->gone, a->gone_count, sizeof(*a->gone), compare_text) != NULL;
}

static void list_gone(struct apply *a)
{
    a->gone = pj_alloc(a->patch->file_count + 1, sizeof(*a->gone));
    for (size_t i = 0; i < a->patch->file_count; i++) {
        const struct patch_file *f = &a->patch->files[i];
        if (f->change == PATCH_DELETED || f->change == PATCH_RENAMED)
            a->gone[a->gone_count++] = f->old_path;
    }
    qsort(a->gone, a->gone_count, sizeof(*a->gone), compare_text);
}

static int reject(struct apply *a, size_t file, const char *why)
{
    patch_reject_add(&a->ws->rejects, file, WHOLE_FILE, why);
    return 0;
}

static int malformed(struct apply *a, const struct patch_file *f, const char *why)
{
    (void)pj_fail(a->err, PJ_E_INVALID, "%s %s", patch_file_path(f), why);
    return pj_err_code(a->err, "patch_malformed");
}

/* Everything beneath folder `path` is deleted by the patch. */
struct folder {
    struct apply *a;
    const char *path;
    size_t n;
    bool left;
};

static int folder_entry(void *ctx, const struct pj_tree_entry *entry, struct pj_err *err)
{
    struct folder *folder = ctx;

    (void)err;
    if (strncmp(entry->path, folder->path, folder->n) != 0 || entry->path[folder->n] != '/' ||
        is_gone(folder->a, entry->path))
        return 0;
    folder->left = true;
    return 1;
}

/* May a file come to be at `path`? *why NULL: yes. */
static int check_free(struct apply *a, const char *path, const char **why)
{
    struct pj_tree_entry entry;
    PJ_CLEANUP(pj_freep) char *folder = pj_strdup(path);

    *why = NULL;
    int rc = pj_git_tree_find(a->ws->repo, a->ws->base_tree, path, &entry, a->err);
    if (rc < 0)
        return -1;
    if (rc == 0 && entry.mode != PJ_MODE_TREE && !is_gone(a, path))
        *why = "already exists";
    if (rc == 0 && entry.mode == PJ_MODE_TREE) {
        struct folder f = {.a = a, .path = path, .n = strlen(path)};
        if (pj_git_tree_each(a->ws->repo, a->ws->base_tree, folder_entry, &f, a->err) < 0)
            return -1;
        if (f.left)
            *why = "is a folder";
    }
    for (char *slash = strrchr(folder, '/'); slash != NULL && *why == NULL;
         slash = strrchr(folder, '/')) {
        *slash = '\0';
        rc = pj_git_tree_find(a->ws->repo, a->ws->base_tree, folder, &entry, a->err);
        if (rc < 0)
            return -1;
        if (rc == 0 && entry.mode != PJ_MODE_TREE && !is_gone(a, folder))
            *why = entry.mode == PJ_MODE_LINK ? "is beyond a symlink" : "is beneath a file";
    }
    return 0;
}

/* The old side's entry. *why set: rejected. */
static int find_old(struct apply *a, const struct patch_file *f, struct pj_tree_entry *entry,
                    const char **why)
{
    *why = NULL;
    int rc = pj_git_tree_find(a->ws->repo, a->ws->base_tree, f->old_path, entry, a->err);
    if (rc < 0)
        return -1;
    if (rc == PJ_NONE)
        *why = "does not exist";
    else if (entry->mode == PJ_MODE_TREE || entry->mode == PJ_MODE_SUBMODULE)
        *why = "is no file";
    else if (f->old_mode != 0 && (f->old_mode & 0170000u) != (entry->mode & 0170000u))
        *why = "is of another type";
    return 0;
}

static bool same_sha(struct pj_view written, const char *sha)
{
    return written.n == 40 && memcmp(written.p, sha, 40) == 0;
}

/* New content in `out`. PJ_NONE: rejected, and said so. */
static int new_content(struct apply *a, size_t i, const struct pj_tree_entry *old,
                       struct pj_str *out)
{
    const struct patch_file *f = &a->patch->files[i];
    PJ_CLEANUP(pj_str_release) struct pj_str base;
    struct pj_view view = {"", 0};

    pj_str_init(&base, CONTENT_MAX);
    if (f->change != PATCH_ADDED) {
        if (pj_git_blob_read(a->ws->repo, old->sha, &base, a->err) < 0)
            return pj_err_wrap(a->err, "%s", f->old_path);
        view = pj_view_n(pj_str_cstr(&base), base.len);
    }
    if (!f->binary)
        return patch_apply_text(a->patch, i, view, out, &a->ws->rejects, a->err);
    static const char none[] = "0000000000000000000000000000000000000000";
    if (!same_sha(f->old_sha, f->change == PATCH_ADDED ? none : old->sha)) {
        (void)reject(a, i, "the binary change is against other content");
        return PJ_NONE;
    }
    return patch_apply_binary(f, view, out, a->err);
}

static int delete_file(struct apply *a, size_t i, const struct pj_tree_entry *old)
{
    const struct patch_file *f = &a->patch->files[i];
    PJ_CLEANUP(pj_str_release) struct pj_str content;

    pj_str_init(&content, CONTENT_MAX);
    int rc = new_content(a, i, old, &content);
    if (rc != 0)
        return rc < 0 ? -1 : 0;
    if (content.len > 0)
        return reject(a, i, "the deleted file has other content");
    return pj_tree_edit_remove(a->edit, f->old_path, a->err);
}

static int write_file(struct apply *a, size_t i, const struct pj_tree_entry *old)
{
    const struct patch_file *f = &a->patch->files[i];
    PJ_CLEANUP(pj_str_release) struct pj_str content;
    char sha[PJ_SHA_SIZE];

    pj_str_init(&content, CONTENT_MAX);
    int rc = new_content(a, i, old, &content);
    if (rc != 0)
        return rc < 0 ? -1 : 0;
    struct pj_view view = pj_view_n(pj_str_cstr(&content), content.len);
    unsigned mode = pj_mode_canonical(f->new_mode != 0 ? f->new_mode : old->mode);
    if (f->change != PATCH_ADDED && (mode & 0170000u) != (old->mode & 0170000u))
        return reject(a, i, "is of another type");
    if (mode == PJ_MODE_LINK && !patch_link_ok(pj_view_of(f->new_path), view))
        return malformed(a, f, "would be a symlink that leads out of the tree");
    if (pj_git_blob_write(a->ws->repo, view, sha, a->err) < 0)
        return -1;
    if (f->binary && !same_sha(f->new_sha, sha))
        return malformed(a, f, "does not get the content that its index line names");
    if (f->change == PATCH_RENAMED && pj_tree_edit_remove(a->edit, f->old_path, a->err) < 0)
        return -1;
    return pj_tree_edit_put(a->edit, f->new_path, mode, sha, a->err);
}

static int apply_file(struct apply *a, size_t i)
{
    const struct patch_file *f = &a->patch->files[i];
    struct pj_tree_entry old = {0};
    const char *why = NULL;

    if (f->change != PATCH_ADDED && find_old(a, f, &old, &why) < 0)
        return -1;
    if (why == NULL && f->change != PATCH_DELETED && f->change != PATCH_MODIFIED &&
        check_free(a, f->new_path, &why) < 0)
        return -1;
    if (why != NULL)
        return reject(a, i, why);
    return f->change == PATCH_DELETED ? delete_file(a, i, &old) : write_file(a, i, &old);
}

/* --- names that differ only by case from one that stays --- */

static int compare_folded(const void *a, const void *b)
{
    return strcasecmp(*(const char *const *)a, *(const char *const *)b);
}

struct folds {
    struct apply *a;
    const char **made;
    size_t count;
};

static int fold_entry(void *ctx, const struct pj_tree_entry *entry, struct pj_err *err)
{
    struct folds *folds = ctx;
    const char *const *found =
        bsearch(&entry->path, folds->made, folds->count, sizeof(*folds->made), compare_folded);

    if (found == NULL || strcmp(*found, entry->path) == 0 || is_gone(folds->a, entry->path))
        return 0;
    (void)pj_fail(err, PJ_E_INVALID, "%s and %s differ only by case", *found, entry->path);
    return pj_err_code(err, "patch_malformed");
}

static int check_case(struct apply *a)
{
    struct folds folds = {.a = a, .made = pj_alloc(a->patch->file_count + 1, sizeof(*folds.made))};
    int rc = 0;

    for (size_t i = 0; i < a->patch->file_count; i++) {
        const struct patch_file *f = &a->patch->files[i];
        if (f->change != PATCH_DELETED && f->change != PATCH_MODIFIED)
            folds.made[folds.count++] = f->new_path;
    }
    if (folds.count > 0) {
        qsort(folds.made, folds.count, sizeof(*folds.made), compare_folded);
        rc = pj_git_tree_each(a->ws->repo, a->ws->base_tree, fold_entry, &folds, a->err);
    }
    free(folds.made);
    return rc;
}

/* Say in words that outlive the patch where each one is. */
static void name_rejects(struct apply *a)
{
    struct patch_rejects *rejects = &a->ws->rejects;

    for (size_t i = 0; i < rejects->count && i < PATCH_REJECTS_MAX; i++) {
        struct patch_reject *r = &rejects->item[i];
        const struct patch_file *f = &a->patch->files[r->file];
        (void)snprintf(r->path, sizeof(r->path), "%s", patch_file_path(f));
        r->number = r->hunk == WHOLE_FILE ? 0 : r->hunk - f->first_hunk + 1;
    }
}

static int conflict(struct apply *a)
{
    const struct patch_rejects *rejects = &a->ws->rejects;
    const struct patch_reject *first = &rejects->item[0];

    name_rejects(a);
    if (first->number == 0)
        (void)pj_fail(a->err, PJ_E_CONFLICT, "%s %s", first->path, first->why);
    else
        (void)pj_fail(a->err, PJ_E_CONFLICT, "%s, hunk %zu: %s", first->path, first->number,
                      first->why);
    if (rejects->count > 1)
        (void)pj_err_wrap(a->err, "%zu places do not apply, the first", rejects->count);
    (void)pj_err_remedy(a->err,
                        "retry the task: it starts from the newest commit of its base branch");
    return pj_err_code(a->err, "patch_conflict");
}

static int apply_all(struct apply *a, char tree[PJ_SHA_SIZE])
{
    if (check_case(a) < 0)
        return -1;
    /* Deletions first, so that a folder or another type may take the place. */
    for (int deletions = 1; deletions >= 0; deletions--) {
        for (size_t i = 0; i < a->patch->file_count; i++) {
            if ((a->patch->files[i].change == PATCH_DELETED) == (deletions == 1) &&
                apply_file(a, i) < 0)
                return -1;
        }
    }
    if (a->ws->rejects.count > 0)
        return conflict(a);
    return pj_tree_edit_write(a->edit, tree, a->err);
}

int publish_apply(struct workspace *ws, struct pj_view diff, const char *expect_tree,
                  char tree_sha[PJ_SHA_SIZE], struct pj_err *err)
{
    PJ_CLEANUP(patch_freep) struct patch *patch = NULL;
    PJ_CLEANUP(pj_tree_edit_freep) struct pj_tree_edit *edit = NULL;
    char tree[PJ_SHA_SIZE];

    memset(&ws->rejects, 0, sizeof(ws->rejects));
    int rc = patch_parse(diff, NULL, &patch, err);
    if (rc == PJ_NONE) {
        (void)pj_fail(err, PJ_E_INVALID, "the patch is empty");
        return pj_err_code(err, "patch_malformed");
    }
    if (rc < 0 || pj_tree_edit_new(ws->repo, ws->base_tree, &edit, err) < 0)
        return -1;
    struct apply a = {.ws = ws, .patch = patch, .edit = edit, .err = err};
    list_gone(&a);
    rc = apply_all(&a, tree);
    free(a.gone);
    if (rc < 0)
        return pj_err_wrap(err, "onto %.12s", ws->base_sha);
    if (expect_tree != NULL && expect_tree[0] != '\0' && strcmp(expect_tree, tree) != 0)
        return pj_fail(err, PJ_E_INTERNAL, "the diff gives tree %s, the work tree was %s", tree,
                       expect_tree);
    memcpy(tree_sha, tree, sizeof(tree));
    return 0;
}
