/* view.h - a borrowed slice of bytes, and the parsing of small values out of it. Nothing is copied, nothing allocates. */
#ifndef PJ_BASE_VIEW_H
#define PJ_BASE_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "lib/base/str.h"

struct pj_view {
    const char *p;
    size_t n;
};

struct pj_view pj_view_of(const char *s); /* NULL gives an empty view */
struct pj_view pj_view_n(const char *p, size_t n);
bool pj_view_is(struct pj_view v, const char *s);
bool pj_view_is_nocase(struct pj_view v, const char *s);
bool pj_view_starts(struct pj_view v, const char *prefix);
struct pj_view pj_view_trim(struct pj_view v); /* spaces and tabs */
/* Cut *rest at the first `sep`: returns what stands before it, *rest keeps what follows (empty at the end, p NULL once
 * nothing is left). False when *rest was already used up. */
bool pj_view_cut(struct pj_view *rest, char sep, struct pj_view *head);

/* Whole-slice conversions; -1 when anything but the value stands there or it does not fit. */
int pj_parse_i64(struct pj_view v, int64_t *out) PJ_MUST_CHECK;
int pj_parse_u64(struct pj_view v, uint64_t *out) PJ_MUST_CHECK;
/* "250ms", "15s", "10m", "24h", "7d" -> milliseconds; a bare number is refused unless 0. */
int pj_parse_duration_ms(struct pj_view v, int64_t *out) PJ_MUST_CHECK;
/* "4096", "64K", "256M", "2G" (powers of 1024) -> bytes. */
int pj_parse_size(struct pj_view v, int64_t *out) PJ_MUST_CHECK;
/* "12.34" dollars -> micro-dollars; at most six decimals, not negative. */
int pj_parse_money(struct pj_view v, int64_t *microusd) PJ_MUST_CHECK;

/* Append `v`, with each maximal invalid UTF-8 sequence (and NUL) replaced by U+FFFD. */
int pj_utf8_append_clean(struct pj_str *out, struct pj_view v);
bool pj_utf8_valid(struct pj_view v);

#endif
