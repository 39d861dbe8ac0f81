/* hook_github.h - what the parts of GitHub's webhook share.
 *
 * hook_github.c judges signature and kind; hook_trigger.c turns issues into tasks, hook_coderabbit.c review comments into findings,
 * hook_run.c ends tasks whose workflow run ended. */
#ifndef API_HOOK_GITHUB_H
#define API_HOOK_GITHUB_H

#include <jansson.h>
#include "api/request.h"
#include "lib/store/repos.h"

/* The request's context while a GitHub hook is worked on. */
struct github_hook {
    json_t *doc;
    char digest[65]; /* of the body: what a delivery is known by */
    int tries;
    struct pj_repo_page repos; /* connected under the hook's repository */
    size_t at;                 /* the one that is next */
    json_t *made;              /* array of ids, for the answer */
    void (*then)(struct request *req);
};

/* Find the repositories of `doc.repository`, then call `then` (also with none). */
void hook_github_repositories(struct request *req, void (*then)(struct request *req));
/* 202 {event, handled:false}. */
void hook_github_nothing(struct request *req, const char *event);

/* issues, issue_comment */
void hook_trigger(struct request *req);
/* pull_request_review_comment, pull_request_review */
void hook_coderabbit(struct request *req);
/* Did CodeRabbit itself say this? Login and type together: anybody may register a similar name, nobody a bot's. */
bool hook_by_coderabbit(const json_t *said);
/* workflow_run */
void hook_run(struct request *req);

#endif
