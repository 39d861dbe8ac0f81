#include "lib/git/repo.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/mem.h"
#include "lib/git/repo_impl.h"

unsigned pj_mode_canonical(unsigned mode)
{
    if ((mode & 0170000u) != 0100000u)
        return mode;
    return (mode & 0100u) != 0 ? PJ_MODE_EXEC : PJ_MODE_FILE;
}

int pj_git_repo_create(const char *dir, const char *mirror_dir, struct pj_git_repo **out,
                       struct pj_err *err)
{
    git_repository_init_options options = GIT_REPOSITORY_INIT_OPTIONS_INIT;
    PJ_CLEANUP(pj_git_repo_freep) struct pj_git_repo *repo = pj_alloc(1, sizeof(*repo));
    PJ_CLEANUP(pj_freep) char *objects = pj_asprintf("%s/objects", mirror_dir);

    if (pj_git_setup(NULL, err) < 0)
        return -1;
    options.flags =
        GIT_REPOSITORY_INIT_BARE | GIT_REPOSITORY_INIT_MKDIR | GIT_REPOSITORY_INIT_NO_REINIT;
    options.mode = GIT_REPOSITORY_INIT_SHARED_UMASK;
    options.initial_head = "main";
    int rc = git_repository_init_ext(&repo->repo, dir, &options);
    if (rc < 0)
        return pj_git_fail(NULL, rc, err, "make repository %s", dir);
    rc = git_repository_odb(&repo->odb, repo->repo);
    if (rc == 0)
        rc = git_odb_add_disk_alternate(repo->odb, objects);
    if (rc < 0)
        return pj_git_fail(NULL, rc, err, "use objects of %s", mirror_dir);
    *out = repo;
    repo = NULL;
    return 0;
}

int pj_git_repo_reload(struct pj_git_repo *repo, struct pj_err *err)
{
    int rc = git_odb_refresh(repo->odb);

    return rc < 0 ? pj_git_fail(NULL, rc, err, "look for new objects") : 0;
}

void pj_git_repo_free(struct pj_git_repo *repo)
{
    if (repo == NULL)
        return;
    git_odb_free(repo->odb);
    git_repository_free(repo->repo);
    free(repo);
}

void pj_git_repo_freep(struct pj_git_repo **repo)
{
    pj_git_repo_free(*repo);
}

int pj_git_oid(const char *sha, git_oid *out, struct pj_err *err)
{
    if (strlen(sha) != GIT_OID_HEXSZ || git_oid_fromstr(out, sha) < 0)
        return pj_fail(err, PJ_E_INVALID, "\"%.60s\" is no object id", sha);
    return 0;
}

int pj_git_tree(struct pj_git_repo *repo, const char *sha, git_tree **out, struct pj_err *err)
{
    git_oid oid;

    if (pj_git_oid(sha, &oid, err) < 0)
        return -1;
    int rc = git_tree_lookup(out, repo->repo, &oid);
    return rc < 0 ? pj_git_fail(NULL, rc, err, "tree %s", sha) : 0;
}

static int lookup_commit(struct pj_git_repo *repo, const char *sha, git_commit **out,
                         struct pj_err *err)
{
    git_oid oid;

    if (pj_git_oid(sha, &oid, err) < 0)
        return -1;
    int rc = git_commit_lookup(out, repo->repo, &oid);
    return rc < 0 ? pj_git_fail(NULL, rc, err, "commit %s", sha) : 0;
}

int pj_git_commit_tree(struct pj_git_repo *repo, const char *commit, char tree[PJ_SHA_SIZE],
                       struct pj_err *err)
{
    git_commit *found = NULL;

    if (lookup_commit(repo, commit, &found, err) < 0)
        return -1;
    git_oid_tostr(tree, PJ_SHA_SIZE, git_commit_tree_id(found));
    git_commit_free(found);
    return 0;
}

int pj_git_commit_info(struct pj_git_repo *repo, const char *commit, int64_t *time_ms,
                       unsigned *parents, struct pj_err *err)
{
    git_commit *found = NULL;

    if (lookup_commit(repo, commit, &found, err) < 0)
        return -1;
    *time_ms = (int64_t)git_commit_time(found) * 1000;
    *parents = git_commit_parentcount(found);
    git_commit_free(found);
    return 0;
}

struct walk {
    int (*visit)(void *ctx, const struct pj_tree_entry *entry, struct pj_err *err);
    void *ctx;
    struct pj_err *err;
    struct pj_str path;
    int end;
};

static int walk_entry(const char *root, const git_tree_entry *entry, void *payload)
{
    struct walk *walk = payload;
    struct pj_tree_entry seen = {0};

    if (git_tree_entry_type(entry) == GIT_OBJECT_TREE)
        return 0;
    pj_str_clear(&walk->path);
    (void)pj_str_puts(&walk->path, root);
    if (pj_str_puts(&walk->path, git_tree_entry_name(entry)) < 0) {
        walk->end = pj_fail(walk->err, PJ_E_LIMIT, "a path beneath %.100s is too long", root);
        return -1;
    }
    seen.path = pj_str_cstr(&walk->path);
    seen.mode = (unsigned)git_tree_entry_filemode_raw(entry);
    git_oid_tostr(seen.sha, sizeof(seen.sha), git_tree_entry_id(entry));
    walk->end = walk->visit(walk->ctx, &seen, walk->err);
    return walk->end != 0 ? -1 : 0;
}

int pj_git_tree_each(struct pj_git_repo *repo, const char *tree,
                     int (*visit)(void *ctx, const struct pj_tree_entry *entry, struct pj_err *err),
                     void *ctx, struct pj_err *err)
{
    struct walk walk = {.visit = visit, .ctx = ctx, .err = err};
    git_tree *root = NULL;

    if (pj_git_tree(repo, tree, &root, err) < 0)
        return -1;
    pj_str_init(&walk.path, 8192);
    int rc = git_tree_walk(root, GIT_TREEWALK_PRE, walk_entry, &walk);
    pj_str_release(&walk.path);
    git_tree_free(root);
    if (walk.end != 0)
        return walk.end;
    return rc < 0 ? pj_git_fail(NULL, rc, err, "read tree %s", tree) : 0;
}

int pj_git_tree_find(struct pj_git_repo *repo, const char *tree, const char *path,
                     struct pj_tree_entry *out, struct pj_err *err)
{
    git_tree *root = NULL;
    git_tree_entry *entry = NULL;

    if (pj_git_tree(repo, tree, &root, err) < 0)
        return -1;
    int rc = git_tree_entry_bypath(&entry, root, path);
    git_tree_free(root);
    if (rc == GIT_ENOTFOUND)
        return PJ_NONE;
    if (rc < 0)
        return pj_git_fail(NULL, rc, err, "find %s", path);
    out->path = path;
    out->mode = (unsigned)git_tree_entry_filemode_raw(entry);
    git_oid_tostr(out->sha, sizeof(out->sha), git_tree_entry_id(entry));
    git_tree_entry_free(entry);
    return 0;
}

int pj_git_blob_size(struct pj_git_repo *repo, const char *sha, int64_t *bytes, struct pj_err *err)
{
    git_oid oid;
    size_t n = 0;
    git_object_t type;

    if (pj_git_oid(sha, &oid, err) < 0)
        return -1;
    int rc = git_odb_read_header(&n, &type, repo->odb, &oid);
    if (rc < 0)
        return pj_git_fail(NULL, rc, err, "blob %s", sha);
    *bytes = (int64_t)n;
    return 0;
}

int pj_git_blob_read(struct pj_git_repo *repo, const char *sha, struct pj_str *out,
                     struct pj_err *err)
{
    git_oid oid;
    git_blob *blob = NULL;
    int64_t bytes = 0;

    if (pj_git_blob_size(repo, sha, &bytes, err) < 0)
        return -1;
    if ((uint64_t)bytes > out->max)
        return pj_fail(err, PJ_E_LIMIT, "blob %s has %lld bytes, limit %zu", sha, (long long)bytes,
                       out->max);
    if (pj_git_oid(sha, &oid, err) < 0)
        return -1;
    int rc = git_blob_lookup(&blob, repo->repo, &oid);
    if (rc < 0)
        return pj_git_fail(NULL, rc, err, "blob %s", sha);
    (void)pj_str_append(out, git_blob_rawcontent(blob), (size_t)git_blob_rawsize(blob));
    git_blob_free(blob);
    return 0;
}

int pj_git_blob_write(struct pj_git_repo *repo, struct pj_view bytes, char sha[PJ_SHA_SIZE],
                      struct pj_err *err)
{
    git_oid oid;

    int rc = git_blob_create_from_buffer(&oid, repo->repo, bytes.n > 0 ? bytes.p : "", bytes.n);
    if (rc < 0)
        return pj_git_fail(NULL, rc, err, "store a blob of %zu bytes", bytes.n);
    git_oid_tostr(sha, PJ_SHA_SIZE, &oid);
    return 0;
}

int pj_git_blob_name(struct pj_view bytes, char sha[PJ_SHA_SIZE], struct pj_err *err)
{
    git_oid oid;

    int rc = git_odb_hash(&oid, bytes.n > 0 ? bytes.p : "", bytes.n, GIT_OBJECT_BLOB);
    if (rc < 0)
        return pj_git_fail(NULL, rc, err, "hash %zu bytes", bytes.n);
    git_oid_tostr(sha, PJ_SHA_SIZE, &oid);
    return 0;
}

int pj_git_blob_name_fd(int fd, char sha[PJ_SHA_SIZE], struct pj_err *err)
{
    char path[40];
    git_oid oid;

    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    int rc = git_odb_hashfile(&oid, path, GIT_OBJECT_BLOB);
    if (rc < 0)
        return pj_git_fail(NULL, rc, err, "hash a file");
    git_oid_tostr(sha, PJ_SHA_SIZE, &oid);
    return 0;
}
