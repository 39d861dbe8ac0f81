/* agent.h - what the files of pj-agent share.
 *
 * The agent lives inside the box: it holds no key, reaches nothing but the gateway, and is not trusted by anybody. Its care for
 * paths is for honest mistakes of a model; the box and the collector outside are what protects the host. */
#ifndef AGENT_AGENT_H
#define AGENT_AGENT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include "lib/base/err.h"
#include "lib/base/str.h"
#include "lib/base/view.h"
#include "lib/wire/frame.h"

#define AGENT_REPEAT_SLOTS 32

struct agent_repeat {
    struct {
        uint64_t key;
        int count;
    } slot[AGENT_REPEAT_SLOTS];
    unsigned next;
};

enum agent_end { AGENT_GOES_ON, AGENT_DONE };

struct agent {
    const char *workspace; /* absolute path */
    int root_fd;           /* O_PATH of it */
    struct pj_link link;
    json_t *task;     /* the gateway's `task` frame */
    json_t *messages; /* neutral history, append-only but for compaction */
    json_t *tools;    /* as the model sees them */
    char *system;
    uint64_t tree_before; /* digest of the tree as it was given */
    int bad_calls;        /* unknown tool or bad arguments, in a row */
    int repeats;          /* of the last call with the same result */
    int idle_turns;       /* turns without a call, in a row */
    int notices;          /* budget notices given: 1 at two thirds, 2 at nine tenths */
    bool just_compacted;
    bool diff_mode; /* the model has no tools: it answers with a diff */
    bool called;    /* any tool was called yet */
    struct agent_repeat repeat;
    enum agent_end end;
};

/* link.c: the gateway's side of the world. */
int agent_connect(struct agent *a, const char *gateway, struct pj_err *err) PJ_MUST_CHECK;
int agent_send(struct agent *a, const json_t *frame, struct pj_err *err) PJ_MUST_CHECK;
/* One frame of the gateway; a new reference. */
int agent_recv(struct agent *a, json_t **frame, struct pj_err *err) PJ_MUST_CHECK;
/* Entries for the task's log. Failures show with the next frame that has an answer. */
void agent_log(struct agent *a, const char *entry, const char *message, json_t *data_taken);
void agent_log_lines(struct agent *a, const char *stream, const json_t *lines);

/* context.c: system prompt and first message. */
int agent_context(struct agent *a, struct pj_err *err) PJ_MUST_CHECK;

/* loop.c */
/* Tell the gateway why nothing more can be done; fails with that. */
int agent_give_up(struct agent *a, const char *code, const char *why, struct pj_err *err);
int agent_loop(struct agent *a, struct pj_err *err) PJ_MUST_CHECK;

/* compact.c: shorten old tool results. False when nothing is left to shorten. */
bool agent_compact(json_t *messages);
size_t agent_history_bytes(const json_t *messages);

/* repeat.c: how often this call has had this result, this time included. */
int agent_repeat_count(struct agent_repeat *r, const char *name, const char *arguments,
                       const char *result);

#endif
