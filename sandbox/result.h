/* result.h - how a box ended, and that as JSON (CONTRACT.md section 6). */
#ifndef SANDBOX_RESULT_H
#define SANDBOX_RESULT_H

#include <stdbool.h>
#include <stdint.h>
#include "lib/base/err.h"
#include "lib/base/str.h"
#include "sandbox/plan.h"

#define RESULT_REFUSED_MAX 64

#define EXIT_TIMED_OUT 124
#define EXIT_SANDBOX 125
#define EXIT_NOT_EXECUTABLE 126
#define EXIT_NOT_FOUND 127

struct result {
    bool ended; /* the command ran and `wait_status` tells how it ended */
    int wait_status;
    int exec_errno; /* the command could not be executed */
    bool timed_out;
    bool oom_killed;
    int64_t wall_ms, cpu_ms, max_rss_bytes;
    int64_t output_bytes;
    bool output_truncated;
    char *refused[RESULT_REFUSED_MAX]; /* "host:port", each once */
    size_t refused_count;
    struct pj_err err; /* the sandbox itself; code "" when fine */
};

void result_release(struct result *r);
/* Remember a refused host, once. */
void result_refuse(struct result *r, const char *host, unsigned port);
/* What pj-sandbox exits with. */
int result_exit_code(const struct result *r);
/* `plan` gives the isolation; NULL when none was made. */
void result_print(const struct result *r, const struct plan *plan, struct pj_str *out);

#endif
