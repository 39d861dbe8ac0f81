/* Reading a tree that a stranger wrote. Every name is opened beneath the descriptor of its folder with openat2, so nothing
 * that is put in place of something else during the walk leads out of the tree. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/base/mem.h"
#include "runner/collect_impl.h"
#include "runner/patch_parse.h"

struct collect_entry {
    char *path;
    unsigned mode;
    char sha[PJ_SHA_SIZE];
    bool seen; /* in the tree, or left as the base has it */
};

static int compare_entries(const void *a, const void *b)
{
    return strcmp(((const struct collect_entry *)a)->path, ((const struct collect_entry *)b)->path);
}

static int add_base(void *ctx, const struct pj_tree_entry *entry, struct pj_err *err)
{
    struct collect_walk *w = ctx;

    (void)err;
    if (w->base_count == w->base_cap) {
        w->base_cap = w->base_cap > 0 ? w->base_cap * 2 : 1024;
        w->base = pj_realloc(w->base, w->base_cap, sizeof(*w->base));
    }
    struct collect_entry *e = &w->base[w->base_count++];
    memset(e, 0, sizeof(*e));
    e->path = pj_strdup(entry->path);
    e->mode = pj_mode_canonical(entry->mode);
    memcpy(e->sha, entry->sha, sizeof(e->sha));
    return 0;
}

/* The first entry that does not sort before `path`. */
static size_t lower_bound(const struct collect_walk *w, const char *path)
{
    size_t low = 0;
    size_t high = w->base_count;

    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (strcmp(w->base[mid].path, path) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static struct collect_entry *find_base(struct collect_walk *w, const char *path)
{
    size_t at = lower_bound(w, path);

    return at < w->base_count && strcmp(w->base[at].path, path) == 0 ? &w->base[at] : NULL;
}

/* The entries beneath folder `path` are w->base[*first] up to the result. */
static size_t base_beneath(const struct collect_walk *w, const char *path, size_t *first)
{
    PJ_CLEANUP(pj_freep) char *prefix = pj_asprintf("%s/", path);
    size_t n = strlen(prefix);
    size_t at = lower_bound(w, prefix);

    *first = at;
    while (at < w->base_count && strncmp(w->base[at].path, prefix, n) == 0)
        at++;
    return at;
}

/* Leave `path` and what is beneath it as the base has it, and say so. `why` NULL: silently. */
static void leave(struct collect_walk *w, const char *path, const char *why)
{
    size_t first = 0;
    struct collect_entry *own = find_base(w, path);

    if (own != NULL)
        own->seen = true;
    size_t end = base_beneath(w, path, &first);
    for (size_t i = first; i < end; i++)
        w->base[i].seen = true;
    if (why == NULL || w->result == NULL)
        return;
    if (w->result->note_count == COLLECT_NOTES_MAX) {
        w->result->notes_dropped++;
        return;
    }
    struct collect_note *note = &w->result->notes[w->result->note_count++];
    PJ_CLEANUP(pj_str_release) struct pj_str clean;
    pj_str_init(&clean, sizeof(note->path) - 1);
    for (const char *p = path; *p != '\0'; p++)
        (void)pj_str_putc(&clean, (char)((unsigned char)*p < ' ' || *p == 0x7f ? '?' : *p));
    (void)snprintf(note->path, sizeof(note->path), "%s", pj_str_cstr(&clean));
    (void)snprintf(note->why, sizeof(note->why), "%s", why);
}

static int open_beneath(int dir, const char *name, int flags)
{
    struct open_how how = {
        .flags = (unsigned)flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV,
    };
    int fd = -1;

    do {
        fd = (int)syscall(SYS_openat2, dir, name, &how, sizeof(how));
    } while (fd < 0 && (errno == EINTR || errno == EAGAIN));
    return fd;
}

/* A file or link whose content is at hand. */
static int take(struct collect_walk *w, const char *path, unsigned mode, struct pj_view content)
{
    struct collect_entry *base = find_base(w, path);
    char sha[PJ_SHA_SIZE];

    if (pj_git_blob_name(content, sha, w->err) < 0)
        return -1;
    if (base != NULL) {
        base->seen = true;
        if (base->mode == mode && strcmp(base->sha, sha) == 0)
            return 0;
    }
    const struct collect_change *before =
        w->baseline != NULL ? collect_changes_find(w->baseline, path) : NULL;
    if (before != NULL && before->mode == mode && strcmp(before->sha, sha) == 0)
        return 0;
    if (mode == PJ_MODE_LINK && !patch_link_ok(pj_view_of(path), content)) {
        leave(w, path, "a symlink that leads out of the tree");
        return 0;
    }
    if (mode == PJ_MODE_LINK && !patch_link_name_ok(path)) {
        leave(w, path, "a symlink in place of a file that git reads");
        return 0;
    }
    if (w->changes->count >= w->limits.max_changed)
        return collect_limit(w->err, "too many files changed", w->limits.max_changed);
    w->total_bytes += content.n;
    if (w->total_bytes > w->limits.max_total_bytes)
        return collect_limit(w->err, "the changed files are too large together",
                             w->limits.max_total_bytes);
    if (w->result != NULL && pj_git_blob_write(w->ws->repo, content, sha, w->err) < 0)
        return -1;
    collect_changes_add(w->changes, path, mode, sha);
    return 0;
}

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_mode == b->st_mode && a->st_size == b->st_size;
}

/* A file over the limit: fine as long as it is the base's own. Its length is compared first: an agent makes a file of any length
 * in no time, and reading it takes as long as it likes. */
static int take_large(struct collect_walk *w, int fd, const struct stat *st, unsigned mode,
                      const char *path)
{
    const struct collect_entry *base = find_base(w, path);
    char sha[PJ_SHA_SIZE];
    int64_t bytes = -1;
    bool same = false;

    if (base != NULL && base->mode == mode &&
        pj_git_blob_size(w->ws->repo, base->sha, &bytes, w->err) < 0)
        return -1;
    if (bytes == (int64_t)st->st_size) {
        if (pj_git_blob_name_fd(fd, sha, w->err) < 0)
            return -1;
        same = strcmp(sha, base->sha) == 0;
    }
    leave(w, path, same ? NULL : "larger than a file of a patch may be");
    return 0;
}

static int take_file(struct collect_walk *w, int dir, const char *name, const char *path)
{
    struct stat before;
    struct stat after;
    PJ_CLEANUP(pj_closep) int fd = open_beneath(dir, name, O_RDONLY);

    if (fd < 0 || fstat(fd, &before) < 0) {
        leave(w, path, "cannot be read");
        return 0;
    }
    if (!S_ISREG(before.st_mode) || before.st_nlink != 1) {
        leave(w, path,
              S_ISREG(before.st_mode) ? "a file with a second hard link" : "not a regular file");
        return 0;
    }
    unsigned mode = (before.st_mode & 0100) != 0 ? PJ_MODE_EXEC : PJ_MODE_FILE;
    if ((uint64_t)before.st_size > w->limits.max_file_bytes)
        return take_large(w, fd, &before, mode, path);
    pj_str_clear(&w->content);
    for (;;) {
        char buf[65536];
        ssize_t n = read(fd, buf, sizeof(buf));
        if (n == 0)
            break;
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 || pj_str_append(&w->content, buf, (size_t)n) < 0) {
            leave(w, path, n < 0 ? "cannot be read" : "larger than a file of a patch may be");
            return 0;
        }
    }
    if (fstat(fd, &after) < 0 || !same_file(&before, &after))
        return pj_fail(w->err, PJ_E_INTERNAL,
                       "%s changed while it was read: something still writes to the tree", path);
    return take(w, path, mode, pj_view_n(pj_str_cstr(&w->content), w->content.len));
}

static int take_link(struct collect_walk *w, int dir, const char *name, const char *path)
{
    char target[4097];

    ssize_t n = readlinkat(dir, name, target, sizeof(target));
    if (n <= 0 || n == (ssize_t)sizeof(target)) {
        leave(w, path, "a symlink that cannot be read");
        return 0;
    }
    return take(w, path, PJ_MODE_LINK, pj_view_n(target, (size_t)n));
}

static int walk_folder(struct collect_walk *w, int fd, size_t depth);

static int enter(struct collect_walk *w, int dir, const char *name, const char *path, size_t depth)
{
    size_t first = 0;
    struct collect_entry *base = find_base(w, path);
    bool ignored = false;

    if (base != NULL && base->mode == PJ_MODE_SUBMODULE) {
        leave(w, path, NULL);
        return 0;
    }
    if (base_beneath(w, path, &first) == first) {
        if (pj_git_is_ignored(w->ws->repo, path, true, &ignored, w->err) < 0)
            return -1;
        if (ignored)
            return 0;
    }
    if (depth >= w->limits.max_depth)
        return collect_limit(w->err, "folders are nested too deeply", w->limits.max_depth);
    int fd = open_beneath(dir, name, O_RDONLY | O_DIRECTORY);
    if (fd < 0) {
        leave(w, path, errno == EXDEV ? "a mount" : "a folder that cannot be opened");
        return 0;
    }
    return walk_folder(w, fd, depth + 1);
}

static int visit(struct collect_walk *w, int dir, const char *name, size_t depth)
{
    PJ_CLEANUP(pj_freep) char *path = pj_strdup(pj_str_cstr(&w->path));
    const char *why = NULL;
    struct stat st;
    bool ignored = false;

    if (patch_is_dotgit(pj_view_of(name))) {
        leave(w, path,
              strcmp(name, ".git") == 0 ? NULL : "a name that some file systems take for .git");
        return 0;
    }
    if (!patch_path_ok(pj_view_of(path), 0, &why)) {
        /* The base may have such names: then they stay as they are. */
        leave(w, path, why);
        return 0;
    }
    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
        leave(w, path, "cannot be looked at");
        return 0;
    }
    if (S_ISDIR(st.st_mode))
        return enter(w, dir, name, path, depth);
    if (find_base(w, path) == NULL) {
        if (pj_git_is_ignored(w->ws->repo, path, false, &ignored, w->err) < 0)
            return -1;
        if (ignored)
            return 0;
    }
    if (S_ISREG(st.st_mode))
        return take_file(w, dir, name, path);
    if (S_ISLNK(st.st_mode))
        return take_link(w, dir, name, path);
    leave(w, path,
          S_ISFIFO(st.st_mode)   ? "a pipe"
          : S_ISSOCK(st.st_mode) ? "a socket"
                                 : "a device");
    return 0;
}

/* Takes `fd`. Names are read one by one, so a folder of millions costs time up to max_entries, not memory. */
static int walk_folder(struct collect_walk *w, int fd, size_t depth)
{
    DIR *dir = fdopendir(fd);
    size_t length = w->path.len;
    int rc = 0;

    if (dir == NULL) {
        close(fd);
        return pj_fail_errno(w->err, errno, "read folder %s", pj_str_cstr(&w->path));
    }
    while (rc == 0) {
        errno = 0;
        const struct dirent *entry = readdir(dir);
        if (entry == NULL) {
            if (errno != 0)
                rc = pj_fail_errno(w->err, errno, "read folder %s", pj_str_cstr(&w->path));
            break;
        }
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (++w->entries > w->limits.max_entries) {
            rc = collect_limit(w->err, "the work tree has too many files", w->limits.max_entries);
            break;
        }
        if (length > 0)
            (void)pj_str_putc(&w->path, '/');
        if (pj_str_puts(&w->path, entry->d_name) < 0)
            rc = collect_limit(w->err, "a path is too long", w->path.max);
        else
            rc = visit(w, dirfd(dir), entry->d_name, depth);
        w->path.len = length;
        w->path.full = false;
        if (w->path.data != NULL)
            w->path.data[length] = '\0';
    }
    closedir(dir);
    return rc;
}

/* What the base has and the tree has not. */
static int take_missing(struct collect_walk *w)
{
    for (size_t i = 0; i < w->base_count; i++) {
        const struct collect_entry *e = &w->base[i];
        if (e->seen || e->mode == PJ_MODE_SUBMODULE)
            continue;
        const struct collect_change *before =
            w->baseline != NULL ? collect_changes_find(w->baseline, e->path) : NULL;
        if (before != NULL && before->mode == 0)
            continue;
        if (w->changes->count >= w->limits.max_changed)
            return collect_limit(w->err, "too many files changed", w->limits.max_changed);
        collect_changes_add(w->changes, e->path, 0, NULL);
    }
    return 0;
}

int collect_walk_run(struct collect_walk *w, int root_fd)
{
    int fd = root_fd >= 0 ? open_beneath(root_fd, ".", O_RDONLY | O_DIRECTORY)
                          : open(w->ws->tree, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

    pj_str_init(&w->path, 4096);
    pj_str_init(&w->content, w->limits.max_file_bytes);
    if (fd < 0)
        return pj_fail_errno(w->err, errno, "open the work tree");
    if (pj_git_tree_each(w->ws->repo, w->ws->base_tree, add_base, w, w->err) < 0) {
        close(fd);
        return -1;
    }
    if (w->base_count > 0)
        qsort(w->base, w->base_count, sizeof(*w->base), compare_entries);
    if (walk_folder(w, fd, 0) < 0)
        return -1;
    return take_missing(w);
}

void collect_walk_release(struct collect_walk *w)
{
    for (size_t i = 0; i < w->base_count; i++)
        free(w->base[i].path);
    free(w->base);
    w->base = NULL;
    w->base_count = 0;
    pj_str_release(&w->path);
    pj_str_release(&w->content);
}
