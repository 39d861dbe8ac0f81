#include "lib/base/redact.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "lib/base/mem.h"

#define SECRETS_MAX 64
#define FORMS_MAX ((size_t)SECRETS_MAX * 4)
#define SECRET_MIN 8
#define SECRET_MAX 16384

struct pattern {
    char *text;
    size_t n;
};

struct pj_redact {
    struct pattern form[FORMS_MAX];
    size_t count;
    size_t longest;
    bool first[256]; /* bytes that a pattern begins with: most text is passed over by this alone */
};

struct pj_redact *pj_redact_new(void)
{
    return pj_alloc(1, sizeof(struct pj_redact));
}

void pj_redact_free(struct pj_redact *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < r->count; i++) {
        pj_wipe(r->form[i].text, r->form[i].n);
        free(r->form[i].text);
    }
    free(r);
}

static void add_form(struct pj_redact *r, struct pj_str *form)
{
    bool known = form->len < SECRET_MIN || form->full || r->count == FORMS_MAX;

    for (size_t i = 0; i < r->count && !known; i++)
        known = r->form[i].n == form->len && memcmp(r->form[i].text, form->data, form->len) == 0;
    if (!known) {
        r->form[r->count].n = form->len;
        r->form[r->count].text = pj_strndup(form->data, form->len);
        r->first[(unsigned char)form->data[0]] = true;
        if (form->len > r->longest)
            r->longest = form->len;
        r->count++;
    }
    pj_wipe(form->data, form->len);
    pj_str_clear(form);
}

static void put_json(struct pj_str *out, const char *s)
{
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;

        if (c == '\n')
            (void)pj_str_puts(out, "\\n");
        else if (c == '"' || c == '\\')
            (void)pj_str_putf(out, "\\%c", c);
        else if (c < 0x20)
            (void)pj_str_putf(out, "\\u%04x", c);
        else
            (void)pj_str_putc(out, (char)c);
    }
}

static void put_url(struct pj_str *out, const char *s)
{
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     strchr("-._~", c);

        if (plain)
            (void)pj_str_putc(out, (char)c);
        else
            (void)pj_str_putf(out, "%%%02X", c);
    }
}

/* The secret alone in base64, without the last group: what follows it would change that one. */
static void put_base64(struct pj_str *out, const char *s)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t n = strlen(s);

    for (size_t i = 0; i + 3 <= n; i += 3) {
        uint32_t v = (uint32_t)(unsigned char)s[i] << 16 | (uint32_t)(unsigned char)s[i + 1] << 8 |
                     (uint32_t)(unsigned char)s[i + 2];
        char group[4] = {alphabet[v >> 18], alphabet[v >> 12 & 63], alphabet[v >> 6 & 63],
                         alphabet[v & 63]};

        (void)pj_str_append(out, group, sizeof(group));
    }
}

void pj_redact_add(struct pj_redact *r, const char *secret)
{
    struct pj_str form;
    size_t n = secret ? strlen(secret) : 0;

    if (n < SECRET_MIN || n > SECRET_MAX)
        return;
    pj_str_init(&form, SECRET_MAX * 6);
    (void)pj_str_puts(&form, secret);
    add_form(r, &form);
    put_json(&form, secret);
    add_form(r, &form);
    put_url(&form, secret);
    add_form(r, &form);
    put_base64(&form, secret);
    add_form(r, &form);
    pj_str_release(&form);
}

/* The longest pattern that stands at `text`; 0 when none does. */
static size_t match_at(const struct pj_redact *r, struct pj_view text)
{
    size_t best = 0;

    for (size_t i = 0; i < r->count; i++) {
        const struct pattern *p = &r->form[i];

        if (p->n > best && p->n <= text.n && memcmp(p->text, text.p, p->n) == 0)
            best = p->n;
    }
    return best;
}

int pj_redact_append(const struct pj_redact *r, struct pj_str *out, struct pj_view text)
{
    size_t clean = 0, n;

    while (r && clean < text.n) {
        n = r->first[(unsigned char)text.p[clean]]
                ? match_at(r, pj_view_n(text.p + clean, text.n - clean))
                : 0;
        if (!n) {
            clean++;
            continue;
        }
        (void)pj_str_append(out, text.p, clean);
        (void)pj_str_puts(out, "***");
        text.p += clean + n;
        text.n -= clean + n;
        clean = 0;
    }
    (void)pj_str_append(out, text.p, text.n);
    return out->full ? -1 : 0;
}

size_t pj_redact_longest(const struct pj_redact *r)
{
    return r ? r->longest : 0;
}
