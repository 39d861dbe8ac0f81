#include "runner/agent/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "lib/base/fs.h"
#include "lib/base/mem.h"

#define PATH_BYTES_MAX 4096
#define DEPTH_MAX 64
#define ENTRIES_MAX 20000

int tree_path(const struct agent *a, const char *given, char **out, struct pj_err *err)
{
    struct pj_view rest, part;
    PJ_CLEANUP(pj_str_release) struct pj_str path;
    size_t root = strlen(a->workspace);

    pj_str_init(&path, PATH_BYTES_MAX);
    if (!*given || strlen(given) > PATH_BYTES_MAX)
        return pj_fail(err, PJ_E_INVALID, "the path is empty or too long");
    for (const char *c = given; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            return pj_fail(err, PJ_E_INVALID, "the path holds a control character");
    if (strncmp(given, a->workspace, root) == 0 && (given[root] == '/' || !given[root]))
        given += root;
    else if (*given == '/')
        return pj_fail(err, PJ_E_FORBIDDEN,
                       "%s is outside the work tree; give a path relative to its root", given);
    rest = pj_view_of(given);
    while (pj_view_cut(&rest, '/', &part)) {
        if (part.n == 0 || pj_view_is(part, "."))
            continue;
        if (pj_view_is(part, ".."))
            return pj_fail(
                err, PJ_E_FORBIDDEN,
                "%s: paths with \"..\" are not allowed; start at the root of the work tree", given);
        if (path.len > 0)
            (void)pj_str_putc(&path, '/');
        (void)pj_str_append(&path, part.p, part.n);
    }
    if (path.len == 0)
        (void)pj_str_putc(&path, '.');
    *out = pj_str_take(&path);
    return 0;
}

/* Where the kernel or the box has no openat2: component by component, and then no link is followed at all. */
static int open_slowly(int root, const char *path, int flags, mode_t mode)
{
    int dir = fcntl(root, F_DUPFD_CLOEXEC, 3), fd, saved;
    struct pj_view rest = pj_view_of(path), part;

    while (dir >= 0 && pj_view_cut(&rest, '/', &part)) {
        char name[256];
        if (part.n >= sizeof name) {
            close(dir);
            errno = ENAMETOOLONG;
            return -1;
        }
        memcpy(name, part.p, part.n);
        name[part.n] = '\0';
        fd = rest.p ? openat(dir, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
                    : openat(dir, name, flags | O_NOFOLLOW | O_CLOEXEC, mode);
        saved = errno;
        close(dir);
        errno = saved;
        dir = fd;
    }
    return dir;
}

int tree_open(const struct agent *a, const char *path, int flags, mode_t mode, int *fd,
              struct pj_err *err)
{
    struct open_how how = {.flags = (unsigned)(flags | O_CLOEXEC),
                           .mode = flags & O_CREAT ? mode : 0,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
    int got = (int)syscall(SYS_openat2, a->root_fd, path, &how, sizeof how);

    if (got < 0 && (errno == ENOSYS || errno == EPERM))
        got = open_slowly(a->root_fd, path, flags, mode);
    if (got < 0 && (errno == EXDEV || errno == ELOOP))
        return pj_fail(err, PJ_E_FORBIDDEN, "%s leads out of the work tree", path);
    if (got < 0)
        return pj_fail_errno(err, errno, "%s", path);
    *fd = got;
    return 0;
}

static int make_one(const struct agent *a, const char *dir, struct pj_err *err)
{
    PJ_CLEANUP(pj_closep) int fd = -1;
    const char *name;

    if (tree_open(a, dir, O_PATH | O_DIRECTORY, 0, &fd, err) == 0)
        return 0;
    if (err->sys_errno != ENOENT || tree_parent(a, dir, false, &fd, &name, err) < 0)
        return -1;
    if (mkdirat(fd, name, 0777) < 0 && errno != EEXIST)
        return pj_fail_errno(err, errno, "making folder %s", dir);
    return 0;
}

/* Each folder of `dir`, from the top. */
static int make_all(const struct agent *a, char *dir, struct pj_err *err)
{
    for (char *p = strchr(dir, '/'); p; p = strchr(p + 1, '/')) {
        int rc;

        *p = '\0';
        rc = make_one(a, dir, err);
        *p = '/';
        if (rc < 0)
            return -1;
    }
    return make_one(a, dir, err);
}

int tree_parent(const struct agent *a, const char *path, bool make, int *dirfd, const char **name,
                struct pj_err *err)
{
    const char *slash = strrchr(path, '/');
    PJ_CLEANUP(pj_freep)
    char *dir = slash ? pj_strndup(path, (size_t)(slash - path)) : pj_strdup(".");

    if (strcmp(path, ".") == 0)
        return pj_fail(err, PJ_E_INVALID, "the root of the work tree itself cannot be changed");
    if (make && slash && make_all(a, dir, err) < 0)
        return -1;
    *name = slash ? slash + 1 : path;
    return tree_open(a, dir, O_RDONLY | O_DIRECTORY, 0, dirfd, err);
}

int tree_read(const struct agent *a, const char *path, struct pj_str *out, struct stat *st,
              struct pj_err *err)
{
    PJ_CLEANUP(pj_closep) int fd = -1;
    struct stat own;

    st = st ? st : &own;
    if (tree_open(a, path, O_RDONLY | O_NONBLOCK, 0, &fd, err) < 0)
        return -1;
    if (fstat(fd, st) < 0)
        return pj_fail_errno(err, errno, "%s", path);
    if (S_ISDIR(st->st_mode))
        return pj_fail(err, PJ_E_INVALID, "%s is a folder", path);
    if (!S_ISREG(st->st_mode))
        return pj_fail(err, PJ_E_INVALID, "%s is no regular file", path);
    if ((uint64_t)st->st_size > out->max)
        return pj_fail(err, PJ_E_LIMIT,
                       "%s has %lld bytes; files above %zu bytes are not read whole", path,
                       (long long)st->st_size, out->max);
    return pj_fs_read_fd(fd, out, err);
}

bool tree_is_binary(const char *bytes, size_t n)
{
    return n > 0 && memchr(bytes, '\0', n < 8192 ? n : 8192) != NULL;
}

static int by_name(const void *x, const void *y)
{
    return strcmp(*(char *const *)x, *(char *const *)y);
}

static size_t names_of(int fd, char ***out)
{
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    DIR *dir = copy >= 0 ? fdopendir(copy) : NULL;
    char **names = NULL;
    size_t n = 0, cap = 0;
    struct dirent *e;

    if (!dir && copy >= 0)
        close(copy);
    while (dir && (e = readdir(dir)) && n < ENTRIES_MAX) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
            strcmp(e->d_name, ".git") == 0)
            continue;
        if (n == cap) {
            cap = cap ? cap * 2 : 64;
            names = pj_realloc(names, cap, sizeof *names);
        }
        names[n++] = pj_strdup(e->d_name);
    }
    if (dir)
        closedir(dir);
    if (n > 0)
        qsort(names, n, sizeof *names, by_name);
    *out = names;
    return n;
}

static bool walk_at(int fd, struct pj_str *path, int depth, tree_visit *visit, void *ctx)
{
    char **names = NULL;
    size_t n = names_of(fd, &names), base = path->len;
    bool go = true;

    for (size_t i = 0; i < n; i++) {
        struct stat st;

        if (go && fstatat(fd, names[i], &st, AT_SYMLINK_NOFOLLOW) == 0 &&
            pj_str_putf(path, "%s%s", base ? "/" : "", names[i]) == 0) {
            go = visit(ctx, pj_str_cstr(path), &st, fd, names[i]);
            if (go && S_ISDIR(st.st_mode) && depth > 1) {
                int sub = openat(fd, names[i], O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
                if (sub >= 0) {
                    go = walk_at(sub, path, depth - 1, visit, ctx);
                    close(sub);
                }
            }
        }
        path->len = base;
        path->full = false;
        if (path->data)
            path->data[base] = '\0';
        free(names[i]);
    }
    free(names);
    return go;
}

int tree_walk(const struct agent *a, const char *path, int depth, tree_visit *visit, void *ctx,
              struct pj_err *err)
{
    PJ_CLEANUP(pj_closep) int fd = -1;
    PJ_CLEANUP(pj_str_release) struct pj_str at;

    pj_str_init(&at, PATH_BYTES_MAX);
    if (tree_open(a, path, O_RDONLY | O_DIRECTORY, 0, &fd, err) < 0)
        return -1;
    if (strcmp(path, ".") != 0)
        (void)pj_str_puts(&at, path);
    (void)walk_at(fd, &at, depth < DEPTH_MAX ? depth : DEPTH_MAX, visit, ctx);
    return 0;
}

static uint64_t mix(uint64_t h, const void *data, size_t n)
{
    const unsigned char *p = data;

    while (n-- > 0)
        h = (h ^ *p++) * 1099511628211u; /* FNV-1a */
    return h;
}

static bool digest_entry(void *ctx, const char *path, const struct stat *st, int dirfd,
                         const char *name)
{
    uint64_t *h = ctx;
    int64_t facts[5] = {(int64_t)st->st_mode, (int64_t)st->st_size, (int64_t)st->st_mtim.tv_sec,
                        (int64_t)st->st_mtim.tv_nsec, (int64_t)st->st_ino};

    (void)dirfd;
    (void)name;
    if (S_ISDIR(st->st_mode)) /* a folder's time changes with its files, which count themselves */
        return true;
    *h = mix(*h, path, strlen(path) + 1);
    *h = mix(*h, facts, sizeof facts);
    return true;
}

uint64_t tree_digest(const struct agent *a)
{
    uint64_t h = 14695981039346656037u;
    struct pj_err ignored;

    (void)!tree_walk(a, ".", DEPTH_MAX, digest_entry, &h, &ignored);
    return h;
}
