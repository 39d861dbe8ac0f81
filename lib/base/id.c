#include "lib/base/id.h"

#include <string.h>
#include <sys/random.h>
#include <stdlib.h>
#include "lib/base/clock.h"

static const char digits36[] = "0123456789abcdefghijklmnopqrstuvwxyz";

static void put36(char *out, int width, uint64_t value)
{
    for (int i = width - 1; i >= 0; i--) {
        out[i] = digits36[value % 36];
        value /= 36;
    }
}

void pj_id_new(unsigned partition, char out[PJ_ID_SIZE])
{
    uint64_t random;

    if (getrandom(&random, sizeof(random), 0) != (ssize_t)sizeof(random))
        abort();
    put36(out, 9, (uint64_t)pj_now_ms());
    put36(out + 9, 2, partition);
    put36(out + 11, 11, random);
    out[PJ_ID_LEN] = '\0';
}

bool pj_id_is_valid(const char *s)
{
    size_t n = s ? strspn(s, digits36) : 0;

    return n >= 16 && n <= 32 && s[n] == '\0';
}

int pj_id_partition(const char *s)
{
    if (!pj_id_is_valid(s) || strlen(s) != PJ_ID_LEN)
        return -1;
    return (int)((strchr(digits36, s[9]) - digits36) * 36 + (strchr(digits36, s[10]) - digits36));
}
