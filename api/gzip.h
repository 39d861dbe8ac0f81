/* gzip.h - answers and pages in gzip form, for clients that take it. */
#ifndef API_GZIP_H
#define API_GZIP_H

#include <stdbool.h>
#include <stddef.h>
#include "lib/base/view.h"

/* Does Accept-Encoding allow gzip? */
bool gzip_accepted(struct pj_view accept_encoding);
/* *out is the caller's (free). False when it would not be smaller. level 1 (quick) to 9. */
bool gzip_pack(const void *bytes, size_t n, int level, char **out, size_t *out_n);

#endif
