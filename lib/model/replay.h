/* replay.h - answers from a file instead of a model: the whole system without a key (PJ_REPLAY_FILE).
 *
 *     {"answers":[{"text":"…","toolCalls":[{"name":"read_file","arguments":{"path":"README.md"}}],
 *                  "usage":{"promptTokens":900,"cachedTokens":0,"completionTokens":40}}, …]}
 *
 * Answers are given in order, from the first for each attempt of a task. `text`, `toolCalls` and `usage` may be left out. */
#ifndef PJ_MODEL_REPLAY_H
#define PJ_MODEL_REPLAY_H

#include "lib/model/model.h"

struct pj_replay;

/* INVALID names the file and the answer. At most 4 MiB. */
int pj_replay_load(const char *path, struct pj_replay **out, struct pj_err *err) PJ_MUST_CHECK;
void pj_replay_free(struct pj_replay *replay);
void pj_replay_freep(struct pj_replay **replay);
/* The next answer as a turn; model_protocol when there is none left. */
int pj_replay_next(struct pj_replay *replay, const struct pj_model_request *request,
                   struct pj_model_turn *turn, struct pj_err *err) PJ_MUST_CHECK;

#endif
