/* forge_git.h - one request of git's smart HTTP protocol, answered by `git http-backend` run as a CGI program. */
#ifndef TESTS_SUPPORT_FORGE_GIT_H
#define TESTS_SUPPORT_FORGE_GIT_H

#include "tests/support/stand_in.h"

/* `path` is the path below `root`, with the repository's ".git". Ends the exchange. */
void forge_git_serve(const char *root, const char *path, const struct stand_in_request *r,
                     struct stand_in_exchange *x);

#endif
