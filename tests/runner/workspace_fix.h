/* workspace_fix.h - a state folder, a bare remote and a workspace on it, for tests. */
#ifndef TESTS_RUNNER_WORKSPACE_FIX_H
#define TESTS_RUNNER_WORKSPACE_FIX_H

#include "runner/workspace.h"
#include "tests/support/gitfix.h"

#define FIX_TASK "0a1b2c3d4e5f6g7h8i9j0k"
#define FIX_REPOSITORY "1a1b2c3d4e5f6g7h8i9j0k"

struct workspace_fix {
    char *root;   /* temporary folder, removed by workspace_fix_end() */
    char *state;  /* <root>/state */
    char *remote; /* <root>/remotes/o/r.git */
    struct workspace *ws;
};

/* `files` NULL: a small sample (README.md, src/main.c, run.sh executable, .gitignore with "*.o" and "out/"). */
void workspace_fix_begin(struct workspace_fix *fix, const struct gitfix_file *files, size_t count);
/* Open a workspace of FIX_TASK at the remote's default branch. */
void workspace_fix_open(struct workspace_fix *fix);
struct workspace_spec workspace_fix_spec(const struct workspace_fix *fix);
void workspace_fix_end(struct workspace_fix *fix);

/* In the work tree. */
void fix_write(const struct workspace_fix *fix, const char *path, const char *text);
void fix_remove(const struct workspace_fix *fix, const char *path);
void fix_mkdir(const struct workspace_fix *fix, const char *path);
void fix_link(const struct workspace_fix *fix, const char *path, const char *target);
/* "<tree>/<path>", owned by the caller. */
char *fix_path(const struct workspace_fix *fix, const char *path);

#endif
