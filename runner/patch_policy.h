/* patch_policy.h - well-formed changes that a person has to look at before they are pushed.
 *
 * One table of path rules (workflows, code owners, …) and one of secret shapes looked for in added lines. A finding ends the
 * task as needs_review/patch_policy with the patch kept, unless the repository allows it. No I/O. */
#ifndef RUNNER_PATCH_POLICY_H
#define RUNNER_PATCH_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include "runner/patch_parse.h"

struct patch_policy {
    bool allow_workflows; /* .github/workflows and its like */
    bool allow_owners;    /* CODEOWNERS */
    bool allow_reviews;   /* CodeRabbit's configuration */
    bool allow_secrets;   /* do not look for secrets */
    const char *own_file; /* a path that we add ourselves (.coderabbit.yaml), or NULL */
};

#define PATCH_FINDINGS_MAX 16
struct patch_finding {
    char path[256];
    char why[160]; /* never holds the secret itself */
};
struct patch_findings {
    size_t count; /* may exceed PATCH_FINDINGS_MAX: then only the first are kept */
    struct patch_finding item[PATCH_FINDINGS_MAX];
};

/* 0 when nothing is found; FORBIDDEN with code "patch_policy" otherwise: the message lists path and reason of the first few. */
int patch_policy_check(const struct patch *patch, const struct patch_policy *policy,
                       struct patch_findings *found, struct pj_err *err) PJ_MUST_CHECK;

#endif
