#include "lib/base/clock.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static int64_t fixed_ms = -1;

static int64_t read_us(clockid_t clock)
{
    struct timespec t;

    (void)clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int64_t pj_now_ms(void)
{
    return fixed_ms >= 0 ? fixed_ms : read_us(CLOCK_REALTIME) / 1000;
}

int64_t pj_mono_us(void)
{
    return read_us(CLOCK_BOOTTIME);
}

int64_t pj_mono_ms(void)
{
    return pj_mono_us() / 1000;
}

void pj_clock_set(int64_t ms)
{
    fixed_ms = ms;
}

const char *pj_rfc3339(int64_t ms, char *out)
{
    time_t seconds = (time_t)(ms / 1000);
    int milli = (int)(ms % 1000);
    struct tm tm;

    if (milli < 0) {
        milli += 1000;
        seconds--;
    }
    if (!gmtime_r(&seconds, &tm) || tm.tm_year > 8099 || tm.tm_year < -1900) {
        seconds = 0;
        (void)gmtime_r(&seconds, &tm);
    }
    (void)snprintf(out, PJ_RFC3339_SIZE, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ",
                   (tm.tm_year + 1900) % 10000, (tm.tm_mon + 1) % 100, tm.tm_mday % 100,
                   tm.tm_hour % 100, tm.tm_min % 100, tm.tm_sec % 100, milli % 1000);
    return out;
}

/* `digits` decimal digits at *s, which moves on; -1 when they are not there. */
static int take_number(const char **s, int digits)
{
    int value = 0;

    for (; digits > 0; digits--, (*s)++) {
        if (**s < '0' || **s > '9')
            return -1;
        value = value * 10 + (**s - '0');
    }
    return value;
}

static int take_fraction(const char **s)
{
    int milli = 0, scale = 100;

    if (**s != '.')
        return 0;
    (*s)++;
    if (**s < '0' || **s > '9')
        return -1;
    for (; **s >= '0' && **s <= '9'; (*s)++) {
        milli += (**s - '0') * scale;
        scale /= 10;
    }
    return milli;
}

/* Offset in minutes, or -9999 when malformed or followed by anything. */
static int take_offset(const char *s)
{
    int sign, hours, minutes;

    if ((*s == 'Z' || *s == 'z') && !s[1])
        return 0;
    if (*s != '+' && *s != '-')
        return -9999;
    sign = *s++ == '-' ? -1 : 1;
    hours = take_number(&s, 2);
    if (hours < 0 || hours > 23 || *s++ != ':')
        return -9999;
    minutes = take_number(&s, 2);
    if (minutes < 0 || minutes > 59 || *s)
        return -9999;
    return sign * (hours * 60 + minutes);
}

int pj_rfc3339_parse(const char *s, int64_t *ms)
{
    static const char between[] = "--T::";
    static const int widths[] = {4, 2, 2, 2, 2, 2};
    int part[6], i, milli, offset;
    struct tm tm = {0}, check;
    time_t seconds;

    for (i = 0; i < 6; i++) {
        part[i] = take_number(&s, widths[i]);
        if (part[i] < 0)
            return -1;
        if (i == 5)
            break;
        if (*s != between[i] && !(i == 2 && (*s == 't' || *s == ' ')))
            return -1;
        s++;
    }
    milli = take_fraction(&s);
    offset = take_offset(s);
    if (milli < 0 || offset == -9999 || part[3] > 23 || part[4] > 59 || part[5] > 60)
        return -1;
    tm.tm_year = part[0] - 1900;
    tm.tm_mon = part[1] - 1;
    tm.tm_mday = part[2];
    check = tm;
    seconds = timegm(&check);
    if (check.tm_mon != tm.tm_mon || check.tm_mday != tm.tm_mday)
        return -1;
    seconds += part[3] * 3600 + part[4] * 60 + part[5] - offset * 60;
    *ms = (int64_t)seconds * 1000 + milli;
    return 0;
}
