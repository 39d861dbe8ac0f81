#include "sandbox/mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include "sandbox/calls.h"
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "lib/base/fs.h"
#include "sandbox/detached.h"
#include "sandbox/inside.h"
#include "sandbox/overlay.h"
#include "sandbox/step.h"
#include "sandbox/weaken.h"

#define STEP "mounts"
#define MASK_FILE "/.mask-file"
#define MASK_DIR "/.mask-dir"
#define COVER_FILE "/.cover-file"
#define PARKING "/usr" /* a directory that every host has */
#define HOST_DIR "/.host"

static int new_proc(struct pj_err *err)
{
    /* hidepid=invisible: process 1 is not dumpable, so the box does not even see it. */
    int fd = detached_new("proc", "source=proc,hidepid=2",
                          MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, err);

    if (fd < 0)
        snprintf(err->remedy, sizeof err->remedy, "%s",
                 "an outer container masks /proc: run it with --security-opt "
                 "systempaths=unconfined (Docker), --security-opt unmask=ALL (podman), "
                 "procMount: Unmasked (Kubernetes)");
    return fd;
}

int mounts_sources(struct plan *plan, size_t from, int tree, struct pj_err *err)
{
    const uint64_t harmless = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;

    for (size_t i = from; i < plan->mount_count; i++) {
        struct plan_mount *m = &plan->mounts[i];

        switch (m->kind) {
        case MOUNT_BIND_RO:
            m->fd = detached_source(tree, m->src, MOUNT_ATTR_RDONLY | harmless, true, err);
            break;
        /* As root these get an idmap, which a tree of several file systems cannot have as one. */
        case MOUNT_WORK:
            m->fd = detached_source(tree, m->src, harmless, !plan->root, err);
            break;
        case MOUNT_OVERLAY:
            m->fd = detached_source(tree, m->src, MOUNT_ATTR_RDONLY | harmless, !plan->root, err);
            if (m->fd >= 0 && (m->upper_fd = overlay_upper(plan, m, tree, err)) < 0)
                return -1;
            break;
        /* In a user namespace the kernel gives a new /proc only to who sees a whole one already. */
        case MOUNT_PROC:
            m->fd = new_proc(err);
            break;
        case MOUNT_DIR:
        case MOUNT_FILE:
        case MOUNT_SYMLINK:
        case MOUNT_DEVICE:
        case MOUNT_SCRATCH:
        case MOUNT_TMPFS:
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

/* The root and /proc read-only, so that what is cloned of them is: then a cover is one call. */
static int set_covering(struct mounts *m, bool on, struct pj_err *err)
{
    const uint64_t attr = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOEXEC;

    if (m->covering == on)
        return 0;
    m->covering = on;
    if (detached_change(AT_FDCWD, "/", on ? attr : 0, on ? 0 : attr) < 0 ||
        detached_change(AT_FDCWD, "/proc", on ? MOUNT_ATTR_RDONLY : 0, on ? 0 : MOUNT_ATTR_RDONLY) <
            0)
        return step_fail(err, STEP, errno, NULL, "cannot set the attributes of /proc");
    return 0;
}

/* dst lies in our own /proc, which has no links at these places. */
static int cover(const char *dst, bool mask, struct pj_err *err)
{
    struct stat st;

    if (weakened("covers") || (lstat(dst, &st) < 0 && errno == ENOENT))
        return 0;
    if (mount(!mask                 ? dst
              : S_ISDIR(st.st_mode) ? MASK_DIR
                                    : MASK_FILE,
              dst, NULL, MS_BIND | MS_REC, NULL) < 0)
        return step_fail(err, STEP, errno, NULL, "cannot cover %s", dst);
    return 0;
}

static int cover_file(const struct plan_mount *m, struct pj_err *err)
{
    int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    int target = inside_open(root, m->dst, 0), fd = -1, rc = -1;

    if (target < 0) {
        close(root);
        return errno == ENOENT ? 0 : step_fail(err, STEP, errno, NULL, "cannot look at %s", m->dst);
    }
    if (inside_file(root, COVER_FILE, m->data) == 0)
        fd = detached_clone(root, COVER_FILE + 1, 0);
    if (fd >= 0 &&
        detached_set(fd, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, -1, false) == 0)
        rc = move_mount(fd, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
    if (rc < 0)
        step_fail(err, STEP, errno, NULL, "cannot cover %s", m->dst);
    unlink(COVER_FILE);
    pj_fd_close(&fd);
    close(target);
    close(root);
    return rc;
}

/* Make what is missing above `path`. */
static int make_parents(const char *path)
{
    char parent[4096];

    for (const char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        snprintf(parent, sizeof parent, "%.*s", (int)(slash - path), path);
        if (mkdir(parent, 0755) < 0 && errno != EEXIST)
            return -1;
    }
    return 0;
}

static int make_dir(const char *path)
{
    int rc = mkdir(path, 0755);

    if (rc < 0 && errno == ENOENT && make_parents(path) == 0)
        rc = mkdir(path, 0755);
    return rc < 0 && errno == EEXIST ? 0 : rc;
}

static int make_link(const char *path, const char *target)
{
    int rc = symlink(target, path);

    if (rc < 0 && errno == ENOENT && make_parents(path) == 0)
        rc = symlink(target, path);
    return rc;
}

static int make_file(const char *path, const char *content)
{
    const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
    int fd = open(path, flags, 0644), rc;

    if (fd < 0 && errno == ENOENT && make_parents(path) == 0)
        fd = open(path, flags, 0644);
    if (fd < 0)
        return -1;
    rc = *content ? pj_write_all(fd, content, strlen(content)) : 0;
    close(fd);
    return rc;
}

/* Put a detached mount where the plan says. Where links may lie in the way, slowly. */
static int attach(struct plan_mount *m, struct pj_err *err)
{
    struct stat st;
    int rc;

    if (!m->ours) {
        int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

        rc = inside_attach(root, m->fd, m->dst, err);
        pj_fd_close(&root);
        pj_fd_close(&m->fd);
        return rc;
    }
    rc = fstat(m->fd, &st);
    if (rc == 0)
        rc = S_ISDIR(st.st_mode) ? make_dir(m->dst) : make_file(m->dst, "");
    if (rc == 0)
        rc = move_mount(m->fd, "", AT_FDCWD, m->dst, MOVE_MOUNT_F_EMPTY_PATH);
    if (rc < 0)
        step_fail(err, STEP, errno, NULL, "cannot mount %s", m->dst);
    pj_fd_close(&m->fd);
    return rc;
}

/* A node of our own where we may make one, else the host's: in a user namespace nodes of devices
 * are dead. */
static int add_device(const struct mounts *b, struct plan_mount *m, struct pj_err *err)
{
    if (b->plan->root && mknod(m->dst, S_IFCHR | 0666, m->device) == 0)
        return 0;
    m->fd = detached_clone(b->host, m->src + 1, 0);
    if (m->fd < 0 && errno == ENOENT)
        return 0; /* the host does not have it either */
    if (m->fd < 0 || detached_set(m->fd, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, -1, false) < 0)
        return step_fail(err, STEP, errno, NULL, "cannot clone the mount of %s", m->src);
    return attach(m, err);
}

/* A mount of its own over the same directory stays writable when the root no longer is. */
static int add_scratch(const struct plan_mount *m, struct pj_err *err)
{
    if (mkdir(m->dst, 01777) < 0 || mount(m->dst, m->dst, NULL, MS_BIND, NULL) < 0)
        return step_fail(err, STEP, errno, NULL, "cannot make %s", m->dst);
    return 0;
}

static int mount_tmpfs(const struct plan *plan, const struct plan_mount *m, struct pj_err *err)
{
    char options[256];

    snprintf(options, sizeof options, "%s", m->data);
    if (strcmp(m->dst, "/workspace") == 0)
        snprintf(options, sizeof options, "%s,uid=%u,gid=%u", m->data,
                 plan->root ? plan->host_uid : BOX_UID, plan->root ? plan->host_gid : BOX_GID);
    if (make_dir(m->dst) < 0 || mount("tmpfs", m->dst, "tmpfs", MS_NOSUID | MS_NODEV, options) < 0)
        return step_fail(err, STEP, errno, NULL, "cannot mount a new tmpfs (%s) at %s", options,
                         m->dst);
    return 0;
}

static int mount_pts(const struct plan_mount *m, struct pj_err *err)
{
    if (make_dir(m->dst) < 0 || mount("devpts", m->dst, "devpts", MS_NOSUID | MS_NOEXEC,
                                      "newinstance,ptmxmode=0666,mode=0620") < 0)
        return step_fail(err, STEP, errno, NULL, "cannot mount a new devpts");
    return 0;
}

static int apply_one(struct mounts *b, struct plan_mount *m, const struct mounts_idmap *idmap,
                     struct pj_err *err)
{
    bool covers = m->kind == MOUNT_COVER_RO || m->kind == MOUNT_MASK;

    if (set_covering(b, covers, err) < 0)
        return -1;
    switch (m->kind) {
    case MOUNT_DIR:
        return make_dir(m->dst) < 0
                   ? step_fail(err, STEP, errno, NULL, "cannot make %s inside", m->dst)
                   : 0;
    case MOUNT_FILE:
        return make_file(m->dst, m->data) < 0
                   ? step_fail(err, STEP, errno, NULL, "cannot write %s", m->dst)
                   : 0;
    case MOUNT_SYMLINK:
        return make_link(m->dst, m->data) < 0
                   ? step_fail(err, STEP, errno, NULL, "cannot link %s", m->dst)
                   : 0;
    case MOUNT_WORK:
        if (idmap && detached_map(m->fd, idmap->work_fd, m->src, err) < 0)
            return -1;
        return attach(m, err);
    case MOUNT_BIND_RO:
    case MOUNT_PROC:
        return attach(m, err);
    case MOUNT_DEVICE:
        return add_device(b, m, err);
    case MOUNT_SCRATCH:
        return add_scratch(m, err);
    case MOUNT_TMPFS:
        return mount_tmpfs(b->plan, m, err);
    case MOUNT_PTS:
        return mount_pts(m, err);
    case MOUNT_COVER_RO:
    case MOUNT_MASK:
        return cover(m->dst, m->kind == MOUNT_MASK, err);
    case MOUNT_COVER_FILE:
        return cover_file(m, err);
    case MOUNT_OVERLAY:
        return overlay_mount(b, m, idmap, err);
    }
    return 0;
}

/* Make `root` (attached over some directory) the root of the namespace. The old one then lies on
 * top of it, where no path leads, until it is detached: to take it away waits for all processors. Beneath such a pile nobody may
 * make a user namespace, so where it has to stay until an order comes, it lies aside. */
static int become_root(struct mounts *b, int root, struct pj_err *err)
{
    if (fchdir(root) < 0 || (b->aside && mkdir(HOST_DIR + 1, 0700) < 0))
        return step_fail(err, STEP, errno, NULL, "fchdir");
    if (syscall(SYS_pivot_root, ".", b->aside ? HOST_DIR + 1 : ".") == 0) {
        b->pivoted = true;
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

/* The first things in the new root. Nodes of devices count in /dev only. */
static int furnish(const struct mounts *b, struct pj_err *err)
{
    if (make_file(MASK_FILE, "") < 0 || mkdir(MASK_DIR, 0555) < 0 || mkdir("/dev", 0755) < 0 ||
        mount("/dev", "/dev", NULL, MS_BIND, NULL) < 0 ||
        (b->plan->root && detached_change(AT_FDCWD, "/dev", 0, MOUNT_ATTR_NODEV) < 0))
        return step_fail(err, STEP, errno, NULL, "cannot fill the new root");
    return 0;
}

static int new_root(struct mounts *b, struct pj_err *err)
{
    int root =
        detached_new("tmpfs", b->plan->root_options, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, err);
    int rc;

    if (root < 0)
        return -1;
    if (move_mount(root, "", AT_FDCWD, "/tmp", MOVE_MOUNT_F_EMPTY_PATH) < 0 &&
        move_mount(root, "", AT_FDCWD, PARKING, MOVE_MOUNT_F_EMPTY_PATH) < 0)
        rc = step_fail(err, STEP, errno, NULL, "cannot attach the new root");
    else
        rc = become_root(b, root, err);
    close(root);
    return rc;
}

int mounts_begin(struct mounts *b, struct plan *plan, bool stands, struct pj_err *err)
{
    int rc = 0;

    *b = (struct mounts){.plan = plan,
                         .host = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC),
                         .aside = stands && !plan->root};
    /* While a box stands by, what the host unmounts is unmounted in its copy of the host's tree too. */
    if (b->host < 0 || mount(NULL, "/", NULL, MS_REC | (stands ? MS_SLAVE : MS_PRIVATE), NULL) < 0)
        return step_fail(
            err, STEP, errno,
            "allow mount inside this container (CAP_SYS_ADMIN, or its seccomp profile)",
            "cannot make the mounts private");
    umask(0);
    if (mounts_sources(plan, 0, AT_FDCWD, err) < 0 || new_root(b, err) < 0 || furnish(b, err) < 0)
        return -1;
    for (; b->next < plan->mount_count && rc == 0; b->next++) {
        struct plan_mount *m = &plan->mounts[b->next];

        if (m->kind == MOUNT_WORK || m->kind == MOUNT_OVERLAY)
            break;
        rc = apply_one(b, m, NULL, err);
    }
    return rc;
}

int mounts_uncover(struct mounts *b, struct pj_err *err)
{
    if (set_covering(b, false, err) < 0)
        return -1;
    unlink(MASK_FILE);
    rmdir(MASK_DIR);
    b->uncovered = true;
    return 0;
}

int mounts_attach(struct mounts *b, const struct mounts_idmap *idmap, struct pj_err *err)
{
    for (; b->next < b->plan->mount_count; b->next++) {
        if (apply_one(b, &b->plan->mounts[b->next], idmap, err) < 0)
            return -1;
    }
    return b->uncovered ? 0 : mounts_uncover(b, err);
}

int mounts_seal(struct pj_err *err)
{
    umask(022);
    if (detached_change(AT_FDCWD, "/", MOUNT_ATTR_RDONLY, 0) < 0 ||
        detached_change(AT_FDCWD, "/dev", MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOEXEC, 0) < 0)
        return step_fail(err, STEP, errno, NULL, "cannot make the root read-only");
    return 0;
}

void mounts_park(const struct mounts *b, int *fd)
{
    /* Should it not work, closing does it too. */
    if (*fd >= 0 && b->pivoted)
        (void)move_mount(*fd, "", b->host, PARKING + 1, MOVE_MOUNT_F_EMPTY_PATH);
    pj_fd_close(fd);
}

int mounts_leave_host(struct mounts *b, struct pj_err *err)
{
    pj_fd_close(&b->host);
    if (b->pivoted && (chdir("/") < 0 || umount2(b->aside ? HOST_DIR : ".", MNT_DETACH) < 0))
        return step_fail(err, STEP, errno, NULL, "cannot detach the host's root");
    b->pivoted = false;
    if (b->aside && rmdir(HOST_DIR) < 0)
        return step_fail(err, STEP, errno, NULL, "cannot remove " HOST_DIR);
    return chdir("/") < 0 ? step_fail(err, STEP, errno, NULL, "chdir /") : 0;
}
