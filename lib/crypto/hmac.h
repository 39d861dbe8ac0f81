/* hmac.h - hashes, message authentication, encodings of bytes, comparison in constant time (OpenSSL). */
#ifndef PJ_CRYPTO_HMAC_H
#define PJ_CRYPTO_HMAC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "lib/base/cleanup.h"
#include "lib/base/str.h"
#include "lib/base/view.h"

#define PJ_SHA256_SIZE 32
void pj_sha256(const void *data, size_t n, uint8_t out[PJ_SHA256_SIZE]);
/* Lower-case hex, 64 characters and NUL. */
void pj_sha256_hex(const void *data, size_t n, char out[65]);
void pj_hmac_sha256(const void *key, size_t key_n, const void *data, size_t n,
                    uint8_t out[PJ_SHA256_SIZE]);
/* Compares without telling by time where they differ; different lengths are unequal. */
bool pj_const_eq(const void *a, size_t a_n, const void *b, size_t b_n);

void pj_hex(const void *data, size_t n, char *out); /* 2n + 1 bytes */
/* Standard alphabet with padding. */
int pj_base64_encode(struct pj_str *out, const void *data, size_t n);
/* Strict: standard alphabet, padding required, no white space. Writes at most `cap` bytes; -1 when malformed or too long. */
int pj_base64_decode(struct pj_view text, void *out, size_t cap, size_t *out_n) PJ_MUST_CHECK;
uint32_t pj_crc32(const void *data, size_t n);

#endif
