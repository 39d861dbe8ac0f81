#include "runner/disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include "lib/base/clock.h"
#include "lib/base/fs.h"

#define DEPTH_MAX 200
#define RESERVE_MAX ((int64_t)1 << 30)
#define RESERVE_PART 50      /* of the file system: a fiftieth */
#define RESERVE_SHARE 8      /* who has written less than this part of it is not to blame */
#define FORCED_LEAST_MS 2000 /* others may free what we write: the sum would not show it */
#define FORCED_TIMES 20      /* a measurement takes at most so small a part of the time */

struct measure {
    int64_t bytes, enough; /* no use to go on above it */
    bool blind;            /* there is something that cannot be looked into */
};

static void measure_folder(struct measure *m, int fd, unsigned depth);

static void measure_entry(struct measure *m, int dir, const char *name, unsigned depth)
{
    struct stat st;

    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return; /* gone meanwhile */
    /* All names of a file lie in the tree: each counts for its part. */
    m->bytes += (int64_t)st.st_blocks * 512 /
                (S_ISDIR(st.st_mode) || st.st_nlink == 0 ? 1 : (int64_t)st.st_nlink);
    if (!S_ISDIR(st.st_mode))
        return;
    int sub =
        depth < DEPTH_MAX ? openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
    if (sub >= 0)
        measure_folder(m, sub, depth + 1);
    else if (depth >= DEPTH_MAX || errno != ENOENT)
        m->blind = true;
}

/* Takes `fd`. */
static void measure_folder(struct measure *m, int fd, unsigned depth)
{
    DIR *dir = fdopendir(fd);
    const struct dirent *entry = NULL;

    if (dir == NULL) {
        close(fd);
        m->blind = true;
        return;
    }
    while (m->bytes <= m->enough && (entry = readdir(dir)) != NULL) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            measure_entry(m, dirfd(dir), entry->d_name, depth);
    }
    closedir(dir);
}

static bool space(const struct disk_watch *w, int64_t *used, int64_t *left)
{
    struct statvfs st;

    if (fstatvfs(w->dir, &st) < 0 || st.f_blocks == 0)
        return false;
    *used = (int64_t)((st.f_blocks - st.f_bfree) * st.f_frsize);
    *left = (int64_t)(st.f_bavail * st.f_frsize);
    return true;
}

void disk_watch_begin(struct disk_watch *w, const char *path, int64_t before, int64_t grant)
{
    struct statvfs st;
    int64_t left = 0;

    *w = (struct disk_watch){.dir = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC),
                             .before = before,
                             .allowed = before + grant};
    if (w->dir < 0)
        return;
    if (fstatvfs(w->dir, &st) < 0 || !space(w, &w->used_begin, &left)) {
        pj_fd_close(&w->dir); /* a file system that tells nothing */
        return;
    }
    w->reserve = (int64_t)(st.f_blocks * st.f_frsize) / RESERVE_PART;
    if (w->reserve > RESERVE_MAX)
        w->reserve = RESERVE_MAX;
    if (w->reserve > left / 2) /* it was that full already: only what gets worse is this box's */
        w->reserve = left / 2;
    w->used_then = w->used_begin;
    w->forced_ms = pj_mono_ms();
}

static enum disk_state measure(struct disk_watch *w, int64_t used, pid_t box, int64_t now)
{
    struct measure m = {.enough = w->allowed};
    int fd = openat(w->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd >= 0)
        measure_folder(&m, fd, 0);
    if (m.bytes <= m.enough)
        m.bytes += disk_unnamed(box);
    if (m.blind && used - w->used_begin > m.bytes)
        m.bytes = used - w->used_begin;
    int64_t took = pj_mono_ms() - now;
    w->used_then = used;
    w->known = m.bytes;
    w->due_ms = now + took + (took > DISK_LOOK_MS ? took : DISK_LOOK_MS);
    w->forced_ms =
        now + (took * FORCED_TIMES > FORCED_LEAST_MS ? took * FORCED_TIMES : FORCED_LEAST_MS);
    w->bytes = m.bytes;
    return m.bytes > w->allowed ? DISK_OUTGROWN : DISK_FINE;
}

enum disk_state disk_watch_look(struct disk_watch *w, pid_t box)
{
    int64_t now = pj_mono_ms(), used = 0, left = 0;

    if (w->dir < 0 || now < w->due_ms || !space(w, &used, &left))
        return DISK_FINE;
    w->due_ms = now + DISK_LOOK_MS;
    bool scarce = left < w->reserve && used > w->used_begin;
    if (!scarce && now < w->forced_ms && w->known + (used - w->used_then) <= w->allowed)
        return DISK_FINE;
    enum disk_state state = measure(w, used, box, now);
    if (state == DISK_FINE && scarce && w->known - w->before > w->reserve / RESERVE_SHARE)
        return DISK_FULL;
    return state;
}

void disk_watch_end(struct disk_watch *w)
{
    pj_fd_close(&w->dir);
}
