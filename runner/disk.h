/* disk.h - the bound on what a box writes to the disk: PJ_TASK_DISK.
 *
 * An ordinary user can have no quota of the kernel's, so the job watches. One statfs a look tells what the whole file system has grown by, and
 * the tree cannot have grown by more; only when that would be too much is the tree itself measured, with the files that were removed and are
 * still open. What cannot be measured (folders made unreadable or nested without end) counts as what the file system grew by.
 * The last of the disk is kept for the host: when it nearly runs out, a box that has its part in that is stopped too. */
#ifndef RUNNER_DISK_H
#define RUNNER_DISK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define DISK_LOOK_MS 100

enum disk_state { DISK_FINE, DISK_OUTGROWN, DISK_FULL };

struct disk_watch {
    int dir;                   /* -1: nothing is watched */
    int64_t before, allowed;   /* bytes of the tree: when the box began, at most; and now */
    int64_t reserve;           /* bytes left free on the file system */
    int64_t used_begin;        /* of the file system, when the box began */
    int64_t used_then, known;  /* at the last measurement: of the file system; of the tree */
    int64_t due_ms, forced_ms; /* the next look; the next measurement, whatever statfs says */
    int64_t bytes;             /* what it had grown to when it was outgrown */
};

/* Watch `path`, which holds at most `before` bytes and may grow by `grant`. Never fails: a folder that cannot be opened is not watched, and
 * nothing can be written to it either. */
void disk_watch_begin(struct disk_watch *w, const char *path, int64_t before, int64_t grant);
/* A look, when one is due. `box` is the pid whose descendants may hold removed files open. */
enum disk_state disk_watch_look(struct disk_watch *w, pid_t box);
void disk_watch_end(struct disk_watch *w);

/* Bytes that regular files have on disk which `root` and its descendants hold open, though they have no name any more. */
int64_t disk_unnamed(pid_t root);

#endif
