/* hook_github.h - what the parts of GitHub's webhook share.
 *
 * hook_github.c judges signature and kind; hook_trigger.c turns issues into tasks, hook_coderabbit.c review comments into findings. */
#ifndef API_HOOK_GITHUB_H
#define API_HOOK_GITHUB_H

#include <jansson.h>
#include "api/request.h"
#include "lib/store/repos.h"

/* The request's context while a GitHub hook is worked on. */
struct github_hook {
    json_t *doc;
    char delivery[80];         /* X-GitHub-Delivery */
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

#endif
