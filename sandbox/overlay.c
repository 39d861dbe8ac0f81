#include "sandbox/overlay.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/securebits.h>
#include <stdio.h>
#include <string.h>
#include <sys/fsuid.h>
#include "sandbox/calls.h"
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include "lib/base/cleanup.h"
#include "sandbox/detached.h"
#include "sandbox/step.h"

#define STEP "mounts"
#define LOWER "/.lower"
#define UPPER "/.upper"

#define REMEDY_OVERLAY                                                                             \
    "put --workspace on a file system that can be an overlay's upper layer (ext4, xfs, btrfs, "    \
    "tmpfs), or give a plain copy "                                                                \
    "as --workspace"

int overlay_upper(const struct plan *plan, const struct plan_mount *m, int tree, struct pj_err *err)
{
    const char *slash = strrchr(m->data, '/');
    char parent[4096];

    if (m->data[0] != '/')
        return detached_new("tmpfs", m->data, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, err);
    if (strpbrk(slash, ",:\\"))
        return step_fail(err, STEP, EINVAL, "rename the directory", "overlay cannot name %s",
                         m->data);
    snprintf(parent, sizeof parent, "%.*s", (int)(slash == m->data ? 1 : slash - m->data), m->data);
    return detached_source(tree, parent, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, !plan->root, err);
}

/* Names of an overlay's two writable directories within its upper mount. A sized layer is empty
 * and needs them made. */
static int overlay_names(const struct plan *plan, const struct plan_mount *m, char *upper,
                         char *work, size_t size, struct pj_err *err)
{
    bool sized = m->data[0] != '/';
    const char *name = sized ? "u" : strrchr(m->data, '/') + 1;
    uid_t uid = plan->root ? plan->host_uid : BOX_UID;
    gid_t gid = plan->root ? plan->host_gid : BOX_GID;

    snprintf(upper, size, "%s", name);
    snprintf(work, size, "%s.pj-work", name);
    if (sized && (mkdirat(m->upper_fd, upper, 0755) < 0 || mkdirat(m->upper_fd, work, 0755) < 0 ||
                  fchownat(m->upper_fd, upper, uid, gid, 0) < 0 ||
                  fchownat(m->upper_fd, work, uid, gid, 0) < 0))
        return step_fail(err, STEP, errno, NULL, "cannot make the sized layer");
    return 0;
}

static int set_common(const struct plan *plan, int fs)
{
    if (fsconfig(fs, FSCONFIG_SET_STRING, "source", "overlay", 0) < 0)
        return -1;
    /* Without it the end of each box would wait until the whole file system beneath is on disk.
     * The layer lives no longer than its task; after a power cut both start anew. */
    if (fsconfig(fs, FSCONFIG_SET_FLAG, "volatile", NULL, 0) < 0)
        return -1;
    /* redirect_dir lets a directory of the lower layer be renamed; its mark is a trusted.*
     * attribute, which the box cannot write. With user.* attributes the kernel turns it off
     * itself. */
    return plan->root ? fsconfig(fs, FSCONFIG_SET_STRING, "redirect_dir", "on", 0)
                      : fsconfig(fs, FSCONFIG_SET_FLAG, "userxattr", NULL, 0);
}

/* Layers by descriptor (kernel 6.13 on): nothing needs attaching, and so nothing detaching,
 * which waits for all processors. -1 with errno; the overlay detached on success. */
static int overlay_by_fd(const struct plan *plan, const struct plan_mount *m, const char *upper,
                         const char *work)
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

/* The same by path, for older kernels: the layers are attached for a moment at the root. */
static int overlay_by_path(const struct plan *plan, const struct plan_mount *m, const char *upper,
                           const char *work, struct pj_err *err)
{
    char path[300];
    int fs = -1, fd = -1, e;

    if (mkdir(LOWER, 0755) < 0 || mkdir(UPPER, 0755) < 0 ||
        move_mount(m->fd, "", AT_FDCWD, LOWER, MOVE_MOUNT_F_EMPTY_PATH) < 0 ||
        move_mount(m->upper_fd, "", AT_FDCWD, UPPER, MOVE_MOUNT_F_EMPTY_PATH) < 0)
        return step_fail(err, STEP, errno, NULL, "cannot attach the layers");
    fs = fsopen("overlay", FSOPEN_CLOEXEC);
    if (fs >= 0 && set_common(plan, fs) == 0 &&
        fsconfig(fs, FSCONFIG_SET_STRING, "lowerdir", LOWER, 0) == 0 &&
        snprintf(path, sizeof path, UPPER "/%s", upper) > 0 &&
        fsconfig(fs, FSCONFIG_SET_STRING, "upperdir", path, 0) == 0 &&
        snprintf(path, sizeof path, UPPER "/%s", work) > 0 &&
        fsconfig(fs, FSCONFIG_SET_STRING, "workdir", path, 0) == 0 &&
        fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
        fd = fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
    e = errno;
    pj_fd_close(&fs);
    /* The overlay holds clones of its own. */
    if (umount2(UPPER, MNT_DETACH | UMOUNT_NOFOLLOW) < 0 ||
        umount2(LOWER, MNT_DETACH | UMOUNT_NOFOLLOW) < 0)
        pj_fd_close(&fd);
    rmdir(UPPER);
    rmdir(LOWER);
    errno = e;
    return fd;
}

/* An overlay makes whiteouts and copies with the identity that mounted it. On an idmapped layer
 * only the box's uid exists, so that is who mounts, with root's capabilities kept (securebits;
 * set back at once). */
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

int overlay_mount(const struct mounts *b, struct plan_mount *m, const struct mounts_idmap *idmap,
                  struct pj_err *err)
{
    const struct plan *plan = b->plan;
    char upper[260], work[280];
    struct statvfs st;
    int fd, rc = -1;

    if (detached_map(m->fd, idmap->base_fd, m->src, err) < 0 ||
        (m->data[0] == '/' && detached_map(m->upper_fd, idmap->work_fd, m->data, err) < 0))
        return -1;
    if (overlay_names(plan, m, upper, work, sizeof upper, err) < 0)
        return -1;
    if (act_as(plan, true) < 0)
        return step_fail(err, STEP, errno, NULL, "cannot act as the box's user");
    fd = overlay_by_fd(plan, m, upper, work);
    if (fd < 0 && (errno == EINVAL || errno == EOPNOTSUPP)) /* 6.5 to 6.12, and before */
        fd = overlay_by_path(plan, m, upper, work, err);
    if (fd < 0)
        step_fail(err, STEP, errno, REMEDY_OVERLAY, "cannot make the overlay");
    mounts_park(b, &m->fd);
    mounts_park(b, &m->upper_fd);
    if (act_as(plan, false) < 0)
        return step_fail(err, STEP, errno, NULL, "cannot act as root again");
    if (fd < 0)
        return -1;
    /* The kernel falls back to read-only when the scratch folder does not do; that is not what
     * was asked for. */
    if (fstatvfs(fd, &st) < 0 || (st.f_flag & ST_RDONLY))
        rc = step_fail(err, STEP, EROFS, REMEDY_OVERLAY, "the overlay came up read-only");
    else if ((mkdir(m->dst, 0755) < 0 && errno != EEXIST) ||
             move_mount(fd, "", AT_FDCWD, m->dst, MOVE_MOUNT_F_EMPTY_PATH) < 0)
        rc = step_fail(err, STEP, errno, NULL, "cannot mount %s", m->dst);
    else
        rc = 0;
    close(fd);
    return rc;
}
