/* cleanup.h - scope cleanup and attribute shorthand.
 *
 * A scope owns through PJ_CLEANUP(fn): fn gets the address of the variable when the scope ends. Handing over is visible:
 * copy the pointer out, then set the variable to NULL (or -1 for a descriptor). */
#ifndef PJ_BASE_CLEANUP_H
#define PJ_BASE_CLEANUP_H

#include <stdio.h>

#define PJ_CLEANUP(fn) __attribute__((cleanup(fn)))
#define PJ_MUST_CHECK __attribute__((warn_unused_result))
#define PJ_PRINTF(fmt_arg, first_arg) __attribute__((format(printf, fmt_arg, first_arg)))
#define PJ_SENTINEL __attribute__((sentinel))
#define PJ_UNUSED __attribute__((unused))
#define PJ_NORETURN __attribute__((noreturn))

#define PJ_COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* Cleanup functions for plain things: free(*p), close(*fd) when >= 0, fclose(*f). All keep errno. */
void pj_freep(char **p);
void pj_closep(int *fd);
void pj_fclosep(FILE **f);

/* Close a descriptor when it is open and mark it closed; keeps errno. */
void pj_fd_close(int *fd);

#endif
