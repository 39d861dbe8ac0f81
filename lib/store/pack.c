#include "lib/store/pack.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include "lib/base/mem.h"
#include "lib/store/events.h"
#include "lib/store/keys.h"

#define LINES_MAX 1000
#define TEXT_MAX (256 * 1024)
#define SIZE_MAX_BYTES (TEXT_MAX + PJ_CHUNK_BYTES_MAX)

#define LEAVE 2 /* instead of done (0, 1): the log stays as it is */

enum { NEXT_ID = 1, NEXT_ATTEMPT, NEXT_N, NEXT_DONE, NEXT_CHUNKS };

int pj_chunk_read(const struct redisReply *entry, struct pj_chunk *out, struct pj_err *err)
{
    const struct redisReply *fields = pj_reply_at(entry, 1);
    int64_t size;

    if (pj_event_id_parse(pj_reply_view(pj_reply_at(entry, 0)), &out->attempt, &out->first, err) <
        0)
        return pj_err_wrap(err, "the log in Redis is damaged");
    out->count = pj_reply_int(pj_reply_at(fields, 1), 0);
    out->packed = pj_view_is(pj_reply_view(pj_reply_at(fields, 2)), "z");
    out->data = pj_reply_view(pj_reply_at(fields, 3));
    size = out->packed ? pj_reply_int(pj_reply_at(fields, 5), -1) : (int64_t)out->data.n;
    if (size < 0 || size > SIZE_MAX_BYTES || out->count < 0)
        return pj_fail(err, PJ_E_PROTOCOL, "the log in Redis is damaged");
    out->size = (size_t)size;
    return 0;
}

int pj_chunk_text(const struct pj_chunk *chunk, char *out, struct pj_err *err)
{
    uLongf size = chunk->size;

    if (!chunk->packed) {
        memcpy(out, chunk->data.p, chunk->data.n);
        return 0;
    }
    if (uncompress((Bytef *)out, &size, (const Bytef *)chunk->data.p, chunk->data.n) != Z_OK ||
        size != chunk->size)
        return pj_fail(err, PJ_E_PROTOCOL, "a packed log in Redis is damaged");
    return 0;
}

void pj_pack_next_cmd(struct pj_cmd *cmd, unsigned partition, int64_t age_ms)
{
    char key[PJ_KEY_SIZE];

    pj_cmd_script(cmd, "log_pack_next");
    pj_cmd_text(cmd, pj_key_part(key, partition, "hot"));
    pj_cmd_int(cmd, age_ms);
}

struct piece { /* being filled */
    struct pj_str text;
    int64_t attempt, first, count;
};

static void put_entry(struct pj_cmd *put, int64_t attempt, int64_t first, int64_t count,
                      struct pj_view packed, size_t size)
{
    char id[PJ_EVENT_ID_SIZE];

    pj_cmd_text(put, pj_event_id(attempt, first, id));
    pj_cmd_int(put, count);
    pj_cmd_add(put, packed.p, packed.n);
    pj_cmd_int(put, (int64_t)size);
}

static void flush(struct pj_cmd *put, struct piece *piece)
{
    uLongf n = compressBound(piece->text.len);
    char *packed;

    if (piece->count == 0)
        return;
    packed = pj_alloc(n, 1);
    (void)compress2((Bytef *)packed, &n, (const Bytef *)piece->text.data, piece->text.len,
                    6); /* the bound always suffices */
    put_entry(put, piece->attempt, piece->first, piece->count, pj_view_n(packed, n),
              piece->text.len);
    free(packed);
    pj_str_clear(&piece->text);
    piece->count = 0;
}

/* A piece never spans attempts; what is packed already stays as it is. */
static void add_chunk(struct pj_cmd *put, struct piece *piece, const struct pj_chunk *chunk)
{
    if (chunk->packed || piece->attempt != chunk->attempt)
        flush(put, piece);
    if (chunk->packed) {
        put_entry(put, chunk->attempt, chunk->first, chunk->count, chunk->data, chunk->size);
        return;
    }
    if (piece->count == 0) {
        piece->attempt = chunk->attempt;
        piece->first = chunk->first;
    }
    (void)pj_str_append(&piece->text, chunk->data.p, chunk->data.n);
    piece->count += chunk->count;
    if (piece->count >= LINES_MAX || piece->text.len >= TEXT_MAX)
        flush(put, piece);
}

/* Whose stretch it is, and whether it is the last one. */
static void begin_put(const struct redisReply *reply, unsigned partition, int64_t done,
                      struct pj_cmd *put)
{
    char key[PJ_KEY_SIZE];

    pj_cmd_script(put, "log_pack_put");
    pj_cmd_text(put, pj_key_part(key, partition, "hot"));
    for (size_t i = NEXT_ID; i < NEXT_DONE; i++) {
        struct pj_view v = pj_reply_view(pj_reply_at(reply, i));

        pj_cmd_add(put, v.p, v.n);
    }
    pj_cmd_int(put, done);
}

int pj_pack_next_reply(const struct redisReply *reply, unsigned partition, struct pj_cmd *put,
                       struct pj_err *err)
{
    struct piece piece = {0};
    int rc = pj_reply_word(reply, err);

    if (rc != 0)
        return rc;
    pj_str_init(&piece.text, SIZE_MAX_BYTES);
    begin_put(reply, partition, pj_reply_int(pj_reply_at(reply, NEXT_DONE), 0), put);
    for (size_t i = NEXT_CHUNKS; i < pj_reply_count(reply) && rc == 0; i++) {
        struct pj_chunk chunk;

        rc = pj_chunk_read(pj_reply_at(reply, i), &chunk, err);
        if (rc == 0)
            add_chunk(put, &piece, &chunk);
    }
    if (rc == 0)
        flush(put, &piece);
    else
        begin_put(reply, partition, LEAVE, put);
    pj_str_release(&piece.text);
    return rc;
}

int pj_pack_put_reply(const struct redisReply *reply, struct pj_err *err)
{
    return pj_reply_word(reply, err);
}
