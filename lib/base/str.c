#include "lib/base/str.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "lib/base/mem.h"

void pj_str_init(struct pj_str *s, size_t max)
{
    *s = (struct pj_str){.max = max < SIZE_MAX / 4 ? max : SIZE_MAX / 4};
}

void pj_str_release(struct pj_str *s)
{
    if (!s)
        return;
    free(s->data);
    *s = (struct pj_str){.max = s->max};
}

void pj_str_clear(struct pj_str *s)
{
    s->len = 0;
    s->full = false;
    if (s->data)
        s->data[0] = '\0';
}

/* Room for `n` more bytes and the NUL; `n` is within the maximum already. */
static void reserve(struct pj_str *s, size_t n)
{
    size_t need = s->len + n + 1;
    size_t cap = s->cap ? s->cap : 64;

    if (need <= s->cap)
        return;
    while (cap < need)
        cap *= 2;
    if (cap > s->max + 1)
        cap = s->max + 1;
    s->data = pj_realloc(s->data, cap, 1);
    s->cap = cap;
}

int pj_str_append(struct pj_str *s, const void *bytes, size_t n)
{
    size_t room = s->max > s->len ? s->max - s->len : 0;
    int result = 0;

    if (n > room) {
        n = room;
        s->full = true;
        result = -1;
    }
    reserve(s, n);
    if (n)
        memcpy(s->data + s->len, bytes, n);
    s->len += n;
    s->data[s->len] = '\0';
    return result;
}

int pj_str_puts(struct pj_str *s, const char *text)
{
    return pj_str_append(s, text, strlen(text));
}

int pj_str_putc(struct pj_str *s, char c)
{
    return pj_str_append(s, &c, 1);
}

int pj_str_vputf(struct pj_str *s, const char *fmt, va_list ap)
{
    char small[256];
    char *big = NULL;
    va_list again;
    int n, result;

    va_copy(again, ap);
    n = vsnprintf(small, sizeof(small), fmt, ap);
    if (n < 0) {
        s->full = true;
        result = -1;
    } else if ((size_t)n < sizeof(small)) {
        result = pj_str_append(s, small, (size_t)n);
    } else {
        big = pj_alloc((size_t)n + 1, 1);
        (void)vsnprintf(big, (size_t)n + 1, fmt, again);
        result = pj_str_append(s, big, (size_t)n);
        free(big);
    }
    va_end(again);
    return result;
}

int pj_str_putf(struct pj_str *s, const char *fmt, ...)
{
    va_list ap;
    int result;

    va_start(ap, fmt);
    result = pj_str_vputf(s, fmt, ap);
    va_end(ap);
    return result;
}

void pj_str_shift(struct pj_str *s, size_t n)
{
    if (n >= s->len) {
        s->len = 0;
    } else {
        memmove(s->data, s->data + n, s->len - n);
        s->len -= n;
    }
    if (s->data)
        s->data[s->len] = '\0';
}

const char *pj_str_cstr(const struct pj_str *s)
{
    return s->data ? s->data : "";
}

char *pj_str_take(struct pj_str *s)
{
    char *out = s->data ? s->data : pj_strdup("");

    *s = (struct pj_str){.max = s->max};
    return out;
}
