#include "lib/crypto/hmac.h"

#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>

void pj_sha256(const void *data, size_t n, uint8_t out[PJ_SHA256_SIZE])
{
    if (EVP_Digest(data, n, out, NULL, EVP_sha256(), NULL) != 1)
        abort();
}

void pj_hex(const void *data, size_t n, char *out)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *p = data;

    for (size_t i = 0; i < n; i++) {
        *out++ = digits[p[i] >> 4];
        *out++ = digits[p[i] & 15];
    }
    *out = '\0';
}

void pj_sha256_hex(const void *data, size_t n, char out[65])
{
    uint8_t hash[PJ_SHA256_SIZE];

    pj_sha256(data, n, hash);
    pj_hex(hash, sizeof(hash), out);
}

void pj_hmac_sha256(const void *key, size_t key_n, const void *data, size_t n,
                    uint8_t out[PJ_SHA256_SIZE])
{
    if (key_n > INT_MAX || !HMAC(EVP_sha256(), key, (int)key_n, data, n, out, NULL))
        abort();
}

bool pj_const_eq(const void *a, size_t a_n, const void *b, size_t b_n)
{
    return a_n == b_n && (a_n == 0 || CRYPTO_memcmp(a, b, a_n) == 0);
}

int pj_base64_encode(struct pj_str *out, const void *data, size_t n)
{
    const unsigned char *p = data;
    unsigned char block[65];

    while (n) {
        size_t part = n < 48 ? n : 48;

        (void)EVP_EncodeBlock(block, p, (int)part);
        (void)pj_str_puts(out, (const char *)block);
        p += part;
        n -= part;
    }
    return out->full ? -1 : 0;
}

static int value_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

int pj_base64_decode(struct pj_view text, void *out, size_t cap, size_t *out_n)
{
    uint8_t *to = out;
    size_t pad = 0, done = 0;

    if (text.n % 4 != 0)
        return -1;
    while (pad < 2 && text.n > pad && text.p[text.n - 1 - pad] == '=')
        pad++;
    for (size_t i = 0; i < text.n; i += 4) {
        size_t bytes = i + 4 == text.n ? 3 - pad : 3;
        uint32_t group = 0;

        for (size_t k = 0; k < 4; k++) {
            int v = k <= bytes ? value_of(text.p[i + k]) : 0;

            if (v < 0)
                return -1;
            group = group << 6 | (uint32_t)v;
        }
        /* Bits that no byte takes must be zero: one value, one text. */
        if (bytes < 3 && (group & ((1U << (8 * (3 - bytes))) - 1)) != 0)
            return -1;
        if (done + bytes > cap)
            return -1;
        for (size_t k = 0; k < bytes; k++)
            to[done++] = (uint8_t)(group >> (16 - 8 * k));
    }
    *out_n = done;
    return 0;
}

uint32_t pj_crc32(const void *data, size_t n)
{
    const uint8_t *p = data;
    uint32_t crc = 0xFFFFFFFF;

    while (n--) {
        crc ^= *p++;
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320U : 0);
    }
    return ~crc;
}
