#include "lib/base/fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "lib/base/mem.h"

int pj_write_all(int fd, const void *data, size_t n)
{
    const char *p = data;

    while (n) {
        ssize_t done = write(fd, p, n);

        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return -1;
        p += done;
        n -= (size_t)done;
    }
    return 0;
}

int pj_fs_read_fd(int fd, struct pj_str *out, struct pj_err *err)
{
    char block[16384];
    ssize_t n;

    for (;;) {
        n = read(fd, block, sizeof(block));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return pj_fail_errno(err, errno, "read");
        if (n == 0)
            return 0;
        if (pj_str_append(out, block, (size_t)n) < 0)
            return pj_fail(err, PJ_E_LIMIT, "more than %zu bytes", out->max);
    }
}

int pj_fs_read(const char *path, struct pj_str *out, struct pj_err *err)
{
    PJ_CLEANUP(pj_closep) int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return pj_fail_errno(err, errno, "%s", path);
    if (pj_fs_read_fd(fd, out, err) < 0)
        return pj_err_wrap(err, "%s", path);
    return 0;
}

static int sync_parent(const char *path)
{
    PJ_CLEANUP(pj_freep) char *dir = pj_strdup(path);
    char *slash = strrchr(dir, '/');
    PJ_CLEANUP(pj_closep) int fd = -1;

    if (slash == dir)
        slash[1] = '\0';
    else if (slash)
        *slash = '\0';
    fd = open(slash ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? -1 : fsync(fd);
}

int pj_fs_write_atomic(const char *path, const void *data, size_t n, mode_t mode,
                       struct pj_err *err)
{
    PJ_CLEANUP(pj_freep) char *temporary = pj_asprintf("%s.XXXXXX", path);
    PJ_CLEANUP(pj_closep) int fd = mkostemp(temporary, O_CLOEXEC);

    if (fd < 0)
        return pj_fail_errno(err, errno, "%s", path);
    if (fchmod(fd, mode) < 0 || pj_write_all(fd, data, n) < 0 || fsync(fd) < 0 ||
        rename(temporary, path) < 0) {
        (void)pj_fail_errno(err, errno, "%s", path);
        (void)unlink(temporary);
        return -1;
    }
    if (sync_parent(path) < 0)
        return pj_fail_errno(err, errno, "%s: fsync of its folder", path);
    return 0;
}

int pj_fs_mkdirs(const char *path, mode_t mode, struct pj_err *err)
{
    PJ_CLEANUP(pj_freep) char *copy = pj_strdup(path);
    struct stat st;

    for (char *p = copy + 1;; p++) {
        char was = *p;

        if (was && was != '/')
            continue;
        *p = '\0';
        if (mkdir(copy, mode) < 0 && errno != EEXIST)
            return pj_fail_errno(err, errno, "%s", copy);
        *p = was;
        if (!was)
            break;
    }
    if (stat(path, &st) < 0)
        return pj_fail_errno(err, errno, "%s", path);
    if (!S_ISDIR(st.st_mode))
        return pj_fail_errno(err, ENOTDIR, "%s", path);
    return 0;
}

bool pj_fs_exists(const char *path)
{
    return access(path, F_OK) == 0;
}

/* Removal works on one open folder at a time: a subfolder that is not empty is first moved up beside the top ones, so depth
 * costs no descriptors and no path ever grows (a hostile tree may be deeper than PATH_MAX). */
struct removal {
    int top;
    unsigned long moved;
};

static int make_writable(int dir, const char *name)
{
    return fchmodat(dir, name, 0700, 0);
}

/* Move a folder up, under a name that is free: an earlier removal that was killed, or the tree itself, may hold such names. */
static int hoist(struct removal *r, int dir, const char *name)
{
    char hoisted[48];
    int rc;

    do {
        (void)snprintf(hoisted, sizeof(hoisted), ".pj-removing-%lu", r->moved++);
        rc = (int)syscall(SYS_renameat2, dir, name, r->top, hoisted,
                          RENAME_NOREPLACE); /* musl 1.2.3 has no wrapper */
    } while (rc < 0 && errno == EEXIST);
    return rc;
}

static int remove_entry(struct removal *r, int dir, const char *name, bool *progress)
{
    if (unlinkat(dir, name, 0) == 0 || errno == ENOENT)
        return 0;
    if (errno != EISDIR && errno != EPERM)
        return -1;
    if (unlinkat(dir, name, AT_REMOVEDIR) == 0)
        return 0;
    if (errno == ENOTDIR)
        return -1;
    if (dir == r->top)
        return PJ_NONE;
    *progress = true;
    if (hoist(r, dir, name) == 0)
        return 0;
    /* Moving a folder writes its "..": that takes write permission on itself, too. */
    return errno == EACCES && make_writable(dir, name) == 0 ? hoist(r, dir, name) : -1;
}

/* Empty the folder `name` of the top one: its files go, its subfolders are hoisted. */
static int empty_child(struct removal *r, const char *name)
{
    int fd = openat(r->top, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), result = 0;
    bool progress = false;
    struct dirent *e;
    DIR *dir;

    if (fd < 0 && errno == EACCES && make_writable(r->top, name) == 0)
        fd = openat(r->top, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : -1;
    (void)fchmod(fd, 0700);
    dir = fdopendir(fd);
    if (!dir) {
        pj_fd_close(&fd);
        return -1;
    }
    while (result == 0 && (e = readdir(dir))) {
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            result = remove_entry(r, fd, e->d_name, &progress);
    }
    (void)closedir(dir);
    if (result == 0 && unlinkat(r->top, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
        result = progress && errno == ENOTEMPTY ? 0 : -1;
    return result;
}

static int remove_pass(struct removal *r, bool *left)
{
    int copy = openat(r->top, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), result = 0;
    bool progress = false;
    struct dirent *e;
    DIR *dir = copy < 0 ? NULL : fdopendir(copy);

    *left = false;
    if (!dir) {
        pj_fd_close(&copy);
        return -1;
    }
    while (result >= 0 && (e = readdir(dir))) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        *left = true;
        result = remove_entry(r, r->top, e->d_name, &progress);
        if (result == PJ_NONE)
            result = empty_child(r, e->d_name);
    }
    (void)closedir(dir);
    return result < 0 ? -1 : 0;
}

int pj_fs_remove_tree(const char *path, struct pj_err *err)
{
    PJ_CLEANUP(pj_closep) int top = -1;
    struct removal r = {0};
    bool left = true;

    if (unlink(path) == 0 || errno == ENOENT)
        return 0;
    top = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (top < 0 && errno == EACCES && chmod(path, 0700) == 0)
        top = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (top < 0)
        return errno == ENOENT ? 0 : pj_fail_errno(err, errno, "removing %s", path);
    (void)fchmod(top, 0700);
    r.top = top;
    while (left) {
        if (remove_pass(&r, &left) < 0)
            return pj_fail_errno(err, errno, "removing %s", path);
    }
    if (rmdir(path) < 0 && errno != ENOENT)
        return pj_fail_errno(err, errno, "removing %s", path);
    return 0;
}
