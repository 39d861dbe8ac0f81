/* A tree under change, and the ignore rules of a commit. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/base/fs.h"
#include "lib/base/mem.h"
#include "lib/git/repo_impl.h"

struct pj_tree_edit {
    struct pj_git_repo *repo;
    git_index *index;
};

/* libgit2 reads old modes out of a tree and refuses to write them back. */
static int canonical_modes(git_index *index)
{
    for (size_t i = 0; i < git_index_entrycount(index); i++) {
        git_index_entry entry = *git_index_get_byindex(index, i);
        if (pj_mode_canonical(entry.mode) == entry.mode)
            continue;
        PJ_CLEANUP(pj_freep) char *path = pj_strdup(entry.path);
        entry.mode = pj_mode_canonical(entry.mode);
        entry.path = path;
        int rc = git_index_add(index, &entry);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int pj_tree_edit_new(struct pj_git_repo *repo, const char *tree, struct pj_tree_edit **out,
                     struct pj_err *err)
{
    PJ_CLEANUP(pj_tree_edit_freep) struct pj_tree_edit *edit = pj_alloc(1, sizeof(*edit));
    git_tree *root = NULL;

    edit->repo = repo;
    if (pj_git_tree(repo, tree, &root, err) < 0)
        return -1;
    int rc = git_index_new(&edit->index);
    if (rc == 0)
        rc = git_index_read_tree(edit->index, root);
    if (rc == 0)
        rc = canonical_modes(edit->index);
    git_tree_free(root);
    if (rc < 0)
        return pj_git_fail(NULL, rc, err, "read tree %s", tree);
    *out = edit;
    edit = NULL;
    return 0;
}

void pj_tree_edit_free(struct pj_tree_edit *edit)
{
    if (edit == NULL)
        return;
    git_index_free(edit->index);
    free(edit);
}

void pj_tree_edit_freep(struct pj_tree_edit **edit)
{
    pj_tree_edit_free(*edit);
}

int pj_tree_edit_put(struct pj_tree_edit *edit, const char *path, unsigned mode, const char *sha,
                     struct pj_err *err)
{
    git_index_entry entry = {.mode = mode, .path = path};

    if (pj_git_oid(sha, &entry.id, err) < 0)
        return -1;
    int rc = git_index_add(edit->index, &entry);
    return rc < 0 ? pj_git_fail(NULL, rc, err, "put %s", path) : 0;
}

int pj_tree_edit_remove(struct pj_tree_edit *edit, const char *path, struct pj_err *err)
{
    int rc = git_index_remove(edit->index, path, 0);

    if (rc < 0 && rc != GIT_ENOTFOUND)
        return pj_git_fail(NULL, rc, err, "remove %s", path);
    return 0;
}

int pj_tree_edit_write(struct pj_tree_edit *edit, char tree[PJ_SHA_SIZE], struct pj_err *err)
{
    git_oid oid;

    int rc = git_index_write_tree_to(&oid, edit->index, edit->repo->repo);
    if (rc < 0)
        return pj_git_fail(NULL, rc, err, "write tree");
    git_oid_tostr(tree, PJ_SHA_SIZE, &oid);
    return 0;
}

struct ignore_files {
    struct pj_git_repo *repo;
    const char *dir;
};

static int lay_out(void *ctx, const struct pj_tree_entry *entry, struct pj_err *err)
{
    const struct ignore_files *files = ctx;
    const char *slash = strrchr(entry->path, '/');
    const char *name = slash != NULL ? slash + 1 : entry->path;
    PJ_CLEANUP(pj_str_release) struct pj_str text;

    if (strcmp(name, ".gitignore") != 0 || (entry->mode & 0170000u) != 0100000u)
        return 0;
    /* A rule file of a megabyte is no rule file. */
    pj_str_init(&text, (size_t)1 << 20);
    if (pj_git_blob_read(files->repo, entry->sha, &text, err) < 0)
        return err->cls == PJ_E_LIMIT ? 0 : -1;
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf("%s/%s", files->dir, entry->path);
    if (slash != NULL) {
        PJ_CLEANUP(pj_freep)
        char *folder = pj_asprintf("%s/%.*s", files->dir, (int)(slash - entry->path), entry->path);
        if (pj_fs_mkdirs(folder, 0700, err) < 0)
            return -1;
    }
    return pj_fs_write_atomic(path, pj_str_cstr(&text), text.len, 0600, err);
}

int pj_git_ignore_load(struct pj_git_repo *repo, const char *tree, const char *scratch_dir,
                       struct pj_err *err)
{
    struct ignore_files files = {.repo = repo, .dir = scratch_dir};

    if (pj_fs_mkdirs(scratch_dir, 0700, err) < 0)
        return -1;
    if (pj_git_tree_each(repo, tree, lay_out, &files, err) < 0)
        return pj_err_wrap(err, "ignore rules");
    /* In memory only: the rules are looked up beneath a work tree, and this one holds nothing else. */
    int rc = git_repository_set_workdir(repo->repo, scratch_dir, 0);
    return rc < 0 ? pj_git_fail(NULL, rc, err, "ignore rules") : 0;
}

int pj_git_is_ignored(struct pj_git_repo *repo, const char *path, bool is_folder, bool *out,
                      struct pj_err *err)
{
    int ignored = 0;
    PJ_CLEANUP(pj_freep) char *folder = is_folder ? pj_asprintf("%s/", path) : NULL;

    int rc = git_ignore_path_is_ignored(&ignored, repo->repo, is_folder ? folder : path);
    if (rc < 0)
        return pj_git_fail(NULL, rc, err, "ignore rules for %s", path);
    *out = ignored != 0;
    return 0;
}
