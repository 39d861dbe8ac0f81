/* credential.h - the credential for one repository, in the order repository, App, forge, environment. */
#ifndef RUNNER_CREDENTIAL_H
#define RUNNER_CREDENTIAL_H

#include <stdint.h>
#include "lib/base/err.h"
#include "lib/base/pump.h"
#include "lib/base/redact.h"
#include "lib/forge/app_token.h"
#include "lib/forge/hosts.h"

struct credential_spec {
    const struct pj_repo_address *address;
    struct pj_credential_choice given; /* app_token is filled here */
    struct pj_app app;                 /* id and private_key NULL: no App */
    const char *ca_file;
    int64_t retry_base_ms; /* transient failures: three retries; 0: 1 s */
    const struct pj_pump *pump;
    struct pj_redact *redact; /* gets a minted token; may be NULL */
};

/* Strings are owned. An App's token lives an hour: get another one before the push of a long task. */
struct credential {
    enum pj_credential_source source;
    char *token, *username; /* NULL when source is NONE */
    int64_t expires_ms;     /* Unix time, 0: never or unknown */
};

/* Fails only where an App's token was to be minted and could not be: codes of lib/forge/app_token.h. */
int credential_get(const struct credential_spec *spec, struct credential *out,
                   struct pj_err *err) PJ_MUST_CHECK;
/* Wipes. */
void credential_release(struct credential *credential);

#endif
