/* Files without a name that processes of a box hold open: a walk over the tree does not see them. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>
#include "lib/base/fs.h"
#include "lib/base/mem.h"
#include "runner/disk.h"
#include "runner/family.h"

#define FILES_MAX 4096 /* told apart; more than that are counted, perhaps twice */
/* Looked at, in all: a box of thousands of processes with all descriptors that they may have would keep us for minutes. */
#define FDS_MAX 65536
#define LINES_MAX 131072
#define LINE_MAX_BYTES 8192

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

struct look {
    dev_t dev; /* of the tree */
    struct seen seen;
    int64_t bytes;
    size_t fds_left, lines_left;
    bool complete;
};

/* Descriptors that were sent to this socket and not received yet: nobody has them, and what they stand for is there (since Linux 5.6). */
static bool has_some_on_the_way(const char *task, const char *fd)
{
    static const char name[] = "scm_fds:";
    char path[128], text[1024];
    const char *at;

    (void)snprintf(path, sizeof(path), "%s/fdinfo/%.20s", task, fd);
    int info = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = info >= 0 ? read(info, text, sizeof(text) - 1) : -1;
    pj_fd_close(&info);
    text[n > 0 ? n : 0] = '\0';
    at = strstr(text, name);
    return at != NULL && strtol(at + strlen(name), NULL, 10) != 0;
}

/* Who is not let in meets process 1 of a box, which is ours: what a box executes belongs to a user namespace that we own. */
static void look_at_fds(struct look *l, const char *task)
{
    char path[96];
    const struct dirent *entry = NULL;

    (void)snprintf(path, sizeof(path), "%s/fd", task);
    DIR *dir = opendir(path);
    if (dir == NULL && (errno == EMFILE || errno == ENFILE))
        l->complete = false;
    while (dir != NULL && l->fds_left > 0 && (entry = readdir(dir)) != NULL) {
        struct stat st;

        l->fds_left--;
        if (fstatat(dirfd(dir), entry->d_name, &st, 0) < 0)
            continue;
        if (S_ISSOCK(st.st_mode) && has_some_on_the_way(task, entry->d_name))
            l->complete = false;
        if (S_ISREG(st.st_mode) && st.st_nlink == 0 && is_on_disk(dirfd(dir), entry->d_name) &&
            is_new(&l->seen, &st))
            l->bytes += (int64_t)st.st_blocks * 512;
    }
    if (dir != NULL)
        closedir(dir);
}

/* "7f01…-7f02… rw-s 00000000 fe:00 1234   /workspace/big (deleted)": there, and nobody tells how large it is. */
static bool is_unnamed_map(const char *line, dev_t dev)
{
    static const char mark[] = " (deleted)\n";
    size_t n = strlen(line);
    char *end = NULL;
    const char *at = line;

    if (n <= sizeof(mark) || strcmp(line + n - (sizeof(mark) - 1), mark) != 0)
        return false;
    for (int word = 0; word < 3 && at != NULL; word++)
        if ((at = strchr(at, ' ')) != NULL)
            at++;
    unsigned long major = at != NULL ? strtoul(at, &end, 16) : 0;
    return end != NULL && *end == ':' &&
           makedev((unsigned)major, (unsigned)strtoul(end + 1, NULL, 16)) == dev;
}

/* A file may have neither a name nor a descriptor, and be held by a map of it alone. False: this thread has ended, and shows no maps. */
static bool look_at_maps(struct look *l, const char *task)
{
    char path[96], line[LINE_MAX_BYTES];
    bool any = false;

    (void)snprintf(path, sizeof(path), "%s/maps", task);
    FILE *maps = fopen(path, "re");
    while (maps != NULL && l->complete && l->lines_left > 0 &&
           fgets(line, sizeof(line), maps) != NULL) {
        any = true;
        l->lines_left--;
        /* A path may be longer than any line: what is cut is not known. */
        l->complete = strchr(line, '\n') != NULL && !is_unnamed_map(line, l->dev);
    }
    if (maps != NULL)
        (void)fclose(maps);
    return any;
}

static bool share_descriptors(pid_t a, pid_t b)
{
    return syscall(SYS_kcmp, a, b, KCMP_FILES, 0, 0) == 0;
}

/* Threads share their memory, but each may have descriptors of its own. What began the box maps our own programs, which an upgrade
 * replaces. */
static void look_at_process(struct look *l, pid_t pid, bool boxed)
{
    char path[64], task[64];
    const struct dirent *entry = NULL;
    pid_t known = 0;
    bool mapped = !boxed;

    (void)snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
    DIR *dir = opendir(path);
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        pid_t thread = (pid_t)strtol(entry->d_name, NULL, 10);

        if (thread <= 0)
            continue;
        (void)snprintf(task, sizeof(task), "/proc/%d/task/%d", (int)pid, (int)thread);
        mapped = mapped || look_at_maps(l, task);
        if (known != 0 && share_descriptors(known, thread))
            continue;
        look_at_fds(l, task);
        known = thread;
    }
    if (dir != NULL)
        closedir(dir);
}

bool disk_unnamed(pid_t root, dev_t dev, int64_t *bytes)
{
    pid_t *pid = NULL;
    size_t n = family_list(root, &pid);
    struct look *l = pj_alloc(1, sizeof(*l));
    bool complete;

    *l = (struct look){.dev = dev, .fds_left = FDS_MAX, .lines_left = LINES_MAX, .complete = true};
    for (size_t i = 0; i < n; i++)
        look_at_process(l, pid[i], pid[i] != root);
    *bytes = l->bytes;
    complete = l->complete && l->fds_left > 0 && l->lines_left > 0;
    free(l);
    free(pid);
    return complete;
}
