/* hostile.h - attacks, each a function that returns 0 when it was stopped.
 *
 * Run inside a box, one a process; each says on one line what it saw. What counts as stopped is
 * the observable that the table's last column names, not the absence of a crash. */
#ifndef TESTS_HOSTILE_H
#define TESTS_HOSTILE_H

#include <stdbool.h>

struct attack {
    const char *name;
    int (*run)(const char *arg);
    const char *observable;
};

/* The call failed with one of these errors: stopped. Else prints what happened instead. */
int refused(const char *what, long rc, const int *errors);
#define ERRORS(...) ((const int[]){__VA_ARGS__, 0})
/* Opening for `flags` must fail. */
int closed_path(const char *path, int flags);
/* Run `fn` in a child; true when it was killed by SIGSYS. */
bool killed_by_policy(void (*fn)(void));

extern const struct attack attacks_kernel[], attacks_files[], attacks_process[], attacks_resource[];
extern const struct attack attacks_tree[];

#endif
