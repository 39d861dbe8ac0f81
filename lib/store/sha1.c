#include "lib/store/sha1.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* RFC 3174, method 1. */
#define BLOCK 64

static uint32_t rotate(uint32_t x, int by)
{
    return (x << by) | (x >> (32 - by));
}

static uint32_t mix(int t, uint32_t b, uint32_t c, uint32_t d)
{
    if (t < 20)
        return ((b & c) | (~b & d)) + 0x5a827999U;
    if (t < 40)
        return (b ^ c ^ d) + 0x6ed9eba1U;
    if (t < 60)
        return ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdcU;
    return (b ^ c ^ d) + 0xca62c1d6U;
}

static void add_block(uint32_t h[5], const uint8_t *block)
{
    uint32_t w[80], v[5];

    for (int t = 0; t < 16; t++)
        w[t] = (uint32_t)block[4 * t] << 24 | (uint32_t)block[4 * t + 1] << 16 |
               (uint32_t)block[4 * t + 2] << 8 | block[4 * t + 3];
    for (int t = 16; t < 80; t++)
        w[t] = rotate(w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16], 1);
    memcpy(v, h, sizeof(v));
    for (int t = 0; t < 80; t++) {
        uint32_t next = rotate(v[0], 5) + mix(t, v[1], v[2], v[3]) + v[4] + w[t];

        v[4] = v[3];
        v[3] = v[2];
        v[2] = rotate(v[1], 30);
        v[1] = v[0];
        v[0] = next;
    }
    for (int i = 0; i < 5; i++)
        h[i] += v[i];
}

void pj_sha1_hex(const void *data, size_t n, char out[41])
{
    uint32_t h[5] = {0x67452301U, 0xefcdab89U, 0x98badcfeU, 0x10325476U, 0xc3d2e1f0U};
    const uint8_t *p = data;
    uint8_t tail[2 * BLOCK] = {0};
    size_t left = n % BLOCK, tail_n = left < BLOCK - 8 ? BLOCK : 2 * BLOCK;

    for (size_t i = 0; i + BLOCK <= n; i += BLOCK)
        add_block(h, p + i);
    memcpy(tail, p + n - left, left);
    tail[left] = 0x80;
    for (int i = 0; i < 8; i++)
        tail[tail_n - 1 - (size_t)i] = (uint8_t)((uint64_t)n * 8 >> (8 * i));
    for (size_t i = 0; i < tail_n; i += BLOCK)
        add_block(h, tail + i);
    for (int i = 0; i < 5; i++)
        (void)snprintf(out + 8 * i, 9, "%08x", h[i]);
}
