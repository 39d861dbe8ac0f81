/* The sum of a tree that may be of any size, in steps of some milliseconds. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "runner/disk.h"

#define DEPTH_MAX 200
#define ENTRIES_A_LOOK 64 /* at the clock */

struct disk_walk {
    DIR *at[DEPTH_MAX]; /* from the top to where it is */
    size_t depth;
    int64_t sum[DISK_KINDS], enough[DISK_KINDS];
    bool blind;
};

/* Takes `fd`. */
static void enter(struct disk_walk *w, int fd)
{
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;

    if (dir != NULL) {
        w->at[w->depth++] = dir;
        return;
    }
    w->blind = true;
    if (fd >= 0)
        (void)close(fd);
}

struct disk_walk *disk_walk_new(int dir, const int64_t enough[DISK_KINDS])
{
    struct disk_walk *w = pj_alloc(1, sizeof(*w));

    memcpy(w->enough, enough, sizeof(w->enough));
    enter(w, openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    return w;
}

static void leave(struct disk_walk *w)
{
    (void)closedir(w->at[--w->depth]);
}

static void measure(struct disk_walk *w, int dir, const char *name)
{
    struct stat st;

    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return; /* gone meanwhile */
    /* All names of a file lie in the tree: each counts for its part. */
    w->sum[DISK_BYTES] += (int64_t)st.st_blocks * 512 /
                          (S_ISDIR(st.st_mode) || st.st_nlink == 0 ? 1 : (int64_t)st.st_nlink);
    w->sum[DISK_FILES]++;
    if (!S_ISDIR(st.st_mode))
        return;
    int sub = w->depth < DEPTH_MAX
                  ? openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
                  : -1;
    if (sub >= 0 || w->depth >= DEPTH_MAX || errno != ENOENT)
        enter(w, sub);
}

static bool is_enough(const struct disk_walk *w)
{
    for (size_t k = 0; k < DISK_KINDS; k++)
        if (w->sum[k] > w->enough[k])
            return true;
    return false;
}

bool disk_walk_step(struct disk_walk *w, int64_t for_us)
{
    int64_t until = pj_mono_us() + for_us;

    for (size_t n = 1; w->depth > 0 && !is_enough(w); n++) {
        DIR *dir = w->at[w->depth - 1];
        const struct dirent *entry = readdir(dir);

        if (entry == NULL)
            leave(w);
        else if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            measure(w, dirfd(dir), entry->d_name);
        if (n % ENTRIES_A_LOOK == 0 && pj_mono_us() >= until)
            return false;
    }
    return true;
}

bool disk_walk_sum(const struct disk_walk *w, int64_t sum[DISK_KINDS])
{
    memcpy(sum, w->sum, sizeof(w->sum));
    return !w->blind;
}

void disk_walk_free(struct disk_walk *w)
{
    if (w == NULL)
        return;
    while (w->depth > 0)
        leave(w);
    free(w);
}
