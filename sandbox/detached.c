#include "sandbox/detached.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include "sandbox/calls.h"
#include <unistd.h>
#include "sandbox/inside.h"
#include "sandbox/step.h"

#define STEP "mounts"

#define REMEDY_IDMAP                                                                               \
    "put the directory on a file system with idmapped mounts (ext4, xfs, btrfs, tmpfs), or run "   \
    "pj-sandbox as its owner"

int detached_clone(int dirfd, const char *path, unsigned flags)
{
    return open_tree(dirfd, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | flags);
}

int detached_set(int fd, uint64_t attr, int userns_fd, bool recursive)
{
    /* Private: the host's own mount may be shared, and nothing of the box shall ever appear there. */
    struct mount_attr a = {.attr_set = attr, .propagation = MS_PRIVATE};

    if (userns_fd >= 0) {
        a.attr_set |= (uint64_t)MOUNT_ATTR_IDMAP;
        a.userns_fd = (unsigned)userns_fd;
    }
    return mount_setattr(fd, "", AT_EMPTY_PATH | (recursive ? (unsigned)AT_RECURSIVE : 0U), &a,
                         sizeof a);
}

int detached_change(int dirfd, const char *path, uint64_t set, uint64_t clear)
{
    struct mount_attr a = {.attr_set = set, .attr_clr = clear};

    return mount_setattr(dirfd, path, 0, &a, sizeof a);
}

int detached_source(int tree, const char *path, uint64_t attr, bool recursive, struct pj_err *err)
{
    const unsigned flags = recursive ? AT_RECURSIVE : 0;
    int at = tree == AT_FDCWD ? AT_FDCWD : inside_open(tree, path, 0), fd = -1;

    if (tree == AT_FDCWD)
        fd = detached_clone(AT_FDCWD, path, flags);
    else if (at >= 0)
        fd = detached_clone(at, "", AT_EMPTY_PATH | flags);
    if (fd < 0)
        step_fail(err, STEP, errno, NULL, "cannot clone the mount of %s", path);
    if (at >= 0)
        close(at);
    if (fd < 0)
        return -1;
    if (detached_set(fd, attr, -1, recursive) < 0) {
        step_fail(err, STEP, errno, NULL, "cannot set the attributes of %s", path);
        close(fd);
        return -1;
    }
    return fd;
}

int detached_map(int fd, int userns_fd, const char *path, struct pj_err *err)
{
    if (userns_fd >= 0 && detached_set(fd, 0, userns_fd, false) < 0)
        return step_fail(err, STEP, errno, REMEDY_IDMAP, "cannot map the owner of %s", path);
    return 0;
}

int detached_new(const char *type, const char *options, unsigned attr, struct pj_err *err)
{
    char copy[512], *rest = copy, *option;
    int fs = fsopen(type, FSOPEN_CLOEXEC), fd = -1;

    snprintf(copy, sizeof copy, "%s", options);
    if (fs < 0)
        goto fail;
    while ((option = strsep(&rest, ","))) {
        char *eq = strchr(option, '=');
        int rc;

        if (*option == '\0')
            continue;
        if (eq)
            *eq++ = '\0';
        rc = eq ? fsconfig(fs, FSCONFIG_SET_STRING, option, eq, 0)
                : fsconfig(fs, FSCONFIG_SET_FLAG, option, NULL, 0);
        if (rc < 0)
            goto fail;
    }
    if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
        goto fail;
    fd = fsmount(fs, FSMOUNT_CLOEXEC, attr);
    if (fd < 0)
        goto fail;
    close(fs);
    return fd;
fail:
    step_fail(err, STEP, errno, NULL, "cannot make a new %s (%s)", type, options);
    if (fs >= 0)
        close(fs);
    return -1;
}
