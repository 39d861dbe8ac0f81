#include "tests/support/forge_contract.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "lib/base/fs.h"
#include "lib/base/mem.h"
#include "lib/json/codec.h"
#include "tests/support/schema.h"

struct forge_contract {
    json_t *doc;
};

struct forge_contract *forge_contract_open(void)
{
    struct forge_contract *c = pj_alloc(1, sizeof *c);
    json_error_t error;

    c->doc = json_load_file(PJ_SOURCE_DIR "/tests/support/github/openapi.json", 0, &error);
    if (c->doc == NULL) {
        fprintf(stderr, "openapi.json: %s\n", error.text);
        abort();
    }
    return c;
}

void forge_contract_free(struct forge_contract *c)
{
    if (c != NULL)
        json_decref(c->doc);
    free(c);
}

static char *decoded(struct pj_view text)
{
    char *out = pj_strndup(text.p, text.n), *to = out;
    unsigned byte;

    for (const char *p = out; *p != '\0'; p++) {
        if (*p == '%' && sscanf(p + 1, "%2x", &byte) == 1) {
            *to++ = (char)byte;
            p += 2;
        } else {
            *to++ = *p;
        }
    }
    *to = '\0';
    return out;
}

/* A parameter's text as the type its schema wants. */
static json_t *typed(const json_t *schema, const char *text)
{
    const char *type = pj_json_str(schema, "type", "");
    int64_t n;

    if (strcmp(type, "string") != 0 && pj_parse_i64(pj_view_of(text), &n) == 0)
        return json_integer(n);
    if (strcmp(type, "boolean") == 0)
        return json_boolean(strcmp(text, "true") == 0);
    return json_string(text);
}

/* Does "METHOD /template/{with}/holes" fit? A hole takes one segment. */
static bool fits(const char *template, const char *method, const char *path)
{
    struct pj_view want, got, all = pj_view_of(template), mine = pj_view_of(path);

    if (!pj_view_cut(&all, ' ', &want) || !pj_view_is(want, method))
        return false;
    for (;;) {
        bool more = pj_view_cut(&all, '/', &want), have = pj_view_cut(&mine, '/', &got);
        if (!more || !have)
            return more == have;
        bool hole = want.n > 0 && want.p[0] == '{';
        if (hole ? got.n == 0 : want.n != got.n || memcmp(want.p, got.p, want.n) != 0)
            return false;
    }
}

static void check_path(const struct forge_contract *c, const json_t *op, const char *template,
                       const char *path, struct pj_str *problems)
{
    struct pj_view want, got, all = pj_view_of(template), mine = pj_view_of(path);

    (void)pj_view_cut(&all, ' ', &want);
    while (pj_view_cut(&all, '/', &want) && pj_view_cut(&mine, '/', &got)) {
        if (want.n < 2 || want.p[0] != '{')
            continue;
        PJ_CLEANUP(pj_freep) char *name = pj_strndup(want.p + 1, want.n - 2);
        PJ_CLEANUP(pj_freep) char *text = decoded(got);
        const json_t *schema = json_object_get(json_object_get(op, "path"), name);
        PJ_CLEANUP(pj_json_decrefp) json_t *value = typed(schema, text);
        (void)schema_check(c->doc, schema, value, name, true, problems);
    }
}

static void check_query(const struct forge_contract *c, const json_t *op, const char *query,
                        struct pj_str *problems)
{
    struct pj_view part, rest = pj_view_of(query != NULL ? query : "");
    json_t *rows = json_object_get(op, "query"), *row;
    PJ_CLEANUP(pj_json_decrefp) json_t *seen = json_object();
    const char *name;

    while (query != NULL && pj_view_cut(&rest, '&', &part)) {
        struct pj_view key;
        (void)pj_view_cut(&part, '=', &key);
        PJ_CLEANUP(pj_freep) char *name_text = decoded(key);
        PJ_CLEANUP(pj_freep) char *text = decoded(part);
        const json_t *known = json_object_get(rows, name_text);
        if (known == NULL) {
            (void)pj_str_putf(problems, "?%s: is no parameter of this call\n", name_text);
            continue;
        }
        PJ_CLEANUP(pj_json_decrefp)
        json_t *value = typed(json_object_get(known, "schema"), text);
        (void)schema_check(c->doc, json_object_get(known, "schema"), value, name_text, true,
                           problems);
        json_object_set_new(seen, name_text, json_true());
    }
    json_object_foreach(rows, name, row)
    {
        if (pj_json_bool(row, "required", false) && json_object_get(seen, name) == NULL)
            (void)pj_str_putf(problems, "?%s: is required\n", name);
    }
}

/* docs.github.com, "Getting started with the REST API": the agent is required, type and version are asked for. */
static void check_headers(const struct stand_in_request *r, struct pj_str *problems)
{
    static const struct {
        const char *name, *begins;
    } rows[] = {
        {"Accept", "application/vnd.github+json"},
        {"Authorization", "Bearer "},
        {"User-Agent", ""},
        {"X-GitHub-Api-Version", "2022-11-28"},
    };

    for (size_t i = 0; i < PJ_COUNT_OF(rows); i++) {
        const char *value = stand_in_header(r, rows[i].name);
        if (value == NULL || value[0] == '\0' ||
            strncmp(value, rows[i].begins, strlen(rows[i].begins)) != 0)
            (void)pj_str_putf(problems, "header %s: %s\n", rows[i].name,
                              value != NULL ? value : "is missing");
    }
}

static void check_body(const struct forge_contract *c, const json_t *op,
                       const struct stand_in_request *r, struct pj_str *problems)
{
    const json_t *body = json_object_get(op, "body");
    const char *type = stand_in_header(r, "Content-Type");
    PJ_CLEANUP(pj_json_decrefp) json_t *doc = NULL;

    if (r->body_len == 0) {
        if (pj_json_bool(body, "required", false))
            (void)pj_str_puts(problems, "body: is required\n");
        return;
    }
    doc = json_loadb(r->body, r->body_len, 0, NULL);
    if (body == NULL)
        (void)pj_str_puts(problems, "body: this call takes none\n");
    else if (doc == NULL)
        (void)pj_str_puts(problems, "body: is no JSON\n");
    else
        (void)schema_check(c->doc, json_object_get(body, "schema"), doc, "body", true, problems);
    if (type == NULL || strncmp(type, "application/json", 16) != 0)
        (void)pj_str_puts(problems, "header Content-Type: is not application/json\n");
}

const json_t *forge_contract_request(const struct forge_contract *c,
                                     const struct stand_in_request *r, const char *path,
                                     struct pj_str *problems)
{
    const char *name;
    json_t *op;

    check_headers(r, problems);
    json_object_foreach(json_object_get(c->doc, "operations"), name, op)
    {
        if (!fits(name, r->method, path))
            continue;
        check_path(c, op, name, path, problems);
        check_query(c, op, r->query, problems);
        check_body(c, op, r, problems);
        return op;
    }
    (void)pj_str_puts(problems, "there is no such call\n");
    return NULL;
}

/* The schema of an answer; NULL: it has no body. *known tells whether the description has the status at all. */
static const json_t *answer_schema(const struct forge_contract *c, const json_t *op, int status,
                                   bool *known)
{
    const json_t *answers = json_object_get(op, "responses");
    char text[16];

    (void)snprintf(text, sizeof text, "%d", status);
    const json_t *schema = json_object_get(answers, text);
    *known = schema != NULL || status >= 400;
    if (schema == NULL && status >= 400) /* any call may be refused: all refusals look alike */
        schema = json_object_get(json_object_get(json_object_get(c->doc, "components"), "schemas"),
                                 "basic-error");
    return json_is_null(schema) ? NULL : schema;
}

void forge_contract_answer(const struct forge_contract *c, const json_t *operation, int status,
                           json_t *doc, struct pj_str *problems)
{
    bool known;
    const json_t *schema = answer_schema(c, operation, status, &known);

    if (!known)
        (void)pj_str_putf(problems, "answer: this call never answers %d\n", status);
    else if (schema != NULL && doc == NULL)
        (void)pj_str_puts(problems, "answer: is no JSON\n");
    else if (schema != NULL)
        (void)schema_check(c->doc, schema, doc, "answer", false, problems);
}

void forge_contract_fill(const struct forge_contract *c, const json_t *operation, int status,
                         json_t *doc)
{
    bool known;
    const json_t *schema = answer_schema(c, operation, status, &known);

    if (schema != NULL && status < 300)
        schema_fill(c->doc, schema, doc);
}
