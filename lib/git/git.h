/* git.h - libgit2, set up once for a process so that nothing of the host or of a stranger steers it.
 *
 * No system, user or XDG configuration is read, owners of folders are not compared (state folders belong to whom the
 * operator says), and all network input and output goes through sockets of ours (net.c): they keep the deadline of the call
 * that runs on their thread, serve its pump, and refuse addresses that the caller's guard refuses.
 * The git program is never run. */
#ifndef PJ_GIT_GIT_H
#define PJ_GIT_GIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include "lib/base/err.h"
#include "lib/base/pump.h"

#define PJ_SHA_SIZE 41 /* 40 hex digits and NUL */

/* What is sent when a remote asks. Borrowed strings. Never written to a URL, a configuration file or argv. */
struct pj_credential {
    const char *username; /* NULL or "": x-access-token */
    const char *token;    /* NULL or "": nothing to send */
};

/* How a call reaches its remote. All borrowed; a zeroed struct means: no credential, no deadline, system certificates. */
struct pj_git_net {
    const struct pj_credential *credential;
    const char *
        ca_file; /* PJ_CA_FILE; process-wide in libgit2, so every caller of one process gives the same */
    int64_t timeout_ms;         /* for the whole call; 0: none */
    const struct pj_pump *pump; /* served while waiting; its error ends the call */
    /* May this resolved address be reached? NULL: all. Called before each connect. */
    bool (*allow)(void *ctx, const struct sockaddr *addr, socklen_t n);
    void *allow_ctx;
};

/* Safe to call again and from any thread; the calls below do so themselves. UNAVAILABLE when the certificate file cannot be
 * loaded (remedy names PJ_CA_FILE). */
int pj_git_setup(const char *ca_file, struct pj_err *err) PJ_MUST_CHECK;

#endif
