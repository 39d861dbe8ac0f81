/* Thousands of requests made from the document, half right and half wrong: no answer is a 5xx, none has a status that the
 * document does not name, and every error says its code. PJ_SEED and PJ_RUNS choose others. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "lib/base/mem.h"
#include "lib/base/view.h"
#include "lib/embed/embed.h"
#include "lib/json/codec.h"
#include "tests/api/writer.h"

extern const struct pj_embedded api_documents[];

struct run {
    struct world w;
    json_t *doc;
    uint64_t state; /* xorshift64 */
    char *repository, *task;
};

static uint64_t next(struct run *r)
{
    r->state ^= r->state << 13;
    r->state ^= r->state >> 7;
    r->state ^= r->state << 17;
    return r->state;
}

static size_t below(struct run *r, size_t n)
{
    return (size_t)(next(r) % n);
}

static const json_t *follow(const struct run *r, const json_t *schema)
{
    const char *ref = pj_json_str(schema, "$ref", NULL);

    if (ref == NULL)
        return schema;
    struct pj_view rest = pj_view_of(ref + 2), part;
    const json_t *at = r->doc;
    while (rest.p != NULL && pj_view_cut(&rest, '/', &part)) {
        char name[64];
        snprintf(name, sizeof name, "%.*s", (int)part.n, part.p);
        at = json_object_get(at, name);
    }
    return at;
}

static json_t *junk(struct run *r)
{
    static const char *const texts[] = {"",
                                        "x",
                                        "\xf0\x9f\xa6\xa9",
                                        "-1",
                                        "null",
                                        "../../etc/passwd",
                                        "a\nb",
                                        "%00",
                                        "0000000000000000000000",
                                        "https://github.com/a/b?x=1",
                                        "git@github.com:a/b.git",
                                        "file:///etc",
                                        "2026-01-01T00:00:00Z"};

    switch (below(r, 9)) {
    case 0:
        return json_null();
    case 1:
        return json_boolean(below(r, 2));
    case 2:
        return json_integer((json_int_t)next(r));
    case 3:
        return json_integer((json_int_t)below(r, 5) - 2);
    case 4:
        return json_real((double)next(r) / 3.0);
    case 5:
        return json_array();
    case 6:
        return json_pack("[o]", json_object());
    case 7:
        return json_pack("{s:{}}", "a", "b");
    default:
        return json_string(texts[below(r, PJ_COUNT_OF(texts))]);
    }
}

static json_t *text_of(struct run *r, const json_t *schema)
{
    const json_t *words = json_object_get(schema, "enum");
    size_t n = (size_t)pj_json_i64(schema, "maxLength", 40);
    char text[64];

    if (words != NULL)
        return json_incref(json_array_get(words, below(r, json_array_size(words))));
    n = n > sizeof text - 1 ? sizeof text - 1 : n;
    n = below(r, n + 1);
    for (size_t i = 0; i < n; i++)
        text[i] = (char)(' ' + below(r, 95));
    text[n] = '\0';
    return json_string(text);
}

static json_t *value_of(struct run *r, const json_t *schema, int depth)
{
    schema = follow(r, schema);
    if (below(r, 8) == 0 || depth > 6)
        return junk(r);
    const json_t *one_of = json_object_get(schema, "oneOf"),
                 *type = json_object_get(schema, "type");
    if (one_of != NULL)
        return value_of(r, json_array_get(one_of, below(r, json_array_size(one_of))), depth + 1);
    const char *name =
        json_is_array(type)
            ? json_string_value(json_array_get(type, below(r, json_array_size(type))))
            : json_string_value(type);
    if (name == NULL || strcmp(name, "null") == 0)
        return json_null();
    if (strcmp(name, "boolean") == 0)
        return json_boolean(below(r, 2));
    if (strcmp(name, "integer") == 0)
        return json_integer((json_int_t)below(r, 100000));
    if (strcmp(name, "number") == 0)
        return json_real((double)below(r, 100000) / 7.0);
    if (strcmp(name, "string") == 0)
        return text_of(r, schema);
    if (strcmp(name, "array") == 0) {
        json_t *list = json_array();
        for (size_t n = below(r, 4); n > 0; n--)
            json_array_append_new(list, value_of(r, json_object_get(schema, "items"), depth + 1));
        return list;
    }
    json_t *object = json_object(), *property;
    const char *key;
    json_object_foreach(json_object_get(schema, "properties"), key, property) if (below(r, 3) > 0)
        json_object_set_new(object, key, value_of(r, property, depth + 1));
    if (json_object_get(object, "repositoryId") != NULL && below(r, 4) > 0)
        json_object_set_new(object, "repositoryId", json_string(r->repository));
    if (below(r, 20) == 0)
        json_object_set_new(object, "surprise", junk(r));
    return object;
}

static void put_escaped(struct pj_str *out, const char *text)
{
    for (; *text != '\0'; text++)
        if (strchr("abcdefghijklmnopqrstuvwxyz0123456789-_.", *text) != NULL)
            pj_str_putc(out, *text);
        else
            pj_str_putf(out, "%%%02X", (unsigned char)*text);
}

static void put_value(struct run *r, struct pj_str *out, const json_t *schema)
{
    json_t *v = value_of(r, schema, 3);
    PJ_CLEANUP(pj_freep)
    char *text =
        json_is_string(v) ? pj_strdup(json_string_value(v)) : json_dumps(v, JSON_ENCODE_ANY);

    put_escaped(out, text != NULL ? text : "");
    json_decref(v);
}

static char *target_of(struct run *r, const char *path, const json_t *operation)
{
    struct pj_str out;
    size_t i;
    json_t *p;
    bool first = true;

    pj_str_init(&out, 4096);
    for (const char *c = path; *c != '\0';) {
        if (*c != '{') {
            pj_str_putc(&out, *c++);
            continue;
        }
        size_t kind = below(r, 5);
        bool repository =
            strstr(path, "/repositories/") != NULL || strstr(path, "/execution/") != NULL;
        if (kind == 0)
            put_escaped(&out, "nonsense \xc3\xa4/..");
        else if (kind == 1)
            pj_str_puts(&out, "0000000000000000000000");
        else
            pj_str_puts(&out, repository ? r->repository : r->task);
        c += strcspn(c, "}") + 1;
    }
    json_array_foreach(json_object_get(operation, "parameters"), i, p)
    {
        if (strcmp(pj_json_str(p, "in", ""), "query") != 0 || below(r, 2) == 0)
            continue;
        pj_str_putf(&out, "%c%s=", first ? '?' : '&', pj_json_str(p, "name", ""));
        put_value(r, &out, json_object_get(p, "schema"));
        first = false;
    }
    if (below(r, 25) == 0)
        pj_str_puts(&out, first ? "?odd=1" : "&odd=1");
    return pj_str_take(&out);
}

static void renew(struct run *r)
{
    struct http_answer a = {0};
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf("/api/v1/tasks/%s", r->task);
    PJ_CLEANUP(pj_freep) char *repository = pj_asprintf("/api/v1/repositories/%s", r->repository);

    http_call(r->w.base, "GET", repository, WORLD_TOKEN, NULL, NULL, &a);
    if (a.status == 404) {
        PJ_CLEANUP(pj_freep) char *bare = pj_asprintf("%s/one.git", r->w.remotes);
        free(r->repository);
        r->repository = world_connect(&r->w, bare, "");
    }
    http_answer_release(&a);
    memset(&a, 0, sizeof a);
    http_call(r->w.base, "GET", path, WORLD_TOKEN, NULL, NULL, &a);
    if (a.status == 404) {
        free(r->task);
        r->task = world_task(&r->w, r->repository, "t", "d", "");
    }
    http_answer_release(&a);
}

static void ask(struct run *r, const char *path, const char *verb, const json_t *operation)
{
    static const char *const headers[] = {"Content-Type: application/json", NULL};
    PJ_CLEANUP(pj_freep) char *target = target_of(r, path, operation);
    PJ_CLEANUP(pj_freep) char *body = NULL;
    const json_t *schema = json_object_get(
        json_object_get(json_object_get(json_object_get(operation, "requestBody"), "content"),
                        "application/json"),
        "schema");
    struct http_answer a = {0};
    char method[8], status[8];

    for (size_t i = 0; i <= strlen(verb); i++)
        method[i] = (char)(verb[i] >= 'a' ? verb[i] - 'a' + 'A' : verb[i]);
    if (schema != NULL && below(r, 12) > 0) {
        json_t *doc = value_of(r, schema, 0);
        body = json_dumps(doc, JSON_ENCODE_ANY | JSON_COMPACT);
        json_decref(doc);
    }
    http_call(r->w.base, method, target, WORLD_TOKEN, body, headers, &a);
    snprintf(status, sizeof status, "%d", a.status);
    cr_expect_lt(a.status, 500, "%s %s %s -> %d %s", method, target, body != NULL ? body : "",
                 a.status, a.body);
    cr_expect_not_null(json_object_get(json_object_get(operation, "responses"), status),
                       "%s %s %s -> %d is not documented: %s", method, target,
                       body != NULL ? body : "", a.status, a.body);
    if (a.status >= 400)
        cr_expect_not_null(pj_json_str(a.json, "code", NULL), "%s", a.body);
    http_answer_release(&a);
}

static int64_t setting(const char *name, int64_t def)
{
    const char *text = getenv(name);
    int64_t n;

    return text != NULL && pj_parse_i64(pj_view_of(text), &n) == 0 ? n : def;
}

Test(property, no_request_from_the_document_is_answered_outside_of_it)
{
    struct run r = {.state = (uint64_t)setting("PJ_SEED", 20261122)};
    int64_t runs = setting("PJ_RUNS", 3000);
    size_t count = 0;
    struct {
        const char *path, *verb;
        json_t *operation;
    } all[128];

    world_start(&r.w);
    world_set(&r.w, "PJ_RATE_LIMIT", "0");
    world_api_start(&r.w);
    r.repository = writer_repository(&r.w, "one");
    r.task = world_task(&r.w, r.repository, "t", "d", "");
    for (const struct pj_embedded *f = api_documents; f->name != NULL; f++)
        if (strcmp(f->name, "openapi.json") == 0)
            r.doc = json_loadb((const char *)f->data, f->size, 0, NULL);
    const char *path, *verb;
    json_t *item, *operation;
    json_object_foreach(json_object_get(r.doc, "paths"), path, item)
    {
        json_object_foreach(item, verb, operation)
        {
            if (strstr(path, "/stream") == NULL && strstr(path, "/events") == NULL &&
                count < PJ_COUNT_OF(all)) {
                all[count].path = path;
                all[count].verb = verb;
                all[count++].operation = operation;
            }
        }
    }
    for (int64_t i = 0; i < runs; i++) {
        size_t k = below(&r, count);
        ask(&r, all[k].path, all[k].verb, all[k].operation);
        if (strcmp(all[k].verb, "delete") == 0)
            renew(&r);
    }
    json_decref(r.doc);
    free(r.repository);
    free(r.task);
    world_stop(&r.w);
}
