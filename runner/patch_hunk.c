/* Hunks and binary parts: counts, order, marks. */
#include <string.h>

#include "lib/base/mem.h"
#include "runner/patch_impl.h"

#define NUMBER_MAX 0x7ffffff0u

static const char *number(const char *p, const char *end, uint32_t *out)
{
    uint32_t value = 0;
    const char *start = p;

    while (p < end && *p >= '0' && *p <= '9') {
        if (value > NUMBER_MAX / 10)
            return NULL;
        value = value * 10 + (uint32_t)(*p - '0');
        p++;
    }
    *out = value;
    return p > start && value <= NUMBER_MAX ? p : NULL;
}

/* "12,3" or "12" (a count of 1). */
static const char *range(const char *p, const char *end, uint32_t *start, uint32_t *count)
{
    p = number(p, end, start);
    *count = 1;
    if (p != NULL && p < end && *p == ',')
        p = number(p + 1, end, count);
    return p;
}

static bool read_ranges(struct pj_view line, struct patch_hunk *hunk)
{
    const char *end = line.p + line.n;
    const char *p = range(line.p + 4, end, &hunk->old_start, &hunk->old_count);

    if (p == NULL || end - p < 2 || p[0] != ' ' || p[1] != '+')
        return false;
    p = range(p + 2, end, &hunk->new_start, &hunk->new_count);
    return p != NULL && end - p >= 3 && memcmp(p, " @@", 3) == 0 && (end - p == 3 || p[3] == ' ');
}

struct sides {
    uint32_t old_left, new_left;
    bool old_ended, new_ended; /* a mark said: no newline at the end */
    bool changed;
};

/* "\ No newline at end of file" after a line that was the last of its side. */
static int end_mark(struct patch_reader *r, struct sides *s, char last, struct pj_view line)
{
    /* git takes the words in any language, but two characters and a length (apply.c: parse_fragment). */
    if (line.n < 11 || line.p[1] != ' ' || last == '\0')
        return patch_fail(r, r->line, "malformed mark");
    bool old_side = last != '+';
    bool new_side = last != '-';
    if ((old_side && (s->old_left > 0 || s->old_ended)) ||
        (new_side && (s->new_left > 0 || s->new_ended)))
        return patch_fail(r, r->line, "the mark does not stand at the end of the file");
    s->old_ended = s->old_ended || old_side;
    s->new_ended = s->new_ended || new_side;
    return 0;
}

static int hunk_line(struct patch_reader *r, struct patch_file *file, struct sides *s, char kind)
{
    bool old_side = kind != '+';
    bool new_side = kind != '-';

    if ((old_side && s->old_left == 0) || (new_side && s->new_left == 0))
        return patch_fail(r, r->line, "more lines than the hunk's head says");
    s->old_left -= old_side;
    s->new_left -= new_side;
    s->changed = s->changed || kind != ' ';
    file->added += kind == '+';
    file->removed += kind == '-';
    return 0;
}

static int hunk_body(struct patch_reader *r, struct patch_file *file, struct sides *s)
{
    struct pj_view line = {0};
    char last = '\0';

    while (patch_peek(r, &line)) {
        char kind = ' ';

        if (line.n > 0)
            kind = line.p[0];
        bool done = s->old_left == 0 && s->new_left == 0;
        if (kind == '\\') {
            if (end_mark(r, s, last, line) < 0)
                return -1;
            last = '\0';
        } else if (done) {
            break;
        } else if (kind == ' ' || kind == '+' || kind == '-') {
            if (hunk_line(r, file, s, kind) < 0)
                return -1;
            last = kind;
        } else {
            return patch_fail(r, r->line, "a line of a hunk starts with a blank, + or -");
        }
        patch_next(r);
    }
    if (s->old_left > 0 || s->new_left > 0)
        return patch_fail(r, r->line, "the hunk ends before the lines that its head says");
    return 0;
}

static int check_place(struct patch_reader *r, const struct patch_file *file,
                       const struct patch_hunk *hunk)
{
    if ((hunk->old_start == 0 && hunk->old_count > 0) ||
        (hunk->new_start == 0 && hunk->new_count > 0))
        return patch_fail(r, hunk->line, "lines are counted from 1");
    if (file->change == PATCH_ADDED && (hunk->old_count > 0 || file->hunk_count > 0))
        return patch_fail(r, hunk->line, "a new file has one hunk without old lines");
    if (file->change == PATCH_DELETED && (hunk->new_count > 0 || file->hunk_count > 0))
        return patch_fail(r, hunk->line, "a deleted file has one hunk without new lines");
    if (file->hunk_count > 0) {
        const struct patch_hunk *before = hunk - 1;
        uint64_t old_end =
            (uint64_t)before->old_start + before->old_count + (before->old_count == 0);
        uint64_t new_end =
            (uint64_t)before->new_start + before->new_count + (before->new_count == 0);
        if (hunk->old_start + (uint64_t)(hunk->old_count == 0) < old_end ||
            hunk->new_start + (uint64_t)(hunk->new_count == 0) < new_end)
            return patch_fail(r, hunk->line, "hunks overlap or are out of order");
    }
    return 0;
}

static int read_hunk(struct patch_reader *r, struct patch_file *file, struct pj_view line,
                     struct sides *s)
{
    struct patch *patch = r->patch;

    if (patch->hunk_count == r->hunk_cap) {
        r->hunk_cap = r->hunk_cap > 0 ? r->hunk_cap * 2 : 32;
        patch->hunks = pj_realloc(patch->hunks, r->hunk_cap, sizeof(*patch->hunks));
    }
    struct patch_hunk *hunk = &patch->hunks[patch->hunk_count];
    memset(hunk, 0, sizeof(*hunk));
    hunk->header = line;
    hunk->line = r->line;
    if (!read_ranges(line, hunk))
        return patch_fail(r, r->line, "malformed head of a hunk");
    if (s->old_ended || s->new_ended)
        return patch_fail(r, r->line, "a hunk after the end of the file");
    if (check_place(r, file, hunk) < 0)
        return -1;
    patch_next(r);
    s->old_left = hunk->old_count;
    s->new_left = hunk->new_count;
    s->changed = false;
    const char *body = r->p;
    if (hunk_body(r, file, s) < 0)
        return -1;
    if (!s->changed)
        return patch_fail(r, hunk->line, "a hunk that changes nothing");
    hunk->body = pj_view_n(body, (size_t)(r->p - body));
    patch->hunk_count++;
    file->hunk_count++;
    return 0;
}

int patch_read_hunks(struct patch_reader *r, struct patch_file *file)
{
    struct pj_view line = {0};
    struct sides s = {0};

    while (patch_peek(r, &line) && pj_view_starts(line, "@@ -")) {
        if (read_hunk(r, file, line, &s) < 0)
            return -1;
    }
    if (patch_peek(r, &line) && pj_view_starts(line, "Binary files "))
        return patch_fail(r, r->line,
                          "a binary change without its content (make the diff with --binary)");
    if (file->hunk_count == 0 && file->change == PATCH_MODIFIED && file->old_mode == file->new_mode)
        return patch_fail(r, file->line, "an entry that changes nothing");
    if (file->hunk_count == 0 && file->change == PATCH_MODIFIED && file->new_mode == 0)
        return patch_fail(r, file->line, "an entry that changes nothing");
    return 0;
}

/* --- binary --- */

static bool is_base85(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           (c != '\0' && strchr("!#$%&()*+-;<=>?@^_`{|}~", c) != NULL);
}

/* A line says by its first letter how many bytes (1 to 52) its groups of five hold. */
static bool binary_line_ok(struct pj_view line)
{
    size_t n = 0;

    if (line.n < 6)
        return false;
    if (line.p[0] >= 'A' && line.p[0] <= 'Z')
        n = (size_t)(line.p[0] - 'A') + 1;
    else if (line.p[0] >= 'a' && line.p[0] <= 'z')
        n = (size_t)(line.p[0] - 'a') + 27;
    if (n == 0 || line.n != 1 + (n + 3) / 4 * 5)
        return false;
    for (size_t i = 1; i < line.n; i++) {
        if (!is_base85((unsigned char)line.p[i]))
            return false;
    }
    return true;
}

/* "literal N" or "delta N", its lines, and the empty line after them. */
static int binary_part(struct patch_reader *r, struct pj_view *out)
{
    struct pj_view line = {0};
    uint64_t bytes = 0;
    const char *start = r->p;

    if (!patch_peek(r, &line))
        return patch_fail(r, r->line, "the binary part is missing");
    size_t word = pj_view_starts(line, "literal ") ? 8 : pj_view_starts(line, "delta ") ? 6 : 0;
    if (word == 0 || pj_parse_u64(pj_view_n(line.p + word, line.n - word), &bytes) < 0)
        return patch_fail(r, r->line, "a binary part starts with literal or delta and a size");
    if (bytes > r->limits.max_binary_bytes)
        return patch_fail(r, r->line, "a binary file of %llu bytes, limit %zu",
                          (unsigned long long)bytes, r->limits.max_binary_bytes);
    patch_next(r);
    size_t count = 0;
    while (patch_peek(r, &line) && line.n > 0) {
        if (!binary_line_ok(line))
            return patch_fail(r, r->line, "malformed line of a binary part");
        count++;
        patch_next(r);
    }
    if (count == 0 || !patch_peek(r, &line))
        return patch_fail(r, r->line, "a binary part ends in an empty line");
    *out = pj_view_n(start, (size_t)(r->p - start));
    patch_next(r);
    return 0;
}

int patch_read_binary(struct patch_reader *r, struct patch_file *file)
{
    file->binary = true;
    if (file->old_sha.n != 40 || file->new_sha.n != 40)
        return patch_fail(r, r->line, "a binary part needs an index line with full object ids");
    patch_next(r);
    if (binary_part(r, &file->forward) < 0)
        return -1;
    return binary_part(r, &file->backward);
}
