/* pack.h - logs of ended tasks, compressed: about a thousand entries a piece under the id of the first, so that paging works as before.
 *
 *     next -> PJ_NONE: all is packed, or the command `put`; send it, and ask for the next. Any number may pack at once.
 *
 * A log that cannot be read is PROTOCOL, and `put` then says that it is to be left as it is: it must not stand before all others. */
#ifndef PJ_STORE_PACK_H
#define PJ_STORE_PACK_H

#include "lib/store/cmd.h"

/* One stretch of a log that ended `age_ms` ago or earlier, by the clock of Redis. */
void pj_pack_next_cmd(struct pj_cmd *cmd, unsigned partition, int64_t age_ms);
int pj_pack_next_reply(const struct redisReply *reply, unsigned partition, struct pj_cmd *put,
                       struct pj_err *err) PJ_MUST_CHECK;
int pj_pack_put_reply(const struct redisReply *reply, struct pj_err *err) PJ_MUST_CHECK;

/* A stored chunk, packed or not; borrowed from the reply. */
struct pj_chunk {
    int64_t attempt, first, count;
    struct pj_view data;
    bool packed;
    size_t size; /* of its text */
};
/* {"<attempt>-<first>", {c, count, l | z, data[, r, size]}}; PROTOCOL when it is none. */
int pj_chunk_read(const struct redisReply *entry, struct pj_chunk *out,
                  struct pj_err *err) PJ_MUST_CHECK;
/* Its text into `out`, which holds size bytes. */
int pj_chunk_text(const struct pj_chunk *chunk, char *out, struct pj_err *err) PJ_MUST_CHECK;

#endif
