/* net.h - one running call of lib/git: its deadline, its pump, its credential, and the cause when it fails.
 *
 * libgit2 gives its streams and callbacks no way to tell more than a code and a text. A struct pj_git_call belongs to the
 * thread between pj_git_call_begin() and _end(); the sockets find it there and leave the true cause in it. Private to lib/git. */
#ifndef PJ_GIT_NET_H
#define PJ_GIT_NET_H

#include <git2.h>
#include "lib/git/git.h"
#include "lib/git/remote.h"

struct pj_git_call {
    const struct pj_git_net *net;
    int64_t deadline_ms; /* pj_mono_ms(); 0: none */
    unsigned credential_asked;
    bool failed; /* failure holds the cause, more exact than libgit2's */
    struct pj_err failure;
    struct pj_git_call *outer;
};

void pj_git_call_begin(struct pj_git_call *call, const struct pj_git_net *net);
void pj_git_call_end(struct pj_git_call *call);

/* Serve the pump and look at the deadline, without waiting. 0, or -1 with call->failure set: the callback that gets -1 returns
 * GIT_EUSER. */
int pj_git_call_tick(struct pj_git_call *call);
/* The same while waiting at most max_ms. */
int pj_git_call_pause(struct pj_git_call *call, int max_ms);

/* Callbacks for credential, progress and cancel; the payload is the call. */
void pj_git_call_callbacks(struct pj_git_call *call, git_remote_callbacks *callbacks);
void pj_git_call_options(struct pj_git_call *call, git_remote_connect_options *options);

/* Register the sockets; once, by pj_git_setup(). */
int pj_git_net_register(void);

/* Turn libgit2's code of this thread's last failure into *err; returns -1. `call` may be NULL (nothing of the network). */
int pj_git_fail(const struct pj_git_call *call, int code, struct pj_err *err, const char *fmt, ...)
    PJ_PRINTF(4, 5);

/* A remote without a name or configuration; url.<base>.insteadOf is not looked at. */
int pj_git_remote_new(git_repository *repo, const char *url, git_remote **out,
                      struct pj_err *err) PJ_MUST_CHECK;
/* Connect; errors have the class and the remedy that pj_remote_check() promises. */
int pj_git_connect(git_remote *remote, const char *url, git_direction direction,
                   struct pj_git_call *call, struct pj_err *err) PJ_MUST_CHECK;
/* Of a connected remote: the branch asked for (NULL: the default) and its tip. */
int pj_git_pick_head(git_remote *remote, const char *branch, struct pj_remote_head *out,
                     struct pj_err *err) PJ_MUST_CHECK;

#endif
