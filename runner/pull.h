/* pull.h - from a pushed branch to a pull request: looked up by head, created, adopted when it exists, retried.
 *
 * One try and three retries at 1, 2, 4 times `retry_base_ms` with jitter; Retry-After and x-ratelimit-reset are honoured when
 * they lie within `deadline_ms`. 401, 403, 404 and 422 are not retried (422 "No commits between" once, since GitHub may lag
 * behind a push). */
#ifndef RUNNER_PULL_H
#define RUNNER_PULL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "lib/base/err.h"
#include "lib/base/pump.h"
#include "lib/base/str.h"
#include "lib/forge/hosts.h"

/* What the forge said last, for error.upstream: filled on failure too. */
struct pull_upstream {
    long status; /* HTTP status, 0: no answer */
    char message[400];
    char request_id[80];
};

struct pull_forge {
    const struct pj_forge *forge; /* kind github or gitea */
    const char *token;            /* NULL: none, which is AUTH/"github_auth" with the remedy */
    const char *ca_file;
    int64_t timeout_ms;    /* one request; 0: 30 s */
    int64_t retry_base_ms; /* PJ_RETRY_BASE; 0: 1 s */
    int64_t deadline_ms;   /* pj_mono_ms() after which no retry starts; 0: none */
    const struct pj_pump *pump;
    /* Told before each wait: number of the retry (1-3), how long, and why. May be NULL. */
    void (*on_retry)(void *ctx, int retry, int64_t wait_ms, const struct pj_err *why);
    void *on_retry_ctx;
};

struct pull_spec {
    const char *owner, *name;
    const char *head; /* branch pushed, in the same repository */
    const char *base;
    const char *title; /* as made by publish_subject() */
    const char *body;  /* as made by pull_body() */
    bool draft;
    int64_t comments_since_ms; /* pull_comment(): ours is not older; 0: look from the first one */
};

struct pull_result {
    int64_t number;
    char *url;    /* the page, not the API; owned */
    bool adopted; /* existed before */
    struct pull_upstream upstream;
};

/* Codes: "github_auth", "github_permission", "github_rate_limited", "github_service", "pr_failed" (message is the forge's);
 * "no_changes" when the branch has no commit that the base lacks. Release *out in either case. */
int pull_open(const struct pull_forge *forge, const struct pull_spec *spec, struct pull_result *out,
              struct pj_err *err) PJ_MUST_CHECK;
void pull_result_release(struct pull_result *result);

/* Before a model is called: does the forge say that this token cannot push here, or that a rule of its forbids our branch? Uses
 * owner, name and head of `spec` (head NULL: rules are not looked at). 0 also when the forge does not say. AUTH/"github_auth" (no token, or refused), FORBIDDEN/"github_permission" (archived, read only, a ruleset that this token cannot bypass). */
int pull_preflight(const struct pull_forge *forge, const struct pull_spec *spec,
                   struct pull_upstream *upstream, struct pj_err *err) PJ_MUST_CHECK;

/* A comment on the pull request (`@coderabbitai review`), unless one with exactly this text is there. */
int pull_comment(const struct pull_forge *forge, const struct pull_spec *spec, int64_t number,
                 const char *text, struct pull_upstream *upstream,
                 struct pj_err *err) PJ_MUST_CHECK;

/* "open", "closed" or "merged". */
int pull_state(const struct pull_forge *forge, const struct pull_spec *spec, int64_t number,
               const char **state, struct pull_upstream *upstream,
               struct pj_err *err) PJ_MUST_CHECK;
/* Add labels; those that are there stay. A forge may make the ones it does not know. */
int pull_label(const struct pull_forge *forge, const struct pull_spec *spec, int64_t number,
               char *const *labels, struct pull_upstream *upstream,
               struct pj_err *err) PJ_MUST_CHECK;
/* Ask people ("login") and teams ("organisation/team") for a review. */
int pull_request_review(const struct pull_forge *forge, const struct pull_spec *spec,
                        int64_t number, char *const *reviewers, struct pull_upstream *upstream,
                        struct pj_err *err) PJ_MUST_CHECK;
/* The forge's own number for the repository. */
int pull_repository_id(const struct pull_forge *forge, const struct pull_spec *spec, int64_t *id,
                       struct pull_upstream *upstream, struct pj_err *err) PJ_MUST_CHECK;

struct pull_check {
    const char *command;
    const char *before; /* "passed", "failed (exit 1)", NULL: not run */
    const char *after;
};

/* What the body tells. NULL and negative: left out. */
struct pull_body_spec {
    const char *task_id, *task_title, *task_description, *task_url;
    const char *summary; /* the agent's own words */
    size_t files, added, removed;
    const struct pull_check *checks;
    size_t check_count;
    const char *provider, *model;
    bool is_replay;
    int64_t turns, prompt_tokens, completion_tokens, cached_tokens, cost_microusd, duration_ms;
    const char *base_branch, *base_sha, *executor;
    const char *const *limits_hit;    /* NULL-terminated, or NULL */
    const char *const *hosts_refused; /* the same */
    const char *fixes;                /* "#12", or NULL */
    const char *co_author;
    bool coderabbit_added;
};
#define PULL_BODY_MAX ((size_t)65536) /* GitHub: characters */
/* Foreign text is fenced as a quotation with @mentions and closing keywords ("fixes #1") made harmless. Never over
 * PULL_BODY_MAX characters: the description is cut with a mark. *out is initialised here. */
void pull_body(const struct pull_body_spec *spec, struct pj_str *out);

#endif
