/* str.h - a growing byte string that knows its maximum from birth.
 *
 * `data` is always NUL-terminated once anything was appended or pj_str_cstr() was called. An append that would pass `max`
 * appends what fits, sets `full` and returns -1; `full` stays set until pj_str_clear(), so a long build checks once. */
#ifndef PJ_BASE_STR_H
#define PJ_BASE_STR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include "lib/base/cleanup.h"

struct pj_str {
    char *data;
    size_t len;
    size_t cap;
    size_t max; /* bytes, the NUL not counted */
    bool full;
};

void pj_str_init(struct pj_str *s, size_t max);
void pj_str_release(struct pj_str *s);
void pj_str_clear(struct pj_str *s);
int pj_str_append(struct pj_str *s, const void *bytes, size_t n);
int pj_str_puts(struct pj_str *s, const char *text);
int pj_str_putc(struct pj_str *s, char c);
int pj_str_putf(struct pj_str *s, const char *fmt, ...) PJ_PRINTF(2, 3);
int pj_str_vputf(struct pj_str *s, const char *fmt, va_list ap) PJ_PRINTF(2, 0);
/* Remove `n` bytes from the front. */
void pj_str_shift(struct pj_str *s, size_t n);
/* Borrowed, never NULL. */
const char *pj_str_cstr(const struct pj_str *s);
/* The content, owned by the caller; *s is empty and keeps its maximum. Never NULL. */
char *pj_str_take(struct pj_str *s);

#endif
