/* repo_body.h - what a client may say about a repository, and putting it into struct pj_repo. */
#ifndef API_REPO_BODY_H
#define API_REPO_BODY_H

#include "api/request.h"
#include "lib/task/repo.h"

struct repo_body_credential {
    char *token, *username;
};

struct repo_body_trigger {
    char *label, *mention;
};

struct repo_body {
    char *url;
    char *default_branch;
    struct repo_body_credential credential;
    int visibility, executor, on_check_failure, code_rabbit;
    char *rootfs, *setup_command, *check_command, *notify_url;
    int64_t setup_timeout_ms;
    char **network_allow, **agent;
    bool agent_network;
    struct repo_body_trigger trigger;
    struct pj_repo_publish publish;
    /* Which were in the document: an edit changes these and no other; null takes a value away. */
    bool has_branch, has_credential, has_visibility, has_executor, has_on_check, has_code_rabbit,
        has_rootfs, has_setup, has_setup_timeout, has_check, has_notify, has_network, has_agent,
        has_agent_network, has_trigger, has_publish;
};

/* Read and check the request's body. `edit`: no url. 0, or -1 when answered. Release in both cases. */
int repo_body_read(struct request *req, bool edit, struct repo_body *out) PJ_MUST_CHECK;
void repo_body_release(struct repo_body *body);
/* Everything but url and credential. */
void repo_body_apply(struct repo_body *body, struct pj_repo *repo);

#endif
