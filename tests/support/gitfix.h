/* gitfix.h - real git repositories for tests, made and looked at with the git program in a clean environment.
 *
 * Everything aborts the test on failure, with git's own words on stderr. Strings returned are owned by the caller. */
#ifndef TESTS_SUPPORT_GITFIX_H
#define TESTS_SUPPORT_GITFIX_H

#include <stdbool.h>
#include <stddef.h>

struct gitfix_file {
    const char *path;
    const char *content; /* NULL: deleted */
    bool executable;
};

/* A bare repository <root>/<name>.git with one commit of these files on `main`, which is its HEAD. Returns its path. */
char *gitfix_bare(const char *root, const char *name, const struct gitfix_file *files,
                  size_t count);
/* One commit more on `branch`, made when absent (from main). Returns the commit's id. */
char *gitfix_commit(const char *bare, const char *branch, const struct gitfix_file *files,
                    size_t count, const char *message);
/* Content at "ref:path", or NULL. */
char *gitfix_show(const char *bare, const char *spec);
/* Id of a ref, or NULL. */
char *gitfix_rev(const char *bare, const char *ref);
/* Subject of a ref's commit. */
char *gitfix_subject(const char *bare, const char *ref);
/* Branch names, sorted, one a line. */
char *gitfix_branches(const char *bare);
/* Output of `git --git-dir=bare …` (arguments end in NULL); NULL when git exits with something else than 0. */
char *gitfix_run(const char *bare, const char *input, const char *arg, ...);

#endif
