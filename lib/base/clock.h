/* clock.h - time in milliseconds. Wall time can be fixed by tests; deadlines use the monotonic clock, which counts suspend. */
#ifndef PJ_BASE_CLOCK_H
#define PJ_BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>
#include "lib/base/cleanup.h"

int64_t pj_now_ms(void);  /* Unix milliseconds */
int64_t pj_mono_ms(void); /* CLOCK_BOOTTIME */
int64_t pj_mono_us(void);
/* Tests: pj_now_ms() answers `ms` from now on; negative turns the real clock back on. */
void pj_clock_set(int64_t ms);

#define PJ_RFC3339_SIZE 32
/* "2026-11-22T13:05:09.123Z" (RFC 3339, UTC). `out` has PJ_RFC3339_SIZE bytes. Returns out. */
const char *pj_rfc3339(int64_t ms, char *out);
/* The reverse; also accepts no fraction, and an offset. -1 when malformed. */
int pj_rfc3339_parse(const char *s, int64_t *ms) PJ_MUST_CHECK;

#endif
