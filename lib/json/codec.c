#include "lib/json/codec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "lib/base/clock.h"
#include "lib/base/mem.h"

static json_t *encode_strs(char *const *strs)
{
    json_t *array;

    if (!strs)
        return NULL;
    array = json_array();
    for (; *strs; strs++)
        (void)json_array_append_new(array, json_string(*strs));
    return array;
}

/* Money is written with the digits it has: jansson keeps 17 significant ones, so a decimal text goes through a real. */
static json_t *encode_money(int64_t microusd)
{
    return microusd < 0 ? NULL : json_real((double)microusd / 1e6);
}

/* A string from outside may be no UTF-8: it is cleaned, never dropped. */
static json_t *encode_text(const char *s)
{
    struct pj_str clean;
    json_t *v = s ? json_string(s) : NULL;

    if (v || !s)
        return v;
    pj_str_init(&clean, strlen(s) * 3 + 1);
    (void)pj_utf8_append_clean(&clean, pj_view_of(s));
    v = json_string(pj_str_cstr(&clean));
    pj_str_release(&clean);
    return v;
}

/* NULL stands for null. */
static json_t *encode_field(const struct pj_field *f, const char *in)
{
    const void *slot = in + f->offset;
    int64_t number;
    char when[PJ_RFC3339_SIZE];

    switch (f->type) {
    case PJ_F_STR:
        return encode_text(*(char *const *)slot);
    case PJ_F_INT:
        number = *(const int64_t *)slot;
        if ((number == 0 && (f->flags & PJ_FF_NULL_ZERO)) ||
            (number < 0 && (f->flags & PJ_FF_NULL_NEG)))
            return NULL;
        return json_integer(number);
    case PJ_F_BOOL:
        return (f->flags & PJ_FF_OMIT) && !*(const bool *)slot ? NULL
                                                               : json_boolean(*(const bool *)slot);
    case PJ_F_WORD:
        return *(const int *)slot < 0 ? NULL : json_string(f->words[*(const int *)slot]);
    case PJ_F_MONEY:
        return encode_money(*(const int64_t *)slot);
    case PJ_F_TIME:
        number = *(const int64_t *)slot;
        return number ? json_string(pj_rfc3339(number, when)) : NULL;
    case PJ_F_STRS:
        return encode_strs(*(char **const *)slot);
    case PJ_F_OBJ:
        if (f->presence_offset && f->presence_offset != SIZE_MAX &&
            !*(const bool *)(in + f->presence_offset))
            return NULL;
        return pj_json_encode(f->sub, f->sub_count, slot);
    case PJ_F_JSON:
        return *(json_t *const *)slot ? json_incref(*(json_t *const *)slot) : NULL;
    }
    return NULL;
}

json_t *pj_json_encode(const struct pj_field *table, size_t count, const void *in)
{
    json_t *doc = json_object();

    for (size_t i = 0; i < count; i++) {
        json_t *v = encode_field(&table[i], in);

        if (!v && (table[i].flags & PJ_FF_OMIT))
            continue;
        (void)json_object_set_new(doc, table[i].name, v ? v : json_null());
    }
    return doc;
}

static int append_chunk(const char *bytes, size_t n, void *ctx)
{
    return pj_str_append(ctx, bytes, n);
}

int pj_json_dump(const json_t *doc, struct pj_str *out)
{
    /* 15 digits are what a double always carries: 0.1 is written 0.1. */
    if (json_dump_callback(doc, append_chunk, out,
                           JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15)) < 0)
        return -1;
    return out->full ? -1 : 0;
}

char *pj_json_text(const json_t *doc)
{
    char *text = json_dumps(doc, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));

    return text ? text : pj_strdup("null");
}

const char *pj_money_text(int64_t microusd, char *buf)
{
    int n = snprintf(buf, 32, "%lld.%06lld", (long long)(microusd / 1000000),
                     (long long)(microusd % 1000000));

    while (n > 3 && buf[n - 1] == '0' && buf[n - 3] != '.')
        buf[--n] = '\0';
    return buf;
}

void pj_json_decrefp(json_t **doc)
{
    json_decref(*doc);
    *doc = NULL;
}

void pj_strs_free(char **strs)
{
    for (char **s = strs; s && *s; s++)
        free(*s);
    free(strs);
}

const char *pj_json_str(const json_t *obj, const char *name, const char *def)
{
    const json_t *v = json_object_get(obj, name);

    return json_is_string(v) ? json_string_value(v) : def;
}

int64_t pj_json_i64(const json_t *obj, const char *name, int64_t def)
{
    const json_t *v = json_object_get(obj, name);

    return json_is_integer(v) ? json_integer_value(v) : def;
}

bool pj_json_bool(const json_t *obj, const char *name, bool def)
{
    const json_t *v = json_object_get(obj, name);

    return json_is_boolean(v) ? json_is_true(v) : def;
}
