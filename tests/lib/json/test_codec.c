#include <criterion/criterion.h>
#include "lib/json/codec.h"

#include <stdlib.h>
#include <string.h>

struct inner {
    char *provider;
    char *name;
};
struct thing {
    char *title;
    int64_t count, cost, made, slack;
    bool on, has_model;
    int level;
    char **hosts;
    struct inner model;
    json_t *extra;
};

static const char *const levels[] = {"low", "high", NULL};
static const struct pj_field inner_fields[] = {
    {"provider", PJ_F_STR, offsetof(struct inner, provider), PJ_FF_REQUIRED, 1, 20},
    {"name", PJ_F_STR, offsetof(struct inner, name), 0, 1, 100},
};
static const struct pj_field fields[] = {
    {"title", PJ_F_STR, offsetof(struct thing, title), PJ_FF_REQUIRED, 1, 10},
    {"count", PJ_F_INT, offsetof(struct thing, count), 0, 0, 99},
    {"slackMs", PJ_F_INT, offsetof(struct thing, slack), PJ_FF_NULL_NEG, -1, 1000},
    {"costUsd", PJ_F_MONEY, offsetof(struct thing, cost)},
    {"createdAt", PJ_F_TIME, offsetof(struct thing, made), PJ_FF_READ_ONLY},
    {"on", PJ_F_BOOL, offsetof(struct thing, on)},
    {"level", PJ_F_WORD, offsetof(struct thing, level), 0, 0, 0, levels},
    {"hosts", PJ_F_STRS, offsetof(struct thing, hosts), 0, 0, 2},
    {"model", PJ_F_OBJ, offsetof(struct thing, model), 0, 0, 0, NULL, inner_fields,
     PJ_COUNT_OF(inner_fields), offsetof(struct thing, has_model)},
    {"extra", PJ_F_JSON, offsetof(struct thing, extra), PJ_FF_OMIT, 0, 50},
};

static int decode(const char *text, struct thing *t, struct pj_field_errors *faults,
                  struct pj_err *err)
{
    PJ_CLEANUP(pj_json_decrefp) json_t *doc = NULL;

    memset(t, 0, sizeof(*t));
    cr_assert_eq(pj_json_parse(pj_view_of(text), &doc, err), 0, "%s", err->message);
    return pj_json_decode(doc, fields, PJ_COUNT_OF(fields), t, faults, err);
}

Test(codec, there_and_back)
{
    struct thing t;
    struct pj_field_errors faults;
    struct pj_err err;
    json_t *doc;
    char *text;

    cr_assert_eq(decode("{\"title\":\"x\",\"count\":3,\"costUsd\":0.1,\"on\":true,\"level\":"
                        "\"high\",\"hosts\":[\"a\",\"b\"],"
                        "\"model\":{\"provider\":\"p\"},\"extra\":[1]}",
                        &t, &faults, &err),
                 0, "%s", err.message);
    cr_assert_eq(t.cost, 100000);
    cr_assert(t.has_model);
    t.made = 1000;
    doc = pj_json_encode(fields, PJ_COUNT_OF(fields), &t);
    text = pj_json_text(doc);
    cr_assert_str_eq(text,
                     "{\"title\":\"x\",\"count\":3,\"slackMs\":null,\"costUsd\":0.1,"
                     "\"createdAt\":\"1970-01-01T00:00:01.000Z\",\"on\":true,\"level\":\"high\","
                     "\"hosts\":[\"a\",\"b\"],"
                     "\"model\":{\"provider\":\"p\",\"name\":null},\"extra\":[1]}",
                     "%s", text);
    free(text);
    json_decref(doc);
    pj_json_release(fields, PJ_COUNT_OF(fields), &t);
}

Test(codec, every_fault_is_named_at_once)
{
    struct thing t;
    struct pj_field_errors f;
    struct pj_err err;

    cr_assert_eq(
        decode("{\"titel\":\"x\",\"count\":100,\"level\":\"mid\",\"hosts\":[\"a\",\"b\",\"c\"],"
               "\"createdAt\":\"1970-01-01T00:00:01Z\",\"model\":{\"nome\":1}}",
               &t, &f, &err),
        -1);
    cr_assert_eq(f.count, 8);
    cr_assert_str_eq(f.item[0].field, "titel");
    cr_assert_str_eq(f.item[0].detail, "unknown field");
    cr_assert_str_eq(f.item[1].field, "createdAt");
    cr_assert_str_eq(f.item[2].field, "title");
    cr_assert_str_eq(f.item[2].detail, "is required");
    cr_assert_str_eq(f.item[6].field, "model.nome");
    cr_assert_eq(err.cls, PJ_E_INVALID);
    pj_json_release(fields, PJ_COUNT_OF(fields), &t);
}

Test(codec, absent_is_null_not_zero)
{
    struct thing t;
    struct pj_err err;

    cr_assert_eq(decode("{\"title\":\"x\",\"costUsd\":null}", &t, NULL, &err), 0);
    cr_assert_eq(t.cost, -1);
    cr_assert_eq(t.level, -1);
    cr_assert_eq(t.slack, -1);
    cr_assert_not(t.has_model);
    pj_json_release(fields, PJ_COUNT_OF(fields), &t);
}

Test(json, hostile_documents_are_refused)
{
    static const char *const rows[] = {
        "",
        "{",
        "{\"a\":1,\"a\":2}",
        "{} x",
        "{\"a\":\"\xFF\"}",
        "nul",
        "[1,]",
        "{\"a\":\"\\u0000\"}",
        "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]",
    };
    struct pj_err err;
    json_t *doc = NULL;

    for (size_t i = 0; i < PJ_COUNT_OF(rows); i++)
        cr_assert_eq(pj_json_parse(pj_view_of(rows[i]), &doc, &err), -1, "%s", rows[i]);
}

Test(json, quoting_keeps_lines_whole)
{
    struct pj_str s;

    pj_str_init(&s, 100);
    cr_assert_eq(pj_json_quote(&s, pj_view_n("a\"\\\n\x1B\xFF", 6)), 0);
    cr_assert_str_eq(pj_str_cstr(&s), "\"a\\\"\\\\\\n\\u001b\xEF\xBF\xBD\"");
    pj_str_release(&s);
}

Test(json, money_has_the_digits_it_needs)
{
    char buf[32];

    cr_assert_str_eq(pj_money_text(1234500, buf), "1.2345");
    cr_assert_str_eq(pj_money_text(0, buf), "0.00");
    cr_assert_str_eq(pj_money_text(2000000, buf), "2.00");
}

/* A small text of many values would take a hundred times its size. */
Test(codec, too_many_values_are_refused_before_they_cost_memory)
{
    struct pj_str text;
    struct pj_err err;
    json_t *doc = NULL;

    pj_str_init(&text, (size_t)8 << 20);
    (void)pj_str_puts(&text, "[[]");
    for (int i = 0; i < PJ_JSON_VALUES_MAX / 2; i++)
        (void)pj_str_puts(&text, ",[]");
    (void)pj_str_puts(&text, "]");
    cr_assert_lt(pj_json_parse(pj_view_n(text.data, text.len), &doc, &err), 0);
    cr_assert_eq(err.cls, PJ_E_LIMIT);
    pj_str_release(&text);
    cr_assert_eq(pj_json_parse(pj_view_of("[\",,,,[[[[\",1]"), &doc, &err), 0, "%s", err.message);
    json_decref(doc);
}
