/* hosts.h - which forges may be connected (PJ_FORGES), and what a repository's address means there.
 *
 * The table is loaded once and read-only afterwards, so threads may share it. The file is
 * [{"host":"name[:port]","kind":"github"|"gitea"|"git","apiUrl","token","root","insecure"}]; without a file the table has
 * github.com. An entry of kind git with `root` and no host allows paths beneath it. An `http://` address is taken only
 * from an entry with "insecure": true. */
#ifndef PJ_FORGE_HOSTS_H
#define PJ_FORGE_HOSTS_H

#include <stdbool.h>
#include <stddef.h>
#include "lib/base/err.h"
#include "lib/base/redact.h"

enum pj_forge_kind { PJ_FORGE_GITHUB, PJ_FORGE_GITEA, PJ_FORGE_GIT };

struct pj_forge {
    char *host; /* lower case name[:port]; NULL for a root */
    enum pj_forge_kind kind;
    char *api_url; /* no slash at its end; NULL for kind git */
    char *token;   /* NULL: none */
    char *root;    /* absolute, symlinks resolved; NULL for a host */
    bool insecure; /* http:// is allowed */
};

struct pj_forges;

struct pj_forges_spec {
    const char *file; /* PJ_FORGES; NULL or "": github.com alone */
    const char *
        github_api_url; /* GITHUB_API_URL: API of github.com unless its entry has one; NULL: https://api.github.com */
    struct pj_redact *redact; /* gets the tokens; NULL allowed */
};

/* INVALID names PJ_FORGES, the entry's number and the field (exit 78). */
int pj_forges_load(const struct pj_forges_spec *spec, struct pj_forges **out,
                   struct pj_err *err) PJ_MUST_CHECK;
void pj_forges_free(struct pj_forges *forges);
void pj_forges_freep(struct pj_forges **forges);
size_t pj_forges_count(const struct pj_forges *forges);
const struct pj_forge *pj_forges_get(const struct pj_forges *forges, size_t i);

struct pj_repo_address {
    char *
        url; /* normalised: what is stored, shown and given to lib/git; for a path the resolved absolute path */
    char *owner;                  /* "" for a path */
    char *name;                   /* last part, without .git */
    const struct pj_forge *forge; /* borrowed from the table */
    bool is_path;
};

/* Read what a user typed: https://host[:port]/owner/name[.git][/], http:// where allowed, git@host:owner/name.git and
 * ssh://git@host/owner/name.git (read as https), an absolute path or file:// beneath a root. User information, query and
 * fragment are refused. The normalised form has no ".git" and no trailing slash: https://github.com/o/r; it is what makes
 * two spellings equal. INVALID says what is wrong; FORBIDDEN with code "forge_not_allowed" when the host or root is not
 * listed (remedy names PJ_FORGES); NOT_FOUND when a path does not exist. */
int pj_repo_address_parse(const struct pj_forges *forges, const char *text,
                          struct pj_repo_address *out, struct pj_err *err) PJ_MUST_CHECK;
void pj_repo_address_release(struct pj_repo_address *address);

enum pj_credential_source {
    PJ_CREDENTIAL_REPOSITORY,
    PJ_CREDENTIAL_APP,
    PJ_CREDENTIAL_FORGE,
    PJ_CREDENTIAL_ENV,
    PJ_CREDENTIAL_NONE,
};

/* What can be used, in the order it is tried. Borrowed; NULL or "" where there is none. */
struct pj_credential_choice {
    const char *repository_token;
    const char *repository_username;
    const char *app_token; /* an installation token minted for this repository */
    const char *env_token; /* GITHUB_TOKEN: only for forges of kind github */
};

/* The credential for a repository at `forge`; *token and *username are borrowed (NULL when there is none). Paths never get
 * one. */
enum pj_credential_source pj_credential_choose(const struct pj_forge *forge,
                                               const struct pj_credential_choice *choice,
                                               const char **token, const char **username);
/* "repository", "app", "forge", "env"; NULL for NONE. */
const char *pj_credential_source_word(enum pj_credential_source source);
const char *pj_forge_kind_word(enum pj_forge_kind kind);

#endif
