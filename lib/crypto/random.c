#include "lib/crypto/random.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/random.h>

void pj_random_bytes(void *out, size_t n)
{
    unsigned char *p = out;

    while (n) {
        ssize_t got = getrandom(p, n, 0);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            abort();
        p += got;
        n -= (size_t)got;
    }
}

void pj_random_text(char *out, size_t n)
{
    static const char alphabet[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    uint8_t byte;

    for (size_t i = 0; i < n;) {
        pj_random_bytes(&byte, 1);
        if (byte < 248) /* 4 x 62: above it, some characters would come more often */
            out[i++] = alphabet[byte % 62];
    }
    out[n] = '\0';
}
