#include "sandbox/mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <linux/securebits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "sandbox/step.h"
#include "sandbox/weaken.h"

#define STEP "mounts"
#define MASK_FILE ".mask-file"
#define MASK_DIR ".mask-dir"
#define LOWER ".lower"
#define UPPER ".upper"

#define REMEDY_IDMAP                                                                                                        \
    "put the directory on a file system with idmapped mounts (ext4, xfs, btrfs, tmpfs), or run pj-sandbox as its owner"

#define REMEDY_OVERLAY                                                                                                      \
    "put --workspace on a file system that can be an overlay's upper layer (ext4, xfs, btrfs, tmpfs), or give a plain copy " \
    "as --workspace"

static int clone_tree(int dirfd, const char *path, unsigned flags)
{
    return open_tree(dirfd, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | flags);
}

static int set_attr(int fd, uint64_t attr, int userns_fd, bool recursive)
{
    struct mount_attr a = {.attr_set = attr};

    if (userns_fd >= 0) {
        a.attr_set |= (uint64_t)MOUNT_ATTR_IDMAP;
        a.userns_fd = (unsigned)userns_fd;
    }
    return mount_setattr(fd, "", AT_EMPTY_PATH | (recursive ? (unsigned)AT_RECURSIVE : 0U), &a, sizeof a);
}

/* Detached clone of one source with its final attributes. In user mode clones are recursive: the kernel refuses to uncover
 * what lies beneath a submount. */
static int clone_source(const struct plan *plan, const char *path, uint64_t attr, int userns_fd, struct pj_err *err)
{
    bool recursive = !plan->root || userns_fd < 0;
    int fd = clone_tree(AT_FDCWD, path, recursive ? AT_RECURSIVE : 0);

    if (fd < 0)
        return step_fail(err, STEP, errno, NULL, "cannot clone the mount of %s", path);
    if (set_attr(fd, attr, userns_fd, recursive) < 0) {
        int e = errno;

        close(fd);
        return step_fail(err, STEP, e, userns_fd >= 0 ? REMEDY_IDMAP : NULL, "cannot set the attributes of %s", path);
    }
    return fd;
}

/* A new file system, not attached anywhere. `options` is "key=value,flag,…" (cut on a copy). */
static int new_fs(const char *type, const char *options, unsigned attr, struct pj_err *err)
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
        rc = eq ? fsconfig(fs, FSCONFIG_SET_STRING, option, eq, 0) : fsconfig(fs, FSCONFIG_SET_FLAG, option, NULL, 0);
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
    step_fail(err, STEP, errno,
              strcmp(type, "proc") == 0
                  ? "an outer container masks /proc: run it with --security-opt systempaths=unconfined (Docker), "
                    "--security-opt unmask=ALL (podman), procMount: Unmasked (Kubernetes)"
                  : NULL,
              "cannot make a new %s (%s)", type, options);
    if (fs >= 0)
        close(fs);
    return -1;
}

/* The mount that holds an overlay's writable layer and its scratch folder: they must be reached through one mount, so it is
 * that of the parent of --workspace. */
static int open_upper(const struct plan *plan, const struct plan_mount *m, int work_userns, struct pj_err *err)
{
    const char *slash = strrchr(m->data, '/');
    char parent[4096];

    if (m->data[0] != '/')
        return new_fs("tmpfs", m->data, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, err);
    if (strpbrk(slash, ",:\\"))
        return step_fail(err, STEP, EINVAL, "rename the directory", "overlay cannot name %s", m->data);
    snprintf(parent, sizeof parent, "%.*s", (int)(slash == m->data ? 1 : slash - m->data), m->data);
    return clone_source(plan, parent, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, work_userns, err);
}

static int open_sources(struct plan *plan, const struct mounts_idmap *idmap, struct pj_err *err)
{
    for (size_t i = 0; i < plan->mount_count; i++) {
        struct plan_mount *m = &plan->mounts[i];

        switch (m->kind) {
        case MOUNT_BIND_RO:
            m->fd = clone_source(plan, m->src, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, -1, err);
            break;
        case MOUNT_DEVICE:
            m->fd = clone_source(plan, m->src, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, -1, err);
            break;
        case MOUNT_WORK:
            m->fd = clone_source(plan, m->src, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, idmap->work_fd, err);
            break;
        case MOUNT_OVERLAY:
            m->fd = clone_source(plan, m->src, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, idmap->base_fd,
                                 err);
            if (m->fd >= 0 && (m->upper_fd = open_upper(plan, m, idmap->work_fd, err)) < 0)
                return -1;
            break;
        case MOUNT_DIR:
        case MOUNT_FILE:
        case MOUNT_SYMLINK:
        case MOUNT_TMPFS:
        case MOUNT_PROC:
        case MOUNT_PTS:
        case MOUNT_COVER_RO:
        case MOUNT_MASK:
            continue;
        }
        if (m->fd < 0)
            return -1;
    }
    return 0;
}

static int open_in(int root, const char *path, uint64_t flags)
{
    struct open_how how = {.flags = O_PATH | O_CLOEXEC | flags, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};

    while (*path == '/')
        path++;
    return (int)syscall(SYS_openat2, root, *path ? path : ".", &how, sizeof how);
}

/* Open the directory `path` beneath the new root, making what is missing. */
static int make_dirs(int root, const char *path)
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
        next = open_in(root, part, O_DIRECTORY);
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
    return make_dirs(root, parent);
}

static int make_file(int root, const char *path, const char *content)
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

static int make_link(int root, const char *path, const char *target)
{
    const char *name;
    int dir = open_parent(root, path, &name);
    int rc;

    if (dir < 0)
        return -1;
    rc = symlinkat(target, dir, name);
    close(dir);
    return rc;
}

/* Where a mount lands: an existing file or directory, else one made of the same kind. */
static int open_target(int root, const char *dst, int source_fd)
{
    struct stat st = {.st_mode = S_IFDIR};
    int fd = open_in(root, dst, 0);

    if (fd >= 0 || errno != ENOENT)
        return fd;
    if (source_fd >= 0 && fstat(source_fd, &st) < 0)
        return -1;
    if (S_ISDIR(st.st_mode))
        return make_dirs(root, dst);
    if (make_file(root, dst, "") < 0)
        return -1;
    return open_in(root, dst, 0);
}

static int attach(int root, int fd, const char *dst, struct pj_err *err)
{
    int target = open_target(root, dst, fd);
    int rc;

    if (target < 0)
        return step_fail(err, STEP, errno, "choose a place that exists, or one outside the read-only system",
                         "cannot make %s inside", dst);
    rc = move_mount(fd, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
    if (rc < 0)
        step_fail(err, STEP, errno, NULL, "cannot mount %s", dst);
    close(target);
    return rc;
}

static int cover(int root, const char *dst, bool mask, struct pj_err *err)
{
    uint64_t attr = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
    int target = open_in(root, dst, 0);
    int fd = -1, rc = -1;
    struct stat st;

    if (target >= 0 && weakened("covers")) {
        close(target);
        return 0;
    }
    if (target < 0)
        return errno == ENOENT ? 0 : step_fail(err, STEP, errno, NULL, "cannot look at %s", dst);
    if (!mask)
        fd = clone_tree(target, "", AT_EMPTY_PATH | AT_RECURSIVE);
    else if (fstat(target, &st) == 0)
        fd = clone_tree(root, S_ISDIR(st.st_mode) ? MASK_DIR : MASK_FILE, 0);
    if (fd >= 0 && set_attr(fd, attr, -1, true) == 0)
        rc = move_mount(fd, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
    if (rc < 0)
        step_fail(err, STEP, errno, NULL, "cannot cover %s", dst);
    if (fd >= 0)
        close(fd);
    close(target);
    return rc;
}

/* Names of an overlay's two writable directories within its upper mount. A sized layer is empty and needs them made. */
static int overlay_names(const struct plan *plan, const struct plan_mount *m, char *upper, char *work, size_t size,
                         struct pj_err *err)
{
    bool sized = m->data[0] != '/';
    const char *name = sized ? "u" : strrchr(m->data, '/') + 1;
    uid_t uid = plan->root ? plan->host_uid : BOX_UID;
    gid_t gid = plan->root ? plan->host_gid : BOX_GID;

    snprintf(upper, size, "%s", name);
    snprintf(work, size, "%s.pj-work", name);
    if (sized && (mkdirat(m->upper_fd, upper, 0755) < 0 || mkdirat(m->upper_fd, work, 0755) < 0 ||
                  fchownat(m->upper_fd, upper, uid, gid, 0) < 0 || fchownat(m->upper_fd, work, uid, gid, 0) < 0))
        return step_fail(err, STEP, errno, NULL, "cannot make the sized layer");
    return 0;
}

static int set_common(const struct plan *plan, int fs)
{
    if (fsconfig(fs, FSCONFIG_SET_STRING, "source", "overlay", 0) < 0)
        return -1;
    /* Without it the end of each box would wait until the whole file system beneath is on disk. The layer lives no longer
     * than its task; after a power cut both start anew. */
    if (fsconfig(fs, FSCONFIG_SET_FLAG, "volatile", NULL, 0) < 0)
        return -1;
    /* redirect_dir lets a directory of the lower layer be renamed; its mark is a trusted.* attribute, which the box cannot
     * write. With user.* attributes the kernel turns it off itself. */
    return plan->root ? fsconfig(fs, FSCONFIG_SET_STRING, "redirect_dir", "on", 0)
                      : fsconfig(fs, FSCONFIG_SET_FLAG, "userxattr", NULL, 0);
}

/* Layers by descriptor (kernel 6.13 on): nothing needs attaching, and so nothing detaching, which waits for all processors.
 * -1 with errno; the overlay detached on success. */
static int overlay_by_fd(const struct plan *plan, const struct plan_mount *m, const char *upper, const char *work)
{
    int fs = fsopen("overlay", FSOPEN_CLOEXEC), fd = -1, e;
    int upper_dir = openat(m->upper_fd, upper, O_PATH | O_DIRECTORY | O_CLOEXEC);
    int work_dir = openat(m->upper_fd, work, O_PATH | O_DIRECTORY | O_CLOEXEC);

    if (fs >= 0 && upper_dir >= 0 && work_dir >= 0 && set_common(plan, fs) == 0 &&
        fsconfig(fs, FSCONFIG_SET_FD, "lowerdir+", NULL, m->fd) == 0 &&
        fsconfig(fs, FSCONFIG_SET_FD, "upperdir", NULL, upper_dir) == 0 &&
        fsconfig(fs, FSCONFIG_SET_FD, "workdir", NULL, work_dir) == 0 &&
        fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
        fd = fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
    e = errno;
    pj_fd_close(&fs);
    pj_fd_close(&upper_dir);
    pj_fd_close(&work_dir);
    errno = e;
    return fd;
}

/* The same by path, for older kernels: the layers are attached for a moment beneath the new root, where we stand. */
static int overlay_by_path(const struct plan *plan, const struct plan_mount *m, int root, const char *upper, const char *work,
                           struct pj_err *err)
{
    char path[300];
    int fs = -1, fd = -1, e;

    if (attach(root, m->fd, "/" LOWER, err) < 0 || attach(root, m->upper_fd, "/" UPPER, err) < 0 || fchdir(root) < 0)
        return -1;
    fs = fsopen("overlay", FSOPEN_CLOEXEC);
    if (fs >= 0 && set_common(plan, fs) == 0 && fsconfig(fs, FSCONFIG_SET_STRING, "lowerdir", LOWER, 0) == 0 &&
        snprintf(path, sizeof path, UPPER "/%s", upper) > 0 &&
        fsconfig(fs, FSCONFIG_SET_STRING, "upperdir", path, 0) == 0 &&
        snprintf(path, sizeof path, UPPER "/%s", work) > 0 && fsconfig(fs, FSCONFIG_SET_STRING, "workdir", path, 0) == 0 &&
        fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
        fd = fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
    e = errno;
    pj_fd_close(&fs);
    /* The overlay holds clones of its own. */
    if (umount2(UPPER, MNT_DETACH | UMOUNT_NOFOLLOW) < 0 || umount2(LOWER, MNT_DETACH | UMOUNT_NOFOLLOW) < 0)
        pj_fd_close(&fd);
    unlinkat(root, UPPER, AT_REMOVEDIR);
    unlinkat(root, LOWER, AT_REMOVEDIR);
    errno = e;
    return fd;
}

/* An overlay makes whiteouts and copies with the identity that mounted it. On an idmapped layer only the box's uid exists,
 * so that is who mounts, with root's capabilities kept (securebits; set back at once). */
static int act_as(const struct plan *plan, bool box)
{
    if (!plan->root)
        return 0;
    if (prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0) < 0)
        return -1;
    setfsgid(box ? plan->host_gid : 0);
    setfsuid(box ? plan->host_uid : 0);
    return box ? 0 : prctl(PR_SET_SECUREBITS, 0, 0, 0, 0);
}

static int mount_overlay(const struct plan *plan, const struct plan_mount *m, int root, struct pj_err *err)
{
    char upper[260], work[280];
    struct statvfs st;
    int fd, rc;

    if (overlay_names(plan, m, upper, work, sizeof upper, err) < 0)
        return -1;
    if (act_as(plan, true) < 0)
        return step_fail(err, STEP, errno, NULL, "cannot act as the box's user");
    fd = overlay_by_fd(plan, m, upper, work);
    if (fd < 0 && errno == EINVAL)
        fd = overlay_by_path(plan, m, root, upper, work, err);
    if (fd < 0)
        step_fail(err, STEP, errno, REMEDY_OVERLAY, "cannot make the overlay");
    if (act_as(plan, false) < 0)
        return step_fail(err, STEP, errno, NULL, "cannot act as root again");
    if (fd < 0)
        return -1;
    /* The kernel falls back to read-only when the scratch folder does not do; that is not what was asked for. */
    if (fstatvfs(fd, &st) < 0 || (st.f_flag & ST_RDONLY))
        rc = step_fail(err, STEP, EROFS, REMEDY_OVERLAY, "the overlay came up read-only");
    else
        rc = attach(root, fd, m->dst, err);
    close(fd);
    return rc;
}

static int mount_new(const struct plan *plan, const struct plan_mount *m, int root, struct pj_err *err)
{
    char options[256];
    int fd = -1, rc;

    if (m->kind == MOUNT_PROC) {
        /* hidepid=invisible: process 1 is not dumpable, so the box does not even see it. */
        fd = new_fs("proc", "source=proc,hidepid=2", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, err);
    } else if (m->kind == MOUNT_PTS) {
        fd = new_fs("devpts", "source=devpts,ptmxmode=0666,mode=0620", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, err);
    } else {
        bool owned = strcmp(m->dst, "/workspace") == 0;

        snprintf(options, sizeof options, "source=tmpfs,%s", m->data);
        if (owned)
            snprintf(options + strlen(options), sizeof options - strlen(options), ",uid=%u,gid=%u",
                     plan->root ? plan->host_uid : BOX_UID, plan->root ? plan->host_gid : BOX_GID);
        fd = new_fs("tmpfs", options, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, err);
    }
    if (fd < 0)
        return -1;
    rc = attach(root, fd, m->dst, err);
    close(fd);
    return rc;
}

static int apply_one(const struct plan *plan, struct plan_mount *m, int root, struct pj_err *err)
{
    int fd;

    switch (m->kind) {
    case MOUNT_DIR:
        fd = make_dirs(root, m->dst);
        if (fd < 0)
            return step_fail(err, STEP, errno, NULL, "cannot make %s inside", m->dst);
        close(fd);
        return 0;
    case MOUNT_FILE:
        return make_file(root, m->dst, m->data) < 0 ? step_fail(err, STEP, errno, NULL, "cannot write %s", m->dst) : 0;
    case MOUNT_SYMLINK:
        return make_link(root, m->dst, m->data) < 0 ? step_fail(err, STEP, errno, NULL, "cannot link %s", m->dst) : 0;
    case MOUNT_BIND_RO:
    case MOUNT_WORK:
    case MOUNT_DEVICE:
        return attach(root, m->fd, m->dst, err);
    case MOUNT_TMPFS:
    case MOUNT_PROC:
    case MOUNT_PTS:
        return mount_new(plan, m, root, err);
    case MOUNT_COVER_RO:
    case MOUNT_MASK:
        return cover(root, m->dst, m->kind == MOUNT_MASK, err);
    case MOUNT_OVERLAY:
        return mount_overlay(plan, m, root, err);
    }
    return 0;
}

/* Make `root` (attached over some directory) the root of the namespace; nothing of the old one stays reachable. */
static int become_root(int root, struct pj_err *err)
{
    if (fchdir(root) < 0)
        return step_fail(err, STEP, errno, NULL, "fchdir");
    if (syscall(SYS_pivot_root, ".", ".") == 0) {
        if (umount2(".", MNT_DETACH) < 0)
            return step_fail(err, STEP, errno, NULL, "cannot detach the host's root");
    } else if (errno == EPERM || errno == EINVAL || errno == ENOSYS) {
        /* An outer container's filter forbids pivot_root, or the root is an initramfs: move over it instead. What lies
         * beneath can be reached by nobody without CAP_SYS_CHROOT or CAP_SYS_ADMIN, which the box never has. */
        if (mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0)
            return step_fail(err, STEP, errno, NULL, "cannot move the new root to /");
    } else {
        return step_fail(err, STEP, errno, NULL, "pivot_root");
    }
    return chdir("/") < 0 ? step_fail(err, STEP, errno, NULL, "chdir /") : 0;
}

int mounts_apply(struct plan *plan, const struct mounts_idmap *idmap, struct pj_err *err)
{
    int root, rc = 0;

    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return step_fail(err, STEP, errno, "allow mount inside this container (CAP_SYS_ADMIN, or its seccomp profile)",
                         "cannot make the mounts private");
    if (open_sources(plan, idmap, err) < 0)
        return -1;
    root = new_fs("tmpfs", "source=pj-root,mode=0755,size=4194304,nr_inodes=4096", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV,
                  err);
    if (root < 0)
        return -1;
    if (move_mount(root, "", AT_FDCWD, "/tmp", MOVE_MOUNT_F_EMPTY_PATH) < 0 &&
        move_mount(root, "", AT_FDCWD, "/usr", MOVE_MOUNT_F_EMPTY_PATH) < 0)
        return step_fail(err, STEP, errno, NULL, "cannot attach the new root");
    if (make_file(root, "/" MASK_FILE, "") < 0 || mkdirat(root, MASK_DIR, 0555) < 0)
        return step_fail(err, STEP, errno, NULL, "cannot fill the new root");
    for (size_t i = 0; i < plan->mount_count && rc == 0; i++)
        rc = apply_one(plan, &plan->mounts[i], root, err);
    if (rc < 0)
        return -1;
    unlinkat(root, MASK_FILE, 0);
    unlinkat(root, MASK_DIR, AT_REMOVEDIR);
    if (set_attr(root, MOUNT_ATTR_RDONLY, -1, false) < 0)
        return step_fail(err, STEP, errno, NULL, "cannot make the root read-only");
    return become_root(root, err);
}
