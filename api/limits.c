#include "api/limits.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "lib/base/clock.h"
#include "lib/base/mem.h"

#define SLOTS 4096 /* who shares a slot with a newer one begins with a full bucket */
#define MINUTE_US 60000000LL

struct bucket {
    char who[48];     /* a token's id, or an address */
    int64_t spent_us; /* time it takes to refill what was taken */
    int64_t at_us;
};

struct limits {
    int64_t per_minute;
    struct bucket slot[SLOTS];
};

struct limits *limits_new(int64_t per_minute)
{
    struct limits *limits = pj_alloc(1, sizeof *limits);

    limits->per_minute = per_minute;
    return limits;
}

void limits_free(struct limits *limits)
{
    free(limits);
}

/* FNV-1a. */
static struct bucket *slot_of(struct limits *limits, const char *who)
{
    uint32_t h = 2166136261u;

    for (; *who != '\0'; who++)
        h = (h ^ (unsigned char)*who) * 16777619u;
    return &limits->slot[h % SLOTS];
}

struct limits_verdict limits_take(struct limits *limits, const char *who)
{
    struct limits_verdict v = {true, limits->per_minute, 0, 0};

    if (limits->per_minute == 0)
        return v;
    struct bucket *b = slot_of(limits, who);
    int64_t now = pj_mono_us(), one = MINUTE_US / limits->per_minute;
    if (one == 0)
        one = 1;
    if (strncmp(b->who, who, sizeof b->who - 1) != 0) {
        memset(b, 0, sizeof *b);
        snprintf(b->who, sizeof b->who, "%s", who);
        b->at_us = now;
    }
    b->spent_us -= now - b->at_us;
    b->spent_us = b->spent_us < 0 ? 0 : b->spent_us;
    b->at_us = now;
    v.allowed = b->spent_us + one <= MINUTE_US;
    if (v.allowed)
        b->spent_us += one;
    v.remaining = (MINUTE_US - b->spent_us) / one;
    v.retry_after = v.allowed ? (b->spent_us + 999999) / 1000000
                              : (b->spent_us + one - MINUTE_US + 999999) / 1000000;
    return v;
}
