/* Which paths and link targets a patch may have: the rules of patch_parse.h that need no diff. */
#include <string.h>
#include <strings.h>

#include "runner/patch_parse.h"

#define PATH_MAX_BYTES 1024

/* Characters that HFS+ leaves out when it compares names (git, utf8.c: next_hfs_char). */
static size_t hfs_ignored(const unsigned char *p, size_t n)
{
    if (n < 3)
        return 0;
    if (p[0] == 0xE2 && p[1] == 0x80 &&
        ((p[2] >= 0x8C && p[2] <= 0x8F) || (p[2] >= 0xAA && p[2] <= 0xAE)))
        return 3;
    if (p[0] == 0xE2 && p[1] == 0x81 && p[2] >= 0xAA && p[2] <= 0xAF)
        return 3;
    if (p[0] == 0xEF && p[1] == 0xBB && p[2] == 0xBF)
        return 3;
    return 0;
}

/* NTFS: ".git" and its short name "git~1", also before trailing dots and blanks and before a stream's colon. */
static bool is_ntfs_dotgit(struct pj_view c)
{
    size_t i;

    if (c.n >= 4 && strncasecmp(c.p, ".git", 4) == 0)
        i = 4;
    else if (c.n >= 5 && strncasecmp(c.p, "git~1", 5) == 0)
        i = 5;
    else
        return false;
    for (; i < c.n; i++) {
        if (c.p[i] == ':')
            return true;
        if (c.p[i] != '.' && c.p[i] != ' ')
            return false;
    }
    return true;
}

bool patch_is_dotgit(struct pj_view component)
{
    char kept[8];
    size_t n = 0;

    if (is_ntfs_dotgit(component))
        return true;
    for (size_t i = 0; i < component.n;) {
        size_t skip = hfs_ignored((const unsigned char *)component.p + i, component.n - i);
        if (skip > 0) {
            i += skip;
            continue;
        }
        if (n == sizeof(kept))
            return false;
        kept[n++] = component.p[i++];
    }
    return n == 4 && strncasecmp(kept, ".git", 4) == 0;
}

static const char *component_fault(struct pj_view part)
{
    struct pj_view rest = part;
    struct pj_view piece = {0};

    if (part.n == 0)
        return "has an empty part";
    if (pj_view_is(part, "."))
        return "has a part \".\"";
    if (pj_view_is(part, ".."))
        return "leaves the tree";
    if (part.n > 255)
        return "has a name of more than 255 bytes";
    /* A backslash parts names on Windows. */
    while (pj_view_cut(&rest, '\\', &piece)) {
        if (patch_is_dotgit(piece))
            return "touches .git";
        if (piece.n < part.n && pj_view_is(piece, ".."))
            return "leaves the tree";
    }
    return NULL;
}

bool patch_path_ok(struct pj_view path, size_t max_bytes, const char **why)
{
    struct pj_view rest = path;
    struct pj_view part = {0};

    *why = NULL;
    if (path.n == 0)
        *why = "is empty";
    else if (path.n > (max_bytes > 0 ? max_bytes : PATH_MAX_BYTES))
        *why = "is too long";
    else if (path.p[0] == '/')
        *why = "is absolute";
    else if (!pj_utf8_valid(path))
        *why = "is not valid UTF-8";
    for (size_t i = 0; *why == NULL && i < path.n; i++) {
        if ((unsigned char)path.p[i] < ' ' || path.p[i] == 0x7f)
            *why = "has a control character";
    }
    while (*why == NULL && pj_view_cut(&rest, '/', &part))
        *why = component_fault(part);
    return *why == NULL;
}

bool patch_link_ok(struct pj_view path, struct pj_view target)
{
    struct pj_view rest = target;
    struct pj_view part = {0};
    size_t depth = 0;
    size_t n = 0;

    if (target.n == 0 || target.n > 4095 || target.p[0] == '/' || target.p[0] == '\\')
        return false;
    for (size_t i = 0; i < target.n; i++) {
        if ((unsigned char)target.p[i] < ' ' || target.p[i] == 0x7f)
            return false;
    }
    for (size_t i = 0; i < path.n; i++)
        depth += path.p[i] == '/';
    while (pj_view_cut(&rest, '/', &part)) {
        n++;
        if (part.n == 0 || pj_view_is(part, "."))
            continue;
        if (patch_is_dotgit(part))
            return false;
        if (!pj_view_is(part, "..")) {
            /* ".." after a name would be counted against that name, which may itself be a link: only leading ones pass. */
            depth = 0;
            continue;
        }
        if (depth == 0)
            return false;
        depth--;
    }
    return n > 0;
}

bool patch_link_name_ok(const char *path)
{
    static const char *const never[] = {".gitmodules", ".gitattributes", ".gitignore"};
    const char *slash = strrchr(path, '/');
    const char *name = slash != NULL ? slash + 1 : path;

    for (size_t i = 0; i < PJ_COUNT_OF(never); i++) {
        if (strcasecmp(name, never[i]) == 0)
            return false;
    }
    return true;
}
