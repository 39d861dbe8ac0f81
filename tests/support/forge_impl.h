/* forge_impl.h - what the files of the forge stand-in share. */
#ifndef TESTS_SUPPORT_FORGE_IMPL_H
#define TESTS_SUPPORT_FORGE_IMPL_H

#include <pthread.h>
#include "lib/base/str.h"
#include "tests/support/forge_contract.h"
#include "tests/support/forge_server.h"

#define API "/api/v3"
#define RULES_MAX 32

struct rule {
    char *method, *path_part, *headers, *body;
    unsigned times;
    int status; /* RULE_CUT, RULE_CUT_AFTER: the connection breaks */
};
enum { RULE_CUT = -1, RULE_CUT_AFTER = -2 };

struct forge_server {
    struct stand_in *http;
    char *root;
    char host[40];
    pthread_mutex_t lock; /* guards what follows */
    struct rule rules[RULES_MAX];
    size_t rule_count;
    json_t *pulls;    /* "owner/name" -> array */
    json_t *comments; /* "owner/name#number" -> array */
    json_t *runs;     /* array, oldest first */
    json_t *roles;    /* login -> permission */
    int next_number;
    int64_t next_run, hidden_from; /* runs from there on are not listed; 0: all are */
    enum forge_dispatch dispatch;
    struct {
        const char *method, *part; /* NULL: none waits */
        bool after, done;
    } stall;
    pthread_cond_t stalled;
    bool cut_after_create, cut_answer, revoked;
    size_t refused, overreached;
    struct pj_str problems; /* what went against GitHub's description */
    struct forge_contract *contract;
    const json_t
        *operation; /* of the request that is being answered; the server's thread alone has it */
};

/* Answers in GitHub's form, completed and judged by its description; forge_json() takes the document (NULL: no body). */
void forge_json(struct forge_server *f, struct stand_in_exchange *x, int status, json_t *doc);
void forge_error(struct forge_server *f, struct stand_in_exchange *x, int status,
                 const char *message);
void forge_problem(struct forge_server *f, const struct stand_in_request *r, const char *text);

/* forge_rest.c: one call; `path` begins after "/api/v3/repos/". */
void forge_rest(struct forge_server *f, const char *path, const struct stand_in_request *r,
                struct stand_in_exchange *x);
/* forge_actions.c: below "/api/v3/repos/<repo>/actions/". */
void forge_actions(struct forge_server *f, const char *repo, const char *path,
                   const struct stand_in_request *r, struct stand_in_exchange *x);
/* forge_app.c: false when the call is not a GitHub App's own. */
bool forge_app(struct forge_server *f, const struct stand_in_request *r,
               struct stand_in_exchange *x);
/* A parameter of the query, decoded; false when it is not there. */
bool forge_query(const char *query, const char *name, char *out, size_t size);
/* Is there a file of this path at the branch? Asked of git itself. */
bool forge_has_file(struct forge_server *f, const char *repo, const char *ref, const char *path);
/* Under the lock; borrowed. */
json_t *forge_pulls_of(struct forge_server *f, const char *repo);
json_t *forge_pull_numbered(struct forge_server *f, const char *repo, int number);

#endif
