/* spec.h - what the caller asked for: the command line of pj-sandbox as a struct.
 *
 * This is the seam to the runner (CONTRACT.md section 6). Parsing looks at nothing but the
 * words: whether the host can do it is plan.c's business. All strings are borrowed from argv,
 * which is cut in place at ':' and '=' where an option has parts. */
#ifndef SANDBOX_SPEC_H
#define SANDBOX_SPEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include "lib/base/err.h"

#define SPEC_BINDS_MAX 64
#define SPEC_ENV_MAX 256
#define SPEC_GATEWAYS_MAX 8
#define SPEC_ALLOWS_MAX 128

enum spec_action {
    SPEC_RUN,
    SPEC_PLAN,
    SPEC_CHECK,
    SPEC_CHECK_CONFIG,
    SPEC_HELP,
    SPEC_VERSION,
};

struct spec_bind {
    const char *src;
    const char *dst; /* absolute, inside */
};

struct spec_gateway {
    const char *path; /* Unix socket outside */
    uint16_t port;    /* on 127.0.0.1 inside */
};

struct spec_allow {
    const char *host; /* a name or an address, without brackets */
    uint16_t port;
};

struct spec {
    enum spec_action action;
    const char *workspace;      /* NULL: none */
    const char *workspace_base; /* NULL: none */
    const char *rootfs;         /* NULL: the host's /usr */
    const char *cwd;            /* NULL: /workspace, else /tmp */
    struct spec_bind binds[SPEC_BINDS_MAX];
    size_t bind_count;
    const char *env[SPEC_ENV_MAX]; /* "K=V" */
    size_t env_count;
    struct spec_gateway gateways[SPEC_GATEWAYS_MAX];
    size_t gateway_count;
    struct spec_allow allows[SPEC_ALLOWS_MAX];
    size_t allow_count;
    bool allow_private; /* names of --net-allow may resolve to private addresses */
    int64_t timeout_ms; /* here and below: 0 is "not asked for" */
    int64_t memory_bytes;
    int64_t pids;
    int64_t cpu_milli; /* thousandths of a core */
    int64_t tmp_bytes;
    int64_t disk_bytes;
    int64_t output_bytes;
    int result_fd;        /* -1: none */
    int tree_fd;          /* -1: none; a Unix socket that gets the descriptor of the merged tree */
    int standby_fd;       /* -1: run at once; a Unix socket that the order comes over (standby.h) */
    char *const *command; /* NULL-terminated, NULL when none was given */
};

/* Read the command line. Returns 0, or -1 with INVALID naming the option. The arguments of
 * SPEC_RUN are complete; an action that needs no command may lack it. */
int spec_parse(struct spec *spec, int argc, char **argv, struct pj_err *err) PJ_MUST_CHECK;
void spec_help(FILE *to);

#endif
