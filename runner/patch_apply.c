#include "runner/patch_apply.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/mem.h"

struct line {
    const char *p;
    size_t n;     /* with the line feed, when it has one */
    bool patched; /* written by a hunk */
};

struct lines {
    struct line *item;
    size_t count, cap;
};

void patch_reject_add(struct patch_rejects *rejects, size_t file, size_t hunk, const char *why)
{
    if (rejects->count < PATCH_REJECTS_MAX) {
        struct patch_reject *reject = &rejects->item[rejects->count];
        reject->file = file;
        reject->hunk = hunk;
        (void)snprintf(reject->why, sizeof(reject->why), "%s", why);
    }
    rejects->count++;
}

static void lines_release(struct lines *lines)
{
    free(lines->item);
}

static void lines_reserve(struct lines *lines, size_t count)
{
    if (count <= lines->cap)
        return;
    size_t cap = lines->cap > 0 ? lines->cap : 64;
    while (cap < count)
        cap *= 2;
    lines->item = pj_realloc(lines->item, cap, sizeof(*lines->item));
    lines->cap = cap;
}

static void lines_add(struct lines *lines, const char *p, size_t n, bool patched)
{
    lines_reserve(lines, lines->count + 1);
    lines->item[lines->count++] = (struct line){p, n, patched};
}

static void lines_split(struct lines *lines, struct pj_view text)
{
    const char *end = text.p + text.n;

    for (const char *p = text.p; p != NULL && p < end;) {
        const char *feed = memchr(p, '\n', (size_t)(end - p));
        const char *next = feed != NULL ? feed + 1 : end;
        lines_add(lines, p, (size_t)(next - p), false);
        p = next;
    }
}

/* A hunk's two sides. */
struct sides {
    struct lines old, new;
    size_t trailing; /* context lines at its end */
};

static void sides_release(struct sides *s)
{
    lines_release(&s->old);
    lines_release(&s->new);
}

static void drop_line_feed(struct lines *lines)
{
    if (lines->count > 0 && lines->item[lines->count - 1].n > 0)
        lines->item[lines->count - 1].n--;
}

/* "\ No newline at end of file" after a line of kind `last`. */
static void end_mark(struct sides *s, char last)
{
    if (last != '+')
        drop_line_feed(&s->old);
    if (last != '-')
        drop_line_feed(&s->new);
}

static void add_line(struct sides *s, char kind, const char *text, size_t n)
{
    if (kind != '+')
        lines_add(&s->old, text, n, false);
    if (kind != '-')
        lines_add(&s->new, text, n, true);
    s->trailing = kind == ' ' ? s->trailing + 1 : 0;
}

static void read_sides(struct pj_view body, struct sides *s)
{
    const char *end = body.p + body.n;
    char last = '\0';

    for (const char *p = body.p; p < end;) {
        const char *feed = memchr(p, '\n', (size_t)(end - p));
        size_t n = (size_t)(feed - p) + 1;
        if (n == 1) {
            add_line(s, ' ', p, 1); /* an empty line of context may stand without its blank */
            last = ' ';
        } else if (*p == '\\') {
            end_mark(s, last);
        } else {
            add_line(s, *p, p + 1, n - 1);
            last = *p;
        }
        p += n;
    }
}

static bool fits(const struct lines *image, const struct lines *old, size_t at, bool at_begin,
                 bool at_end)
{
    if (old->count + at > image->count || (at_begin && at != 0) ||
        (at_end && old->count + at != image->count))
        return false;
    for (size_t i = 0; i < old->count; i++) {
        const struct line *have = &image->item[at + i];
        const struct line *want = &old->item[i];
        if (have->patched || have->n != want->n || memcmp(have->p, want->p, want->n) != 0)
            return false;
    }
    return true;
}

/* git's order: the stated line, then one more forward, one more backward, and so on. */
static bool find_place(const struct lines *image, const struct lines *old, size_t at, bool at_begin,
                       bool at_end, size_t *out)
{
    if (old->count > image->count)
        return false;
    if (at_begin)
        at = 0;
    else if (at_end)
        at = image->count - old->count;
    if (at > image->count)
        at = image->count;
    size_t back = at;
    size_t forth = at;
    bool forward = true;
    for (;;) {
        if (fits(image, old, at, at_begin, at_end)) {
            *out = at;
            return true;
        }
        if (back == 0 && forth == image->count)
            return false;
        if ((forward && forth < image->count) || back == 0)
            at = ++forth;
        else
            at = --back;
        forward = !forward;
    }
}

static void splice(struct lines *image, size_t at, const struct sides *s)
{
    size_t tail = image->count - at - s->old.count;

    lines_reserve(image, image->count - s->old.count + s->new.count);
    memmove(image->item + at + s->new.count, image->item + at + s->old.count,
            tail * sizeof(*image->item));
    if (s->new.count > 0)
        memcpy(image->item + at, s->new.item, s->new.count * sizeof(*image->item));
    image->count = at + s->new.count + tail;
}

static bool apply_hunk(struct lines *image, const struct patch_hunk *hunk)
{
    PJ_CLEANUP(sides_release) struct sides s = {0};
    size_t stated = hunk->new_start > 0 ? hunk->new_start - 1 : 0;
    size_t at = 0;

    read_sides(hunk->body, &s);
    if (!find_place(image, &s.old, stated, hunk->old_start <= 1, s.trailing == 0, &at))
        return false;
    /* Nothing to hold on to: only the stated place will do. */
    if (s.old.count == 0 && image->count > 0 && at != stated)
        return false;
    splice(image, at, &s);
    return true;
}

int patch_apply_text(const struct patch *patch, size_t file, struct pj_view base,
                     struct pj_str *out, struct patch_rejects *rejects, struct pj_err *err)
{
    PJ_CLEANUP(lines_release) struct lines image = {0};
    const struct patch_file *f = &patch->files[file];
    bool rejected = false;

    lines_split(&image, base);
    for (size_t i = f->first_hunk; i < f->first_hunk + f->hunk_count; i++) {
        if (apply_hunk(&image, &patch->hunks[i]))
            continue;
        rejected = true;
        patch_reject_add(rejects, file, i, "the context is not found in the file");
    }
    if (rejected)
        return PJ_NONE;
    for (size_t i = 0; i < image.count; i++) {
        if (pj_str_append(out, image.item[i].p, image.item[i].n) < 0)
            return pj_fail(err, PJ_E_LIMIT, "%s becomes larger than %zu bytes", patch_file_path(f),
                           out->max);
    }
    return 0;
}
