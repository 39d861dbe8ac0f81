#include "runner/agent/prompt.h"

#include <string.h>
#include "lib/base/view.h"

#define HOLES_MAX 32

static const struct pj_embedded *find(const char *file)
{
    for (const struct pj_embedded *e = agent_prompts; e->name; e++)
        if (strcmp(e->name, file) == 0)
            return e;
    return NULL;
}

static int fill(struct pj_view name, const struct prompt_value *values, size_t count, bool *used,
                struct pj_str *out)
{
    for (size_t i = 0; i < count; i++) {
        if (!pj_view_is(name, values[i].name))
            continue;
        used[i] = true;
        return values[i].text ? pj_str_puts(out, values[i].text) : 0;
    }
    return PJ_NONE;
}

int prompt_render(const char *file, const struct prompt_value *values, size_t count,
                  struct pj_str *out, struct pj_err *err)
{
    const struct pj_embedded *prompt = find(file);
    bool used[HOLES_MAX] = {false};
    const char *p, *open, *close;

    if (!prompt)
        return pj_fail(err, PJ_E_INVALID, "there is no prompt %s", file);
    for (p = (const char *)prompt->data; (open = strstr(p, "{{")); p = close + 2) {
        if (!(close = strstr(open, "}}")))
            return pj_fail(err, PJ_E_INVALID, "prompt %s: a hole is not closed", file);
        struct pj_view name = pj_view_n(open + 2, (size_t)(close - open - 2));
        (void)pj_str_append(out, p, (size_t)(open - p));
        if (fill(name, values, count, used, out) == PJ_NONE)
            return pj_fail(err, PJ_E_INVALID, "prompt %s: nothing for hole {{%.*s}}", file,
                           (int)name.n, name.p);
    }
    (void)pj_str_puts(out, p);
    for (size_t i = 0; i < count && i < HOLES_MAX; i++)
        if (!used[i])
            return pj_fail(err, PJ_E_INVALID, "prompt %s has no hole {{%s}}", file, values[i].name);
    return out->full ? pj_fail(err, PJ_E_LIMIT, "prompt %s does not fit", file) : 0;
}

int prompt_fence(struct pj_str *out, const char *text)
{
    size_t longest = 2, run = 0, n = strlen(text);

    for (const char *p = text; *p; p++) {
        run = *p == '`' ? run + 1 : 0;
        longest = run > longest ? run : longest;
    }
    for (size_t i = 0; i <= longest; i++)
        (void)pj_str_putc(out, '`');
    (void)pj_str_putc(out, '\n');
    (void)pj_str_puts(out, text);
    if (n == 0 || text[n - 1] != '\n')
        (void)pj_str_putc(out, '\n');
    for (size_t i = 0; i <= longest; i++)
        (void)pj_str_putc(out, '`');
    return pj_str_putc(out, '\n');
}
