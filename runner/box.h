/* box.h - one run of pj-sandbox: its arguments, its descriptors, its result (CONTRACT.md section 6).
 *
 * A box is served, not waited for: box_want() and box_ready() plug into the job's pump, so that output flows to the log while
 * the job waits for a model. A box is over when the program has ended, all of its output was read, and its result came. */
#ifndef RUNNER_BOX_H
#define RUNNER_BOX_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "lib/base/err.h"
#include "lib/base/str.h"
#include "lib/base/view.h"
#include "runner/box_ahead.h"

#define BOX_BINDS_MAX 4
#define BOX_FDS 5

struct box_bind {
    const char *src, *dst;
};

struct box_spec {
    const char *program;   /* pj-sandbox */
    const char *workspace; /* read-write at /workspace */
    const char *
        workspace_base; /* NULL: none; beneath `workspace`, which takes what is written; see box_tree() */
    const char *rootfs;         /* NULL: the host's system */
    const char *gateway_socket; /* NULL: none */
    int gateway_port;
    struct box_bind binds[BOX_BINDS_MAX];
    size_t bind_count;
    const char *const *env;       /* NULL-terminated K=V, or NULL */
    const char *const *net_allow; /* NULL-terminated host[:port], or NULL */
    int64_t timeout_ms;
    int64_t output_limit;       /* bytes; 0: the program's own */
    int64_t memory_bytes, pids; /* 0: none */
    const char *const *argv;    /* NULL-terminated command */
    struct box_ahead *ahead;    /* used when there is one; NULL: always start directly */
    /* Output as it comes; `error` tells the stream. Called from box_ready(), once more with an empty view at its end. */
    void (*output)(void *ctx, bool error, struct pj_view bytes);
    void *ctx;
};

struct box_result {
    int exit_code; /* of pj-sandbox: the command's, 124, 125, 126, 127 or 128 + signal */
    int signal;
    bool timed_out, oom_killed, policy_kill, output_truncated;
    char stopped[160]; /* why we stopped it; "" when we did not */
    int64_t wall_ms, cpu_ms, max_rss_bytes;
    char *isolation;   /* words joined by a space; owned */
    char *net_refused; /* the same; "" when nothing was refused */
    /* The sandbox itself failed (exit 125). */
    char *error_step, *error_remedy;
    int error_errno;
};

struct box {
    pid_t pid;                      /* 0: not running or reaped */
    int pidfd, out, err, result_fd; /* -1: closed */
    int tree_socket, tree; /* with a workspace_base: brings the merged tree, which is kept */
    bool paused;           /* output is not read: the log is full */
    struct pj_str result_text;
    int wait_status;
    char stopped[160]; /* why we stopped it, for its result; "" when we did not */
    void (*output)(void *ctx, bool error, struct pj_view bytes);
    void *ctx;
};

/* UNAVAILABLE with code "sandbox_unavailable" when the program cannot be started. */
int box_start(const struct box_spec *spec, struct box *box, struct pj_err *err) PJ_MUST_CHECK;
/* For a pump: at most BOX_FDS entries. */
size_t box_want(const struct box *box, struct pollfd *fds);
void box_ready(struct box *box, const struct pollfd *fds, size_t n);
bool box_is_over(const struct box *box);
/* The merged tree of a box with a workspace_base, as a descriptor that can be read also when the box is gone; the caller's to
 * close, once. UNAVAILABLE when the box failed before it had one. Waits a moment for a box that has just begun. */
int box_tree_take(struct box *box, int *fd, struct pj_err *err) PJ_MUST_CHECK;
/* Tell pj-sandbox to kill its box at once, remove what belonged to it and report: asked twice it grants no time. */
void box_stop(struct box *box);
/* SIGKILL to pj-sandbox, whose box dies with it; its control group stays until the next box is made. */
void box_kill(struct box *box);
/* What became of a box that is over. UNAVAILABLE when somebody killed the sandbox itself; UNAVAILABLE too, with code
 * "sandbox_unavailable", when it left no result. Release *out in either case. */
int box_result_get(const struct box *box, struct box_result *out, struct pj_err *err) PJ_MUST_CHECK;
void box_result_release(struct box_result *result);
/* One that is not over is killed and waited for. */
void box_release(struct box *box);

#endif
