/* mem.h - allocation that cannot fail, and wiping.
 *
 * Every size that comes from outside has a maximum before it gets here, so only a broken host runs out: then the process
 * aborts with one line and the lease of its work survives it. */
#ifndef PJ_BASE_MEM_H
#define PJ_BASE_MEM_H

#include <stddef.h>

/* Zero-filled memory; free() releases it. `count * size` is checked for overflow. */
void *pj_alloc(size_t count, size_t size);
/* As realloc for `count` elements of `size`; new bytes are not zeroed. */
void *pj_realloc(void *p, size_t count, size_t size);
char *pj_strdup(const char *s);
/* NULL stays NULL. */
char *pj_strdup_or_null(const char *s);
char *pj_strndup(const char *s, size_t n);
/* Formatted copy, owned by the caller. */
char *pj_asprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Overwrite with zeros in a way the compiler keeps. */
void pj_wipe(void *p, size_t n);
/* Replace an owned string: frees *slot, stores a copy of `s` (NULL allowed). */
void pj_str_set(char **slot, const char *s);

#endif
