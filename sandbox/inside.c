#include "sandbox/inside.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include "sandbox/calls.h"
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "sandbox/step.h"

#define STEP "mounts"

int inside_open(int root, const char *path, uint64_t flags)
{
    struct open_how how = {.flags = O_PATH | O_CLOEXEC | flags,
                           .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};

    while (*path == '/')
        path++;
    return (int)syscall(SYS_openat2, root, *path ? path : ".", &how, sizeof how);
}

int inside_dirs(int root, const char *path)
{
    char part[4096];
    size_t n = 0;
    int fd = fcntl(root, F_DUPFD_CLOEXEC, 3);

    while (fd >= 0 && *path) {
        size_t start;
        int next;

        while (*path == '/')
            path++;
        if (!*path)
            break;
        part[n++] = '/';
        start = n;
        while (*path && *path != '/' && n < sizeof part - 2)
            part[n++] = *path++;
        part[n] = '\0';
        next = inside_open(root, part, O_DIRECTORY);
        if (next < 0 && errno == ENOENT && mkdirat(fd, part + start, 0755) == 0)
            next = openat(fd, part + start, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        close(fd);
        fd = next;
    }
    return fd;
}

/* The parent directory of `path` and its last component. */
static int open_parent(int root, const char *path, const char **name)
{
    char parent[4096];
    const char *slash = strrchr(path, '/');

    snprintf(parent, sizeof parent, "%.*s", (int)(slash - path), path);
    *name = slash + 1;
    return inside_dirs(root, parent);
}

int inside_file(int root, const char *path, const char *content)
{
    const char *name;
    int dir = open_parent(root, path, &name);
    int fd, rc = -1;

    if (dir < 0)
        return -1;
    fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (fd >= 0) {
        rc = write(fd, content, strlen(content)) == (ssize_t)strlen(content) ? 0 : -1;
        close(fd);
    }
    close(dir);
    return rc;
}

/* Where a mount lands: an existing file or directory, else one made of the same kind. */
static int open_target(int root, const char *dst, int source_fd)
{
    struct stat st = {.st_mode = S_IFDIR};
    int fd = inside_open(root, dst, 0);

    if (fd >= 0 || errno != ENOENT)
        return fd;
    if (source_fd >= 0 && fstat(source_fd, &st) < 0)
        return -1;
    if (S_ISDIR(st.st_mode))
        return inside_dirs(root, dst);
    if (inside_file(root, dst, "") < 0)
        return -1;
    return inside_open(root, dst, 0);
}

int inside_attach(int root, int fd, const char *dst, struct pj_err *err)
{
    int target = open_target(root, dst, fd);
    int rc;

    if (target < 0)
        return step_fail(err, STEP, errno,
                         "choose a place that exists, or one outside the read-only system",
                         "cannot make %s inside", dst);
    rc = move_mount(fd, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
    if (rc < 0)
        step_fail(err, STEP, errno, NULL, "cannot mount %s", dst);
    close(target);
    return rc;
}
