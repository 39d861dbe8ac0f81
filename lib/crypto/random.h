/* random.h - bytes nobody can guess (getrandom), and text made of them. */
#ifndef PJ_CRYPTO_RANDOM_H
#define PJ_CRYPTO_RANDOM_H

#include <stddef.h>

/* Fills `out`; aborts when the kernel has no randomness to give (it always has after boot). */
void pj_random_bytes(void *out, size_t n);
/* `n` characters of [0-9A-Za-z], unbiased, NUL-terminated: out holds n + 1. */
void pj_random_text(char *out, size_t n);

#endif
