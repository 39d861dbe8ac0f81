#include "api/auth.h"

#include <string.h>
#include "lib/base/view.h"

/* Sorted by name. */
const struct scope_row scope_table[] = {
    {"admin:read", SCOPE_ADMIN_READ, true, "users, runners, audit, outbox, analytics"},
    {"admin:write", SCOPE_ADMIN_WRITE, true, "change users, drain runners"},
    {"metrics:read", SCOPE_METRICS, true, "/metrics"},
    {"repos:read", SCOPE_REPOS_READ, false, "see repositories and their analysis"},
    {"repos:write", SCOPE_REPOS_WRITE, false, "connect, change and remove repositories"},
    {"tasks:read", SCOPE_TASKS_READ, false, "see tasks, logs, patches, usage, events"},
    {"tasks:write", SCOPE_TASKS_WRITE, false, "make, change and run tasks"},
    {"tokens:write", SCOPE_TOKENS_WRITE, false, "make and revoke one's own tokens"},
    {NULL, 0, false, NULL},
};

int scopes_parse(const char *text, unsigned *bits)
{
    *bits = SCOPE_SELF;
    for (const char *p = text; *p != '\0';) {
        size_t n = strcspn(p, ", ");
        struct pj_view word = pj_view_n(p, n);
        size_t i = 0;
        p += n + (p[n] != '\0' ? 1 : 0);
        if (n == 0)
            continue;
        if (pj_view_is(word, "*")) {
            *bits |= scopes_of_role(true);
            continue;
        }
        while (scope_table[i].name != NULL && !pj_view_is(word, scope_table[i].name))
            i++;
        if (scope_table[i].name == NULL)
            return -1;
        *bits |= scope_table[i].bit;
    }
    return 0;
}

unsigned scopes_of_role(bool admin)
{
    unsigned bits = SCOPE_SELF;

    for (size_t i = 0; scope_table[i].name != NULL; i++)
        if (admin || !scope_table[i].admin)
            bits |= scope_table[i].bit;
    return bits;
}

const char *scope_name(unsigned bit)
{
    for (size_t i = 0; scope_table[i].name != NULL; i++)
        if (scope_table[i].bit == bit)
            return scope_table[i].name;
    return bit == SCOPE_SELF ? "self" : "public";
}
