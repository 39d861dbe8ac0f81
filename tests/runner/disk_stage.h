/* disk_stage.h - a tree and a box that writes to it, for the tests of the watch over the disk. The "box" is a process below one that does
 * nothing, as process 1 of a box is below pj-sandbox. */
#ifndef TESTS_RUNNER_DISK_STAGE_H
#define TESTS_RUNNER_DISK_STAGE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "runner/disk.h"

#define DISK_SOON_US ((int64_t)60 * 1000 * 1000)

struct disk_stage {
    char dir[32]; /* what is watched, below it as "tree" */
    char tree[48];
    pid_t top, box; /* what began the box, and the box's only process */
    int say, hear;
    struct disk_watch watch;
};

/* A tree with that many names in it. */
void disk_stage_open(struct disk_stage *t, int files);
/* Watch it: so much may be added. */
void disk_stage_watch(struct disk_stage *t, int64_t bytes, int64_t files);
/* `work` goes on for ever in the box. */
void disk_stage_box(struct disk_stage *t, void (*work)(const struct disk_stage *t));
/* Work for a box: says back what is said to it, as long as it runs. */
void disk_stage_answer(const struct disk_stage *t);
/* Look until there is something to tell, or `done` (NULL: never). */
enum disk_state disk_stage_look(struct disk_stage *t, bool (*done)(struct disk_stage *t));
/* As /proc/PID/stat tells: 'T' stands still. */
char disk_stage_state(pid_t pid);
void disk_stage_close(struct disk_stage *t);

#endif
