/* A mirror is fetched into for years: one pack a fetch, references of branches nobody asks for any more. Here it is made small again:
 * one pack of what its references reach. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <git2.h>

#include "lib/base/fs.h"
#include "lib/base/mem.h"
#include "lib/git/mirror.h"
#include "lib/git/net.h"

#define REFS_KEPT 64

static bool ends_in(const char *name, const char *suffix)
{
    size_t n = strlen(name);
    size_t s = strlen(suffix);

    return n > s && strcmp(name + n - s, suffix) == 0;
}

static bool is_loose_folder(const char *name)
{
    return strlen(name) == 2 && strspn(name, "0123456789abcdef") == 2;
}

/* Visit the names in folder `dir`; one that cannot be opened has none. */
static void each_name(const char *dir, void (*visit)(void *ctx, const char *dir, const char *name),
                      void *ctx)
{
    DIR *open_dir = opendir(dir);
    const struct dirent *entry = NULL;

    while (open_dir != NULL && (entry = readdir(open_dir)) != NULL) {
        if (entry->d_name[0] != '.')
            visit(ctx, dir, entry->d_name);
    }
    if (open_dir != NULL)
        closedir(open_dir);
}

static void count_pack(void *ctx, const char *dir, const char *name)
{
    (void)dir;
    *(size_t *)ctx += ends_in(name, ".pack");
}

static void count_one(void *ctx, const char *dir, const char *name)
{
    (void)dir;
    (void)name;
    ++*(size_t *)ctx;
}

static void count_loose(void *ctx, const char *dir, const char *name)
{
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf("%s/%s", dir, name);

    if (is_loose_folder(name))
        each_name(path, count_one, ctx);
}

void pj_mirror_count(const char *dir, size_t *packs, size_t *loose)
{
    PJ_CLEANUP(pj_freep) char *objects = pj_asprintf("%s/objects", dir);
    PJ_CLEANUP(pj_freep) char *pack = pj_asprintf("%s/objects/pack", dir);

    *packs = *loose = 0;
    each_name(pack, count_pack, packs);
    each_name(objects, count_loose, loose);
}

/* ---- references nobody has asked for lately ---- */

struct ref {
    char *name;
    struct timespec used;
};

struct refs {
    struct ref *item;
    size_t count;
};

static void list_ref(void *ctx, const char *dir, const char *name)
{
    struct refs *refs = ctx;
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf("%s/%s", dir, name);
    struct stat st;

    if (stat(path, &st) < 0)
        return;
    refs->item = pj_realloc(refs->item, refs->count + 1, sizeof(*refs->item));
    refs->item[refs->count++] = (struct ref){pj_strdup(name), st.st_mtim};
}

static int newest_first(const void *a, const void *b)
{
    const struct ref *x = a;
    const struct ref *y = b;

    if (x->used.tv_sec != y->used.tv_sec)
        return x->used.tv_sec > y->used.tv_sec ? -1 : 1;
    return x->used.tv_nsec > y->used.tv_nsec ? -1 : x->used.tv_nsec < y->used.tv_nsec;
}

static void drop_old_refs(git_repository *repo, const char *dir)
{
    PJ_CLEANUP(pj_freep) char *folder = pj_asprintf("%s/refs/mirror", dir);
    struct refs refs = {0};

    each_name(folder, list_ref, &refs);
    if (refs.count > 0)
        qsort(refs.item, refs.count, sizeof(*refs.item), newest_first);
    for (size_t i = 0; i < refs.count; i++) {
        PJ_CLEANUP(pj_freep) char *full = pj_asprintf("refs/mirror/%s", refs.item[i].name);
        if (i >= REFS_KEPT)
            (void)git_reference_remove(repo, full);
        free(refs.item[i].name);
    }
    free(refs.item);
}

/* ---- one pack ---- */

static int build(git_repository *repo, char hex[PJ_SHA_SIZE], struct pj_err *err)
{
    git_packbuilder *builder = NULL;
    git_revwalk *walk = NULL;

    int rc = git_packbuilder_new(&builder, repo);
    if (rc == 0)
        (void)git_packbuilder_set_threads(builder, 1);
    if (rc == 0)
        rc = git_revwalk_new(&walk, repo);
    if (rc == 0)
        rc = git_revwalk_push_glob(walk, "refs/mirror/*");
    if (rc == 0)
        rc = git_packbuilder_insert_walk(builder, walk);
    if (rc == 0)
        rc = git_packbuilder_write(builder, NULL, 0, NULL, NULL);
    if (rc == 0)
        git_oid_tostr(hex, PJ_SHA_SIZE, git_packbuilder_hash(builder));
    git_revwalk_free(walk);
    git_packbuilder_free(builder);
    return rc < 0 ? pj_git_fail(NULL, rc, err, "pack the mirror anew") : 0;
}

struct removal {
    const char *keep; /* "pack-<hash>" */
    struct pj_err *err;
    int rc;
};

static void remove_pack(void *ctx, const char *dir, const char *name)
{
    struct removal *r = ctx;
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf("%s/%s", dir, name);

    if (strncmp(name, "pack-", 5) == 0 && strncmp(name, r->keep, strlen(r->keep)) != 0 &&
        unlink(path) < 0 && errno != ENOENT)
        r->rc = pj_fail_errno(r->err, errno, "remove %s", path);
}

static void remove_loose(void *ctx, const char *dir, const char *name)
{
    struct removal *r = ctx;
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf("%s/%s", dir, name);

    if (is_loose_folder(name) && pj_fs_remove_tree(path, r->err) < 0)
        r->rc = -1;
}

int pj_mirror_repack(const char *dir, struct pj_err *err)
{
    PJ_CLEANUP(pj_freep) char *objects = pj_asprintf("%s/objects", dir);
    PJ_CLEANUP(pj_freep) char *packs = pj_asprintf("%s/objects/pack", dir);
    git_repository *repo = NULL;
    char hex[PJ_SHA_SIZE];

    if (pj_git_setup(NULL, err) < 0)
        return -1;
    int rc = git_repository_open_bare(&repo, dir);
    if (rc < 0)
        return pj_git_fail(NULL, rc, err, "open mirror %s", dir);
    drop_old_refs(repo, dir);
    rc = build(repo, hex, err);
    git_repository_free(repo);
    if (rc < 0)
        return rc;
    PJ_CLEANUP(pj_freep) char *keep = pj_asprintf("pack-%s", hex);
    PJ_CLEANUP(pj_freep) char *made = pj_asprintf("%s/%s.idx", packs, keep);
    if (!pj_fs_exists(made))
        return pj_fail(err, PJ_E_INTERNAL, "the new pack is not where it was expected: %s", made);
    struct removal removal = {.keep = keep, .err = err};
    each_name(packs, remove_pack, &removal);
    each_name(objects, remove_loose, &removal);
    return removal.rc;
}
