#include "tests/support/schema.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/json/codec.h"

#define DEPTH_MAX 24

struct checking {
    const json_t *root;
    bool closed;
    struct pj_str *problems;
    int depth;
};

static bool check(struct checking *c, const json_t *schema, json_t *value, const char *where);

static const json_t *resolved(const json_t *root, const json_t *schema)
{
    static const char prefix[] = "#/components/schemas/";
    const char *ref = pj_json_str(schema, "$ref", NULL);

    if (ref == NULL)
        return schema;
    if (strncmp(ref, prefix, sizeof prefix - 1) != 0)
        abort();
    const json_t *schemas = json_object_get(json_object_get(root, "components"), "schemas");
    const json_t *found = json_object_get(schemas, ref + sizeof prefix - 1);
    if (found == NULL)
        abort();
    return resolved(root, found);
}

static bool problem(struct checking *c, const char *where, const char *what)
{
    (void)pj_str_putf(c->problems, "%s: %s\n", where, what);
    return false;
}

static bool has_type(const char *type, json_t *value)
{
    static const struct {
        const char *name;
        json_type types[2];
    } rows[] = {
        {"array", {JSON_ARRAY, JSON_ARRAY}},       {"boolean", {JSON_TRUE, JSON_FALSE}},
        {"integer", {JSON_INTEGER, JSON_INTEGER}}, {"number", {JSON_INTEGER, JSON_REAL}},
        {"object", {JSON_OBJECT, JSON_OBJECT}},    {"string", {JSON_STRING, JSON_STRING}},
    };

    for (size_t i = 0; i < PJ_COUNT_OF(rows); i++)
        if (strcmp(rows[i].name, type) == 0)
            return json_typeof(value) == rows[i].types[0] || json_typeof(value) == rows[i].types[1];
    return false;
}

static bool has_format(const char *format, const char *text)
{
    int64_t ms;

    if (strcmp(format, "date-time") == 0)
        return pj_rfc3339_parse(text, &ms) == 0;
    if (strcmp(format, "uri") == 0)
        return isalpha((unsigned char)text[0]) && strstr(text, "://") != NULL;
    if (strcmp(format, "email") == 0)
        return strchr(text, '@') != NULL;
    if (strcmp(format, "repo.nwo") == 0)
        return strchr(text, '/') != NULL;
    return true;
}

static bool is_listed(const json_t *list, json_t *value)
{
    size_t i;
    const json_t *one;

    json_array_foreach(list, i, one) if (json_equal(one, value)) return true;
    return false;
}

static bool check_members(struct checking *c, const json_t *schema, json_t *value,
                          const char *where)
{
    const json_t *properties = json_object_get(schema, "properties");
    const json_t *further = json_object_get(schema, "additionalProperties");
    const char *name;
    json_t *member;
    bool ok = true;
    size_t i;

    json_array_foreach(json_object_get(schema, "required"), i, member)
    {
        PJ_CLEANUP(pj_freep)
        char *at = pj_asprintf("%s.%s", where, json_string_value(member));
        if (json_object_get(value, json_string_value(member)) == NULL)
            ok = problem(c, at, "is required");
    }
    json_object_foreach(value, name, member)
    {
        PJ_CLEANUP(pj_freep) char *at = pj_asprintf("%s.%s", where, name);
        const json_t *its = json_object_get(properties, name);
        if (its == NULL && json_is_object(further))
            its = further;
        if (its != NULL)
            ok &= check(c, its, member, at);
        else if (json_is_false(further) ||
                 (c->closed && properties != NULL && !json_is_true(further)))
            ok = problem(c, at, "is no member that the description knows");
    }
    int64_t most = pj_json_i64(schema, "maxProperties", INT64_MAX);
    if ((int64_t)json_object_size(value) > most)
        ok = problem(c, where, "has too many members");
    return ok;
}

static bool check_number(struct checking *c, const json_t *schema, json_t *value, const char *where)
{
    const json_t *least = json_object_get(schema, "minimum"),
                 *most = json_object_get(schema, "maximum");

    if ((least != NULL && json_number_value(value) < json_number_value(least)) ||
        (most != NULL && json_number_value(value) > json_number_value(most)))
        return problem(c, where, "is out of its range");
    return true;
}

/* 0 when none of the alternatives fits. */
static size_t fitting(struct checking *c, const json_t *alternatives, json_t *value,
                      const char *where)
{
    size_t i, n = 0;
    const json_t *one;

    json_array_foreach(alternatives, i, one)
    {
        struct pj_str ignored;
        pj_str_init(&ignored, 65536);
        struct checking inner = {c->root, false, &ignored, c->depth};
        n += check(&inner, one, value, where);
        pj_str_release(&ignored);
    }
    return n;
}

static bool check_words(struct checking *c, const json_t *schema, json_t *value, const char *where)
{
    const char *type = pj_json_str(schema, "type", NULL),
               *format = pj_json_str(schema, "format", "");
    const json_t *words = json_object_get(schema, "enum");

    if (type != NULL && !has_type(type, value))
        return problem(c, where, "is of the wrong type");
    if (words != NULL && !is_listed(words, value))
        return problem(c, where, "is none of the words allowed");
    if (json_is_string(value) && !has_format(format, json_string_value(value)))
        return problem(c, where, "is not of its format");
    return true;
}

static bool check_combined(struct checking *c, const json_t *schema, json_t *value,
                           const char *where)
{
    static const char *const kinds[] = {"anyOf", "oneOf"};
    const json_t *part;
    bool ok = true;
    size_t i;

    json_array_foreach(json_object_get(schema, "allOf"), i, part) ok &=
        check(c, part, value, where);
    for (i = 0; i < PJ_COUNT_OF(kinds); i++) {
        const json_t *list = json_object_get(schema, kinds[i]);
        if (list != NULL && fitting(c, list, value, where) == 0)
            ok = problem(c, where, "fits none of its alternatives");
    }
    return ok;
}

static bool check(struct checking *c, const json_t *schema, json_t *value, const char *where)
{
    json_t *item;
    size_t i;

    schema = resolved(c->root, schema);
    if (json_is_null(value) && pj_json_bool(schema, "nullable", false))
        return true;
    if (++c->depth > DEPTH_MAX)
        abort();
    bool ok = check_words(c, schema, value, where) && check_combined(c, schema, value, where);
    if (ok && json_is_object(value))
        ok = check_members(c, schema, value, where);
    if (ok && json_is_number(value))
        ok = check_number(c, schema, value, where);
    if (ok && json_is_array(value) &&
        (int64_t)json_array_size(value) < pj_json_i64(schema, "minItems", 0))
        ok = problem(c, where, "has too few items");
    if (json_object_get(schema, "items") != NULL)
        json_array_foreach(value, i, item)
        {
            PJ_CLEANUP(pj_freep) char *at = pj_asprintf("%s[%zu]", where, i);
            ok &= check(c, json_object_get(schema, "items"), item, at);
        }
    c->depth--;
    return ok;
}

bool schema_check(const json_t *root, const json_t *schema, json_t *value, const char *where,
                  bool closed, struct pj_str *problems)
{
    struct checking c = {root, closed, problems, 0};

    return check(&c, schema, value, where);
}

/* ---- making ---- */

static json_t *make_string(const json_t *schema)
{
    static const struct {
        const char *format, *text;
    } rows[] = {{"date-time", "2026-01-02T03:04:05Z"},
                {"email", "someone@github.example"},
                {"repo.nwo", "owner/name"},
                {"uri", "https://github.example/"}};
    const char *format = pj_json_str(schema, "format", "");

    for (size_t i = 0; i < PJ_COUNT_OF(rows); i++)
        if (strcmp(rows[i].format, format) == 0)
            return json_string(rows[i].text);
    return json_string("text");
}

static const json_t *first_alternative(const json_t *schema)
{
    const json_t *any = json_array_get(json_object_get(schema, "anyOf"), 0);

    return any != NULL ? any : json_array_get(json_object_get(schema, "oneOf"), 0);
}

json_t *schema_make(const json_t *root, const json_t *schema)
{
    schema = resolved(root, schema);
    const char *type = pj_json_str(schema, "type", "object");
    const json_t *words = json_object_get(schema, "enum"), *any = first_alternative(schema);

    if (pj_json_bool(schema, "nullable", false))
        return json_null();
    if (words != NULL)
        return json_incref(json_array_get(words, 0));
    if (any != NULL)
        return schema_make(root, any);
    if (strcmp(type, "string") == 0)
        return make_string(schema);
    if (strcmp(type, "integer") == 0 || strcmp(type, "number") == 0)
        return json_integer(pj_json_i64(schema, "minimum", 1));
    if (strcmp(type, "boolean") == 0)
        return json_false();
    if (strcmp(type, "array") == 0)
        return json_array();
    json_t *out = json_object();
    schema_fill(root, schema, out);
    return out;
}

void schema_fill(const json_t *root, const json_t *schema, json_t *value)
{
    const json_t *part, *properties;
    const char *name;
    json_t *member;
    size_t i;

    schema = resolved(root, schema);
    if (json_is_array(value) && json_object_get(schema, "items") != NULL)
        json_array_foreach(value, i, member)
            schema_fill(root, json_object_get(schema, "items"), member);
    if (!json_is_object(value))
        return;
    json_array_foreach(json_object_get(schema, "allOf"), i, part) schema_fill(root, part, value);
    if (first_alternative(schema) != NULL)
        schema_fill(root, first_alternative(schema), value);
    properties = json_object_get(schema, "properties");
    json_object_foreach(value, name, member)
    {
        if (json_object_get(properties, name) != NULL)
            schema_fill(root, json_object_get(properties, name), member);
    }
    json_array_foreach(json_object_get(schema, "required"), i, part)
    {
        name = json_string_value(part);
        if (json_object_get(value, name) == NULL && json_object_get(properties, name) != NULL)
            json_object_set_new(value, name, schema_make(root, json_object_get(properties, name)));
    }
}
