#include "lib/forge/hosts.h"

#include <ctype.h>
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/fs.h"
#include "lib/base/mem.h"
#include "lib/base/view.h"
#include "lib/forge/hosts_impl.h"
#include "lib/json/codec.h"

#define FORGES_MAX 64
#define GITHUB_API "https://api.github.com"

static const char *const kind_words[] = {"github", "gitea", "git", NULL};

struct pj_forges {
    size_t count;
    struct pj_forge item[FORGES_MAX];
};

/* An entry of the file, before it is judged. */
struct entry {
    char *host;
    int kind;
    char *api_url;
    char *token;
    char *root;
    bool insecure;
};

#define AT(field) offsetof(struct entry, field)
static const struct pj_field entry_fields[] = {
    {"apiUrl", PJ_F_STR, AT(api_url), 0, 1, 500},
    {"host", PJ_F_STR, AT(host), 0, 1, 255},
    {"insecure", PJ_F_BOOL, AT(insecure), 0},
    {"kind", PJ_F_WORD, AT(kind), PJ_FF_REQUIRED, 0, 0, kind_words},
    {"root", PJ_F_STR, AT(root), 0, 1, 4000},
    {"token", PJ_F_STR, AT(token), 0, 1, 4000},
};

const char *pj_forge_kind_word(enum pj_forge_kind kind)
{
    return kind_words[kind];
}

void pj_forges_free(struct pj_forges *forges)
{
    if (forges == NULL)
        return;
    for (size_t i = 0; i < forges->count; i++) {
        struct pj_forge *f = &forges->item[i];
        free(f->host);
        free(f->api_url);
        if (f->token != NULL)
            pj_wipe(f->token, strlen(f->token));
        free(f->token);
        free(f->root);
    }
    free(forges);
}

void pj_forges_freep(struct pj_forges **forges)
{
    pj_forges_free(*forges);
}

size_t pj_forges_count(const struct pj_forges *forges)
{
    return forges->count;
}

const struct pj_forge *pj_forges_get(const struct pj_forges *forges, size_t i)
{
    return &forges->item[i];
}

static void trim_slashes(char *s)
{
    size_t n = strlen(s);

    while (n > 0 && s[n - 1] == '/')
        s[--n] = '\0';
}

/* Letters, digits, dots, dashes; a port of digits; or [v6]. */
bool pj_forge_host_ok(struct pj_view host)
{
    struct pj_view name = host;
    size_t i = 0;

    if (host.n == 0 || host.n > 255)
        return false;
    if (host.p[0] == '[') {
        const char *end = memchr(host.p, ']', host.n);
        if (end == NULL || end == host.p + 1)
            return false;
        for (i = 1; host.p + i < end; i++) {
            if (!isxdigit((unsigned char)host.p[i]) && host.p[i] != ':' && host.p[i] != '.')
                return false;
        }
        i++;
    } else {
        while (i < name.n &&
               (isalnum((unsigned char)name.p[i]) || name.p[i] == '.' || name.p[i] == '-'))
            i++;
        if (i == 0 || host.p[0] == '-' || host.p[0] == '.')
            return false;
    }
    if (i == host.n)
        return true;
    uint64_t port = 0;
    return host.p[i] == ':' && host.n - i <= 6 &&
           pj_parse_u64(pj_view_n(host.p + i + 1, host.n - i - 1), &port) == 0 && port > 0 &&
           port < 65536;
}

static char *lower(struct pj_view v)
{
    char *s = pj_strndup(v.p, v.n);

    for (char *p = s; *p != '\0'; p++)
        *p = (char)tolower((unsigned char)*p);
    return s;
}

char *pj_forge_host_normal(struct pj_view host, bool plain)
{
    char *s = lower(host);
    char *port = s[0] == '[' ? strstr(s, "]:") : strchr(s, ':');

    if (port != NULL) {
        if (*port == ']')
            port++;
        if (strcmp(port, plain ? ":80" : ":443") == 0)
            *port = '\0';
    }
    return s;
}

static int entry_check(const struct entry *e, const struct pj_forges *forges, size_t number,
                       struct pj_err *err)
{
    if ((e->host == NULL) == (e->root == NULL))
        return pj_fail(err, PJ_E_INVALID, "PJ_FORGES: entry %zu needs either \"host\" or \"root\"",
                       number);
    if (e->root != NULL && e->kind != PJ_FORGE_GIT)
        return pj_fail(err, PJ_E_INVALID,
                       "PJ_FORGES: entry %zu has \"root\": its \"kind\" must be \"git\"", number);
    if (e->root != NULL && e->root[0] != '/')
        return pj_fail(err, PJ_E_INVALID, "PJ_FORGES: entry %zu: \"root\" must be an absolute path",
                       number);
    if (e->host != NULL && !pj_forge_host_ok(pj_view_of(e->host)))
        return pj_fail(err, PJ_E_INVALID,
                       "PJ_FORGES: entry %zu: \"host\" must be name or name:port, without a scheme",
                       number);
    if (e->api_url != NULL && strncmp(e->api_url, "https://", 8) != 0 &&
        strncmp(e->api_url, "http://", 7) != 0)
        return pj_fail(err, PJ_E_INVALID,
                       "PJ_FORGES: entry %zu: \"apiUrl\" must be an http or https address", number);
    if (e->api_url != NULL && strncmp(e->api_url, "http://", 7) == 0 && !e->insecure)
        return pj_fail(err, PJ_E_INVALID,
                       "PJ_FORGES: entry %zu: an http \"apiUrl\" needs \"insecure\": true", number);
    if (e->kind == PJ_FORGE_GIT && e->api_url != NULL)
        return pj_fail(err, PJ_E_INVALID, "PJ_FORGES: entry %zu: kind \"git\" has no \"apiUrl\"",
                       number);
    if (forges->count >= FORGES_MAX)
        return pj_fail(err, PJ_E_INVALID, "PJ_FORGES: more than %d entries", FORGES_MAX);
    return 0;
}

static char *default_api(const struct entry *e, const char *host, const char *github_api_url)
{
    if (e->kind == PJ_FORGE_GIT)
        return NULL;
    const char *scheme = e->insecure ? "http" : "https";
    if (e->kind == PJ_FORGE_GITEA)
        return pj_asprintf("%s://%s/api/v1", scheme, host);
    if (strcmp(host, "github.com") == 0)
        return pj_strdup(github_api_url != NULL && github_api_url[0] != '\0' ? github_api_url
                                                                             : GITHUB_API);
    /* GitHub Enterprise Server, docs "Getting started with the REST API". */
    return pj_asprintf("%s://%s/api/v3", scheme, host);
}

static int entry_add(struct pj_forges *forges, const struct entry *e, size_t number,
                     const struct pj_forges_spec *spec, struct pj_err *err)
{
    if (entry_check(e, forges, number, err) < 0)
        return -1;
    struct pj_forge *f = &forges->item[forges->count];
    if (e->root != NULL) {
        f->root = realpath(e->root, NULL);
        if (f->root == NULL) {
            (void)pj_fail_errno(err, errno, "PJ_FORGES: entry %zu: root %s", number, e->root);
            err->cls = PJ_E_INVALID;
            return pj_err_remedy(err, "make the folder, or take the entry out");
        }
    }
    forges->count++;
    f->kind = (enum pj_forge_kind)e->kind;
    f->insecure = e->insecure;
    f->token = pj_strdup_or_null(e->token);
    if (e->host != NULL) {
        f->host = pj_forge_host_normal(pj_view_of(e->host), e->insecure);
        f->api_url = e->api_url != NULL ? pj_strdup(e->api_url)
                                        : default_api(e, f->host, spec->github_api_url);
        if (f->api_url != NULL)
            trim_slashes(f->api_url);
    }
    if (spec->redact != NULL)
        pj_redact_add(spec->redact, f->token);
    return 0;
}

static int load_entry(struct pj_forges *forges, const json_t *doc, size_t number,
                      const struct pj_forges_spec *spec, struct pj_err *err)
{
    struct entry e = {0};

    int rc = pj_json_decode(doc, entry_fields, PJ_COUNT_OF(entry_fields), &e, NULL, err);
    if (rc < 0)
        (void)pj_err_wrap(err, "PJ_FORGES: entry %zu", number);
    else
        rc = entry_add(forges, &e, number, spec, err);
    pj_json_release(entry_fields, PJ_COUNT_OF(entry_fields), &e);
    return rc;
}

static int load_file(struct pj_forges *forges, const struct pj_forges_spec *spec,
                     struct pj_err *err)
{
    PJ_CLEANUP(pj_str_release) struct pj_str text;
    PJ_CLEANUP(pj_json_decrefp) json_t *doc = NULL;

    pj_str_init(&text, (size_t)1 << 20);
    if (pj_fs_read(spec->file, &text, err) < 0) {
        (void)pj_err_wrap(err, "PJ_FORGES");
        err->cls = PJ_E_INVALID;
        return pj_err_remedy(err, "PJ_FORGES must be the path of a readable JSON file");
    }
    if (pj_json_parse(pj_view_n(pj_str_cstr(&text), text.len), &doc, err) < 0)
        return pj_err_wrap(err, "PJ_FORGES: %s", spec->file);
    if (!json_is_array(doc) || json_array_size(doc) == 0)
        return pj_fail(err, PJ_E_INVALID,
                       "PJ_FORGES: %s must hold a JSON array with at least one entry", spec->file);
    for (size_t i = 0; i < json_array_size(doc); i++) {
        if (load_entry(forges, json_array_get(doc, i), i + 1, spec, err) < 0)
            return -1;
    }
    return 0;
}

int pj_forges_load(const struct pj_forges_spec *spec, struct pj_forges **out, struct pj_err *err)
{
    PJ_CLEANUP(pj_forges_freep) struct pj_forges *forges = pj_alloc(1, sizeof(*forges));

    if (spec->file != NULL && spec->file[0] != '\0') {
        if (load_file(forges, spec, err) < 0)
            return -1;
    } else {
        char host[] = "github.com";
        struct entry github = {.host = host, .kind = PJ_FORGE_GITHUB};
        if (entry_add(forges, &github, 1, spec, err) < 0)
            return -1;
    }
    *out = forges;
    forges = NULL;
    return 0;
}

enum pj_credential_source pj_credential_choose(const struct pj_forge *forge,
                                               const struct pj_credential_choice *choice,
                                               const char **token, const char **username)
{
    const struct {
        enum pj_credential_source source;
        const char *token;
        const char *username;
    } order[] = {
        {PJ_CREDENTIAL_REPOSITORY, choice->repository_token, choice->repository_username},
        {PJ_CREDENTIAL_APP, choice->app_token, NULL},
        {PJ_CREDENTIAL_FORGE, forge->token, NULL},
        {PJ_CREDENTIAL_ENV, forge->kind == PJ_FORGE_GITHUB ? choice->env_token : NULL, NULL},
    };

    *token = NULL;
    *username = NULL;
    if (forge->root != NULL)
        return PJ_CREDENTIAL_NONE;
    for (size_t i = 0; i < PJ_COUNT_OF(order); i++) {
        if (order[i].token == NULL || order[i].token[0] == '\0')
            continue;
        *token = order[i].token;
        *username = order[i].username != NULL && order[i].username[0] != '\0' ? order[i].username
                                                                              : "x-access-token";
        return order[i].source;
    }
    return PJ_CREDENTIAL_NONE;
}

const char *pj_credential_source_word(enum pj_credential_source source)
{
    static const char *const words[] = {"repository", "app", "forge", "env", NULL};

    return words[source];
}
