#include "sandbox/jsonw.h"

#include <inttypes.h>
#include <string.h>
#include "lib/base/view.h"

void jsonw_string(struct pj_str *out, const char *s)
{
    struct pj_str clean;

    if (!s) {
        pj_str_puts(out, "null");
        return;
    }
    pj_str_init(&clean, 1 << 20);
    pj_utf8_append_clean(&clean, pj_view_of(s));
    pj_str_putc(out, '"');
    for (size_t i = 0; i < clean.len; i++) {
        unsigned char c = (unsigned char)clean.data[i];

        if (c == '"' || c == '\\')
            pj_str_putf(out, "\\%c", c);
        else if (c < 0x20 || c == 0x7f)
            pj_str_putf(out, "\\u%04x", c);
        else
            pj_str_putc(out, (char)c);
    }
    pj_str_putc(out, '"');
    pj_str_release(&clean);
}

void jsonw_comma(struct pj_str *out)
{
    if (out->len && !strchr("{[:", out->data[out->len - 1]))
        pj_str_putc(out, ',');
}

void jsonw_key(struct pj_str *out, const char *name)
{
    jsonw_comma(out);
    jsonw_string(out, name);
    pj_str_putc(out, ':');
}

void jsonw_member_string(struct pj_str *out, const char *name, const char *value)
{
    jsonw_key(out, name);
    jsonw_string(out, value);
}

void jsonw_member_int(struct pj_str *out, const char *name, int64_t value)
{
    jsonw_key(out, name);
    pj_str_putf(out, "%" PRId64, value);
}

void jsonw_member_limit(struct pj_str *out, const char *name, int64_t value)
{
    if (value) {
        jsonw_member_int(out, name, value);
        return;
    }
    jsonw_key(out, name);
    pj_str_puts(out, "null");
}

void jsonw_member_bool(struct pj_str *out, const char *name, bool value)
{
    jsonw_key(out, name);
    pj_str_puts(out, value ? "true" : "false");
}
