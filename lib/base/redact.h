/* redact.h - the list of secrets of this process and the one place where they are masked.
 *
 * Secrets of at least 8 bytes are replaced by "***" wherever they stand, also in their JSON-escaped, URL-encoded and base64
 * forms where these differ. Filled at start, read afterwards; at most 64 entries. */
#ifndef PJ_BASE_REDACT_H
#define PJ_BASE_REDACT_H

#include "lib/base/str.h"
#include "lib/base/view.h"

struct pj_redact;

struct pj_redact *pj_redact_new(void);
void pj_redact_free(struct pj_redact *r);
/* Remember a secret (copied, wiped on free). Shorter than 8 bytes, NULL or known already: ignored. */
void pj_redact_add(struct pj_redact *r, const char *secret);
/* Append `text` with every secret masked. `r` may be NULL. */
int pj_redact_append(const struct pj_redact *r, struct pj_str *out, struct pj_view text);
/* Bytes of the longest pattern: a stream cut in pieces keeps back that many minus one. */
size_t pj_redact_longest(const struct pj_redact *r);

#endif
