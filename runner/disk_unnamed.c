/* Files without a name that processes of a box hold open: a walk over the tree does not see them. */
#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>
#include "lib/base/fs.h"
#include "lib/base/mem.h"
#include "runner/disk.h"
#include "runner/family.h"

#define FILES_MAX 4096 /* told apart; more than that are counted, perhaps twice */

struct seen {
    struct file {
        dev_t dev;
        ino_t ino;         /* 0: free */
    } file[2 * FILES_MAX]; /* by hash; never more than half full */
    size_t count;
};

static bool is_new(struct seen *seen, const struct stat *st)
{
    size_t i = (size_t)((st->st_ino ^ st->st_dev << 20) * UINT64_C(0x9e3779b97f4a7c15) >> 32);
    struct file *f = &seen->file[i % PJ_COUNT_OF(seen->file)];

    while (f->ino != 0) {
        if (f->ino == st->st_ino && f->dev == st->st_dev)
            return false;
        f = &seen->file[++i % PJ_COUNT_OF(seen->file)];
    }
    if (seen->count < FILES_MAX) {
        *f = (struct file){st->st_dev, st->st_ino};
        seen->count++;
    }
    return true;
}

/* What is in memory (/tmp, memfd) is bounded by other means. */
static bool is_on_disk(int dir, const char *name)
{
    struct statfs fs;
    int fd = openat(dir, name, O_PATH | O_CLOEXEC);
    bool yes = fd >= 0 && fstatfs(fd, &fs) == 0 && fs.f_type != TMPFS_MAGIC;

    pj_fd_close(&fd);
    return yes;
}

static int64_t held_by(pid_t pid, struct seen *seen)
{
    char path[64];
    const struct dirent *entry = NULL;
    int64_t bytes = 0;

    (void)snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
    DIR *dir = opendir(path);
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        struct stat st;
        if (fstatat(dirfd(dir), entry->d_name, &st, 0) == 0 && S_ISREG(st.st_mode) &&
            st.st_nlink == 0 && is_on_disk(dirfd(dir), entry->d_name) && is_new(seen, &st))
            bytes += (int64_t)st.st_blocks * 512;
    }
    if (dir != NULL)
        closedir(dir);
    return bytes;
}

int64_t disk_unnamed(pid_t root)
{
    pid_t *pid = NULL;
    size_t n = family_list(root, &pid);
    struct seen *seen = pj_alloc(1, sizeof(*seen));
    int64_t bytes = 0;

    for (size_t i = 0; i < n; i++)
        bytes += held_by(pid[i], seen);
    free(seen);
    free(pid);
    return bytes;
}
