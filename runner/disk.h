/* disk.h - the bound on what a box writes to the disk: PJ_TASK_DISK, and how many files: PJ_TASK_FILES.
 *
 * An ordinary user can have no quota of the kernel's, so the job watches. One statfs a look tells what the whole file system has grown by, and
 * the tree cannot have grown by more; only when that would be too much is the tree itself measured, with the files that were removed and are
 * still open. What cannot be measured (folders made unreadable or nested without end, files that are mapped and else nowhere) counts as what the
 * file system grew by.
 * While its tree is measured because it may have outgrown its bound, a box is held: its processes stand still and write nothing. A measurement
 * goes on in steps, so that its caller has other duties meanwhile however many files there are. Now and then, when others on the disk may have
 * freed what the box has written, the tree is measured while the box goes on, with a twentieth of a core at most.
 * The last of the disk is kept for the host: when it nearly runs out, a box that has its part in that is stopped too. */
#ifndef RUNNER_DISK_H
#define RUNNER_DISK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum disk_kind { DISK_BYTES, DISK_FILES, DISK_KINDS };
/* OUTGROWN and CROWDED: more bytes or files than granted; FULL: the host's disk runs out. */
enum disk_state { DISK_FINE, DISK_OUTGROWN, DISK_CROWDED, DISK_FULL };

struct disk_walk;
struct held;

struct disk_watch {
    int dir;                                         /* -1: nothing is watched */
    dev_t dev;                                       /* of its files */
    int64_t before[DISK_KINDS], allowed[DISK_KINDS]; /* of the tree: when the box began; at most */
    int64_t reserve[DISK_KINDS];                     /* left free on the file system */
    int64_t begin[DISK_KINDS]; /* used of the file system, when the box began */
    int64_t then[DISK_KINDS];  /* the same, when the last measurement began */
    int64_t known[DISK_KINDS]; /* of the tree, at the last measurement */
    int64_t due_us;            /* the next look */
    int64_t forced_us;         /* the next measurement, whatever statfs says */
    int64_t calm_us;           /* none before it that holds the box */
    struct disk_walk *walk;    /* the measurement under way */
    int64_t walk_then[DISK_KINDS];
    int64_t took_us;   /* by that one, so far */
    struct held *held; /* what stands still meanwhile */
};

/* Watch `path`, which holds at most `before` and may grow by `grant`. Never fails: a folder that cannot be opened is not watched, and
 * nothing can be written to it either. */
void disk_watch_begin(struct disk_watch *w, const char *path, const int64_t before[DISK_KINDS],
                      const int64_t grant[DISK_KINDS]);
/* Milliseconds to the next look; -1: nothing is watched. */
int disk_watch_timeout_ms(const struct disk_watch *w);
/* A look, when one is due; a few milliseconds. `box` is the pid of what began the box: its descendants are held. Once it is not FINE the box is
 * to be killed as it stands. */
enum disk_state disk_watch_look(struct disk_watch *w, pid_t box);
void disk_watch_end(struct disk_watch *w);

/* ---- disk_walk.c: the sum of a tree, in steps ---- */

/* The tree of `dir`, which stays the caller's. No use to go on above `enough`. */
struct disk_walk *disk_walk_new(int dir, const int64_t enough[DISK_KINDS]);
/* Go on for some microseconds. True: it is done. */
bool disk_walk_step(struct disk_walk *walk, int64_t for_us);
/* False: there is something that could not be looked into. */
bool disk_walk_sum(const struct disk_walk *walk, int64_t sum[DISK_KINDS]);
void disk_walk_free(struct disk_walk *walk);

/* ---- disk_unnamed.c ---- */

/* Bytes that regular files have on disk which `root` and its descendants hold open, though they have no name any more. False: there are more than
 * these, for there is one on `dev` that is only mapped, or too much to look at. */
bool disk_unnamed(pid_t root, dev_t dev, int64_t *bytes);

#endif
