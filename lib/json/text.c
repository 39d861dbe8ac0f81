#include "lib/json/codec.h"

#include <stdio.h>
#include <string.h>

/* jansson allows 2048 levels and any number of values, each of which takes a hundred bytes: a hostile document should cost
 * neither such recursion nor such memory. Strings are skipped, brackets and commas counted. */
static int check_shape(struct pj_view text, struct pj_err *err)
{
    bool in_string = false;
    int depth = 0;
    size_t values = 0;

    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];

        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[' || c == ',') {
            if (++values > PJ_JSON_VALUES_MAX)
                return pj_fail(err, PJ_E_LIMIT, "JSON holds more than %d values",
                               PJ_JSON_VALUES_MAX);
            if (c != ',' && ++depth > PJ_JSON_DEPTH_MAX)
                return pj_fail(err, PJ_E_INVALID, "JSON is nested deeper than %d levels",
                               PJ_JSON_DEPTH_MAX);
        } else if (c == '}' || c == ']') {
            depth--;
        }
    }
    return 0;
}

int pj_json_parse(struct pj_view text, json_t **out, struct pj_err *err)
{
    json_error_t where;
    json_t *doc;

    if (check_shape(text, err) < 0)
        return -1;
    doc =
        json_loadb(text.p ? text.p : "", text.n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &where);
    if (!doc)
        return pj_fail(err, PJ_E_INVALID, "not valid JSON at line %d, column %d: %s", where.line,
                       where.column, where.text);
    *out = doc;
    return 0;
}

/* Most texts need nothing done to them. */
static bool is_plain(struct pj_view text)
{
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] < 0x20 || text.p[i] >= 0x7f || text.p[i] == '"' || text.p[i] == '\\')
            return false;
    return true;
}

int pj_json_quote(struct pj_str *out, struct pj_view text)
{
    struct pj_str clean;
    const char *p;
    size_t n;

    if (is_plain(text)) {
        (void)pj_str_putc(out, '"');
        (void)pj_str_append(out, text.p, text.n);
        return pj_str_putc(out, '"');
    }
    pj_str_init(&clean, text.n * 3 + 1);
    (void)pj_utf8_append_clean(&clean, text);
    p = pj_str_cstr(&clean);
    (void)pj_str_putc(out, '"');
    for (n = 0; n < clean.len; n++) {
        size_t run = n;

        while (run < clean.len && (unsigned char)p[run] >= 0x20 && p[run] != '"' && p[run] != '\\')
            run++;
        (void)pj_str_append(out, p + n, run - n);
        n = run;
        if (n == clean.len)
            break;
        if (p[n] == '"' || p[n] == '\\')
            (void)pj_str_putf(out, "\\%c", p[n]);
        else if (p[n] == '\n')
            (void)pj_str_puts(out, "\\n");
        else if (p[n] == '\t')
            (void)pj_str_puts(out, "\\t");
        else if (p[n] == '\r')
            (void)pj_str_puts(out, "\\r");
        else
            (void)pj_str_putf(out, "\\u%04x", (unsigned)(unsigned char)p[n]);
    }
    pj_str_release(&clean);
    return pj_str_putc(out, '"');
}
