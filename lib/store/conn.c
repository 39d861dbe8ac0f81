#include "lib/store/conn.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/crypto/tls.h"
#include "lib/store/dial.h"
#include "lib/store/wire.h"

#define OUT_KEEP ((size_t)1 << 20) /* larger buffers are given back once sent */
#define READ_SIZE (16 * 1024)      /* as large as a record of TLS */

struct pj_redis {
    struct pj_redis_target target;
    struct pj_tls *tls; /* NULL: none */
    char *name;
    int connect_ms, command_ms, retry_ms;
    unsigned failed;      /* dials in a row */
    struct pj_wire *wire; /* NULL: not connected */
    redisReader *reader;  /* as long as there is a wire */
    struct pj_str out;
    char bytes[READ_SIZE];
};

static void drop(struct pj_redis *redis)
{
    if (redis->reader)
        redisReaderFree(redis->reader);
    redis->reader = NULL;
    pj_wire_free(redis->wire);
    redis->wire = NULL;
    pj_str_clear(&redis->out);
}

int pj_redis_new(const struct pj_redis_options *options, struct pj_redis **out, struct pj_err *err)
{
    struct pj_redis *redis = pj_alloc(1, sizeof(*redis));

    if (pj_redis_aim(options, &redis->target, &redis->tls, err) < 0) {
        free(redis);
        return -1;
    }
    pj_str_init(&redis->out, SIZE_MAX); /* what one call sends, and that is bounded */
    redis->name = pj_strdup_or_null(options->name);
    redis->connect_ms = options->connect_ms ? options->connect_ms : 2000;
    redis->command_ms = options->command_ms ? options->command_ms : 5000;
    redis->retry_ms = options->retry_ms ? options->retry_ms : 10000;
    *out = redis;
    return 0;
}

void pj_redis_free(struct pj_redis *redis)
{
    if (!redis)
        return;
    drop(redis);
    pj_str_release(&redis->out);
    pj_tls_free(redis->tls);
    pj_redis_target_release(&redis->target);
    free(redis->name);
    free(redis);
}

void pj_redis_freep(struct pj_redis **redis)
{
    pj_redis_free(*redis);
    *redis = NULL;
}

static int fail_connect(const struct pj_redis *redis, const struct pj_err *why, struct pj_err *err)
{
    PJ_CLEANUP(pj_freep) char *where = pj_redis_target_text(&redis->target);

    (void)pj_fail(err, PJ_E_UNAVAILABLE, "cannot connect to Redis at %s: %s", where, why->message);
    return pj_err_remedy(err, "%s",
                         why->remedy[0] ? why->remedy : "Start Redis, or set PJ_REDIS_URL.");
}

static int fail_lost(const struct pj_redis *redis, struct pj_err *err)
{
    const struct pj_err *why = pj_wire_why(redis->wire);

    (void)pj_fail(err, PJ_E_UNAVAILABLE, "lost the connection to Redis: %s", why->message);
    return why->remedy[0] ? pj_err_remedy(err, "%s", why->remedy) : -1;
}

/* For what the wire's last call asked for; -1 when the time is over, and with it the wire. */
static int await(struct pj_wire *wire, short events, int64_t until)
{
    struct pollfd p = {.fd = pj_wire_fd(wire), .events = events};
    int64_t left;

    while ((left = until - pj_mono_ms()) > 0) {
        if (poll(&p, 1, (int)left) > 0)
            return 0;
    }
    pj_wire_expire(wire);
    return -1;
}

static int flush(struct pj_redis *redis, int64_t until)
{
    struct pj_str *out = &redis->out;
    size_t sent = 0;

    while (sent < out->len) {
        ssize_t n = pj_wire_write(redis->wire, out->data + sent, out->len - sent);

        if (n < 0 || (n == 0 && await(redis->wire, pj_wire_wants(redis->wire), until) < 0))
            return -1;
        sent += (size_t)n;
    }
    pj_str_clear(out);
    if (out->cap > OUT_KEEP)
        pj_str_release(out);
    return 0;
}

/* The next reply. What was read before and what TLS holds is looked at before the socket is waited for. */
static int receive(struct pj_redis *redis, int64_t until, struct redisReply **reply,
                   struct pj_err *err)
{
    for (;;) {
        void *got = NULL;
        ssize_t n = 0;

        if (redisReaderGetReply(redis->reader, &got) != REDIS_OK)
            return pj_fail(err, PJ_E_UNAVAILABLE, "lost the connection to Redis: %s",
                           redis->reader->errstr);
        if (got) {
            *reply = got;
            return 0;
        }
        if (!pj_wire_has_bytes(redis->wire) && await(redis->wire, POLLIN, until) < 0)
            return fail_lost(redis, err);
        while ((n = pj_wire_read(redis->wire, redis->bytes, sizeof(redis->bytes))) == 0) {
            if (await(redis->wire, pj_wire_wants(redis->wire), until) < 0)
                return fail_lost(redis, err);
        }
        if (n < 0)
            return fail_lost(redis, err);
        (void)redisReaderFeed(redis->reader, redis->bytes, (size_t)n);
    }
}

static int exchange(struct pj_redis *redis, const struct pj_cmd *cmd, bool source,
                    struct redisReply **reply, struct pj_err *err)
{
    int64_t until = pj_mono_ms() + redis->command_ms + cmd->block_ms;
    int rc;

    pj_cmd_write(cmd, source, &redis->out);
    rc = flush(redis, until) < 0 ? fail_lost(redis, err) : receive(redis, until, reply, err);
    if (rc < 0)
        drop(redis);
    return rc;
}

/* To the target's path, or to `addr`. */
static int dial(struct pj_redis *redis, const struct pj_redis_addr *addr, struct pj_err *err)
{
    int64_t until = pj_mono_ms() + redis->connect_ms;
    int rc;

    redis->wire = pj_wire_new(redis->target.path, addr, redis->tls, redis->failed);
    redis->reader = redisReaderCreate();
    while ((rc = pj_wire_step(redis->wire)) == 0) {
        if (await(redis->wire, pj_wire_wants(redis->wire), until) < 0)
            break;
    }
    redis->failed = rc == 1 ? 0 : redis->failed + 1;
    if (rc == 1)
        return 0;
    (void)fail_connect(redis, pj_wire_why(redis->wire), err);
    drop(redis);
    return -1;
}

/* What sentinel number `nth`, which is connected, knows of the primary. */
static int ask_sentinel(struct pj_redis *redis, size_t nth, struct pj_redis_addr *primary,
                        struct pj_err *err)
{
    struct pj_cmd cmds[PJ_QUESTION_MAX] = {0};
    size_t n = pj_redis_ask_primary(&redis->target, cmds);
    int rc = 0;

    for (size_t i = 0; i < n; i++) {
        PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = NULL;
        struct pj_err why = {0};

        if (rc == 0 && (rc = exchange(redis, &cmds[i], false, &reply, err)) == 0 &&
            (rc = pj_redis_take_primary(&redis->target, nth, reply, i == n - 1, primary, &why)) <
                0) {
            (void)fail_connect(redis, &why, err);
            if (why.cls == PJ_E_AUTH) { /* no use in trying again */
                err->cls = why.cls;
                (void)pj_err_code(err, why.code);
            }
        }
        pj_cmd_release(&cmds[i]);
    }
    drop(redis);
    return rc < 0 ? -1 : 0;
}

/* Ask one sentinel after another for the primary. */
static int dial_by_sentinel(struct pj_redis *redis, struct pj_err *err)
{
    for (size_t i = 0; i < redis->target.addr_count; i++) {
        struct pj_redis_addr primary = {0};
        int rc;

        if (dial(redis, &redis->target.addr[i], err) < 0 ||
            ask_sentinel(redis, i, &primary, err) < 0)
            continue;
        rc = dial(redis, &primary, err);
        free(primary.host);
        return rc;
    }
    return -1;
}

static int greet(struct pj_redis *redis, struct pj_err *err)
{
    struct pj_cmd cmds[PJ_GREETING_MAX] = {0};
    size_t n = pj_redis_greeting(&redis->target, redis->name, cmds);
    int rc = 0;

    for (size_t i = 0; i < n; i++) {
        PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = NULL;

        if (rc == 0 &&
            (exchange(redis, &cmds[i], false, &reply, err) < 0 || pj_reply_error(reply, err) < 0))
            rc = -1;
        pj_cmd_release(&cmds[i]);
    }
    if (rc < 0)
        drop(redis);
    return rc;
}

int pj_redis_connect(struct pj_redis *redis, struct pj_err *err)
{
    int rc;

    if (redis->wire)
        return 0;
    rc = redis->target.master ? dial_by_sentinel(redis, err)
                              : dial(redis, &redis->target.addr[0], err);
    return rc < 0 ? -1 : greet(redis, err);
}

/* The server may have closed the connection meanwhile, although nothing was asked. */
static void drop_if_closed(struct pj_redis *redis)
{
    if (redis->wire && !pj_wire_is_quiet(redis->wire))
        drop(redis);
}

/* Was the command refused before it did anything, by a server that will take it soon (or whose successor will)? */
static bool is_passing(const struct pj_err *err)
{
    return strcmp(err->code, "store_loading") == 0 || strcmp(err->code, "store_readonly") == 0 ||
           strcmp(err->code, "store_busy") == 0;
}

/* One try. *again: the caller may try once more. */
static int attempt(struct pj_redis *redis, const struct pj_cmd *cmd, struct redisReply **reply,
                   bool *again, struct pj_err *err)
{
    drop_if_closed(redis);
    *again = true;
    if (pj_redis_connect(redis, err) < 0) {
        *again = err->cls == PJ_E_UNAVAILABLE;
        return -1;
    }
    *again = cmd->repeatable;
    if (exchange(redis, cmd, false, reply, err) < 0)
        return -1;
    if (cmd->script && pj_reply_is_noscript(*reply)) {
        pj_reply_freep(reply);
        if (exchange(redis, cmd, true, reply, err) < 0)
            return -1;
    }
    if (pj_reply_error(*reply, err) == 0)
        return 0;
    pj_reply_freep(reply);
    *again = is_passing(err);
    if (strcmp(err->code, "store_readonly") == 0)
        drop(redis);
    return -1;
}

int pj_redis_do(struct pj_redis *redis, const struct pj_cmd *cmd, struct redisReply **reply,
                struct pj_err *err)
{
    int64_t give_up = pj_mono_ms() + redis->retry_ms;
    bool again;

    for (unsigned n = 0;; n++) {
        int pause = pj_redis_pause_ms(n);

        if (attempt(redis, cmd, reply, &again, err) == 0)
            return 0;
        if (!again || pj_mono_ms() + pause > give_up)
            return -1;
        pj_err_clear(err);
        (void)poll(NULL, 0, pause);
    }
}

static void free_replies(struct redisReply **replies, size_t count)
{
    for (size_t i = 0; i < count; i++)
        pj_reply_freep(&replies[i]);
}

int pj_redis_pipeline(struct pj_redis *redis, const struct pj_cmd *cmds, size_t count,
                      struct redisReply **replies, struct pj_err *err)
{
    int rc;

    memset(replies, 0, count * sizeof(struct redisReply *));
    drop_if_closed(redis);
    if (pj_redis_connect(redis, err) < 0)
        return -1;
    for (size_t i = 0; i < count; i++)
        pj_cmd_write(&cmds[i], false, &redis->out);
    rc = flush(redis, pj_mono_ms() + redis->command_ms) < 0 ? fail_lost(redis, err) : 0;
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = receive(redis, pj_mono_ms() + redis->command_ms, &replies[i], err);
    if (rc < 0)
        drop(redis);
    for (size_t i = 0; rc == 0 && i < count; i++) { /* rare: the first use after a restart */
        if (!cmds[i].script || !pj_reply_is_noscript(replies[i]))
            continue;
        pj_reply_freep(&replies[i]);
        rc = exchange(redis, &cmds[i], true, &replies[i], err);
    }
    if (rc < 0)
        free_replies(replies, count);
    return rc;
}
