/* map.h - the ranked map of the tree: what the task names first, then what tells most about the project. */
#ifndef AGENT_MAP_H
#define AGENT_MAP_H

#include "runner/agent/agent.h"

/* Append "path  size" lines, most telling first, at most 200, and how many were left out. UNAVAILABLE when the tree cannot be read. */
int map_write(struct agent *a, struct pj_str *out, struct pj_err *err) PJ_MUST_CHECK;
/* Append the contents of text files in the same order, fenced, until `max` bytes are reached; large files are left out. */
int map_contents(struct agent *a, size_t max, struct pj_str *out, struct pj_err *err) PJ_MUST_CHECK;

#endif
