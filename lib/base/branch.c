#include "lib/base/branch.h"

#include <string.h>
#include "lib/base/view.h"

/* One part between slashes. */
static bool part_valid(struct pj_view part)
{
    static const char lock[] = ".lock";
    const size_t n = sizeof lock - 1;

    if (part.n == 0 || part.p[0] == '.')
        return false;
    return part.n < n || memcmp(part.p + part.n - n, lock, n) != 0;
}

bool pj_branch_name_valid(const char *name)
{
    struct pj_view rest = pj_view_of(name), part;

    if (rest.n == 0 || rest.n >= PJ_BRANCH_SIZE || name[0] == '-' || strcmp(name, "HEAD") == 0 ||
        name[rest.n - 1] == '/' || name[rest.n - 1] == '.')
        return false;
    for (const char *p = name; *p != '\0'; p++)
        if ((unsigned char)*p <= ' ' || *p == 0x7f || strchr("~^:?*[\\", *p) != NULL)
            return false;
    if (strstr(name, "..") != NULL || strstr(name, "@{") != NULL)
        return false;
    while (rest.p != NULL && pj_view_cut(&rest, '/', &part))
        if (!part_valid(part))
            return false;
    return true;
}
