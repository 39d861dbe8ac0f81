#include "sandbox/mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include "sandbox/calls.h"
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "sandbox/detached.h"
#include "sandbox/inside.h"
#include "sandbox/overlay.h"
#include "sandbox/step.h"
#include "sandbox/weaken.h"

#define STEP "mounts"
#define MASK_FILE ".mask-file"
#define MASK_DIR ".mask-dir"
#define COVER_FILE ".cover-file"

static int open_sources(struct plan *plan, const struct mounts_idmap *idmap, struct pj_err *err)
{
    for (size_t i = 0; i < plan->mount_count; i++) {
        struct plan_mount *m = &plan->mounts[i];

        switch (m->kind) {
        case MOUNT_BIND_RO:
            m->fd = detached_source(
                plan, m->src, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, -1, err);
            break;
        case MOUNT_DEVICE:
            m->fd = detached_source(plan, m->src, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, -1, err);
            break;
        case MOUNT_WORK:
            m->fd = detached_source(plan, m->src, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV,
                                    idmap->work_fd, err);
            break;
        case MOUNT_OVERLAY:
            m->fd = detached_source(plan, m->src,
                                    MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV,
                                    idmap->base_fd, err);
            if (m->fd >= 0 && (m->upper_fd = overlay_upper(plan, m, idmap->work_fd, err)) < 0)
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
        case MOUNT_COVER_FILE:
            continue;
        }
        if (m->fd < 0)
            return -1;
    }
    return 0;
}

static int cover(int root, const char *dst, bool mask, struct pj_err *err)
{
    uint64_t attr = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
    int target = inside_open(root, dst, 0);
    int fd = -1, rc = -1;
    struct stat st;

    if (target >= 0 && weakened("covers")) {
        close(target);
        return 0;
    }
    if (target < 0)
        return errno == ENOENT ? 0 : step_fail(err, STEP, errno, NULL, "cannot look at %s", dst);
    if (!mask)
        fd = detached_clone(target, "", AT_EMPTY_PATH | AT_RECURSIVE);
    else if (fstat(target, &st) == 0)
        fd = detached_clone(root, S_ISDIR(st.st_mode) ? MASK_DIR : MASK_FILE, 0);
    if (fd >= 0 && detached_set(fd, attr, -1, true) == 0)
        rc = move_mount(fd, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
    if (rc < 0)
        step_fail(err, STEP, errno, NULL, "cannot cover %s", dst);
    if (fd >= 0)
        close(fd);
    close(target);
    return rc;
}

static int cover_file(int root, const struct plan_mount *m, struct pj_err *err)
{
    int target = inside_open(root, m->dst, 0), fd = -1, rc = -1;

    if (target < 0)
        return errno == ENOENT ? 0 : step_fail(err, STEP, errno, NULL, "cannot look at %s", m->dst);
    if (inside_file(root, "/" COVER_FILE, m->data) == 0)
        fd = detached_clone(root, COVER_FILE, 0);
    if (fd >= 0 &&
        detached_set(fd, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, -1, false) == 0)
        rc = move_mount(fd, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
    if (rc < 0)
        step_fail(err, STEP, errno, NULL, "cannot cover %s", m->dst);
    unlinkat(root, COVER_FILE, 0);
    if (fd >= 0)
        close(fd);
    close(target);
    return rc;
}

static int mount_new(const struct plan *plan, const struct plan_mount *m, int root,
                     struct pj_err *err)
{
    char options[256];
    int fd = -1, rc;

    if (m->kind == MOUNT_PROC) {
        /* hidepid=invisible: process 1 is not dumpable, so the box does not even see it. */
        fd = detached_new("proc", "source=proc,hidepid=2",
                          MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, err);
    } else if (m->kind == MOUNT_PTS) {
        fd = detached_new("devpts", "source=devpts,ptmxmode=0666,mode=0620",
                          MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, err);
    } else {
        bool owned = strcmp(m->dst, "/workspace") == 0;

        snprintf(options, sizeof options, "source=tmpfs,%s", m->data);
        if (owned)
            snprintf(options + strlen(options), sizeof options - strlen(options), ",uid=%u,gid=%u",
                     plan->root ? plan->host_uid : BOX_UID, plan->root ? plan->host_gid : BOX_GID);
        fd = detached_new("tmpfs", options, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, err);
    }
    if (fd < 0)
        return -1;
    rc = inside_attach(root, fd, m->dst, err);
    close(fd);
    return rc;
}

static int apply_one(const struct plan *plan, struct plan_mount *m, int root, struct pj_err *err)
{
    int fd;

    switch (m->kind) {
    case MOUNT_DIR:
        fd = inside_dirs(root, m->dst);
        if (fd < 0)
            return step_fail(err, STEP, errno, NULL, "cannot make %s inside", m->dst);
        close(fd);
        return 0;
    case MOUNT_FILE:
        return inside_file(root, m->dst, m->data) < 0
                   ? step_fail(err, STEP, errno, NULL, "cannot write %s", m->dst)
                   : 0;
    case MOUNT_SYMLINK:
        return inside_link(root, m->dst, m->data) < 0
                   ? step_fail(err, STEP, errno, NULL, "cannot link %s", m->dst)
                   : 0;
    case MOUNT_BIND_RO:
    case MOUNT_WORK:
    case MOUNT_DEVICE:
        return inside_attach(root, m->fd, m->dst, err);
    case MOUNT_TMPFS:
    case MOUNT_PROC:
    case MOUNT_PTS:
        return mount_new(plan, m, root, err);
    case MOUNT_COVER_RO:
    case MOUNT_MASK:
        return cover(root, m->dst, m->kind == MOUNT_MASK, err);
    case MOUNT_COVER_FILE:
        return cover_file(root, m, err);
    case MOUNT_OVERLAY:
        return overlay_mount(plan, m, root, err);
    }
    return 0;
}

/* Make `root` (attached over some directory) the root of the namespace; nothing of the old one
 * stays reachable. */
static int become_root(int root, struct pj_err *err)
{
    if (fchdir(root) < 0)
        return step_fail(err, STEP, errno, NULL, "fchdir");
    if (syscall(SYS_pivot_root, ".", ".") == 0) {
        if (umount2(".", MNT_DETACH) < 0)
            return step_fail(err, STEP, errno, NULL, "cannot detach the host's root");
    } else if (errno == EPERM || errno == EINVAL || errno == ENOSYS) {
        /* An outer container's filter forbids pivot_root, or the root is an initramfs: move over
         * it instead. What lies beneath can be reached by nobody without CAP_SYS_CHROOT or
         * CAP_SYS_ADMIN, which the box never has. */
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
        return step_fail(
            err, STEP, errno,
            "allow mount inside this container (CAP_SYS_ADMIN, or its seccomp profile)",
            "cannot make the mounts private");
    if (open_sources(plan, idmap, err) < 0)
        return -1;
    root = detached_new("tmpfs", "source=pj-root,mode=0755,size=4194304,nr_inodes=4096",
                        MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, err);
    if (root < 0)
        return -1;
    if (move_mount(root, "", AT_FDCWD, "/tmp", MOVE_MOUNT_F_EMPTY_PATH) < 0 &&
        move_mount(root, "", AT_FDCWD, "/usr", MOVE_MOUNT_F_EMPTY_PATH) < 0)
        return step_fail(err, STEP, errno, NULL, "cannot attach the new root");
    if (inside_file(root, "/" MASK_FILE, "") < 0 || mkdirat(root, MASK_DIR, 0555) < 0)
        return step_fail(err, STEP, errno, NULL, "cannot fill the new root");
    for (size_t i = 0; i < plan->mount_count && rc == 0; i++)
        rc = apply_one(plan, &plan->mounts[i], root, err);
    if (rc < 0)
        return -1;
    unlinkat(root, MASK_FILE, 0);
    unlinkat(root, MASK_DIR, AT_REMOVEDIR);
    if (detached_set(root, MOUNT_ATTR_RDONLY, -1, false) < 0)
        return step_fail(err, STEP, errno, NULL, "cannot make the root read-only");
    return become_root(root, err);
}
