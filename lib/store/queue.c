#include "lib/store/queue.h"

#include <stdio.h>
#include <string.h>
#include "lib/store/keys.h"

void pj_queue_init_cmd(struct pj_cmd *cmd, unsigned partition)
{
    char key[PJ_KEY_SIZE];

    pj_cmd_script(cmd, "queue_init");
    pj_cmd_text(cmd, pj_key_ready(key, partition));
}

int pj_queue_init_reply(const struct redisReply *reply, struct pj_err *err)
{
    return pj_reply_word(reply, err);
}

void pj_queue_wait_cmd(struct pj_cmd *cmd, unsigned partitions, const char *runner, int block_ms)
{
    char key[PJ_KEY_SIZE];

    pj_cmd_start(cmd, "XREADGROUP");
    pj_cmd_text(cmd, "GROUP");
    pj_cmd_text(cmd, "r");
    pj_cmd_text(cmd, runner);
    pj_cmd_text(cmd, "COUNT");
    pj_cmd_int(
        cmd, 1); /* one bell a stream is enough: a take brings as many tasks as there is room for */
    pj_cmd_text(cmd, "BLOCK");
    pj_cmd_int(cmd, block_ms);
    pj_cmd_text(cmd, "STREAMS");
    for (unsigned p = 0; p < partitions; p++)
        pj_cmd_text(cmd, pj_key_ready(key, p));
    for (unsigned p = 0; p < partitions; p++)
        pj_cmd_text(cmd, ">");
    cmd->block_ms = block_ms;
}

/* "pj:{p12}:ready" -> 12 */
static unsigned partition_of_stream(struct pj_view key)
{
    struct pj_view number;
    int64_t partition = 0;

    (void)pj_view_cut(&key, 'p', &number); /* the p of pj */
    (void)pj_view_cut(&key, 'p', &number);
    (void)pj_view_cut(&key, '}', &number);
    return pj_parse_i64(number, &partition) == 0 ? (unsigned)partition : 0;
}

int pj_queue_wait_reply(const struct redisReply *reply, struct pj_bell *bells, size_t *count,
                        struct pj_err *err)
{
    (void)err;
    *count = 0;
    for (size_t s = 0; s < pj_reply_count(reply); s++) {
        const struct redisReply *stream = pj_reply_at(reply, s);
        const struct redisReply *entries = pj_reply_at(stream, 1);
        unsigned partition = partition_of_stream(pj_reply_view(pj_reply_at(stream, 0)));

        for (size_t i = 0; i < pj_reply_count(entries) && *count < PJ_BELLS_MAX; i++) {
            struct pj_view id = pj_reply_view(pj_reply_at(pj_reply_at(entries, i), 0));
            struct pj_bell *bell = &bells[(*count)++];

            (void)snprintf(bell->stream_id, sizeof(bell->stream_id), "%.*s", (int)id.n, id.p);
            bell->partition = partition;
        }
    }
    return *count ? 0 : PJ_NONE;
}

void pj_queue_depth_cmd(struct pj_cmd *cmd, unsigned partition)
{
    char key[PJ_KEY_SIZE];

    pj_cmd_script(cmd, "queue_depth");
    pj_cmd_text(cmd, pj_key_ready(key, partition));
}

int pj_queue_depth_reply(const struct redisReply *reply, struct pj_queue_depth *out,
                         struct pj_err *err)
{
    if (pj_reply_word(reply, err) < 0)
        return -1;
    out->queued = pj_reply_int(pj_reply_at(reply, 1), 0);
    out->running = pj_reply_int(pj_reply_at(reply, 2), 0);
    out->external = pj_reply_int(pj_reply_at(reply, 3), 0);
    out->oldest_wait_ms = pj_reply_int(pj_reply_at(reply, 4), 0);
    return 0;
}

void pj_queue_config_cmd(struct pj_cmd *cmd, unsigned partition, int64_t user_max_running)
{
    char key[PJ_KEY_SIZE];

    pj_cmd_script(cmd, "queue_config");
    pj_cmd_text(cmd, pj_key_part(key, partition, "q"));
    pj_cmd_int(cmd, user_max_running);
}
