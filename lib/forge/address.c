/* What a user typed, read as the address of a repository. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/base/mem.h"
#include "lib/forge/hosts_impl.h"

#define ADDRESS_MAX 2000

void pj_repo_address_release(struct pj_repo_address *address)
{
    free(address->url);
    free(address->owner);
    free(address->name);
    memset(address, 0, sizeof(*address));
}

static int malformed(struct pj_err *err, const char *why)
{
    (void)pj_fail(err, PJ_E_INVALID, "not the address of a repository: %s", why);
    return pj_err_remedy(err, "write https://host/owner/name, or git@host:owner/name.git");
}

/* One part of the path: what forges allow in names, and nothing that means something to a path or a URL. */
static bool part_ok(struct pj_view part)
{
    if (part.n == 0 || part.n > 100 || pj_view_is(part, ".") || pj_view_is(part, ".."))
        return false;
    /* ".git" once more would make another spelling of another repository. */
    if (part.n >= 4 && strncasecmp(part.p + part.n - 4, ".git", 4) == 0)
        return false;
    for (size_t i = 0; i < part.n; i++) {
        unsigned char c = (unsigned char)part.p[i];
        if (!isalnum(c) && strchr("-_.~+", c) == NULL)
            return false;
    }
    return true;
}

static struct pj_view without_suffix(struct pj_view path)
{
    while (path.n > 0 && path.p[path.n - 1] == '/')
        path.n--;
    if (path.n > 4 && strncasecmp(path.p + path.n - 4, ".git", 4) == 0)
        path.n -= 4;
    return path;
}

static const struct pj_forge *find_host(const struct pj_forges *forges, const char *host,
                                        bool plain)
{
    for (size_t i = 0; i < pj_forges_count(forges); i++) {
        const struct pj_forge *f = pj_forges_get(forges, i);
        if (f->host != NULL && strcmp(f->host, host) == 0 && (!plain || f->insecure))
            return f;
    }
    return NULL;
}

static int not_allowed(const struct pj_forges *forges, const char *host, bool plain,
                       struct pj_err *err)
{
    if (plain && find_host(forges, host, false) != NULL) {
        (void)pj_fail(err, PJ_E_FORBIDDEN, "%s may be reached by https only", host);
        (void)pj_err_remedy(err,
                            "write https://, or set \"insecure\": true in its entry in PJ_FORGES");
    } else {
        (void)pj_fail(err, PJ_E_FORBIDDEN,
                      "the host %s is not one that repositories may be connected from", host);
        (void)pj_err_remedy(err, "an operator can list it in PJ_FORGES");
    }
    return pj_err_code(err, "forge_not_allowed");
}

/* host and owner/name apart; several parts before the name only where the forge is plain git. */
static int parse_remote(const struct pj_forges *forges, struct pj_view host, struct pj_view path,
                        bool plain, struct pj_repo_address *out, struct pj_err *err)
{
    if (!pj_forge_host_ok(host))
        return malformed(err, "the host is missing or malformed");
    PJ_CLEANUP(pj_freep) char *name = pj_forge_host_normal(host, plain);
    const struct pj_forge *forge = find_host(forges, name, plain);
    if (forge == NULL)
        return not_allowed(forges, name, plain, err);

    path = without_suffix(path);
    struct pj_view rest = path;
    struct pj_view part = {0};
    size_t parts = 0;
    while (pj_view_cut(&rest, '/', &part)) {
        parts++;
        if (!part_ok(part))
            return malformed(
                err,
                "a part of the path is empty or has a character that repositories do not have");
    }
    if (parts < 2 || (forge->kind != PJ_FORGE_GIT && parts != 2) || parts > 8)
        return malformed(err, "the path must be owner/name");
    out->url = pj_asprintf("%s://%s/%.*s", plain ? "http" : "https", name, (int)path.n, path.p);
    out->owner = pj_strndup(path.p, path.n - part.n - 1);
    out->name = pj_strndup(part.p, part.n);
    out->forge = forge;
    return 0;
}

static bool beneath(const char *path, const char *root)
{
    size_t n = strlen(root);

    if (strcmp(root, "/") == 0)
        return true;
    return strncmp(path, root, n) == 0 && path[n] == '/';
}

static int parse_path(const struct pj_forges *forges, const char *path, struct pj_repo_address *out,
                      struct pj_err *err)
{
    PJ_CLEANUP(pj_freep) char *real = realpath(path, NULL);
    int sys_errno = errno;

    /* Whether a path outside all roots exists is nobody's business: the same answer either way. */
    for (size_t i = 0; i < pj_forges_count(forges); i++) {
        const struct pj_forge *f = pj_forges_get(forges, i);
        if (f->root == NULL)
            continue;
        if (real == NULL && beneath(path, f->root) && strstr(path, "/../") == NULL)
            return pj_fail_errno(err, sys_errno, "%s", path);
        if (real == NULL || !beneath(real, f->root))
            continue;
        const char *slash = strrchr(real, '/');
        out->name = pj_strdup(slash + 1);
        size_t n = strlen(out->name);
        if (n > 4 && strcmp(out->name + n - 4, ".git") == 0)
            out->name[n - 4] = '\0';
        out->owner = pj_strdup("");
        out->forge = f;
        out->is_path = true;
        out->url = real;
        real = NULL;
        return 0;
    }
    (void)pj_fail(err, PJ_E_FORBIDDEN,
                  "the path is not beneath a folder that repositories may be connected from");
    (void)pj_err_remedy(
        err,
        "an operator can list its folder as \"root\" of an entry of kind \"git\" in PJ_FORGES");
    return pj_err_code(err, "forge_not_allowed");
}

static int check_text(struct pj_view text, struct pj_err *err)
{
    if (text.n == 0)
        return malformed(err, "it is empty");
    if (text.n > ADDRESS_MAX)
        return malformed(err, "it is too long");
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        if (c <= ' ' || c == 0x7f || c == '\\')
            return malformed(err, "it has a blank or a control character");
    }
    return 0;
}

/* After the scheme: [user@]host/path. `user` is the only user information that may stand there, NULL: none. */
static int parse_url(const struct pj_forges *forges, struct pj_view rest, const char *user,
                     bool plain, struct pj_repo_address *out, struct pj_err *err)
{
    struct pj_view host = {0};

    if (memchr(rest.p, '?', rest.n) != NULL || memchr(rest.p, '#', rest.n) != NULL)
        return malformed(err, "it has a query or a fragment");
    if (!pj_view_cut(&rest, '/', &host))
        return malformed(err, "the host is missing");
    const char *at = memchr(host.p, '@', host.n);
    if (at != NULL) {
        if (user == NULL || !pj_view_is(pj_view_n(host.p, (size_t)(at - host.p)), user)) {
            (void)pj_fail(err, PJ_E_INVALID, "the address must not hold a user name or a password");
            return pj_err_remedy(err, "give the token as the repository's credential instead");
        }
        host = pj_view_n(at + 1, host.n - (size_t)(at - host.p) - 1);
    }
    return parse_remote(forges, host, rest, plain, out, err);
}

int pj_repo_address_parse(const struct pj_forges *forges, const char *text,
                          struct pj_repo_address *out, struct pj_err *err)
{
    struct pj_view v = pj_view_trim(pj_view_of(text));
    struct pj_view host = {0};

    memset(out, 0, sizeof(*out));
    if (check_text(v, err) < 0)
        return -1;
    PJ_CLEANUP(pj_freep) char *copy = pj_strndup(v.p, v.n);
    if (copy[0] == '/')
        return parse_path(forges, copy, out, err);
    if (strncasecmp(copy, "file://", 7) == 0)
        return copy[7] == '/' ? parse_path(forges, copy + 7, out, err)
                              : malformed(err, "file:// must be followed by an absolute path");
    if (strncasecmp(copy, "https://", 8) == 0)
        return parse_url(forges, pj_view_of(copy + 8), NULL, false, out, err);
    if (strncasecmp(copy, "http://", 7) == 0)
        return parse_url(forges, pj_view_of(copy + 7), NULL, true, out, err);
    if (strncasecmp(copy, "ssh://", 6) == 0)
        return parse_url(forges, pj_view_of(copy + 6), "git", false, out, err);
    if (strncmp(copy, "git@", 4) == 0) {
        struct pj_view rest = pj_view_of(copy + 4);
        if (!pj_view_cut(&rest, ':', &host) || rest.n == 0)
            return malformed(err, "git@host must be followed by :owner/name");
        return parse_remote(forges, host, rest, false, out, err);
    }
    return malformed(err, "it starts with neither https:// nor git@ nor a slash");
}
