/* permissions.h - does a token allow what a task needs at its forge? Asked when a repository is connected, and by `pj doctor`.
 *
 * Nothing is written there. Contents are judged by the offer to push that the forge makes to git (docs: git-scm.com, "http-protocol",
 * service git-receive-pack), pull requests and Actions by lists that need the permission to be read. Only a clear no is one: a forge
 * that does not answer, or answers oddly, is no reason to refuse. */
#ifndef PJ_FORGE_PERMISSIONS_H
#define PJ_FORGE_PERMISSIONS_H

#include "lib/forge/rest.h"

/* 0 when nothing is known to be missing. Else FORBIDDEN/"github_permission": the message names each missing permission, as the
 * forge's own pages call it; AUTH/"github_auth" when the token is not known. `rest->token` must be set; `address` is no path.
 * `actions`: a workflow is to be started, too. */
int pj_forge_permissions(const struct pj_rest *rest, const struct pj_repo_address *address,
                         bool actions, struct pj_err *err) PJ_MUST_CHECK;

#endif
