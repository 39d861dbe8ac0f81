#include "api/ring.h"

#include <stdlib.h>
#include <string.h>
#include "lib/base/mem.h"

#define SEGMENT_MIN 4096
#define SEGMENT_MAX 65536

struct ring_segment {
    struct ring_segment *next, *prev;
    uint64_t base;
    size_t len, cap;
    char bytes[];
};

struct ring_mark {
    uint64_t offset;
    int64_t attempt, first, count;
};

void ring_release(struct ring *ring)
{
    while (ring->first != NULL) {
        struct ring_segment *next = ring->first->next;
        free(ring->first);
        ring->first = next;
    }
    free(ring->marks);
    memset(ring, 0, sizeof *ring);
}

/* Room for n more bytes in one piece. Segments grow with the traffic: a quiet task costs 4 KiB. */
static struct ring_segment *room(struct ring *ring, size_t n)
{
    struct ring_segment *last = ring->last;
    size_t cap = last == NULL ? SEGMENT_MIN : 2 * last->cap;

    if (last != NULL && last->cap - last->len >= n)
        return last;
    cap = cap > SEGMENT_MAX ? SEGMENT_MAX : cap;
    cap = cap < n ? n : cap;
    struct ring_segment *s = pj_alloc(1, sizeof *s + cap);
    s->cap = cap;
    s->base = ring->end;
    s->prev = last;
    if (last != NULL)
        last->next = s;
    else
        ring->first = s;
    ring->last = s;
    ring->kept += cap;
    return s;
}

static struct ring_mark *mark_at(const struct ring *ring, size_t i)
{
    return &ring->marks[(ring->mark_first + i) % ring->mark_cap];
}

static void add_mark(struct ring *ring, const struct ring_mark *mark)
{
    if (ring->mark_count == ring->mark_cap) {
        size_t cap = ring->mark_cap > 0 ? 2 * ring->mark_cap : 16;
        struct ring_mark *marks = pj_alloc(cap, sizeof *marks);
        for (size_t i = 0; i < ring->mark_count; i++)
            marks[i] = *mark_at(ring, i);
        free(ring->marks);
        ring->marks = marks;
        ring->mark_first = 0;
        ring->mark_cap = cap;
    }
    *mark_at(ring, ring->mark_count++) = *mark;
}

static size_t forget(struct ring *ring, int64_t *attempt, int64_t *n)
{
    size_t forgotten = 0;

    while (ring->kept > RING_MAX && ring->first != ring->last) {
        struct ring_segment *s = ring->first;
        ring->first = s->next;
        ring->first->prev = NULL;
        ring->base = ring->first->base;
        ring->kept -= s->cap;
        free(s);
    }
    while (ring->mark_count > 0 && mark_at(ring, 0)->offset < ring->base) {
        const struct ring_mark *m = mark_at(ring, 0);
        *attempt = m->attempt;
        *n = m->first + m->count - 1;
        ring->mark_first = (ring->mark_first + 1) % ring->mark_cap;
        ring->mark_count--;
        forgotten++;
    }
    return forgotten;
}

size_t ring_append(struct ring *ring, struct pj_view frames, int64_t attempt, int64_t first,
                   int64_t count, int64_t *forgot_attempt, int64_t *forgot_n)
{
    struct ring_segment *s = room(ring, frames.n);
    const struct ring_mark mark = {ring->end, attempt, first, count};

    memcpy(s->bytes + s->len, frames.p, frames.n);
    s->len += frames.n;
    ring->end += frames.n;
    if (count > 0)
        add_mark(ring, &mark);
    return forget(ring, forgot_attempt, forgot_n);
}

struct pj_view ring_at(const struct ring *ring, uint64_t offset)
{
    const struct ring_segment *s = ring->last;

    while (s != NULL && s->base > offset) /* most viewers are near the end */
        s = s->prev;
    while (s != NULL && s->base + s->len <= offset)
        s = s->next;
    if (s == NULL)
        return pj_view_n("", 0);
    size_t skip = (size_t)(offset - s->base);
    return pj_view_n(s->bytes + skip, s->len - skip);
}

uint64_t ring_seek(const struct ring *ring, int64_t attempt, int64_t n)
{
    size_t low = 0, high = ring->mark_count;

    while (low < high) { /* the first mark whose last entry is after (attempt, n) */
        size_t middle = low + (high - low) / 2;
        const struct ring_mark *m = mark_at(ring, middle);
        if (m->attempt > attempt || (m->attempt == attempt && m->first + m->count - 1 > n))
            high = middle;
        else
            low = middle + 1;
    }
    if (low == ring->mark_count)
        return ring->end;
    const struct ring_mark *m = mark_at(ring, low);
    int64_t skip = m->attempt == attempt && n >= m->first ? n - m->first + 1 : 0;
    struct pj_view bytes = ring_at(ring, m->offset);
    size_t at = 0;
    for (; skip > 0; skip--) {
        const char *end = memmem(bytes.p + at, bytes.n - at, "\n\n", 2);
        if (end == NULL)
            break;
        at = (size_t)(end - bytes.p) + 2;
    }
    return m->offset + at;
}
