/* forge_view.h - a repository as its forge is spoken to: its record, its address, a credential. For what the outbox process does. */
#ifndef RUNNER_FORGE_VIEW_H
#define RUNNER_FORGE_VIEW_H

#include "lib/forge/hosts.h"
#include "lib/store/conn.h"
#include "lib/task/repo.h"
#include "runner/credential.h"
#include "runner/settings.h"

struct forge_view_spec {
    const struct runner_settings *settings;
    struct pj_redis *redis;
    const struct pj_forges *forges;
    bool actions, issues; /* a token of the GitHub App must be allowed that, too */
};

struct forge_view {
    struct pj_repo repo;
    struct pj_repo_address address;
    struct credential credential;
};

/* NOT_FOUND: there is no such repository (any more). Release in either case. */
int forge_view_open(const struct forge_view_spec *spec, const char *repository_id,
                    struct forge_view *out, struct pj_err *err) PJ_MUST_CHECK;
void forge_view_release(struct forge_view *view);

#endif
