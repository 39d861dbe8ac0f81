/* edit_near.c - where a text that was not found stands almost: the hint that lets a model correct itself. */
#include <stdlib.h>
#include <string.h>
#include "lib/base/mem.h"
#include "runner/agent/tools.h"

#define LINES_MAX 200000
#define WANTED_MAX 60
#define CONTEXT 2

static size_t split(struct pj_view text, struct pj_view *lines, size_t cap)
{
    struct pj_view line;
    size_t n = 0;

    while (n < cap && pj_view_cut(&text, '\n', &line))
        lines[n++] = line;
    return n;
}

static struct pj_view bare(struct pj_view line)
{
    if (line.n > 0 && line.p[line.n - 1] == '\r')
        line.n--;
    return pj_view_trim(line);
}

/* How alike two lines are, 0 to 100: the same but for white space, or the share of a common start and end. */
static int alike(struct pj_view x, struct pj_view y)
{
    size_t head = 0, tail = 0, less, more;

    x = bare(x);
    y = bare(y);
    less = x.n < y.n ? x.n : y.n;
    more = x.n > y.n ? x.n : y.n;
    if (less == 0)
        return more == 0 ? 10 : 0;
    while (head < less && x.p[head] == y.p[head])
        head++;
    while (tail < less - head && x.p[x.n - 1 - tail] == y.p[y.n - 1 - tail])
        tail++;
    return (int)((head + tail) * 100 / more);
}

static size_t count_lines(struct pj_view text)
{
    size_t n = 1;

    for (size_t i = 0; i < text.n && n < LINES_MAX; i++)
        n += text.p[i] == '\n';
    return n;
}

void edit_near(struct pj_str *out, struct pj_view text, struct pj_view wanted)
{
    size_t cap = count_lines(text), have, want, best_at = 0;
    struct pj_view *lines = pj_alloc(cap, sizeof *lines), needle[WANTED_MAX];
    int64_t best = -1;

    have = split(text, lines, cap);
    want = split(wanted, needle, WANTED_MAX);
    while (want > 1 && bare(needle[want - 1]).n == 0)
        want--;
    for (size_t at = 0; at < have; at++) {
        int64_t score = 0;
        for (size_t k = 0; k < want && at + k < have; k++)
            score += alike(lines[at + k], needle[k]);
        if (score > best) {
            best = score;
            best_at = at;
        }
    }
    if (best >= (int64_t)want * 30) {
        size_t from = best_at > CONTEXT ? best_at - CONTEXT : 0, to = best_at + want + CONTEXT;
        (void)pj_str_puts(out, "The nearest place in the file:\n");
        for (size_t i = from; i < to && i < have; i++) {
            (void)pj_str_putf(out, "%6zu\t", i + 1);
            (void)pj_utf8_append_clean(out,
                                       pj_view_n(lines[i].p, lines[i].n < 300 ? lines[i].n : 300));
            (void)pj_str_putc(out, '\n');
        }
        if (best == (int64_t)want * 100)
            (void)pj_str_puts(
                out, "Only the white space differs: copy the lines exactly (without the numbers).");
    } else {
        (void)pj_str_puts(out, "Nothing in the file is like it: read the file again.");
    }
    free(lines);
}
