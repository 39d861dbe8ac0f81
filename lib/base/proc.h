/* proc.h - starting programs with exactly the descriptors listed. */
#ifndef PJ_BASE_PROC_H
#define PJ_BASE_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include "lib/base/err.h"

struct pj_spawn_fd {
    int parent; /* descriptor here */
    int child;  /* its number there */
};

struct pj_spawn {
    const char *path;  /* executable, no PATH search */
    char *const *argv; /* NULL-terminated */
    char *const *envp; /* NULL: an empty environment */
    const char *cwd;   /* NULL: as here */
    const struct pj_spawn_fd
        *fds;         /* everything else is closed; 0, 1, 2 not listed become /dev/null */
    size_t fd_count;  /* at most 16 */
    int death_signal; /* PR_SET_PDEATHSIG, 0 for none */
    bool new_session;
};

/* Start a child. Returns 0 with *pid and, when pidfd is not NULL, a CLOEXEC pidfd the caller closes. A failed exec is reported
 * here (through a CLOEXEC pipe), not by an exit code. Signals are reset to default and unblocked in the child. */
int pj_spawn(const struct pj_spawn *spec, pid_t *pid, int *pidfd, struct pj_err *err) PJ_MUST_CHECK;
/* Absolute path of a program of ours: beside the running executable, else in the build tree's sibling folders, else PATH.
 * The result is owned by the caller. */
int pj_find_program(const char *name, char **path, struct pj_err *err) PJ_MUST_CHECK;

/* Keys are in the memory of this process: neither it nor what it starts leaves a core file, nor is a handler of core files fed.
 * With a limit of 0 the kernel would still start a handler that core_pattern names; with 1 it does not (core(5)). */
void pj_forbid_core_files(void);

#endif
