/* replay.h - pj-agent replay FILE. */
#ifndef AGENT_REPLAY_H
#define AGENT_REPLAY_H

#include "runner/agent/agent.h"

/* Carry out the calls of a trajectory on the work tree; prints a line a call. INVALID names the line that is no JSON. */
int agent_replay(struct agent *a, const char *file, struct pj_err *err) PJ_MUST_CHECK;

#endif
