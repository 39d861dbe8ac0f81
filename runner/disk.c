#include "runner/disk.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include "lib/base/clock.h"
#include "lib/base/fs.h"
#include "runner/family.h"

#define LOOK_US ((int64_t)100 * 1000)
#define STEP_US ((int64_t)10 * 1000)  /* of a measurement, and then its caller's turn */
#define PAUSE_US ((int64_t)50 * 1000) /* between two steps while the box goes on */
#define FORCED_LEAST_US                                                                            \
    ((int64_t)2000000)  /* others may free what we write: the sum would not show it */
#define FORCED_TIMES 20 /* such measurements take so small a part of the time */
#define RESERVE_PART 50 /* of the file system: a fiftieth */
#define RESERVE_SHARE 8 /* who has less than this part of it is not to blame */

static const int64_t reserve_max[DISK_KINDS] = {(int64_t)1 << 30, 100000};

struct space {
    int64_t all[DISK_KINDS], used[DISK_KINDS], left[DISK_KINDS];
};

/* A file system without a table of inodes has none of them, and none used. */
static bool space(const struct disk_watch *w, struct space *out)
{
    struct statvfs st;

    if (fstatvfs(w->dir, &st) < 0 || st.f_blocks == 0)
        return false;
    *out = (struct space){
        .all = {(int64_t)(st.f_blocks * st.f_frsize), (int64_t)st.f_files},
        .used = {(int64_t)((st.f_blocks - st.f_bfree) * st.f_frsize),
                 (int64_t)(st.f_files - st.f_ffree)},
        .left = {(int64_t)(st.f_bavail * st.f_frsize), (int64_t)st.f_favail},
    };
    return true;
}

void disk_watch_begin(struct disk_watch *w, const char *path, const int64_t before[DISK_KINDS],
                      const int64_t grant[DISK_KINDS])
{
    struct space s;
    struct stat st;

    *w = (struct disk_watch){.dir = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)};
    if (w->dir < 0)
        return;
    if (fstat(w->dir, &st) < 0 || !space(w, &s)) {
        pj_fd_close(&w->dir); /* a file system that tells nothing */
        return;
    }
    w->dev = st.st_dev;
    for (size_t k = 0; k < DISK_KINDS; k++) {
        w->before[k] = w->known[k] = before[k];
        w->allowed[k] = before[k] + grant[k];
        w->begin[k] = w->then[k] = s.used[k];
        w->reserve[k] = s.all[k] / RESERVE_PART;
        if (w->reserve[k] > reserve_max[k])
            w->reserve[k] = reserve_max[k];
        if (w->reserve[k] > s.left[k] / 2) /* that full already: only what gets worse counts */
            w->reserve[k] = s.left[k] / 2;
    }
    w->due_us = pj_mono_us();
    w->forced_us = w->due_us + FORCED_LEAST_US;
}

int disk_watch_timeout_ms(const struct disk_watch *w)
{
    int64_t left = w->due_us - pj_mono_us();

    if (w->dir < 0)
        return -1;
    return left > 0 ? (int)((left + 999) / 1000) : 0;
}

/* What the tree has at most, if nobody else wrote or freed anything. */
static int64_t estimate(const struct disk_watch *w, const struct space *s, size_t k)
{
    return w->known[k] + (s->used[k] - w->then[k]);
}

static bool may_be_over(const struct disk_watch *w, const struct space *s)
{
    for (size_t k = 0; k < DISK_KINDS; k++)
        if (estimate(w, s, k) > w->allowed[k])
            return true;
    return false;
}

static bool is_scarce(const struct disk_watch *w, const struct space *s, size_t k)
{
    return s->all[k] > 0 && s->left[k] < w->reserve[k] && s->used[k] > w->begin[k];
}

static bool is_to_blame(const struct disk_watch *w, int64_t has, size_t k)
{
    return has - w->before[k] > w->reserve[k] / RESERVE_SHARE;
}

static bool may_be_to_blame(const struct disk_watch *w, const struct space *s)
{
    for (size_t k = 0; k < DISK_KINDS; k++)
        if (is_scarce(w, s, k) && is_to_blame(w, estimate(w, s, k), k))
            return true;
    return false;
}

static void begin_walk(struct disk_watch *w, const struct space *s)
{
    disk_walk_free(w->walk);
    w->walk = disk_walk_new(w->dir, w->allowed);
    memcpy(w->walk_then, s->used, sizeof(w->walk_then));
    w->took_us = 0;
}

static void end_walk(struct disk_watch *w)
{
    disk_walk_free(w->walk);
    w->walk = NULL;
}

/* The walk is done: what the tree has. */
static void note(struct disk_watch *w, const struct space *s, pid_t box)
{
    int64_t sum[DISK_KINDS];
    bool complete = disk_walk_sum(w->walk, sum);
    int64_t unnamed = 0;

    if (sum[DISK_BYTES] <= w->allowed[DISK_BYTES])
        complete = disk_unnamed(box, w->dev, &unnamed) && complete;
    sum[DISK_BYTES] += unnamed;
    for (size_t k = 0; k < DISK_KINDS; k++) {
        if (!complete && s->used[k] - w->begin[k] > sum[k])
            sum[k] = s->used[k] - w->begin[k];
        w->known[k] = sum[k];
        w->then[k] = w->walk_then[k];
    }
    end_walk(w);
}

static enum disk_state judge(const struct disk_watch *w, const struct space *s)
{
    if (w->known[DISK_BYTES] > w->allowed[DISK_BYTES])
        return DISK_OUTGROWN;
    if (w->known[DISK_FILES] > w->allowed[DISK_FILES])
        return DISK_CROWDED;
    for (size_t k = 0; k < DISK_KINDS; k++)
        if (is_scarce(w, s, k) && is_to_blame(w, w->known[k], k))
            return DISK_FULL;
    return DISK_FINE;
}

/* Did the tree make at least half of what made us measure it? Else others did, and the box is not to stand still for them all the time. */
static bool has_grown(const struct disk_watch *w, const int64_t known[DISK_KINDS],
                      const int64_t then[DISK_KINDS])
{
    for (size_t k = 0; k < DISK_KINDS; k++)
        if (w->walk_then[k] > then[k] && (w->known[k] - known[k]) * 2 >= w->walk_then[k] - then[k])
            return true;
    return false;
}

static enum disk_state finish(struct disk_watch *w, const struct space *s, pid_t box)
{
    bool was_held = w->held != NULL;
    int64_t now = pj_mono_us(), known[DISK_KINDS], then[DISK_KINDS];
    enum disk_state state;

    memcpy(known, w->known, sizeof(known));
    memcpy(then, w->then, sizeof(then));
    note(w, s, box);
    w->due_us = now + (was_held ? LOOK_US : 0);
    w->forced_us = now + (w->took_us * FORCED_TIMES > FORCED_LEAST_US ? w->took_us * FORCED_TIMES
                                                                      : FORCED_LEAST_US);
    if (!was_held)
        return DISK_FINE; /* moved meanwhile, a file counts twice: who is over is held and measured again */
    state = judge(w, s);
    if (state == DISK_FINE && !has_grown(w, known, then))
        w->calm_us = now + w->took_us;
    if (state == DISK_FINE)
        family_let_go(w->held);
    else
        family_forget(w->held);
    w->held = NULL;
    return state;
}

enum disk_state disk_watch_look(struct disk_watch *w, pid_t box)
{
    int64_t now = pj_mono_us();
    struct space s;

    if (w->dir < 0 || now < w->due_us || !space(w, &s))
        return DISK_FINE;
    w->due_us = now + LOOK_US;
    if (w->held == NULL && now >= w->calm_us && (may_be_over(w, &s) || may_be_to_blame(w, &s))) {
        w->held = family_hold(box);
        if (!space(w, &s)) /* as it stands now */
            return DISK_FINE;
        begin_walk(w, &s);
    } else if (w->walk == NULL && now >= w->forced_us) {
        begin_walk(w, &s);
    }
    if (w->walk == NULL)
        return DISK_FINE;
    now = pj_mono_us();
    bool done = disk_walk_step(w->walk, STEP_US);
    w->took_us += pj_mono_us() - now;
    if (done)
        return finish(w, &s, box);
    w->due_us = pj_mono_us() + (w->held != NULL ? 0 : PAUSE_US);
    return DISK_FINE;
}

void disk_watch_end(struct disk_watch *w)
{
    end_walk(w);
    family_let_go(w->held);
    w->held = NULL;
    pj_fd_close(&w->dir);
}
