/* rest.h - one call of a forge's REST API (GitHub, GitHub Enterprise, Gitea, Forgejo), and what its answer means.
 *
 * GitHub: docs.github.com/en/rest, version 2022-11-28; a call without a User-Agent is refused there (lib/http sends one).
 * Gitea: docs.gitea.com/api. No retry here: the caller knows what may be repeated. */
#ifndef PJ_FORGE_REST_H
#define PJ_FORGE_REST_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include "lib/base/err.h"
#include "lib/base/pump.h"
#include "lib/base/str.h"
#include "lib/forge/hosts.h"

struct pj_http;

struct pj_rest {
    struct pj_http *http;
    const struct pj_forge *forge; /* kind github or gitea */
    const char *token;
    int64_t timeout_ms; /* 0: 30 s */
    const struct pj_pump *pump;
};

struct pj_rest_answer {
    int status;
    json_t *doc;         /* NULL when the body is no JSON */
    char message[400];   /* the forge's own words, with those of errors[]; "" when it gave none */
    char request_id[80]; /* x-github-request-id */
    bool rate_limited;   /* 429, or 403 for a rate: primary or secondary limit */
    int64_t retry_after_ms; /* what the answer asks to wait; -1: it does not say */
};

/* `path` begins with a slash and is already escaped. `body` (NULL: none) is borrowed. 0 whenever an answer came, whatever its
 * status; -1 with the error of lib/http/client.h otherwise. *out is initialised here; release it in either case. */
int pj_rest_call(const struct pj_rest *rest, const char *method, const char *path,
                 const json_t *body, struct pj_rest_answer *out, struct pj_err *err) PJ_MUST_CHECK;
void pj_rest_answer_release(struct pj_rest_answer *answer);

/* Turn an answer that is no success into *err (returns -1): AUTH/"github_auth" for 401; RATE/"github_rate_limited";
 * FORBIDDEN/"github_permission" for 403, and for 404 (which is what a forge says about what the token may not see);
 * UNAVAILABLE/"github_service" for 5xx; INVALID/"pr_failed" otherwise. With the forge's words and a remedy. */
int pj_rest_fail(const struct pj_rest_answer *answer, const char *what, struct pj_err *err);

/* Append `text` percent-encoded, but for the characters that need none. */
void pj_url_escape(struct pj_str *out, const char *text);

#endif
