/* gateway_rig.h - a gateway in this process, a real pj-agent beside it, and a work tree in a temporary folder. No box: the agent
 * connects to the gateway's own socket. */
#ifndef TESTS_RUNNER_GATEWAY_RIG_H
#define TESTS_RUNNER_GATEWAY_RIG_H

#include <sys/types.h>
#include "lib/base/str.h"
#include "runner/gateway/gateway.h"

struct rig {
    char dir[64], tree[256], socket[96];
    struct gateway_config config;
    struct pj_prices *prices;
    struct pj_redact *redact;
    struct pj_str trajectory; /* JSON lines */
    struct pj_str events;     /* "stream type message data\n" */
    size_t calls;             /* usage records */
    struct gateway_call last;
    int finish_refusals; /* the finish hook refuses that many times */
    int finishes;
    char *diff; /* what the diff hook got; refused once when finish_refusals is set */
    bool
        plain_root; /* the agent gets none of root's rights over files (CAP_DAC_OVERRIDE and the like) */
    pid_t agent;
    int agent_fd;
    void *extra; /* of the test */
    struct gateway_result result;
    struct pj_err err;
};

/* `provider` "openai", "anthropic" or "replay"; the rest may be set in rig->config afterwards. */
void rig_init(struct rig *rig, const char *provider, const char *base_url);
void rig_release(struct rig *rig);
/* Write a file of the work tree (or outside it with "../name"). */
void rig_file(struct rig *rig, const char *path, const char *text);
/* Its content, owned by the caller; NULL when absent. */
char *rig_text(const struct rig *rig, const char *path);
/* Serve one agent until its end: the result of gateway_serve(), or of gateway_open() when that failed. */
int rig_run(struct rig *rig);
/* Run `pj-agent replay FILE` on the tree; its wait status. */
int rig_replay(struct rig *rig, char *file);
/* Knock at the gateway's socket, so that it looks about itself at once. */
void rig_knock(const struct rig *rig);
bool rig_saw(const struct rig *rig, const char *text);

#endif
