/* program.h - running the project's own programs from a test.
 *
 * Readiness comes by the sd_notify datagram, the end by pidfd: nothing polls. Children get SIGKILL when the test dies. */
#ifndef TESTS_SUPPORT_PROGRAM_H
#define TESTS_SUPPORT_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include "lib/base/str.h"

struct program {
    pid_t pid; /* 0: not running */
    int pidfd;
    int exit_code; /* once ended; 128 + n for signal n */
    char *name;
    char *log_path; /* its stdout and stderr */
    char *ready;    /* the READY message's STATUS text, "" when it has none; NULL before */
};

/* Start the program `name` of the build (or one of the system, by its whole path) with these arguments (NULL-terminated, without argv[0], or NULL) and environment, in
 * folder `dir`, where its log and its notify socket live under `tag`. Returns at once. */
void program_start(struct program *p, const char *name, const char *const *args, char *const *env,
                   const char *dir, const char *tag);
/* Wait until the started program says READY: true; false when it ended first. Fails the test at the deadline. */
bool program_start_ready(struct program *p, const char *name, const char *const *args,
                         char *const *env, const char *dir, const char *tag, int deadline_ms);
/* Start it on a terminal of its own, `columns` wide: *terminal (the caller's) is the other end. */
void program_start_tty(struct program *p, const char *name, const char *const *args,
                       char *const *env, const char *dir, unsigned short columns, int *terminal);
/* Read what it writes there into *seen (appended) until that holds `text`; NULL: until it has closed the terminal. False at the
 * deadline, or when it closed it without. */
bool program_tty_wait(int terminal, struct pj_str *seen, const char *text, int deadline_ms);
/* Wait for its end. Returns the exit code; the test fails with the log when the deadline passes. */
int program_wait(struct program *p, int deadline_ms);
/* Wait until its log holds this text; false when it ended without, or at the deadline. */
bool program_wait_log(struct program *p, const char *text, int deadline_ms);
bool program_has_ended(struct program *p);
/* Send a signal and wait for the end. */
int program_stop(struct program *p, int signal, int deadline_ms);
/* What it has written so far; owned by the caller. */
char *program_log(const struct program *p);
/* Kill when running, free. */
void program_release(struct program *p);

/* Run to the end. Returns the exit code; *out and *err are owned by the caller. `input` may be NULL. */
int program_run(const char *name, const char *const *args, char *const *env, const char *dir,
                const char *input, char **out, char **err);

/* Path of a built program, owned by the caller. */
char *program_path(const char *name);

#endif
