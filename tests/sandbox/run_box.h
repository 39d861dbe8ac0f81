/* run_box.h - a test's way to run pj-sandbox: as root or as an ordinary user, with everything
 * that came out of it. */
#ifndef TESTS_SANDBOX_RUN_BOX_H
#define TESTS_SANDBOX_RUN_BOX_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct box_run {
    pid_t pid;     /* that it had */
    int exit_code; /* of pj-sandbox, 128+n when it was killed itself */
    char *out;     /* standard output, at most 1 MiB kept */
    size_t out_len;
    char *err;
    char *result; /* the JSON of --result-fd */
    int64_t ms;   /* until everything was over */
};

/* The folder of this test program for everything: programs copied where an ordinary user may
 * read them. Removed at the end. */
const char *box_home(void);
/* "<home>/<name>-<pid>", a fresh empty directory that belongs to `user`; in a static ring of
 * eight. */
const char *box_dir(const char *name, bool user);
/* Path of the attack program as copied. */
const char *box_hostile(void);

/* Variables of the test itself: PJ_TEST_BOX_STANDBY builds each box ahead of need and orders it,
 * PJ_TEST_BOX_PROGRAM names another program of box_home(),
 * PJ_TEST_BOX_HIDE puts it behind a filter that hides pivot_root and clone3. */

/* Run to the end. `args` is NULL-terminated and starts with the first option; --result-fd 3 is
 * added. `user`: as nobody. */
struct box_run box_run(bool user, const char *const *args);
#define BOX(user, ...) box_run(user, (const char *const[]){__VA_ARGS__, NULL})
void box_run_release(struct box_run *run);

/* Start only: descriptors 0-2 are /dev/null but for stdout, whose read end is *out. The caller
 * waits. */
pid_t box_start(bool user, const char *const *args, int *out);

/* A member of the result: true when `"name":value` stands there literally. */
bool box_result_has(const struct box_run *run, const char *member);
int64_t box_result_int(const struct box_run *run, const char *name);

/* Skip aloud what this host lacks. */
bool box_can(bool user);

/* The host's pids of all that `pid` started, by /proc. How many there are, at most `max`. */
size_t box_descendants(pid_t pid, pid_t *out, size_t max);

#endif
