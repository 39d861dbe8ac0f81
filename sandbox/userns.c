#include "sandbox/userns.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "lib/base/clock.h"
#include "lib/base/fs.h"
#include "sandbox/step.h"
#include "sandbox/weaken.h"

#define STEP "userns"
/* Host uids that no distribution, directory service or container manager hands out (the next to
 * last 1/16 of the positive range), so that nothing on the host belongs to them. */
#define LEASE_BASE 0x70000000U
#define LEASE_COUNT 65536U

#define REMEDY_USERNS                                                                              \
    "allow user namespaces: sysctl user.max_user_namespaces above 0, "                             \
    "kernel.unprivileged_userns_clone=1 (Debian), "                                                \
    "kernel.apparmor_restrict_unprivileged_userns=0 (Ubuntu), in a container a seccomp profile "   \
    "that allows unshare"

/* What our own user namespace maps, read once: it cannot change any more. */
struct id_map {
    bool known;
    size_t count;
    struct {
        uint32_t inside, outside, length;
    } extents[16]; /* more are no use to us */
};

static const struct id_map *own_map(void)
{
    static struct id_map map;
    char text[1024];
    const char *p = text;
    ssize_t n;
    int fd;

    if (map.known || (fd = open("/proc/self/uid_map", O_RDONLY | O_CLOEXEC)) < 0)
        return &map;
    n = read(fd, text, sizeof text - 1);
    close(fd);
    text[n > 0 ? n : 0] = '\0';
    map.known = n > 0;
    while (*p && map.count < PJ_COUNT_OF(map.extents)) {
        char *end;

        map.extents[map.count].inside = (uint32_t)strtoul(p, &end, 10);
        map.extents[map.count].outside = (uint32_t)strtoul(end, &end, 10);
        map.extents[map.count].length = (uint32_t)strtoul(end, &end, 10);
        map.count++;
        p = *end == '\n' ? end + 1 : end;
    }
    return &map;
}

/* In a container only some ids exist: take them from the top of the largest extent of our own
 * map. */
static int lease_range(uint32_t *base, uint32_t *count)
{
    const struct id_map *map = own_map();
    uint32_t best = 0, best_start = 0;

    for (size_t i = 0; i < map->count; i++) {
        if (map->extents[i].length > best) {
            best = map->extents[i].length;
            best_start = map->extents[i].inside;
        }
    }
    if (best_start <= LEASE_BASE && best > LEASE_BASE - best_start &&
        best - (LEASE_BASE - best_start) >= LEASE_COUNT) {
        *base = LEASE_BASE;
        *count = LEASE_COUNT;
        return 0;
    }
    if (best < 16384)
        return -1;
    /* 65534 and its neighbours, often at the very top, belong to nobody in another sense. */
    *base = best_start + best - 8192;
    *count = 4096;
    return 0;
}

bool userns_can_lease(void)
{
    uint32_t base, count;

    return lease_range(&base, &count) == 0;
}

bool userns_is_host_root(void)
{
    const struct id_map *map = own_map();
    uint32_t uid = getuid();

    if (!map->known)
        return uid == 0;
    for (size_t i = map->count; i-- > 0;) {
        if (uid >= map->extents[i].inside && uid - map->extents[i].inside < map->extents[i].length)
            return map->extents[i].outside + (uid - map->extents[i].inside) == 0;
    }
    return false;
}

int userns_lease(struct plan *plan, int *lock_fd, struct pj_err *err)
{
    static const char *const files[] = {"/run/pj-sandbox.lock", "/dev/shm/pj-sandbox.lock"};
    uint32_t base, count, start;
    int fd = -1;

    if (lease_range(&base, &count) < 0)
        return step_fail(err, STEP, 0, "give the container at least 65536 uids",
                         "no range of free uids in this namespace");
    for (size_t i = 0; i < PJ_COUNT_OF(files) && fd < 0; i++)
        fd = open(files[i], O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return step_fail(err, STEP, errno, "make /run writable for root", "cannot open %s",
                         files[0]);
    start = ((uint32_t)getpid() * 2654435761U ^ (uint32_t)pj_mono_us()) % count;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t n = (start + i) % count;
        struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = n, .l_len = 1};

        if (fcntl(fd, F_OFD_SETLK, &lock) == 0) {
            plan->host_uid = base + n;
            plan->host_gid = base + n;
            *lock_fd = fd;
            return 0;
        }
    }
    close(fd);
    return step_fail(err, STEP, EAGAIN, "wait until a box has ended", "all %u uids are in use",
                     count);
}

static int write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    int rc;

    if (fd < 0)
        return -1;
    rc = pj_write_all(fd, text, strlen(text));
    pj_fd_close(&fd);
    return rc;
}

#define HELPER_STACK 16384

/* The helper only gives the namespace a life until its descriptor is open. It shares our memory:
 * nothing is copied. */
static int helper_main(void *parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != *(const pid_t *)parent)
        return 1;
    while (pause() < 0)
        ;
    return 0;
}

int userns_idmap(const struct plan *plan, const struct plan_owner *owner, int *fd, pid_t *helper,
                 struct pj_err *err)
{
    /* One each: the last one may not be gone yet. */
    static char stacks[2][HELPER_STACK] __attribute__((aligned(16)));
    static unsigned used;
    static pid_t self;
    char path[64], map[64], *stack = stacks[used++ % 2];
    pid_t pid;
    int rc;

    self = getpid();
    pid = clone(helper_main, stack + HELPER_STACK, CLONE_NEWUSER | CLONE_VM | SIGCHLD, &self);

    if (pid < 0)
        return step_fail(err, STEP, errno, REMEDY_USERNS,
                         "cannot make a user namespace for the idmapped mount");
    snprintf(path, sizeof path, "/proc/%d/uid_map", (int)pid);
    snprintf(map, sizeof map, "%u %u 1", owner->uid, plan->host_uid);
    rc = write_file(path, map);
    snprintf(path, sizeof path, "/proc/%d/gid_map", (int)pid);
    snprintf(map, sizeof map, "%u %u 1", owner->gid, plan->host_gid);
    rc = rc < 0 ? rc : write_file(path, map);
    snprintf(path, sizeof path, "/proc/%d/ns/user", (int)pid);
    *fd = rc < 0 ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    rc = *fd < 0 ? step_fail(err, STEP, errno, NULL, "cannot map uid %u to %u", owner->uid,
                             plan->host_uid)
                 : 0;
    kill(pid, SIGKILL);
    *helper = pid;
    return rc;
}

/* Map one id of the namespace just made to the one we have outside it. Needs no capability
 * anywhere. */
static int map_self(uid_t outer_uid, gid_t outer_gid, struct pj_err *err)
{
    char map[64];

    if (write_file("/proc/self/setgroups", "deny") < 0)
        return step_fail(err, STEP, errno, REMEDY_USERNS, "/proc/self/setgroups");
    snprintf(map, sizeof map, "%u %u 1", BOX_UID, outer_uid);
    if (write_file("/proc/self/uid_map", map) < 0)
        return step_fail(err, STEP, errno, REMEDY_USERNS, "/proc/self/uid_map");
    snprintf(map, sizeof map, "%u %u 1", BOX_GID, outer_gid);
    if (write_file("/proc/self/gid_map", map) < 0)
        return step_fail(err, STEP, errno, REMEDY_USERNS, "/proc/self/gid_map");
    return 0;
}

int userns_map_first(const struct plan *plan, struct pj_err *err)
{
    return map_self(plan->host_uid, plan->host_gid, err);
}

static int drop_capabilities(struct pj_err *err)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[2] = {{0}};
    const unsigned long locked = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP |
                                 SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED |
                                 SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED;

    if (weakened("capabilities"))
        return 0;
    for (unsigned long cap = 0; cap < 64; cap++) {
        if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0) {
            if (errno == EINVAL) /* past the last one this kernel knows */
                break;
            return step_fail(err, "capabilities", errno, NULL, "cannot drop capability %lu", cap);
        }
    }
    if (prctl(PR_SET_SECUREBITS, locked, 0, 0, 0) < 0)
        return step_fail(err, "capabilities", errno, NULL, "cannot lock the securebits");
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
        return step_fail(err, "capabilities", errno, NULL, "cannot clear the ambient set");
    if (syscall(SYS_capset, &head, none) < 0)
        return step_fail(err, "capabilities", errno, NULL, "capset");
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return step_fail(err, "capabilities", errno, NULL, "no_new_privs");
    return 0;
}

int userns_enter(const struct plan *plan, struct pj_err *err)
{
    uid_t outer_uid = plan->root ? plan->host_uid : BOX_UID;
    gid_t outer_gid = plan->root ? plan->host_gid : BOX_GID;

    if (plan->root) {
        if (setgroups(0, NULL) < 0 || setresgid(outer_gid, outer_gid, outer_gid) < 0 ||
            setresuid(outer_uid, outer_uid, outer_uid) < 0)
            return step_fail(err, STEP, errno, NULL, "cannot become uid %u", outer_uid);
    }
    if (unshare(CLONE_NEWUSER) < 0)
        return step_fail(err, STEP, errno, REMEDY_USERNS, "cannot enter the last user namespace");
    /* The maps in /proc belong to root while we are not dumpable. */
    if (prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) < 0 || map_self(outer_uid, outer_gid, err) < 0)
        return -1;
    if (!weakened("dumpable") && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
        return step_fail(err, STEP, errno, NULL, "cannot become undumpable");
    return drop_capabilities(err);
}
