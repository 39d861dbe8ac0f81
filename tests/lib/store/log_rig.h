/* log_rig.h - a task that the runner r1 holds, and one-line forms of what is done to its log. */
#ifndef PJ_TESTS_LIB_STORE_LOG_RIG_H
#define PJ_TESTS_LIB_STORE_LOG_RIG_H

#include "lib/base/str.h"
#include "tests/lib/store/fixture.h"

extern struct fixture f;
extern char id[PJ_ID_SIZE];
extern struct pj_lease lease;

void log_up(void);
void log_down(void);

/* `count` encoded entries, numbered from `first`. */
void put_lines(struct pj_str *out, int64_t attempt, int64_t first, int64_t count);
/* Append them to the first attempt: 0 or PJ_NONE, with *next. */
int append(int64_t first, int64_t count, int64_t *next);
void page_after(int64_t attempt, int64_t n, int64_t limit, int64_t only,
                struct pj_events_page *page);
/* All entries by pages of `limit`, as one text; owned by the caller. */
char *whole_log(int64_t limit);

#endif
