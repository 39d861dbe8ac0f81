/* Files without a name that processes of a box hold open: a walk over the tree does not see them. */
#include <ctype.h>
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

#define PROCESSES_MAX 65536
#define FILES_MAX 4096 /* told apart; more than that are counted, perhaps twice */

struct process {
    pid_t pid, parent;
    enum { UNKNOWN, ASKED, OURS, OTHERS } whose;
};

struct seen {
    struct file {
        dev_t dev;
        ino_t ino;         /* 0: free */
    } file[2 * FILES_MAX]; /* by hash; never more than half full */
    size_t count;
};

static pid_t parent_of(const char *pid)
{
    char path[64], text[512];
    const char *end;

    (void)snprintf(path, sizeof(path), "/proc/%.20s/stat", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;
    pj_fd_close(&fd);
    text[n > 0 ? n : 0] = '\0';
    end = strrchr(text, ')'); /* ") S 1234" */
    return end != NULL && strlen(end) > 4 ? (pid_t)strtol(end + 4, NULL, 10) : 0;
}

static size_t list(struct process **out)
{
    DIR *dir = opendir("/proc");
    const struct dirent *entry = NULL;
    size_t n = 0, room = 0;

    while (dir != NULL && n < PROCESSES_MAX && (entry = readdir(dir)) != NULL) {
        if (!isdigit((unsigned char)entry->d_name[0]))
            continue;
        if (n == room) {
            room = room == 0 ? 256 : room * 2;
            *out = pj_realloc(*out, room, sizeof(**out));
        }
        (*out)[n++] = (struct process){.pid = (pid_t)strtol(entry->d_name, NULL, 10),
                                       .parent = parent_of(entry->d_name)};
    }
    if (dir != NULL)
        closedir(dir);
    return n;
}

static int by_pid(const void *a, const void *b)
{
    pid_t x = ((const struct process *)a)->pid, y = ((const struct process *)b)->pid;

    return (x > y) - (x < y);
}

static struct process *find(struct process *p, size_t n, pid_t pid)
{
    const struct process key = {.pid = pid};

    return n > 0 ? bsearch(&key, p, n, sizeof(*p), by_pid) : NULL;
}

/* Each process is asked for its parent once, whatever trees a box grows. */
static void mark(struct process *p, size_t n, pid_t root)
{
    struct process *top;

    if (n > 0)
        qsort(p, n, sizeof(*p), by_pid);
    if ((top = find(p, n, root)) != NULL)
        top->whose = OURS;
    for (size_t i = 0; i < n; i++) {
        struct process *at = &p[i];
        bool ours;

        for (; at != NULL && at->whose == UNKNOWN; at = find(p, n, at->parent))
            at->whose = ASKED;
        ours = at != NULL && at->whose == OURS;
        for (at = &p[i]; at != NULL && at->whose == ASKED; at = find(p, n, at->parent))
            at->whose = ours ? OURS : OTHERS;
    }
}

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
    struct process *p = NULL;
    size_t n = list(&p);
    struct seen *seen = pj_alloc(1, sizeof(*seen));
    int64_t bytes = 0;

    mark(p, n, root);
    for (size_t i = 0; i < n; i++)
        if (p[i].whose == OURS)
            bytes += held_by(p[i].pid, seen);
    free(seen);
    free(p);
    return bytes;
}
