/* What is left behind: work folders of jobs that died, mirrors nobody used for long. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/fs.h"
#include "lib/base/id.h"
#include "lib/base/mem.h"
#include "lib/git/mirror.h"
#include "runner/workspace_impl.h"

int workspace_sweep(const char *state_dir, bool (*is_live)(void *ctx, const char *task_id),
                    void *ctx, struct pj_err *err)
{
    PJ_CLEANUP(pj_freep) char *work = pj_asprintf("%s/work", state_dir);
    DIR *dir = opendir(work);
    const struct dirent *entry = NULL;
    int removed = 0;

    if (dir == NULL)
        return errno == ENOENT ? 0 : pj_fail_errno(err, errno, "open %s", work);
    while (removed >= 0 && (entry = readdir(dir)) != NULL) {
        /* Only names that a task can have: anything else is not ours to remove. */
        if (!pj_id_is_valid(entry->d_name) || is_live(ctx, entry->d_name))
            continue;
        PJ_CLEANUP(pj_freep) char *path = pj_asprintf("%s/%s", work, entry->d_name);
        removed =
            pj_fs_remove_tree(path, err) < 0 ? pj_err_wrap(err, "remove %s", path) : removed + 1;
    }
    closedir(dir);
    return removed;
}

struct mirror { /* or a checkout */
    char *path;
    bool checkout;
    int64_t bytes;
    struct timespec used;
};

struct mirrors {
    struct mirror *item;
    size_t count;
    int64_t bytes;
};

static int64_t folder_bytes(int dir, const char *name, unsigned depth)
{
    int64_t bytes = 0;
    const struct dirent *entry = NULL;
    int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    DIR *open_dir = fd >= 0 ? fdopendir(fd) : NULL;

    if (open_dir == NULL) {
        pj_fd_close(&fd);
        return 0;
    }
    while ((entry = readdir(open_dir)) != NULL) {
        struct stat st;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
            fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        bytes += (int64_t)st.st_blocks * 512;
        if (S_ISDIR(st.st_mode) && depth < 8)
            bytes += folder_bytes(fd, entry->d_name, depth + 1);
    }
    closedir(open_dir);
    return bytes;
}

static int oldest_first(const void *a, const void *b)
{
    const struct mirror *x = a;
    const struct mirror *y = b;

    if (x->used.tv_sec != y->used.tv_sec)
        return x->used.tv_sec < y->used.tv_sec ? -1 : 1;
    return x->used.tv_nsec < y->used.tv_nsec ? -1 : x->used.tv_nsec > y->used.tv_nsec;
}

static void list_open(DIR *dir, const char *cache, struct mirrors *list)
{
    const struct dirent *entry = NULL;

    while ((entry = readdir(dir)) != NULL) {
        size_t n = strlen(entry->d_name);
        bool checkout = checkout_is_name(entry->d_name);
        struct stat st;
        if (!checkout && (n < 5 || strcmp(entry->d_name + n - 4, ".git") != 0))
            continue;
        list->item = pj_realloc(list->item, list->count + 1, sizeof(*list->item));
        struct mirror *m = &list->item[list->count++];
        m->path = pj_asprintf("%s/%s", cache, entry->d_name);
        m->checkout = checkout;
        m->bytes = checkout ? checkout_sealed_bytes(m->path) : -1;
        if (m->bytes < 0)
            m->bytes = folder_bytes(dirfd(dir), entry->d_name, 0);
        PJ_CLEANUP(pj_freep) char *use = pj_asprintf("%s.use", m->path);
        m->used = (struct timespec){0};
        if (stat(use, &st) == 0)
            m->used = st.st_mtim;
        list->bytes += m->bytes;
    }
}

/* Nothing when there is no cache yet. */
static int list_mirrors(const char *state_dir, struct mirrors *list, struct pj_err *err)
{
    PJ_CLEANUP(pj_freep) char *cache = pj_asprintf("%s/cache", state_dir);
    DIR *dir = opendir(cache);

    if (dir == NULL)
        return errno == ENOENT ? 0 : pj_fail_errno(err, errno, "open %s", cache);
    list_open(dir, cache, list);
    closedir(dir);
    return 0;
}

/* -1 as a descriptor: somebody uses it. */
static int lock_alone(const char *path)
{
    PJ_CLEANUP(pj_freep) char *use = pj_asprintf("%s.use", path);
    int fd = open(use, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0)
        pj_fd_close(&fd);
    return fd;
}

/* Gone unless somebody borrows its objects. The lock files stay: removing them would part those who wait from those who come. */
static int remove_mirror(const struct mirror *m, bool *removed, struct pj_err *err)
{
    PJ_CLEANUP(pj_closep) int alone = lock_alone(m->path);

    *removed = false;
    if (alone < 0)
        return 0;
    if ((m->checkout && checkout_unseal(m->path, err) < 0) || pj_fs_remove_tree(m->path, err) < 0)
        return -1;
    *removed = true;
    return 0;
}

int workspace_cache_trim(const char *state_dir, int64_t max_bytes, struct pj_err *err)
{
    struct mirrors list = {0};
    int rc = list_mirrors(state_dir, &list, err);

    if (list.count > 0)
        qsort(list.item, list.count, sizeof(*list.item), oldest_first);
    for (size_t i = 0; i < list.count; i++) {
        bool removed = false;
        if (rc == 0 && list.bytes > max_bytes)
            rc = remove_mirror(&list.item[i], &removed, err);
        if (removed)
            list.bytes -= list.item[i].bytes;
        free(list.item[i].path);
    }
    free(list.item);
    return rc;
}

static int repack(const struct mirror *m, struct pj_err *err)
{
    size_t packs = 0;
    size_t loose = 0;

    pj_mirror_count(m->path, &packs, &loose);
    if (packs <= WORKSPACE_PACKS_MAX && loose <= WORKSPACE_LOOSE_MAX)
        return 0;
    PJ_CLEANUP(pj_closep) int alone = lock_alone(m->path);
    if (alone < 0)
        return 0;
    return pj_mirror_repack(m->path, err) < 0 ? pj_err_wrap(err, "%s", m->path) : 1;
}

int workspace_cache_repack(const char *state_dir, struct pj_err *err)
{
    struct mirrors list = {0};
    int rc = list_mirrors(state_dir, &list, err);

    for (size_t i = 0; i < list.count; i++) {
        if (rc == 0 && !list.item[i].checkout)
            rc = repack(&list.item[i], err);
        free(list.item[i].path);
    }
    free(list.item);
    return rc;
}
