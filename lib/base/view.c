#include "lib/base/view.h"

#include <limits.h>
#include <string.h>
#include <strings.h>

struct pj_view pj_view_of(const char *s)
{
    return (struct pj_view){s, s ? strlen(s) : 0};
}

struct pj_view pj_view_n(const char *p, size_t n)
{
    return (struct pj_view){p, n};
}

bool pj_view_is(struct pj_view v, const char *s)
{
    size_t n = strlen(s);

    return v.n == n && (n == 0 || memcmp(v.p, s, n) == 0);
}

bool pj_view_is_nocase(struct pj_view v, const char *s)
{
    size_t n = strlen(s);

    return v.n == n && (n == 0 || strncasecmp(v.p, s, n) == 0);
}

bool pj_view_starts(struct pj_view v, const char *prefix)
{
    size_t n = strlen(prefix);

    return v.n >= n && (n == 0 || memcmp(v.p, prefix, n) == 0);
}

struct pj_view pj_view_trim(struct pj_view v)
{
    while (v.n && (*v.p == ' ' || *v.p == '\t')) {
        v.p++;
        v.n--;
    }
    while (v.n && (v.p[v.n - 1] == ' ' || v.p[v.n - 1] == '\t'))
        v.n--;
    return v;
}

bool pj_view_cut(struct pj_view *rest, char sep, struct pj_view *head)
{
    const char *at;

    if (!rest->p)
        return false;
    at = rest->n ? memchr(rest->p, sep, rest->n) : NULL;
    if (!at) {
        *head = *rest;
        *rest = (struct pj_view){NULL, 0};
        return true;
    }
    *head = (struct pj_view){rest->p, (size_t)(at - rest->p)};
    rest->n -= head->n + 1;
    rest->p = at + 1;
    return true;
}

int pj_parse_u64(struct pj_view v, uint64_t *out)
{
    uint64_t value = 0;
    size_t i;

    if (v.n == 0 || v.n > 20)
        return -1;
    for (i = 0; i < v.n; i++) {
        unsigned digit = (unsigned)(unsigned char)v.p[i] - '0';

        if (digit > 9 || value > (UINT64_MAX - digit) / 10)
            return -1;
        value = value * 10 + digit;
    }
    *out = value;
    return 0;
}

int pj_parse_i64(struct pj_view v, int64_t *out)
{
    bool negative = v.n && *v.p == '-';
    uint64_t magnitude;

    if (negative) {
        v.p++;
        v.n--;
    }
    if (pj_parse_u64(v, &magnitude) < 0 || magnitude > (uint64_t)INT64_MAX)
        return -1;
    *out = negative ? -(int64_t)magnitude : (int64_t)magnitude;
    return 0;
}

struct unit {
    const char *suffix;
    int64_t factor;
};

static int parse_scaled(struct pj_view v, const struct unit *units, size_t count, int64_t *out)
{
    size_t digits = 0, i;
    uint64_t value;

    while (digits < v.n && v.p[digits] >= '0' && v.p[digits] <= '9')
        digits++;
    if (pj_parse_u64(pj_view_n(v.p, digits), &value) < 0)
        return -1;
    for (i = 0; i < count; i++) {
        if (!pj_view_is(pj_view_n(v.p + digits, v.n - digits), units[i].suffix))
            continue;
        if (value > (uint64_t)(INT64_MAX / units[i].factor))
            return -1;
        *out = (int64_t)value * units[i].factor;
        return 0;
    }
    return -1;
}

int pj_parse_duration_ms(struct pj_view v, int64_t *out)
{
    static const struct unit units[] = {
        {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000},
    };

    if (pj_view_is(v, "0")) {
        *out = 0;
        return 0;
    }
    return parse_scaled(v, units, sizeof(units) / sizeof(units[0]), out);
}

int pj_parse_size(struct pj_view v, int64_t *out)
{
    static const struct unit units[] = {
        {"", 1},
        {"K", 1024},
        {"M", 1024 * 1024},
        {"G", 1024 * 1024 * 1024},
    };

    return parse_scaled(v, units, sizeof(units) / sizeof(units[0]), out);
}

int pj_parse_money(struct pj_view v, int64_t *microusd)
{
    struct pj_view whole;
    uint64_t dollars = 0, fraction = 0;
    bool has_point = v.n && memchr(v.p, '.', v.n);
    int64_t scale = 1;
    size_t i;

    if (!pj_view_cut(&v, '.', &whole) || pj_parse_u64(whole, &dollars) < 0)
        return -1;
    if (has_point) {
        if (v.n == 0 || v.n > 6 || pj_parse_u64(v, &fraction) < 0)
            return -1;
        for (i = v.n; i < 6; i++)
            scale *= 10;
    }
    if (dollars > (uint64_t)INT64_MAX / 1000000 - 1)
        return -1;
    *microusd = (int64_t)dollars * 1000000 + (int64_t)fraction * scale;
    return 0;
}

/* Length of the valid sequence at the start of `v`, 0 when it is invalid (RFC 3629: no surrogates, no overlong forms). *bad
 * is then the length of the maximal invalid part. NUL counts as invalid. */
static size_t utf8_step(struct pj_view v, size_t *bad)
{
    unsigned char c = (unsigned char)v.p[0];
    unsigned char low = 0x80, high = 0xBF;
    size_t need, i;

    *bad = 1;
    if (c < 0x80)
        return c != 0;
    if (c >= 0xC2 && c <= 0xDF) {
        need = 1;
    } else if (c >= 0xE0 && c <= 0xEF) {
        need = 2;
        if (c == 0xE0)
            low = 0xA0;
        if (c == 0xED)
            high = 0x9F;
    } else if (c >= 0xF0 && c <= 0xF4) {
        need = 3;
        if (c == 0xF0)
            low = 0x90;
        if (c == 0xF4)
            high = 0x8F;
    } else {
        return 0;
    }
    for (i = 1; i <= need; i++) {
        unsigned char next = i < v.n ? (unsigned char)v.p[i] : 0;

        if (next < low || next > high) {
            *bad = i;
            return 0;
        }
        low = 0x80;
        high = 0xBF;
    }
    return need + 1;
}

int pj_utf8_append_clean(struct pj_str *out, struct pj_view v)
{
    size_t good = 0, bad, n;

    while (good < v.n) {
        n = utf8_step(pj_view_n(v.p + good, v.n - good), &bad);
        if (n) {
            good += n;
            continue;
        }
        (void)pj_str_append(out, v.p, good);
        (void)pj_str_puts(out, "\xEF\xBF\xBD");
        v.p += good + bad;
        v.n -= good + bad;
        good = 0;
    }
    (void)pj_str_append(out, v.p, good);
    return out->full ? -1 : 0;
}

bool pj_utf8_valid(struct pj_view v)
{
    size_t bad, n;

    while (v.n) {
        n = utf8_step(v, &bad);
        if (!n)
            return false;
        v.p += n;
        v.n -= n;
    }
    return true;
}
