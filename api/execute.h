/* execute.h - may a task of this repository run now (R1.3)? Asked before anything is stored. */
#ifndef API_EXECUTE_H
#define API_EXECUTE_H

#include <stdbool.h>

struct pj_repo;
struct request;

/* The executor that a task with this wish (-1: none) gets: its own, else the repository's, else PJ_EXECUTOR. */
int execute_choose(const struct request *req, const struct pj_repo *repo, int wish);
/* True when it may; else the request was answered (422). `repo` NULL: it was removed. */
bool execute_allowed(struct request *req, const struct pj_repo *repo, int executor);
/* The same question, without an answer to the client. */
bool execute_would_be_allowed(const struct request *req, const struct pj_repo *repo, int executor);

#endif
