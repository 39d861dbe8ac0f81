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
    bool ours;
};

struct seen {
    struct {
        dev_t dev;
        ino_t ino;
    } file[FILES_MAX];
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

static void mark(struct process *p, size_t n, pid_t root)
{
    bool more = true;

    for (size_t i = 0; i < n; i++)
        p[i].ours = p[i].pid == root;
    while (more) {
        more = false;
        for (size_t i = 0; i < n; i++)
            for (size_t k = 0; k < n && !p[i].ours; k++)
                if (p[k].ours && p[k].pid == p[i].parent)
                    p[i].ours = more = true;
    }
}

static bool is_new(struct seen *seen, const struct stat *st)
{
    for (size_t i = 0; i < seen->count; i++)
        if (seen->file[i].ino == st->st_ino && seen->file[i].dev == st->st_dev)
            return false;
    if (seen->count < FILES_MAX) {
        seen->file[seen->count].dev = st->st_dev;
        seen->file[seen->count++].ino = st->st_ino;
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
        if (p[i].ours)
            bytes += held_by(p[i].pid, seen);
    free(seen);
    free(p);
    return bytes;
}
