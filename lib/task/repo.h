/* repo.h - a connected repository. The sealed credential and webhook secrets are members of their own, which
 * pj_repo_json() never shows. */
#ifndef PJ_TASK_REPO_H
#define PJ_TASK_REPO_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include "lib/base/err.h"
#include "lib/json/codec.h"

enum pj_repo_status { PJ_REPO_CONNECTED, PJ_REPO_INVALID };
enum pj_repo_visibility { PJ_REPO_PRIVATE, PJ_REPO_SHARED };
enum pj_repo_on_check { PJ_ON_CHECK_NEEDS_REVIEW, PJ_ON_CHECK_DRAFT_PR };
enum pj_repo_credential { /* where the credential in use comes from, in the order of trying */
                          PJ_REPO_CREDENTIAL_REPOSITORY,
                          PJ_REPO_CREDENTIAL_APP,
                          PJ_REPO_CREDENTIAL_FORGE,
                          PJ_REPO_CREDENTIAL_ENV
};

extern const char *const pj_repo_status_words[];
extern const char *const pj_repo_visibility_words[];
extern const char *const pj_repo_on_check_words[];
extern const char *const pj_repo_credential_words[];

/* How the result of a task is published; every member may be absent. */
struct pj_repo_publish {
    bool draft;        /* pull requests are opened as drafts */
    char **labels;     /* put on the pull request; NULL-terminated, or NULL */
    char **reviewers;  /* asked for a review: "login", or "organisation/team" */
    char *author_name; /* of the commit; NULL: Pithy Jaunt */
    char *author_email;
    int co_author; /* 0: who asked for the task is not named as co-author */
    char **allow;  /* pj_repo_allow_words: what needs nobody's look before it is pushed */
};
/* "owners", "reviews", "secrets", "workflows" */
extern const char *const pj_repo_allow_words[];
bool pj_repo_allows(const struct pj_repo_publish *publish, const char *word);

struct pj_repo {
    char *id;
    char *owner; /* user id */
    char *url;   /* normalised; the store finds a repository by owner and url */
    char *name;  /* "owner/name", or the path's last part */
    char *default_branch;
    int status;
    char *status_cause; /* why it is invalid */
    int visibility;
    int executor; /* enum pj_task_executor, -1: PJ_EXECUTOR decides */
    char *rootfs;
    char *setup_command;
    int64_t setup_timeout_ms; /* -1: default */
    char *check_command;
    int on_check_failure;
    char **network_allow; /* NULL-terminated, or NULL */
    bool agent_network;
    char **agent;     /* argv of another agent, or NULL */
    bool code_rabbit; /* default true */
    char *trigger_label;
    char *trigger_mention;
    char *notify_url;
    struct pj_repo_publish publish;
    int credential_source; /* enum pj_repo_credential; -1: none */
    int64_t created_ms;
    int64_t updated_ms;
    int64_t verified_ms;
    /* Not shown. Sealed under the context "repo:<id>:credential" and "repo:<id>:webhook". */
    char *credential_username; /* NULL: x-access-token */
    char *credential_sealed;
    char *webhook_sealed;
    char *webhook_old_sealed;     /* the one before */
    int64_t webhook_old_until_ms; /* 24 h after the change */
    char version[41];             /* what the store said when it was read; "": it was not */
};

void pj_repo_init(struct pj_repo *repo); /* zero, with the -1 of absent values and the defaults */
void pj_repo_release(struct pj_repo *repo);
void pj_repo_free(struct pj_repo *repo);
void pj_repo_freep(struct pj_repo **repo);

/* What a client sees (CONTRACT.md section 3); the caller decrefs. */
json_t *pj_repo_json(const struct pj_repo *repo);
/* All of it, sealed parts too: a daemon's job specification. */
json_t *pj_repo_wire(const struct pj_repo *repo);
int pj_repo_from_wire(const json_t *doc, struct pj_repo *out, struct pj_err *err) PJ_MUST_CHECK;

#endif
