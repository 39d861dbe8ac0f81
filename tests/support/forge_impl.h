/* forge_impl.h - what the files of the forge stand-in share. */
#ifndef TESTS_SUPPORT_FORGE_IMPL_H
#define TESTS_SUPPORT_FORGE_IMPL_H

#include <pthread.h>
#include "tests/support/forge_server.h"

#define API "/api/v3"
#define RULES_MAX 32

struct rule {
    char *method, *path_part, *headers, *body;
    unsigned times;
    int status;
};

struct forge_server {
    struct stand_in *http;
    char *root;
    char host[40];
    pthread_mutex_t lock; /* guards what follows */
    struct rule rules[RULES_MAX];
    size_t rule_count;
    json_t *pulls; /* "owner/name" -> array */
    int next_number;
    bool cut_after_create, revoked;
    size_t refused;
};

/* Answers in GitHub's form; forge_json() takes the document. */
void forge_json(struct stand_in_exchange *x, int status, json_t *doc);
void forge_error(struct stand_in_exchange *x, int status, const char *message);

/* forge_rest.c: one call; `path` begins after "/api/v3/repos/". */
void forge_rest(struct forge_server *f, const char *path, const struct stand_in_request *r,
                struct stand_in_exchange *x);
/* Under the lock; borrowed. */
json_t *forge_pulls_of(struct forge_server *f, const char *repo);
json_t *forge_pull_numbered(struct forge_server *f, const char *repo, int number);

#endif
