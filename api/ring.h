/* ring.h - an append-only run of bytes that forgets its beginning, and an index of the log entries in it.
 *
 * Offsets count from the first byte ever appended. One append is never split, so an entry can be found by walking its frames. */
#ifndef API_RING_H
#define API_RING_H

#include <stddef.h>
#include <stdint.h>
#include "lib/base/view.h"

struct ring_segment;
struct ring_mark;

struct ring {
    struct ring_segment *first, *last;
    uint64_t base, end; /* offsets of the first byte kept and behind the last */
    size_t kept;        /* bytes of memory */
    struct ring_mark *marks;
    size_t mark_first, mark_count, mark_cap;
};

#define RING_MAX (4 * 1024 * 1024)

void ring_release(struct ring *ring);
/* Append frames of the entries first..first+count-1 of an attempt (count 0: frames without a number). Returns the number of
 * marks that were forgotten for it; *forgot_attempt and *forgot_n are then the last entry that is no longer there. */
size_t ring_append(struct ring *ring, struct pj_view frames, int64_t attempt, int64_t first,
                   int64_t count, int64_t *forgot_attempt, int64_t *forgot_n);
/* Where the first entry after (attempt, n) stands; the end when there is none. */
uint64_t ring_seek(const struct ring *ring, int64_t attempt, int64_t n);
/* The contiguous bytes at `offset`; empty at the end. `offset` >= base. */
struct pj_view ring_at(const struct ring *ring, uint64_t offset);

#endif
