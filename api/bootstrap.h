/* bootstrap.h - the first admin: made with PJ_BOOTSTRAP_TOKEN, or with a set-up token that is printed once. */
#ifndef API_BOOTSTRAP_H
#define API_BOOTSTRAP_H

#include "api/settings.h"
#include "lib/base/err.h"

struct pj_redis;

/* Does nothing when a user exists. Several processes may try at once: one wins. */
int bootstrap(struct pj_redis *redis, const struct settings *settings,
              struct pj_err *err) PJ_MUST_CHECK;

#endif
