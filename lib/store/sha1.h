/* sha1.h - the digest by which Redis names scripts (EVALSHA). A name only: nothing is protected by it. */
#ifndef PJ_STORE_SHA1_H
#define PJ_STORE_SHA1_H

#include <stddef.h>

void pj_sha1_hex(const void *data, size_t n, char out[41]);

#endif
