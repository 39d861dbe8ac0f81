/* checks_inner.h - what the files of the checks share. */
#ifndef RUNNER_CHECKS_INNER_H
#define RUNNER_CHECKS_INNER_H

#include "runner/job.h"

#define CHECKS_TAIL_MAX ((size_t)24 * 1024)

/* Fresh copy `name` of a tree (NULL: the base commit's); its path is the caller's. */
int checks_copy(struct job *job, const char *name, const char *tree, char **path,
                struct pj_err *err) PJ_MUST_CHECK;

/* checks_syntax.c: files of the change that parse no more, or are new and do not parse, go into the report; what could not be
 * checked is said. Adds a row for each language to the job's checks. */
int checks_syntax(struct job *job, const char *after, struct pj_str *report,
                  struct pj_err *err) PJ_MUST_CHECK;

#endif
