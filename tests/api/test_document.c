/* api/openapi.json and the tables of the program say the same. */
#include <criterion/criterion.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include "api/auth.h"
#include "api/routes.h"
#include "lib/base/mem.h"
#include "lib/embed/embed.h"
#include "lib/json/codec.h"

extern const struct pj_embedded api_documents[];

static json_t *document(void)
{
    for (const struct pj_embedded *f = api_documents; f->name != NULL; f++)
        if (strcmp(f->name, "openapi.json") == 0)
            return json_loadb((const char *)f->data, f->size, JSON_REJECT_DUPLICATES, NULL);
    return NULL;
}

/* "/a/:id/b" -> "/a/{id}/b" */
static char *documented_path(const char *path)
{
    struct pj_str out;

    pj_str_init(&out, 256);
    for (; *path != '\0'; path++) {
        if (*path != ':') {
            pj_str_putc(&out, *path);
            continue;
        }
        size_t n = strcspn(path + 1, "/");
        pj_str_putf(&out, "{%.*s}", (int)n, path + 1);
        path += n;
    }
    return pj_str_take(&out);
}

static const json_t *operation_of(const json_t *doc, const struct route *r)
{
    PJ_CLEANUP(pj_freep) char *path = documented_path(r->path);
    char verb[8];
    size_t i = 0;

    for (const char *p = method_name(r->method); *p != '\0'; p++)
        verb[i++] = (char)(*p - 'A' + 'a');
    verb[i] = '\0';
    return json_object_get(json_object_get(json_object_get(doc, "paths"), path), verb);
}

static bool has_parameter(const json_t *operation, const char *in, const char *name)
{
    size_t i;
    json_t *p;

    json_array_foreach(json_object_get(operation, "parameters"), i,
                       p) if (strcmp(pj_json_str(p, "in", ""), in) == 0 &&
                              strcmp(pj_json_str(p, "name", ""), name) == 0) return true;
    return false;
}

Test(document, every_route_is_described_with_its_scope)
{
    json_t *doc = document();

    cr_assert_not_null(doc);
    for (size_t i = 0; i < route_count; i++) {
        const struct route *r = &route_table[i];
        if ((r->flags & ROUTE_PAGE) != 0)
            continue;
        const json_t *o = operation_of(doc, r);
        cr_expect_not_null(o, "%s %s is not described", method_name(r->method), r->path);
        if (o == NULL)
            continue;
        cr_expect_str_eq(pj_json_str(o, "x-scope", ""), scope_name(r->scope), "%s %s",
                         method_name(r->method), r->path);
        cr_expect_eq(has_parameter(o, "header", "Idempotency-Key"),
                     (r->flags & ROUTE_IDEMPOTENT) != 0, "%s %s", method_name(r->method), r->path);
        cr_expect_eq(json_object_get(o, "requestBody") != NULL, r->body_max > 0, "body of %s %s",
                     method_name(r->method), r->path);
    }
    json_decref(doc);
}

Test(document, nothing_is_described_that_is_not_there)
{
    json_t *doc = document(), *item, *operation;
    const char *path, *verb;
    size_t count = 0;

    json_object_foreach(json_object_get(doc, "paths"), path, item)
    {
        json_object_foreach(item, verb, operation)
        {
            count++;
        }
    }
    for (size_t i = 0; i < route_count; i++)
        count += (route_table[i].flags & ROUTE_PAGE) != 0;
    cr_expect_eq(count, route_count);
    json_decref(doc);
}

Test(document, every_reference_leads_somewhere)
{
    json_t *doc = document();
    PJ_CLEANUP(pj_freep) char *text = json_dumps(doc, JSON_COMPACT);
    size_t count = 0;

    for (const char *p = text; (p = strstr(p, "{\"$ref\":\"#/")) != NULL; p += 10) {
        struct pj_view rest = pj_view_n(p + 11, strcspn(p + 11, "\"")), part;
        const json_t *at = doc;
        while (rest.p != NULL && pj_view_cut(&rest, '/', &part)) {
            char name[64];
            snprintf(name, sizeof name, "%.*s", (int)part.n, part.p);
            at = json_object_get(at, name);
        }
        cr_expect_not_null(at, "%.60s", p);
        count++;
    }
    cr_expect_gt(count, 100);
    json_decref(doc);
}

Test(document, the_route_table_is_sorted_and_has_no_doubles)
{
    for (size_t i = 1; i < route_count; i++) {
        int order = strcmp(route_table[i - 1].path, route_table[i].path);
        cr_expect(order < 0 || (order == 0 && strcmp(method_name(route_table[i - 1].method),
                                                     method_name(route_table[i].method)) < 0),
                  "%s %s", method_name(route_table[i].method), route_table[i].path);
    }
}
