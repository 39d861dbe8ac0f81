#include "lib/json/codec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "lib/base/clock.h"
#include "lib/base/mem.h"

#define PATH_MAX_BYTES 80

struct decoding {
    struct pj_field_errors *faults;
    size_t seen;
    char first[PATH_MAX_BYTES + 170];
};

static int fault(struct decoding *d, const char *path, const char *fmt, ...) PJ_PRINTF(3, 4);

static int fault(struct decoding *d, const char *path, const char *fmt, ...)
{
    char detail[160];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(detail, sizeof(detail), fmt, ap);
    va_end(ap);
    if (d->seen++ == 0)
        (void)snprintf(d->first, sizeof(d->first), "%s: %s", path, detail);
    if (d->faults && d->faults->count < PJ_FIELD_ERRORS_MAX) {
        struct pj_field_error *e = &d->faults->item[d->faults->count++];

        (void)snprintf(e->field, sizeof(e->field), "%s", path);
        (void)snprintf(e->detail, sizeof(e->detail), "%s", detail);
    }
    return -1;
}

static void join_path(char *out, const char *prefix, const char *name)
{
    (void)snprintf(out, PATH_MAX_BYTES, "%.38s%s%.38s", prefix, *prefix ? "." : "", name);
}

static bool out_of_bounds(const struct pj_field *f, int64_t v)
{
    return (f->min != 0 || f->max != 0) && (v < f->min || v > f->max);
}

static int decode_str(struct decoding *d, const struct pj_field *f, const json_t *v,
                      const char *path, char **slot)
{
    size_t n;

    if (!json_is_string(v))
        return fault(d, path, "must be a string");
    n = json_string_length(v);
    if (out_of_bounds(f, (int64_t)n))
        return fault(d, path, "has %zu bytes, allowed are %lld to %lld", n, (long long)f->min,
                     (long long)f->max);
    *slot = pj_strndup(json_string_value(v), n);
    return 0;
}

static int decode_int(struct decoding *d, const struct pj_field *f, const json_t *v,
                      const char *path, int64_t *slot)
{
    if (!json_is_integer(v))
        return fault(d, path, "must be a whole number");
    if (out_of_bounds(f, json_integer_value(v)))
        return fault(d, path, "must be within %lld to %lld", (long long)f->min, (long long)f->max);
    *slot = json_integer_value(v);
    return 0;
}

static int decode_word(struct decoding *d, const struct pj_field *f, const json_t *v,
                       const char *path, int *slot)
{
    struct pj_str known;

    for (int i = 0; json_is_string(v) && f->words[i]; i++) {
        if (strcmp(f->words[i], json_string_value(v)) == 0) {
            *slot = i;
            return 0;
        }
    }
    pj_str_init(&known, 120);
    for (int i = 0; f->words[i]; i++)
        (void)pj_str_putf(&known, "%s%s", i ? ", " : "", f->words[i]);
    (void)fault(d, path, "must be one of %s", pj_str_cstr(&known));
    pj_str_release(&known);
    return -1;
}

static int decode_money(struct decoding *d, const struct pj_field *f, const json_t *v,
                        const char *path, int64_t *slot)
{
    double dollars = json_is_number(v) ? json_number_value(v) : -1;

    if (dollars < 0 || dollars > 1e9)
        return fault(d, path, "must be an amount of US dollars, a number from 0 to 1000000000");
    *slot = (int64_t)(dollars * 1e6 + 0.5);
    if (out_of_bounds(f, *slot))
        return fault(d, path, "is out of bounds");
    return 0;
}

static int decode_time(struct decoding *d, const json_t *v, const char *path, int64_t *slot)
{
    if (!json_is_string(v) || pj_rfc3339_parse(json_string_value(v), slot) < 0)
        return fault(d, path, "must be a time as RFC 3339 writes it, say 2026-01-31T12:00:00Z");
    return 0;
}

static int decode_strs(struct decoding *d, const struct pj_field *f, const json_t *v,
                       const char *path, char ***slot)
{
    size_t n = json_array_size(v);
    char **out;

    if (!json_is_array(v))
        return fault(d, path, "must be an array of strings");
    if (f->max && (int64_t)n > f->max)
        return fault(d, path, "has %zu entries, at most %lld are allowed", n, (long long)f->max);
    out = pj_alloc(n + 1, sizeof(*out));
    for (size_t i = 0; i < n; i++) {
        const json_t *item = json_array_get(v, i);

        if (!json_is_string(item) || json_string_length(item) > 4096) {
            pj_strs_free(out);
            return fault(d, path, "entry %zu must be a string of at most 4096 bytes", i);
        }
        out[i] = pj_strdup(json_string_value(item));
    }
    *slot = out;
    return 0;
}

static int decode_json(struct decoding *d, const struct pj_field *f, const json_t *v,
                       const char *path, json_t **slot)
{
    PJ_CLEANUP(pj_freep) char *text = f->max ? pj_json_text(v) : NULL;

    if (text && (int64_t)strlen(text) > f->max)
        return fault(d, path, "is larger than %lld bytes", (long long)f->max);
    *slot = json_deep_copy(v);
    return 0;
}

static void decode_object(struct decoding *d, const json_t *doc, const struct pj_field *table,
                          size_t count, char *out, const char *prefix);

static void decode_field(struct decoding *d, const struct pj_field *f, const json_t *v, char *out,
                         const char *path)
{
    void *slot = out + f->offset;

    switch (f->type) {
    case PJ_F_STR:
        (void)decode_str(d, f, v, path, slot);
        break;
    case PJ_F_INT:
        (void)decode_int(d, f, v, path, slot);
        break;
    case PJ_F_BOOL:
        if (json_is_boolean(v))
            *(bool *)slot = json_is_true(v);
        else
            (void)fault(d, path, "must be true or false");
        break;
    case PJ_F_WORD:
        (void)decode_word(d, f, v, path, slot);
        break;
    case PJ_F_MONEY:
        (void)decode_money(d, f, v, path, slot);
        break;
    case PJ_F_TIME:
        (void)decode_time(d, v, path, slot);
        break;
    case PJ_F_STRS:
        (void)decode_strs(d, f, v, path, slot);
        break;
    case PJ_F_OBJ:
        if (json_is_object(v))
            decode_object(d, v, f->sub, f->sub_count, slot, path);
        else
            (void)fault(d, path, "must be an object");
        break;
    case PJ_F_JSON:
        (void)decode_json(d, f, v, path, slot);
        break;
    }
}

/* What an absent field leaves behind where zero would be a value. */
static void set_absent(const struct pj_field *f, char *out)
{
    void *slot = out + f->offset;

    if (f->type == PJ_F_WORD)
        *(int *)slot = -1;
    else if (f->type == PJ_F_MONEY || (f->type == PJ_F_INT && (f->flags & PJ_FF_NULL_NEG)))
        *(int64_t *)slot = -1;
}

/* Absent values in objects that are absent themselves. */
static void set_all_absent(const struct pj_field *table, size_t count, char *out)
{
    for (size_t i = 0; i < count; i++) {
        if (table[i].type == PJ_F_OBJ)
            set_all_absent(table[i].sub, table[i].sub_count, out + table[i].offset);
        else
            set_absent(&table[i], out);
    }
}

static const struct pj_field *find_field(const struct pj_field *table, size_t count,
                                         const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(table[i].name, name) == 0)
            return &table[i];
    }
    return NULL;
}

static void decode_object(struct decoding *d, const json_t *doc, const struct pj_field *table,
                          size_t count, char *out, const char *prefix)
{
    char path[PATH_MAX_BYTES];
    const char *name;
    json_t *v;

    set_all_absent(table, count, out);
    json_object_foreach((json_t *)(uintptr_t)doc, name, v)
    {
        const struct pj_field *f = find_field(table, count, name);

        join_path(path, prefix, name);
        if (!f)
            (void)fault(d, path, "unknown field");
        else if (f->flags & PJ_FF_READ_ONLY)
            (void)fault(d, path, "cannot be set");
    }
    for (size_t i = 0; i < count; i++) {
        const struct pj_field *f = &table[i];

        if (f->flags & PJ_FF_READ_ONLY)
            continue;
        v = json_object_get(doc, f->name);
        join_path(path, prefix, f->name);
        if (v && f->presence_offset && f->presence_offset != SIZE_MAX)
            *(bool *)(out + f->presence_offset) = true;
        if (v && !json_is_null(v))
            decode_field(d, f, v, out, path);
        else if (f->flags & PJ_FF_REQUIRED)
            (void)fault(d, path, "is required");
    }
}

int pj_json_decode(const json_t *doc, const struct pj_field *table, size_t count, void *out,
                   struct pj_field_errors *faults, struct pj_err *err)
{
    struct decoding d = {.faults = faults};

    if (faults)
        faults->count = 0;
    if (!json_is_object(doc))
        return pj_fail(err, PJ_E_INVALID, "the document must be a JSON object");
    decode_object(&d, doc, table, count, out, "");
    if (d.seen == 0)
        return 0;
    if (d.seen == 1)
        return pj_fail(err, PJ_E_INVALID, "%s", d.first);
    return pj_fail(err, PJ_E_INVALID, "%s (and %zu more)", d.first, d.seen - 1);
}

void pj_json_release(const struct pj_field *table, size_t count, void *out)
{
    for (size_t i = 0; i < count; i++) {
        const struct pj_field *f = &table[i];
        void *slot = (char *)out + f->offset;

        if (f->type == PJ_F_STR) {
            pj_freep(slot);
        } else if (f->type == PJ_F_STRS) {
            pj_strs_free(*(char ***)slot);
            *(char ***)slot = NULL;
        } else if (f->type == PJ_F_JSON) {
            pj_json_decrefp(slot);
        } else if (f->type == PJ_F_OBJ) {
            pj_json_release(f->sub, f->sub_count, slot);
        }
    }
}
