#include "sandbox/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "sandbox/step.h"

#define STEP "landlock"

/* Rights newer than the headers of Debian 12 (ABI 1); values from linux/landlock.h of kernel
 * 6.12. */
#define FS_REFER (1ULL << 13)     /* ABI 2 */
#define FS_TRUNCATE (1ULL << 14)  /* ABI 3 */
#define FS_IOCTL_DEV (1ULL << 15) /* ABI 5 */
#define SCOPES 3ULL               /* ABI 6: abstract Unix sockets, signals */

struct ruleset_attr {
    uint64_t handled_access_fs;
    uint64_t handled_access_net;
    uint64_t scoped;
};

#define READ                                                                                       \
    (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_EXECUTE)
#define WRITE_FILE (LANDLOCK_ACCESS_FS_WRITE_FILE | FS_TRUNCATE)
#define ALL_V1 ((1ULL << 13) - 1)
#define NO_DEVICES (ALL_V1 & ~(LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_BLOCK))

static const struct {
    const char *path;
    uint64_t access;
    const char *why;
} rules[] = {
    {"/", READ, "the system; writing is nowhere but below"},
    {"/dev/full", WRITE_FILE | FS_IOCTL_DEV, "harmless device"},
    {"/dev/null", WRITE_FILE | FS_IOCTL_DEV, "harmless device"},
    {"/dev/pts", WRITE_FILE | FS_IOCTL_DEV, "terminals of the box's own"},
    {"/dev/shm", NO_DEVICES | FS_REFER | FS_TRUNCATE, "POSIX shared memory, in memory, sized"},
    {"/dev/zero", WRITE_FILE | FS_IOCTL_DEV, "harmless device"},
    {"/proc", WRITE_FILE, "a process's own files, such as comm and oom_score_adj"},
    {"/tmp", NO_DEVICES | FS_REFER | FS_TRUNCATE, "private, sized"},
};

#define WORK "/workspace"
#define WORK_ACCESS (NO_DEVICES | FS_REFER | FS_TRUNCATE)

int landlock_abi(void)
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

    /* The first ABI forbids every rename from one directory to another. */
    return abi >= 2 ? (int)abi : 0;
}

static uint64_t known_rights(int abi)
{
    uint64_t rights = ALL_V1;

    if (abi >= 2)
        rights |= FS_REFER;
    if (abi >= 3)
        rights |= FS_TRUNCATE;
    if (abi >= 5)
        rights |= FS_IOCTL_DEV;
    return rights;
}

static int add_rule(int ruleset, const char *path, uint64_t access, struct pj_err *err)
{
    struct landlock_path_beneath_attr rule = {.allowed_access = access};
    struct stat st;
    int rc = 0;

    rule.parent_fd = open(path, O_PATH | O_CLOEXEC);
    if (rule.parent_fd < 0)
        return errno == ENOENT ? 0 : step_fail(err, STEP, errno, NULL, "cannot open %s", path);
    if (fstat(rule.parent_fd, &st) == 0 && !S_ISDIR(st.st_mode))
        rule.allowed_access &=
            LANDLOCK_ACCESS_FS_READ_FILE | WRITE_FILE | FS_IOCTL_DEV | LANDLOCK_ACCESS_FS_EXECUTE;
    if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0)
        rc = step_fail(err, STEP, errno, NULL, "cannot add the rule for %s", path);
    close(rule.parent_fd);
    return rc;
}

int landlock_begin(int abi, int *ruleset, struct pj_err *err)
{
    struct ruleset_attr attr = {.handled_access_fs = known_rights(abi),
                                .scoped = abi >= 6 ? SCOPES : 0};
    size_t size = abi >= 6   ? sizeof attr
                  : abi >= 4 ? offsetof(struct ruleset_attr, scoped)
                             : sizeof(uint64_t);

    *ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, size, 0);
    if (*ruleset < 0)
        return step_fail(err, STEP, errno, NULL, "cannot create a ruleset");
    for (size_t i = 0; i < PJ_COUNT_OF(rules); i++) {
        if (add_rule(*ruleset, rules[i].path, rules[i].access & attr.handled_access_fs, err) < 0) {
            close(*ruleset);
            return -1;
        }
    }
    return 0;
}

int landlock_finish(int abi, int ruleset, struct pj_err *err)
{
    int rc = add_rule(ruleset, WORK, WORK_ACCESS & known_rights(abi), err);

    if (rc == 0 && syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
        rc = step_fail(err, STEP, errno, NULL, "cannot restrict the process");
    close(ruleset);
    return rc;
}

int landlock_apply(int abi, struct pj_err *err)
{
    int ruleset;

    return landlock_begin(abi, &ruleset, err) < 0 ? -1 : landlock_finish(abi, ruleset, err);
}
